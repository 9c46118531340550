"""Files as others write them: tensors that no analysis reads are carried, and what is no safetensors file is said."""

import io
import json
import struct
import unittest
import zipfile

import programs
from programs import NETWORK, radiograph

REJECTED = 8
RUN = ("run", "bilinear.spectrum", "--param", "null_draws=0")


def with_more(tensors, **metadata):
    """The digits network with more {name: (entry, bytes)} behind its own tensors, and __metadata__=VALUE."""
    data = (NETWORK / "model.safetensors").read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    header, data = {**json.loads(data[8:start]), **metadata}, data[start:]
    for name, (entry, more) in tensors.items():
        header[name] = {**entry, "data_offsets": [len(data), len(data) + len(more)]}
        data += more
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def npz():
    """As numpy.savez writes it, two empty arrays of float64."""
    array = io.BytesIO()
    array.write(b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (0,), }".ljust(117) + b"\n")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("inputs.npy", "labels.npy"):
            file.writestr(name, array.getvalue())
    return archive.getvalue()


class ForeignFiles(programs.Case):
    def setUp(self):
        super().setUp()
        self.server = self.start_server("--devices=cpu")
        self.count = 0

    def ask(self, *arguments):
        return radiograph(*arguments, endpoint=self.server.endpoint)

    def write(self, data):
        self.count += 1
        folder = self.folder / f"f{self.count}"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(data)
        return folder / "model.safetensors"

    def run_both(self, *arguments):
        yield "local", radiograph(*RUN, *arguments, "--local", "--out", self.folder / f"local{self.count}")
        yield "server", self.ask(*RUN, *arguments, "--out", self.folder / f"server{self.count}")

    def assert_rejected(self, where, answer, *parts):
        with self.subTest(where):
            self.assertEqual(answer.code, REJECTED, answer)
            for part in parts:
                self.assertIn(part, answer.error(), answer)

    def test_tensors_that_no_analysis_reads_are_carried(self):
        more = {
            "seen": ({"dtype": "U64", "shape": []}, bytes(8)),
            "mask": ({"dtype": "U32", "shape": [2]}, bytes(8)),
            "phase": ({"dtype": "C64", "shape": [2]}, bytes(16)),
            "small": ({"dtype": "F8_E4M3", "shape": [2]}, bytes(2)),
            "packed": ({"dtype": "F4", "shape": [3, 2]}, bytes(3)),
            "tomorrow": ({"dtype": "F2_E1M0", "shape": [3]}, bytes(5)),
            "deep": ({"dtype": "U8", "shape": [1] * 9}, bytes(1)),
            "other": ({"dtype": "U8", "shape": [1], "stride": [1], "quant": {"bits": 4}}, bytes(1)),
        }
        path = self.write(with_more(more))
        for where, answer in self.run_both("--input", f"model={path}"):
            with self.subTest(where):
                self.assert_ok(answer)
        self.assert_ok(self.ask("models", "push", "more", path))
        listed = json.loads(self.assert_ok(self.ask("models", "tensors", "more", "-o", "json")).out)
        listed = {tensor["name"]: (tensor["dtype"], [int(size) for size in tensor.get("shape", ())]) for tensor in listed}
        for name, (entry, _) in more.items():
            self.assertEqual(listed[name], (entry["dtype"], entry["shape"]))
        table = self.assert_ok(self.ask("models", "tensors", "more")).out
        self.assertRegex(table, r"tomorrow +F2_E1M0 +\[3\]")
        self.assert_ok(self.ask("models", "pull", "more", "--out", self.folder / "pulled"))
        self.assertEqual((self.folder / "pulled/model.safetensors").read_bytes(), path.read_bytes())

    def test_a_tensor_that_is_read_is_refused_by_its_name(self):
        for entry, data, says in (({"dtype": "F8_E5M2", "shape": [3, 64]}, bytes(192), "is F8_E5M2; F64, F32, F16 and BF16 are read"),
                                  ({"dtype": "NEW", "shape": [3, 64]}, bytes(7), "is NEW; F64, F32, F16 and BF16 are read"),
                                  ({"dtype": "F32", "shape": [1] * 9}, bytes(4), "must be a matrix")):
            path = self.write(with_more({"mine": (entry, data)}))
            for where, answer in self.run_both("--input", f"model={path}", "--param", "tensors=head=mine"):
                self.assert_rejected(where, answer, "'mine'", says)

    def test_a_null_is_no_metadata(self):
        for where, answer in self.run_both("--input", f"model={self.write(with_more({}, __metadata__=None))}"):
            with self.subTest(where):
                self.assert_ok(answer)

    def test_what_is_no_safetensors_file_is_said(self):
        lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
        for data, *says in ((lfs, "a Git LFS pointer", "12345 bytes", "`git lfs pull`"),
                            (b"<!DOCTYPE html><html><body>Not signed in</body></html>\n", "a web page", "Not signed in"),
                            (b'{"error": "Repository not found"}', ': {"error": "Repository not found"}'),
                            (b"GGUF\x03" + bytes(60), "a GGUF model"),
                            (b"", "it is empty"),
                            (bytes(1000), "a file of zeros"),
                            (b"\x89HDF\r\n\x1a\n" + bytes(60), "an HDF5 file"),
                            (with_more({}, __metadata__={"thumbnail": "x" * (18 << 20)}), "too long for Radiograph", "16777216"),
                            (with_more({})[:3000], "it is truncated; fetch or copy it again")):
            path = self.write(data)
            for where, answer in self.run_both("--input", f"model={path}"):
                self.assert_rejected(where, answer, "model.safetensors: ", *says)
            self.assert_rejected("push", self.ask("models", "push", "bad", path), "model.safetensors: ", *says)

    def test_numpy_data_say_how_they_are_converted(self):
        data = self.folder / "data.npz"
        data.write_bytes(npz())
        for where, answer in self.run_both("--input", f"model={NETWORK}", "--input", f"data={data}"):
            self.assert_rejected(where, answer, "a numpy archive (.npz)", 'safetensors.numpy.save_file(dict(numpy.load("FILE.npz"))')


if __name__ == "__main__":
    unittest.main()
