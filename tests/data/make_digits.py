"""Makes digits/: the data sets, three trained bilinear networks, and a gauge twin of one of them.

Run by hand, from any folder; the versions that made what is committed stand in README.md:
    python tests/data/make_digits.py

The network of Pearce et al. 2024 (arXiv 2410.08417): logits = head ((L z) * (R z)), z = embed x,
without biases or residual. AdamW lr 1e-3, batch 256 (last one dropped), 200 epochs, cosine schedule,
normal noise added to every pixel of every batch, width 64.
"""

import json
import pathlib

import numpy as np
import torch
from sklearn.datasets import load_digits

import safetensors_io

HERE = pathlib.Path(__file__).resolve().parent / "digits"
SPLIT_SEED = 0
WIDTH, BATCH, EPOCHS, LEARNING_RATE = 64, 256, 200, 1e-3
RUNS = [(1, 0.2, 0), (1, 0.2, 1), (0, 0, 0)]  # weight decay, noise, seed


class Network(torch.nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.embed = torch.nn.Linear(inputs, WIDTH, bias=False)
        self.block = torch.nn.Linear(WIDTH, 2 * WIDTH, bias=False)  # rows [0, m) are L, the rest R
        self.head = torch.nn.Linear(WIDTH, classes, bias=False)

    def forward(self, x):
        left, right = self.block(self.embed(x)).chunk(2, dim=-1)
        return self.head(left * right)

    def arrays(self):
        """The weights under the authors' tensor names."""
        named = {"embed.weight": self.embed, "blocks.0.weight": self.block, "head.weight": self.head}
        return {name: layer.weight.detach().numpy() for name, layer in named.items()}


def split():
    """The digits, pixels in [0, 1], as (train, test); 1437 and 360 samples."""
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(SPLIT_SEED)).numpy()
    inputs = (digits.data[order] / 16).astype(np.float32)
    labels = digits.target[order].astype(np.int64)
    cut = int(0.8 * len(labels))
    return (inputs[:cut], labels[:cut]), (inputs[cut:], labels[cut:])


def train(inputs, labels, weight_decay, noise, seed):
    torch.manual_seed(seed)
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels)
    network = Network(x.shape[1], 10)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(y))[: len(y) // BATCH * BATCH].split(BATCH):
            batch = x[rows] + noise * torch.randn(len(rows), x.shape[1])
            loss = torch.nn.functional.cross_entropy(network(batch), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
    return network


def gauge_twin(arrays):
    """The same function in another basis of the embedding: E -> A E, L -> L A^-1, R -> R A^-1.

    float64, since rounding to float32 would make it another function.
    """
    eye = np.eye(WIDTH)
    basis = eye + 0.5 * np.roll(eye, 1, axis=0) + 0.25 * np.roll(eye, 5, axis=1)
    return {
        "embed.weight": basis @ arrays["embed.weight"].astype(np.float64),
        "blocks.0.weight": arrays["blocks.0.weight"].astype(np.float64) @ np.linalg.inv(basis),
        "head.weight": arrays["head.weight"].astype(np.float64),
    }


def write_model(name, arrays, metadata):
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    safetensors_io.write(folder / "model.safetensors", arrays, metadata)
    (folder / "names.json").write_text(json.dumps({"classes": [str(digit) for digit in range(10)]}) + "\n")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    HERE.mkdir(exist_ok=True)
    (inputs, labels), (test_inputs, test_labels) = split()
    safetensors_io.write(HERE / "train.safetensors", {"inputs": inputs, "labels": labels})
    safetensors_io.write(HERE / "test.safetensors", {"inputs": test_inputs, "labels": test_labels})
    for weight_decay, noise, seed in RUNS:
        network = train(inputs, labels, weight_decay, noise, seed)
        with torch.no_grad():
            predicted = network(torch.from_numpy(test_inputs)).argmax(dim=1).numpy()
        accuracy = f"{np.mean(predicted == test_labels):.4f}"
        name = f"wd{weight_decay}_noise{noise}_seed{seed}"
        metadata = {
            "weight_decay": str(weight_decay),
            "noise": str(noise),
            "seed": str(seed),
            "test_accuracy": accuracy,
        }
        write_model(name, network.arrays(), metadata)
        if (weight_decay, noise, seed) == RUNS[0]:
            write_model(name + "_gauge", gauge_twin(network.arrays()), metadata)
        print(name, "test accuracy", accuracy)


if __name__ == "__main__":
    main()
