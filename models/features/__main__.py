"""Trains a classifier of MNIST-like pictures with labels: `python -m models.features mnist digits.safetensors`.

What comes with the program was made by this, on one thread of a CPU, with the seed and the steps below. It prints how
many of the test pictures it knows, and the hash that `models.features` holds the file to.
"""

import argparse
import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Generator, Tensor
from torch.nn import functional as F

from models.data import as_floats, read_idx
from models.features.classifier import Classifier

EPOCHS, BATCH, RATE, SEED = 6, 128, 3e-3, 0
SHIFT = 2
"""Pictures are moved by up to so many pixels each way while it learns."""


def main() -> None:
    asked = argparse.ArgumentParser("python -m models.features", description=__doc__)
    asked.add_argument("data", type=Path, help="folder of MNIST-like idx files with labels")
    asked.add_argument("target", type=Path, help="file for the weights")
    told = asked.parse_args()
    torch.manual_seed(SEED)
    network = learned(*part_of(told.data, "train"))
    pictures, labels = part_of(told.data, "t10k")
    print(f"knows {accuracy(network, pictures, labels):.2%} of {len(labels)} test pictures")
    kept = {name: (t.half() if t.is_floating_point() else t).contiguous() for name, t in network.state_dict().items()}
    data = save(kept)
    told.target.write_bytes(data)
    print(f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


def part_of(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Pictures `n 1 h w` uint8 and labels `n` of a part, `train` or `t10k`."""
    pictures, labels = (next(iter(sorted(folder.glob(f"{part}-{kind}*")))) for kind in ("images*idx3", "labels*idx1"))
    data = gzip.decompress(labels.read_bytes()) if labels.suffix == ".gz" else labels.read_bytes()
    (count,) = struct.unpack(">I", data[4:8])
    return read_idx(pictures), torch.from_numpy(np.frombuffer(data, np.uint8, count, offset=8).astype(np.int64))


def learned(pictures: Tensor, labels: Tensor) -> Classifier:
    """A classifier trained on those; the rate goes up and down again over the whole run."""
    network: Any = Classifier()
    network = network.to(memory_format=torch.channels_last)
    steps = EPOCHS * len(pictures) // BATCH
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    generator = Generator().manual_seed(SEED)
    for step in range(steps):
        chosen = torch.randint(len(pictures), (BATCH,), generator=generator)
        x = moved(as_floats(pictures[chosen]), generator).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(network(x).float(), labels[chosen], label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 200 == 0:
            print(f"step {step} of {steps}, loss {float(loss.detach()):.4f}", flush=True)
    return network


def moved(x: Tensor, generator: Generator) -> Tensor:
    """The batch moved as one, by up to SHIFT pixels down and across."""
    down, across = torch.randint(2 * SHIFT + 1, (2,), generator=generator).tolist()
    padded = F.pad(x, (SHIFT,) * 4)
    return padded[:, :, down : down + x.shape[2], across : across + x.shape[3]]


@torch.inference_mode()
def accuracy(network: Classifier, pictures: Tensor, labels: Tensor) -> float:
    """Share of the pictures whose class it names, with the weights that will be kept."""
    network.half().float().eval()
    named = torch.cat([network(as_floats(part)).argmax(1) for part in pictures.split(500)])
    return float((named == labels).float().mean())


if __name__ == "__main__":
    main()
