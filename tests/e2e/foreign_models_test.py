"""Models as other programs leave them: names, folders and config.json that are not quite ours."""

import json
import os
import random
import unittest

import programs
import safetensors
from programs import radiograph

REJECTED, USAGE = 8, 2
SHAPES = {"embed.weight": (6, 9), "blocks.0.weight": (12, 6), "head.weight": (3, 6)}
INDEX = "model.safetensors.index.json"


def tensors(seed, shapes=None):
    draw = random.Random(seed).gauss
    return {name: (shape, [draw(0, 1) for _ in range(shape[0] * shape[1])]) for name, shape in (shapes or SHAPES).items()}


def metric(result, name):
    return {one["name"]: one["value"] for one in result["metrics"]}[name]


def verdict(result, name):
    return {one["name"]: one["value"] for one in result["verdicts"]}[name]


class ForeignModels(programs.Case):
    def model(self, folder, content, name="model.safetensors", config=None, **options):
        (self.folder / folder).mkdir(parents=True, exist_ok=True)
        safetensors.write(self.folder / folder / name, content, **options)
        if config is not None:
            (self.folder / folder / "config.json").write_text(json.dumps(config))
        return self.folder / folder

    def index(self, folder, weight_map):
        (self.folder / folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))

    def run_local(self, model, *arguments):
        return radiograph("run", "bilinear.spectrum", "--local", "--param", "null_draws=0", "--input", f"model={model}", *arguments)

    def result(self, model, *arguments):
        """The result.json of a local run, and what was said."""
        answer = self.assert_ok(self.run_local(model, *arguments, "-o", "json"))
        return answer.json(), answer.err

    def metrics(self, model, *arguments):
        return self.result(model, *arguments)[0]["metrics"]

    def assert_same(self, model, *others):
        expected = self.metrics(model)
        for other in others:
            with self.subTest(other.name):
                self.assertEqual(self.metrics(other), expected)

    def assert_refused(self, answer, *parts, code=REJECTED):
        self.assertEqual(answer.code, code, answer)
        for part in parts:
            self.assertIn(part, answer.error())

    def test_second_names_of_tied_tensors_are_names(self):
        shared = tensors(1)
        two = {**shared, "blocks.1.weight": shared["blocks.0.weight"]}
        full = self.model("full", two)
        tied = self.model("tied", shared, metadata={"blocks.1.weight": "blocks.0.weight", "format": "pt"})
        other = self.model("other", {name.replace("blocks.0", "blocks.1"): value for name, value in shared.items()},
                           metadata={"blocks.0.weight": "blocks.1.weight"})
        self.assert_same(full, tied, other)
        result, said = self.result(tied)
        self.assertIn("blocks.1.weight for blocks.0.weight", said)
        self.assertIn("ONE_LAYER", json.dumps(result["findings"]))
        both = self.model("both", {**shared, "embed.weight": shared["embed.weight"]}, metadata={"wte.weight": "embed.weight", "a": "b"})
        self.assert_same(self.model("plain", shared), both)

    def test_prefixes_of_wrappers_say_nothing(self):
        plain = tensors(2)
        folders = [self.model("plain", plain)]
        for name, prefix in {"compiled": "_orig_mod.", "ddp": "module.", "both": "module._orig_mod.", "deep": "net.model.encoder."}.items():
            folders.append(self.model(name, {prefix + key: value for key, value in plain.items()}))
        self.assert_same(*folders)
        roles = self.metrics(folders[1], "--param", "tensors=fused=_orig_mod.blocks.0.weight,head=_orig_mod.head.weight")
        self.assertEqual(roles, self.metrics(folders[0]))

    def test_layers_are_those_that_are_there(self):
        shapes = {"head.weight": (3, 6), **{f"blocks.{i}.weight": (12, 6) for i in (0, 2, 3)}}
        gap = self.model("gap", tensors(3, shapes))
        self.assertEqual(self.metrics(gap), self.metrics(gap, "--param", "layer=3"))
        self.assertNotEqual(self.metrics(gap), self.metrics(gap, "--param", "layer=2"))
        self.assert_refused(self.run_local(gap, "--param", "layer=1"), "layer 1 is not bilinear; 0, 2, 3 are")
        late = self.model("late", tensors(4, {"head.weight": (3, 6), "blocks.5.weight": (12, 6)}))
        self.assertEqual(self.metrics(late), self.metrics(late, "--param", "layer=5"))

    def test_a_residual_block_is_analysed_with_its_linear_part(self):
        content = tensors(5)
        draw = random.Random(6).gauss
        inputs = [[draw(0, 1) for _ in range(9)] for _ in range(200)]

        def labels(residual):
            (_, embed), (_, block), (_, head) = (content[name] for name in SHAPES)
            answers = []
            for x in inputs:
                z = [sum(embed[9 * i + j] * x[j] for j in range(9)) for i in range(6)]
                product = [sum(block[6 * h + i] * z[i] for i in range(6)) * sum(block[6 * (h + 6) + i] * z[i] for i in range(6))
                           for h in range(6)]
                written = [product[i] + (z[i] if residual else 0) for i in range(6)]
                logits = [sum(head[6 * c + i] * written[i] for i in range(6)) for c in range(3)]
                answers.append(max(range(3), key=logits.__getitem__))
            return answers

        for residual in (True, False):
            model = self.model(f"residual{residual}", content, config={"n_layer": 1, "d_hidden": 6, "bias": False, "residual": residual})
            data = self.folder / f"data{residual}.safetensors"
            safetensors.write(data, {"inputs": ((200, 9), sum(inputs, [])), "labels": ((200,), labels(residual))})
            result, _ = self.result(model, "--input", f"data={data}")
            self.assertEqual(metric(result, "accuracy"), 1)
            self.assertEqual(verdict(result, "faithfulness"), "green")
            self.assertEqual("RESIDUAL" in json.dumps(result["findings"]), residual)

    def test_config_that_changes_the_function_is_named_first(self):
        for name, key, value in (("norm", "normalization", "layernorm"), ("scale", "output_scale", 0.5), ("drop", "tanh_cap", True)):
            result, _ = self.result(self.model(name, tensors(7), config={key: value, "d_model": 6}))
            self.assertIn(key, json.dumps(result["findings"][0]))
            self.assertEqual(verdict(result, "faithfulness"), "amber")
        off, _ = self.result(self.model("off", tensors(7), config={"normalization": None, "output_scale": None, "d_model": 6}))
        self.assertEqual(verdict(off, "faithfulness"), "green")
        self.assert_refused(self.run_local(self.model("not", tensors(7), config={"bilinear": False})), "bilinear", "config.json")

    def test_config_that_cannot_be_read_is_a_note(self):
        plain = self.model("plain", tensors(8))
        broken = self.model("broken", tensors(8))
        (broken / "config.json").write_text("{'n_layer': 1}")
        result, said = self.result(broken)
        self.assertEqual(result["metrics"], self.metrics(plain))
        self.assertIn("config.json", said)
        self.assertIn("config.json", json.dumps(result["findings"][0]))

    def test_configs_of_python(self):
        names = {str(i): f"a class with its synonyms, number {i}" for i in range(21841)}
        configs = {"inf": {"time_step_limit": [0.0, float("inf")]}, "nan": {"dropout": float("nan"), "lr": float("-inf")},
                   "big": {"id2label": names, "label2id": {label: number for number, label in names.items()}}}
        self.assert_same(self.model("plain", tensors(9)), *(self.model(name, tensors(9), config=config) for name, config in configs.items()))

    def test_new_weights_beside_old_shards_are_read(self):
        new = self.model("new", tensors(11))
        again = self.model("again", tensors(11))
        old = tensors(10)
        for number, (name, value) in enumerate(old.items()):
            safetensors.write(again / f"model-{number}-of-3.safetensors", {name: value})
        self.index("again", {name: f"model-{number}-of-3.safetensors" for number, name in enumerate(old)})
        result, said = self.result(again)
        self.assertEqual(result["metrics"], self.metrics(new))
        self.assertIn("model-0-of-3.safetensors", said)
        for number in range(3):
            os.remove(again / f"model-{number}-of-3.safetensors")
        self.assert_same(new, again)

    def test_an_index_that_does_not_match_is_a_note(self):
        content, one = tensors(12), "model-00001-of-00001.safetensors"
        plain = self.model("plain", content)
        more = self.model("more", {**content, "rotary.inv_freq": ((3,), [0.0] * 3)}, name=one)
        self.index("more", dict.fromkeys(content, one))
        less = self.model("less", content, name=one)
        self.index("less", dict.fromkeys([*content, "mtp.fc.weight"], one))
        for folder, name in ((more, "rotary.inv_freq"), (less, "mtp.fc.weight")):
            result, said = self.result(folder)
            self.assertEqual(result["metrics"], self.metrics(plain))
            self.assertIn(name, said)
        needed = self.model("needed", {name: value for name, value in content.items() if name != "blocks.0.weight"}, name=one)
        self.index("needed", {**dict.fromkeys(content, one), "blocks.0.weight": "model-00002-of-00002.safetensors"})
        self.assert_refused(self.run_local(needed), "blocks.0.weight")

    def test_the_root_of_a_cache(self):
        content = tensors(13)
        self.model("models--org--tiny/snapshots/0123abcd", content)
        root = self.folder / "models--org--tiny"
        (root / "refs").mkdir()
        (root / "refs/main").write_text("0123abcd")
        result, said = self.result(root)
        self.assertEqual(result["metrics"], self.metrics(self.model("plain", content)))
        self.assertIn("0123abcd", said)

    def test_data_under_other_names(self):
        net = self.model("net", tensors(14, {"blocks.0.weight": (12, 9), "head.weight": (3, 6)}))
        data, server = self.folder / "images.safetensors", self.start_server("--devices=cpu")
        safetensors.write(data, {"images": ((20, 3, 3), [0.5] * 180), "y": ((20,), [0.0] * 20)})
        ask = ("--input", f"data={data}")
        self.assert_refused(self.run_local(net, *ask), "images F32 [20, 3, 3]", "--role data.inputs=images")
        roles = ("--role", "data.inputs=images", "--role", "data.labels=y")
        local = self.metrics(net, *ask, *roles)
        self.assertIsNotNone(metric({"metrics": local}, "accuracy"))
        served = radiograph("run", "bilinear.spectrum", "--param", "null_draws=0", "--input", f"model={net}", *ask, *roles, "-o", "json",
                            endpoint=server.endpoint)
        self.assertEqual(self.assert_ok(served).json()["metrics"], local)
        self.assert_refused(self.run_local(net, *ask, "--role", "data.inputs=imgaes"), "imgaes", "nearest: images")
        for wrong, part in (("inputs=images", "INPUT.ROLE=TENSOR"), ("model.head=x", "DATASET"), ("dat.inputs=images", "nearest: data")):
            answer = self.run_local(net, *ask, "--role", wrong)
            self.assertIn(answer.code, (USAGE, REJECTED), answer)
            self.assertIn(part, answer.error())
        self.assert_refused(self.run_local(net, "--role", "data.inputs=images"), "no --input data=PATH", code=USAGE)

    def test_a_push_and_show_tell_the_notes(self):
        server = self.start_server("--devices=none")
        tied = self.model("tied", tensors(15), metadata={"blocks.1.weight": "blocks.0.weight"})
        pushed = self.assert_ok(radiograph("models", "push", tied, endpoint=server.endpoint))
        self.assertIn("blocks.1.weight for blocks.0.weight", pushed.err)
        shown = self.assert_ok(radiograph("models", "show", "tied", endpoint=server.endpoint))
        self.assertIn("blocks.1.weight for blocks.0.weight", shown.out)
        listed = self.assert_ok(radiograph("models", "tensors", "tied", "-o", "json", endpoint=server.endpoint)).json()
        self.assertEqual({tensor["name"]: tensor.get("alias_of") for tensor in listed}["blocks.1.weight"], "blocks.0.weight")


if __name__ == "__main__":
    unittest.main()
