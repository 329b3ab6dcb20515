"""Training something small for so many updates."""

from collections.abc import Iterator

import torch
from torch import nn


def updates(network: nn.Module, steps: int, rate: float) -> Iterator[int]:
    """Numbers of updates by Adam, each made after the caller's backward; the rate rises and falls.

    Args:
        network: what is trained; it is in evaluation mode afterwards.
        steps: how many.
        rate: the highest.
    """
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps + 1)
    for step in range(steps):
        optimizer.zero_grad()
        yield step
        optimizer.step()
        schedule.step()
    network.eval()
