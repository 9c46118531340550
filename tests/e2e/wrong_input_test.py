"""Wrong input as a user would give it: the exit code and one line that helps."""

import pickle
import unittest

import programs
import safetensors
from programs import NETWORK, radiograph

REJECTED, UNREACHABLE, EXHAUSTED, USAGE = 8, 7, 10, 2
RUN = ("run", "bilinear.spectrum")


def digits():
    return safetensors.read(NETWORK / "model.safetensors")


class WrongInput(programs.Case):
    """Each case on a server and without one: both must say the same."""

    def ask_both(self, *arguments):
        """The answers of `radiograph run` with --local and through a server."""
        server = self.start_server("--devices=cpu")
        yield "local", radiograph(*arguments, "--local", "--out", self.folder / "out")
        yield "server", radiograph(*arguments, "--out", self.folder / "out", endpoint=server.endpoint)
        server.stop()

    def assert_rejected(self, model, *parts):
        for where, answer in self.ask_both(*RUN, "--input", f"model={model}"):
            self.assert_says(where, answer, REJECTED, *parts)

    def assert_says(self, where, answer, code, *parts):
        with self.subTest(where):
            self.assertEqual(answer.code, code, answer)
            for part in parts:
                self.assertIn(part, answer.error(), answer)
            self.assertEqual(answer.out, "", answer)

    def write_model(self, tensors):
        path = self.folder / "model.safetensors"
        safetensors.write(path, tensors)
        return path

    def test_a_pickle_with_another_name(self):
        path = self.folder / "model.safetensors"
        path.write_bytes(pickle.dumps({"embed.weight": [[1.0] * 64] * 64}, protocol=2))
        self.assert_rejected(path, "model.safetensors", "safetensors")

    def test_a_truncated_file(self):
        path = self.folder / "model.safetensors"
        path.write_bytes((NETWORK / "model.safetensors").read_bytes()[:40000])
        self.assert_rejected(path, "model.safetensors", "51712 bytes", "truncated")

    def test_a_weight_that_is_not_a_number(self):
        tensors = digits()
        tensors["blocks.0.weight"][1][70] = float("nan")
        self.assert_rejected(self.write_model(tensors), "blocks.0.weight", "70")

    def test_tensors_with_other_names(self):
        for name, wrong in {"blocks.0.weight": "blokcs.0.weight", "head.weight": "haed.weight"}.items():
            tensors = digits()
            tensors[wrong] = tensors.pop(name)
            self.assert_rejected(self.write_model(tensors), name, f"nearest names: {wrong}")

    def test_gated_weights(self):
        shapes = {"gate_proj": (12, 8), "up_proj": (12, 8), "down_proj": (8, 12)}
        tensors = {f"model.layers.0.mlp.{name}.weight": (shape, [0.5] * 96) for name, shape in shapes.items()}
        tensors["model.layers.0.post_attention_layernorm.weight"] = ((8,), [1.0] * 8)
        tensors["lm_head.weight"] = ((4, 8), [0.25] * 32)
        self.assert_rejected(self.write_model(tensors), "the model is not bilinear", "gated MLP", "assume_bilinear=true")

    def test_an_unknown_parameter(self):
        for where, answer in self.ask_both(*RUN, "--input", f"model={NETWORK}", "--param", "spaec=input"):
            self.assert_says(where, answer, REJECTED, "spaec", "space")

    def test_a_parameter_out_of_range(self):
        for where, answer in self.ask_both(*RUN, "--input", f"model={NETWORK}", "--param", "k=0"):
            self.assert_says(where, answer, REJECTED, "k", "0")

    def test_an_unknown_analysis(self):
        for where, answer in self.ask_both("run", "bilinear.spektrum", "--input", f"model={NETWORK}"):
            self.assert_says(where, answer, REJECTED, "bilinear.spektrum", "bilinear.spectrum")

    def test_a_file_that_is_not_there(self):
        for where, answer in self.ask_both(*RUN, "--input", "model=./nowhere.safetensors"):
            self.assert_says(where, answer, REJECTED, "./nowhere.safetensors")

    def test_an_unknown_flag(self):
        self.assert_says("flag", radiograph(*RUN, "--inptu", "model=x"), USAGE, "inptu")

    def test_no_server(self):
        answer = radiograph("jobs", "ls", endpoint="127.0.0.1:1")
        self.assert_says("server", answer, UNREACHABLE, "127.0.0.1:1", "Connection refused")


class DiskFull(programs.Case):
    def test_an_upload_that_does_not_fit(self):
        """In a mount namespace of its own the server's state lies on 2 MiB of memory."""
        state = self.folder / "state"
        state.mkdir()
        command = f'mount -t tmpfs -o size=2m none "{state}" && exec "$0" "$@"'
        unshare = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", command]
        server = self.start_server("--devices=none", before=unshare)
        big = self.folder / "big.safetensors"
        safetensors.write(big, {"embed.weight": ((1024, 1024), [0.5] * 2**20)})
        answer = radiograph("models", "push", "big", big, endpoint=server.endpoint)
        self.assertEqual(answer.code, EXHAUSTED, answer)
        self.assertIn("disk is low", answer.error())
        # The server goes on.
        self.assert_ok(radiograph("models", "ls", endpoint=server.endpoint))
        server.stop()
        self.assertEqual(server.process.returncode, 0, "".join(server.log))


if __name__ == "__main__":
    unittest.main()
