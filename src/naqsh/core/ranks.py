"""What methods ask of the processes that train together: sums with gradients, and all images."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def count() -> int:
    """How many processes train together; 1 without ``torchrun``."""
    joined = dist.is_available() and dist.is_initialized()
    return dist.get_world_size() if joined else 1


def number() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if count() > 1 else 0


def joined(values: Tensor) -> Tensor:
    """The ranks' `values`, each of one shape, one after the other; without gradient."""
    if count() == 1:
        return values
    every = [torch.empty_like(values) for _ in range(count())]
    dist.all_gather(every, values.contiguous())
    return torch.cat(every)


def total(values: Tensor) -> Tensor:
    """The sum of the ranks' `values`, each of one shape; differentiable on every rank."""
    if count() == 1:
        return values
    summed: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return summed


def gathered(values: Tensor) -> Tensor:
    """The ranks' `values`, each of one shape, one after the other; differentiable on every rank."""
    if count() == 1:
        return values
    start = number() * len(values)
    before = values.new_zeros(start, *values.shape[1:])
    after = values.new_zeros((count() - 1) * len(values) - start, *values.shape[1:])
    return total(torch.cat([before, values, after]))


class _Sum(torch.autograd.Function):
    """The sum over ranks; its gradient is the sum of the ranks' gradients, of any order."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        summed = values.clone()
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return total(gradients[0].contiguous())
