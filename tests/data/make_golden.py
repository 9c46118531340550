"""Makes bilinear_spectrum.golden.safetensors: what plain float64 numpy says about digits/.

Run by hand after make_digits.py:
    python tests/data/make_golden.py

For each network NAME: `NAME.eigenvalues_embed` and `NAME.eigenvalues_input` [C, 64], |lambda| descending,
`NAME.effective_rank_embed` and `NAME.effective_rank_input` [C], `NAME.logits` [360, C] on the test split.
Straight from the definitions, on purpose: Q_c = sym(sum_h head[c, h] l_h r_h^T) in the embedding, E^T Q_c E
in the input space with no reduction first, and the logits by a forward pass without Q.
"""

import pathlib

import numpy as np

import safetensors_io

HERE = pathlib.Path(__file__).resolve().parent


def eigenvalues(matrices):
    values = np.linalg.eigvalsh(matrices)
    order = np.argsort(-np.abs(values), axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1)


def effective_rank(values):
    return np.abs(values).sum(axis=1) ** 2 / (values**2).sum(axis=1)


def golden(weights, inputs):
    embed, fused, head = (
        weights[name].astype(np.float64) for name in ("embed.weight", "blocks.0.weight", "head.weight")
    )
    left, right = np.split(fused, 2)
    interaction = np.einsum("ch,hi,hj->cij", head, left, right)
    interaction = (interaction + interaction.transpose(0, 2, 1)) / 2
    embed_values = eigenvalues(interaction)
    input_values = eigenvalues(embed.T @ interaction @ embed)
    hidden = inputs.astype(np.float64) @ embed.T
    return {
        "eigenvalues_embed": embed_values,
        "eigenvalues_input": input_values,
        "effective_rank_embed": effective_rank(embed_values),
        "effective_rank_input": effective_rank(input_values),
        "logits": ((hidden @ left.T) * (hidden @ right.T)) @ head.T,
    }


def main():
    inputs = safetensors_io.read(HERE / "digits/test.safetensors")["inputs"]
    arrays = {}
    for model in sorted(HERE.glob("digits/*/model.safetensors")):
        name = model.parent.name
        for key, array in golden(safetensors_io.read(model), inputs).items():
            arrays[f"{name}.{key}"] = array
        ranks = [arrays[f"{name}.effective_rank_{space}"].mean() for space in ("embed", "input")]
        print(f"{name}: mean effective rank {ranks[0]:.2f} (embed), {ranks[1]:.2f} (input)")
    metadata = {"made_by": "tests/data/make_golden.py", "numpy": np.__version__}
    safetensors_io.write(HERE / "bilinear_spectrum.golden.safetensors", arrays, metadata)


if __name__ == "__main__":
    main()
