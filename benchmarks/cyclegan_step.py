"""Our training step of CycleGAN against a plain loop of the same networks.

A step is both players' updates on one image of each domain. The plain loop is organised as the
authors' program is: each image alone through each network, reals and fakes apart through the
discriminators, PyTorch's layers with all biases, Adam as PyTorch builds it, pools as lists. Ours is
the trainer's step with all that a run does between two records. Both see random images; rounds
alternate, ratios are of medians. Ours is timed in float32, where the arithmetic is the same, and by
``precision auto``, which is bfloat16 where the hardware multiplies it.

In float32 on a CPU 92 % of our step are convolutions, which ran about as fast as a product of
matrices (64 pixels, one thread): they are the same for both sides, and leave little to gain.

    python benchmarks/cyclegan_step.py [--side 128] [--width 64] [--rounds 5]
"""

import argparse
import copy
import gc
import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from naqsh.core.world import World
from naqsh.data import DataSet
from naqsh.methods import cyclegan
from naqsh.networks import instance
from naqsh.recipes.recipe import Data, Recipe, Training
from naqsh.runs.folder import RunFolder
from naqsh.training.building import build
from naqsh.training.loop import Trainer

TARGETS = {"float32": 1.3, "auto": 1.8}


class Plain:
    """The plain loop.

    Args:
        method: whose networks it copies.
        first: the images of domain A, uint8.
        second: those of domain B.
    """

    def __init__(self, method: nn.Module, first: np.ndarray, second: np.ndarray) -> None:
        networks = copy.deepcopy(method)
        assert isinstance(networks, cyclegan.CycleGAN)
        self.to = {name: plain(net) for name, net in networks.generators.items()}
        self.on = {name: plain(net) for name, net in networks.critics.items()}
        self.real = {"a": torch.from_numpy(first), "b": torch.from_numpy(second)}
        self.pools: dict[str, list[Tensor]] = {"a": [], "b": []}
        self.optimizers = [
            torch.optim.Adam(
                itertools.chain(*(net.parameters() for net in nets.values())),
                lr=2e-4,
                betas=(0.5, 0.999),
            )
            for nets in (self.to, self.on)
        ]
        self.at = 0

    def step(self) -> None:
        """One update of either player."""
        a, b = (self.real[name][self.at : self.at + 1].float() / 127.5 - 1 for name in ("a", "b"))
        self.at = (self.at + 1) % len(self.real["a"])
        to_a, to_b, on_a, on_b = (nets[name] for nets in (self.to, self.on) for name in ("a", "b"))
        fake_b = to_b(a)
        back_a = to_a(fake_b)
        fake_a = to_a(b)
        back_b = to_b(fake_a)
        self._grad(False)
        self.optimizers[0].zero_grad()
        identity = l1_loss(to_b(b), b) * 5 + l1_loss(to_a(a), a) * 5
        fooled_b, fooled_a = on_b(fake_b), on_a(fake_a)
        loss = mse_loss(fooled_b, torch.ones_like(fooled_b))
        loss = loss + mse_loss(fooled_a, torch.ones_like(fooled_a))
        loss = loss + 10 * l1_loss(back_a, a) + 10 * l1_loss(back_b, b) + identity
        loss.backward()
        self.optimizers[0].step()
        self._grad(True)
        self.optimizers[1].zero_grad()
        for critic, name, real, fake in ((on_a, "a", a, fake_a), (on_b, "b", b, fake_b)):
            scores = critic(real)
            on_real = mse_loss(scores, torch.ones_like(scores))
            scores = critic(self._pooled(name, fake.detach()))
            on_fake = mse_loss(scores, torch.zeros_like(scores))
            ((on_real + on_fake) * 0.5).backward()
        self.optimizers[1].step()

    def _grad(self, on: bool) -> None:
        for critic in self.on.values():
            critic.requires_grad_(on)

    def _pooled(self, name: str, fake: Tensor) -> Tensor:
        pool = self.pools[name]
        if len(pool) < 50:
            pool.append(fake)
            return fake
        if random.random() > 0.5:
            at = random.randrange(50)
            past, pool[at] = pool[at], fake.clone()
            return past
        return fake


def plain(network: nn.Module) -> nn.Module:
    """The same network of PyTorch's own layers, with the same weights."""
    for name, child in network.named_children():
        if isinstance(child, instance.InstanceNorm):
            setattr(network, name, nn.InstanceNorm2d(child.num_features))
        elif isinstance(child, instance.Conv):
            child.__class__ = nn.Conv2d  # type: ignore[assignment]
        elif isinstance(child, instance.Transposed):
            child.__class__ = nn.ConvTranspose2d  # type: ignore[assignment]
        else:
            plain(child)
    return network


def ours(data: DataSet, width: int, precision: str, folder: Path) -> Trainer:
    """The trainer on the same images."""
    changes = {"training.precision": precision}
    spec = cyclegan.Spec(width=width, critic_width=width)
    recipe = Recipe("bench", Data("random"), spec, Training(batch=1)).override(changes)
    method = build(recipe, data.layout)
    world = World(0, 1, torch.device("cpu"))
    return Trainer(recipe, method, data, RunFolder(folder), world, display_quiet=True)


def timed(step: Callable[[], None]) -> float:
    """Seconds for a step."""
    begun = time.perf_counter()
    step()
    return time.perf_counter() - begun


def main() -> int:
    """Time all three in turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    shape = (2, 60, 3, given.side, given.side)
    first, second = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = DataSet.of("random", first, second=second)
    with tempfile.TemporaryDirectory() as folder:
        mine = {name: ours(data, given.width, name, Path(folder)) for name in TARGETS}
        theirs = Plain(mine["float32"].method, first, second)
        steps = {name: one.step for name, one in mine.items()} | {"plain": theirs.step}
        gc.freeze()  # as the trainer does when it runs; here for all
        for step in steps.values():
            step()
        rounds = [{name: timed(step) for name, step in steps.items()} for _ in range(given.rounds)]
    medians = {name: statistics.median(times[name] for times in rounds) for name in steps}
    kept = True
    for name, seconds in medians.items():
        print(f"{name}: {seconds * 1e3:.0f} ms a step")
    for name, target in TARGETS.items():
        ratio = medians["plain"] / medians[name]
        kept = kept and ratio >= target
        print(f"cyclegan_step {name}: ratio {ratio:.2f} (target {target})")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
