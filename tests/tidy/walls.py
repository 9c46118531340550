"""The walls between the folders, read from the #include lines.

The compiler can't keep them: system headers are visible to every target.
"""

import re

_GRPC = re.compile(r"^(grpc|grpcpp|google/protobuf|google/rpc|radiograph/v1)/|\.pb\.h$")
_DATABASE_OR_SOCKET = re.compile(r"^(sqlite3\.h|libpq-fe\.h|sys/socket\.h|civetweb\.h|CivetServer\.h|prometheus/)")
_TORCH = re.compile(r"^(ATen|c10|torch|caffe2)/")
_TORCH_FOLDERS = re.compile(r"^core/(tensor|numerics|models|analyses|compute)/")
_SPEC = re.compile(r"_spec\.(h|cc)$")

TORCH_WALL = (
    "LibTorch is seen only in core/{tensor,numerics,models,analyses,compute}, never in a *_spec file: "
    "put what needs a tensor there, and share plain structs or spans"
)
CORE_WALL = "core/ knows no gRPC, Protobuf, database or socket: give it plain structs, convert in server/ or client/"
CLIENT_WALL = "client/ sees only proto/ and the torch-free part of core/: move what both sides need to core/"
SERVER_WALL = "server/ does not know client/: move what both sides need to core/"
INSIDE_WALL = "core/ does not know server/ or client/: turn the dependency around, or move the code to core/"


def _may_use_torch(path):
    return bool(_TORCH_FOLDERS.match(path)) and not _SPEC.search(path)


def _chain_to_torch(files, path, seen):
    """The include path from `path` to a LibTorch header, through our headers; empty when there is none."""
    seen.add(path)
    for _, target, _ in files[path].includes():
        if _TORCH.match(target):
            return [target]
        if target in files and target not in seen:
            rest = _chain_to_torch(files, target, seen)
            if rest:
                return [target] + rest
    return []


def _broken_wall(file, target):
    """What is wrong with one #include, or None."""
    top = file.path.split("/", 1)[0]
    if top == "core":
        if _GRPC.search(target) or _DATABASE_OR_SOCKET.match(target):
            return CORE_WALL
        if re.match(r"(server|client)/", target):
            return INSIDE_WALL
    if file.is_test:
        return None  # a test may start the other side
    if top == "server" and target.startswith("client/"):
        return SERVER_WALL
    if top == "client" and target.startswith("server/"):
        return CLIENT_WALL
    return None


def check(files):
    for file in files.values():
        for line, target, _ in file.includes():
            broken = _broken_wall(file, target)
            if broken:
                yield file.path, line, f"includes {target}. {broken}"
        if re.match(r"(core|server|client)/", file.path) and not _may_use_torch(file.path):
            chain = _chain_to_torch(files, file.path, set())
            if chain:
                yield file.path, 1, f"includes {' -> '.join(chain)}. {TORCH_WALL}"
