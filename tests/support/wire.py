"""The services of proto/ in Python, for tests that ask a server more than a command line could.

The modules are made by protoc when this one is imported. Needs Debian's python3-grpcio: run what imports it with
/usr/bin/python3.
"""

import atexit
import importlib
import pathlib
import subprocess
import sys
import tempfile

import grpc
from google.protobuf import descriptor_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ("server", "blobs", "artifacts", "analyses", "jobs", "workers")
_FOLDER = tempfile.TemporaryDirectory()
atexit.register(_FOLDER.cleanup)
# A channel that has lost its server looks for it again at once, not after a second.
CHANNEL_OPTIONS = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 50),
                   ("grpc.max_reconnect_backoff_ms", 200)]


def _modules():
    googleapis = next(ROOT.glob(".venv/googleapis-*"))
    rpc = [googleapis / "google/rpc" / name for name in ("status.proto", "error_details.proto")]
    ours = [ROOT / "proto/radiograph/v1" / f"{name}.proto" for name in NAMES]
    subprocess.run(["protoc", f"-I{ROOT / 'proto'}", f"-I{googleapis}", f"--python_out={_FOLDER.name}", *ours, *rpc], check=True)
    sys.path.append(_FOLDER.name)
    return [importlib.import_module(f"radiograph.v1.{name}_pb2") for name in NAMES]


server, blobs, artifacts, analyses, jobs, workers = _modules()


class Stub:
    """The methods of one service, by their names."""

    def __init__(self, channel, service):
        for method in service.methods:
            told = descriptor_pb2.MethodDescriptorProto()
            method.CopyToProto(told)
            kinds = ["stream" if stream else "unary" for stream in (told.client_streaming, told.server_streaming)]
            make = getattr(channel, "_".join(kinds))
            setattr(self, method.name, make(f"/{service.full_name}/{method.name}",
                                            request_serializer=method.input_type._concrete_class.SerializeToString,
                                            response_deserializer=method.output_type._concrete_class.FromString))


class Connection:
    """A channel with its stubs."""

    def __init__(self, endpoint):
        self.channel = grpc.insecure_channel(endpoint, options=CHANNEL_OPTIONS)
        self.server, self.blobs, self.artifacts, self.jobs, self.workers = (
            Stub(self.channel, module.DESCRIPTOR.services_by_name[module.DESCRIPTOR.name.split("/")[-1][:-6].capitalize()])
            for module in (server, blobs, artifacts, jobs, workers))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()
