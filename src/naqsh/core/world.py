"""Several processes as one: the rank, and what the ranks must agree on.

Gradients are summed by one flat all-reduce a phase. No wrapper stands around the networks, so any
function of a method may be a loss and a GAN's phases need no special care. Batch normalisation
takes its statistics over all ranks, so that N ranks train as one would on the same global batch.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from naqsh.core import ranks
from naqsh.core.errors import CannotWrite, NaqshError
from naqsh.core.printable import short

T = TypeVar("T")

MEET_SECONDS = 60
"""How long a rank waits for the others; torchrun starts them at one time."""


@dataclass(frozen=True)
class World:
    """Which of how many processes this is, and the device it computes on."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def share(self, batch: int, parts: int = 1) -> int:
        """How many images of a global batch this rank sees; NaqshError when it cannot be cut."""
        if batch % (self.size * parts):
            into = f"{self.size} ranks" + (f" of {parts} parts each" if parts > 1 else "")
            raise NaqshError(f"training.batch {batch} does not divide into {into}")
        return batch // self.size

    def broadcast(self, module: nn.Module) -> None:
        """Give every rank the first one's parameters and buffers."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                self.broadcast_tensor(tensor)

    def broadcast_tensor(self, tensor: Tensor) -> None:
        """Give every rank the first one's numbers, in place."""
        if self.size > 1:
            dist.broadcast(tensor, src=0)

    def reduce_gradients(
        self, parameters: Sequence[nn.Parameter], flag: bool = False
    ) -> Tensor | None:
        """Average the gradients over the ranks; one that a rank lacks counts as zero there.

        Args:
            parameters: whose gradients.
            flag: goes along with them.

        Returns:
            a scalar above 0 where any rank's flag is up, on the device; None for a world of one.
        """
        if self.size == 1:
            return None
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in parameters if p.grad is not None]
        up = gradients[0].new_full((1,), float(flag))
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), up])
        dist.all_reduce(flat)
        flat.div_(self.size)
        parts = flat[:-1].split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return flat[-1]

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a tensor over the ranks."""
        if self.size > 1:
            dist.all_reduce(values)
            values = values / self.size
        return values

    def any(self, flag: bool) -> bool:
        """Whether the flag is up on any rank."""
        if self.size == 1:
            return flag
        value = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value)

    def gathered(self, value: T) -> list[T]:
        """The ranks' values, in order; any object."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def together(self, work: Callable[[], T]) -> T:
        """Do some work on every rank; where it fails on one, it fails on all of them.

        Raises:
            NaqshError: what made the work fail on another rank; on this one, its own error.
        """
        if self.size == 1:
            return work()
        failed: Exception | None = None
        try:
            result = work()
        except Exception as error:
            failed = error
        words = None if failed is None else _said(failed)
        told = next((said for said in self.gathered(words) if said is not None), None)
        if failed is not None:
            raise failed
        if told is not None:
            raise NaqshError(told)
        return result

    def leading(self, work: Callable[[], None]) -> None:
        """Do some work on the first rank alone; where it fails there, it fails on all of them."""
        self.together(work if self.leads else lambda: None)


def _said(error: Exception) -> str:
    """What went wrong on a rank, for the others."""
    if isinstance(error, CannotWrite):
        return f"cannot write {error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


@contextlib.contextmanager
def join(device: str = "auto") -> Iterator[World]:
    """Enter the world that ``torchrun`` describes in the environment, or a world of one.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        NaqshError: a device that this machine does not have, an environment that makes no sense,
            or another rank that did not come or has left.
    """
    size, rank, local = _surroundings()
    if size < 1 or (size > 1 and rank >= size):
        raise NaqshError(f"RANK {rank} is none of WORLD_SIZE {size}; torchrun sets both, or unset")
    place = _device(device, local, size)
    if size == 1:
        yield World(0, 1, place)
        return
    _meet("nccl" if place.type == "cuda" else "gloo", rank, size)
    try:
        yield World(rank, size, place)
        dist.barrier()
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error).lower():
            raise
        raise NaqshError(
            f"rank {rank}: another rank has left, as it says itself; the same command resumes"
        ) from error
    finally:
        dist.destroy_process_group()


def place(device: str = "auto") -> str:
    """The name of a device for work that a process does by itself, whichever others there are.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        NaqshError: a device that this machine does not have.
    """
    size, _, local = _surroundings()
    return str(_device(device, local, size))


def _surroundings() -> tuple[int, int, int]:
    """How many processes there are, which this one is, and which on this machine."""
    return _told("WORLD_SIZE", 1), _told("RANK", 0), _told("LOCAL_RANK", 0)


def _told(name: str, alone: int) -> int:
    """A whole number that torchrun leaves in the environment; `alone` where it does not."""
    text = os.environ.get(name, "").strip() or str(alone)
    if not re.fullmatch("[0-9]{1,6}", text):
        raise NaqshError(f"{name} is {short(text)}, no whole number; torchrun sets it, or unset it")
    return int(text)


def _meet(backend: str, rank: int, size: int) -> None:
    """Find the other ranks, which come within a minute or not at all.

    torchrun keeps one table of addresses over its restarts. Under the same keys, a restarted rank
    would now and then read where the dead one listened, so each attempt has keys of its own.
    """
    wait = timedelta(seconds=MEET_SECONDS)
    try:
        store, *_ = next(dist.rendezvous("env://", timeout=wait))  # type: ignore[attr-defined]
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        store = dist.PrefixStore(f"attempt-{attempt}", store)  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    except ValueError as error:
        raise NaqshError(f"rank {rank}: {error}; torchrun sets what is missing") from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:120]
        raise NaqshError(
            f"rank {rank} waited up to {MEET_SECONDS} s and did not meet all {size} ranks: see "
            f"what the others said ({reason})"
        ) from error


def _device(name: str, local_rank: int, size: int) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise NaqshError(f"no device named {name!r}; known: auto, cpu, cuda, cuda:0") from None
    if device.type not in ("cpu", "cuda"):
        raise NaqshError(f"no device named {name!r}; known: auto, cpu, cuda, cuda:0")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise NaqshError(f"device {name}: PyTorch finds no GPU here; use --device cpu")
        if size > 1 or device.index is None:
            device = torch.device("cuda", local_rank)
        if (device.index or 0) >= torch.cuda.device_count():
            raise NaqshError(f"device {device}: there are {torch.cuda.device_count()} GPUs here")
        torch.cuda.set_device(device)
    return device


class GlobalBatchNorm(nn.Module):
    """Batch normalisation with statistics over all ranks; PyTorch's own needs a GPU for it."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, local: nn.modules.batchnorm._BatchNorm) -> None:
        super().__init__()
        self.eps, self.momentum = local.eps, local.momentum or 0.1
        self.weight, self.bias = local.weight, local.bias
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(local, name))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x with shape (N, C, ...)."""
        if not self.training:
            return batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        given = x.dtype
        x = x.to(torch.promote_types(given, torch.float32))  # bfloat16 would round the sums
        axes = [axis for axis in range(x.dim()) if axis != 1]
        count = x.numel() // x.shape[1] * ranks.count()
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean = ranks.total(x.sum(axes)) / count
        centred = x - mean.view(shape)
        variance = ranks.total(centred.square().sum(axes)) / count
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = (variance + self.eps).rsqrt()
        if self.weight is not None:
            scale = self.weight * scale
        normalised = centred * scale.view(shape)
        if self.bias is not None:
            normalised = normalised + self.bias.view(shape)
        return normalised.to(given)


def synchronise_batch_norm(module: nn.Module) -> None:
    """Replace every batch normalisation inside `module` by one over all ranks, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            setattr(module, name, GlobalBatchNorm(child))
        else:
            synchronise_batch_norm(child)
