"""Four small CycleGANs in the plane, side by side: the experiment of the lesson on CycleGAN."""

import functools
import itertools
import math

import torch
from torch import Tensor, nn

from naqsh.core.noise import Noise
from naqsh.networks.stacked import Stacked

VARIANTS = ((0.0, 0.0), (1.0, 0.0), (10.0, 0.0), (1.0, 0.5))
"""Weights of the cycle and, as parts of it, of the identity, of four models side by side."""

AROUND = torch.tensor([[math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)] for k in range(8)])
SQUARE = torch.tensor([[x, y] for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0) if x or y])


def points(centres: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points of eight Gaussians, (count, 2), and the number of each one's Gaussian."""
    noise = Noise(seed, count)
    which = noise.integers(8)
    return centres[which] + 0.08 * noise.normal(2), which


def network(outputs: int, seed: int) -> nn.Sequential:
    """Three layers from the plane, their weights those of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise((2, 64, 64, outputs)):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def each(errors: Tensor) -> Tensor:
    """The mean of each variant, of errors whose rows are theirs in turn."""
    return errors.flatten(1).mean(1).view(-1, len(VARIANTS)).mean(0)


@functools.cache
def trained(steps: int = 400) -> tuple[Stacked, Stacked]:
    """Generators from the circle to the square and back, one of each for every variant."""
    count = len(VARIANTS)
    there, back, critic_a, critic_b = (
        Stacked([network(outputs, seed)] * count) for seed, outputs in enumerate((2, 2, 1, 1))
    )
    players = [*there.parameters(), *back.parameters()]
    critics = [*critic_a.parameters(), *critic_b.parameters()]
    first, second = (torch.optim.Adam(p, 3e-3, betas=(0.5, 0.999)) for p in (players, critics))
    cycle, identity = torch.tensor(VARIANTS).T
    batches = (
        points(c, 64 * steps, s)[0].view(steps, 64, 2) for c, s in ((AROUND, 3), (SQUARE, 4))
    )
    for few_a, few_b in zip(*batches, strict=True):
        a, b = few_a.repeat_interleave(count, 0), few_b.repeat_interleave(count, 0)
        to_b, to_a = there(a), back(b)
        round_trip = each((back(to_b) - a).abs()) + each((there(to_a) - b).abs())
        same = each((there(b) - b).abs()) + each((back(a) - a).abs())
        fooled = each((critic_b(to_b) - 1).square()) + each((critic_a(to_a) - 1).square())
        first.zero_grad()
        (fooled + cycle * round_trip + cycle * identity * same).sum().backward()
        first.step()
        loss = torch.zeros(count)
        for critic, real, fake in ((critic_b, b, to_b), (critic_a, a, to_a)):
            loss = loss + each((critic(real) - 1).square()) + each(critic(fake.detach()).square())
        second.zero_grad()
        (loss.sum() / 2).backward()
        second.step()
    return there, back


@functools.cache
def translated() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Fresh points of the circle, their Gaussians, and of each variant where they go and return."""
    a, which = points(AROUND, 800, 5)
    there, back = trained()
    with torch.no_grad():
        to_b = there(a.repeat_interleave(len(VARIANTS), 0))
        return a, which, to_b.view(800, -1, 2), back(to_b).view(800, -1, 2)


def measured() -> dict[str, float]:
    """How far each model's points come back, whether to their own Gaussian, fit and move."""
    a, which, to_b, back = translated()
    found: dict[str, float] = {}
    for name, there, again in zip(
        ("none", "one", "ten", "same"), to_b.unbind(1), back.unbind(1), strict=True
    ):
        nearest = torch.cdist(again, AROUND).argmin(1)
        found |= {
            f"{name}_cycle": float((again - a).abs().mean()),
            f"{name}_home": float((nearest == which).float().mean()),
            f"{name}_fits": float((torch.cdist(there, SQUARE).amin(1) < 0.24).float().mean()),
            f"{name}_moved": float((there - a).norm(dim=1).mean()),
        }
    return found
