"""Our training step of gan-mnist against a minimal hand-written loop of the same networks.

Ours does all that a run does between two records: images by position, noise by address, both
phases, the bookkeeping. The peer is what one writes in a notebook: a shuffled index, randn and
two Adams. Both see random images of MNIST's shape; rounds alternate, the ratio is of medians.
"""

import gc
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import softplus

from naqsh import recipes
from naqsh.core.world import World
from naqsh.data import DataSet
from naqsh.networks import convnets
from naqsh.runs.folder import RunFolder
from naqsh.training.building import build
from naqsh.training.loop import Trainer

TARGET = 0.95
ROUNDS, STEPS, BATCH = 15, 20, 64


class Plain:
    """The hand-written loop."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.images = torch.from_numpy(pixels)
        self.order = torch.randperm(len(self.images))
        self.at = 0
        self.generator = convnets.generator((1, 28, 28), 64)
        self.critic = convnets.discriminator((1, 28, 28))
        self.optimizers = [
            torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
            for network in (self.critic, self.generator)
        ]

    def step(self) -> None:
        """One update of either network."""
        real = self.images[self.order[self.at : self.at + BATCH]].float() / 127.5 - 1
        self.at = (self.at + BATCH) % (len(self.images) - BATCH)
        with torch.no_grad():
            fake = self.generator(torch.randn(BATCH, 64))
        real_logits, fake_logits = self.critic(torch.cat([real, fake])).chunk(2)
        loss = softplus(-real_logits).mean() + softplus(fake_logits).mean()
        self._update(self.optimizers[0], loss)
        self.critic.requires_grad_(False)
        loss = softplus(-self.critic(self.generator(torch.randn(BATCH, 64)))).mean()
        self._update(self.optimizers[1], loss)
        self.critic.requires_grad_(True)

    def _update(self, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def ours(pixels: np.ndarray, folder: Path) -> Trainer:
    """The trainer of gan-mnist on the same images."""
    recipe = recipes.by_name("gan-mnist").override({"training.precision": "float32"})
    data = DataSet.of("random", pixels)
    method = build(recipe, data.layout)
    world = World(0, 1, torch.device("cpu"))
    return Trainer(recipe, method, data, RunFolder(folder), world, display_quiet=True)


def timed(step: object) -> float:
    """Seconds for STEPS steps."""
    begun = time.perf_counter()
    for _ in range(STEPS):
        step()  # type: ignore[operator]
    return time.perf_counter() - begun


def main() -> int:
    pixels = np.random.default_rng(0).integers(0, 256, (6000, 1, 28, 28), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        trainer, plain = ours(pixels, Path(folder)), Plain(pixels)
        gc.freeze()  # as the trainer does when it runs; here for both sides
        timed(trainer.step), timed(plain.step)
        pairs = [(timed(trainer.step), timed(plain.step)) for _ in range(ROUNDS)]
    mine, theirs = (statistics.median(times) / STEPS for times in zip(*pairs, strict=True))
    print(f"ours {mine * 1e3:.1f} ms a step ({BATCH / mine:,.0f} images/s)")
    print(f"hand-written loop {theirs * 1e3:.1f} ms a step ({BATCH / theirs:,.0f} images/s)")
    ratio = theirs / mine
    print(f"gan_step: ratio {ratio:.2f} (target {TARGET})")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
