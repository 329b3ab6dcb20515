"""What sampling costs: images per second, network evaluations, parameters and memory."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from naqsh.core import memory
from naqsh.core.errors import NaqshError
from naqsh.core.measured import Speed as Speed


def sampling_speed(
    sample: Callable[[int], Tensor], network: nn.Module, n: int, warm_up: int = 1
) -> Speed:
    """Time `sample(n)`.

    Args:
        sample: draws that many images.
        network: what it evaluates; its parameters are counted and its forward passes watched.
        n: images to draw in the timed call.
        warm_up: images drawn before, so that compilation and caches are not timed.

    Raises:
        NaqshError: `sample` gives another number of images, or n is below 1.
    """
    if n < 1:
        raise NaqshError(f"cannot time {n} images; ask for at least 1")
    parameters = list(network.parameters())
    device = parameters[0].device if parameters else torch.device("cpu")
    if warm_up:
        sample(warm_up)
    evaluations = 0

    def count(_module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        nonlocal evaluations
        tensors = [x for x in (*inputs, *keywords.values()) if isinstance(x, Tensor) and x.ndim]
        evaluations += len(tensors[0]) if tensors else 0

    handle = network.register_forward_pre_hook(count, with_kwargs=True)
    try:
        _reset_peak(device)
        start = time.perf_counter()
        pictures = sample(n)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - start
    finally:
        handle.remove()
    if len(pictures) != n:
        raise NaqshError(f"sampling gave {len(pictures)} images where {n} were asked for")
    return Speed(
        pictures_per_second=n / seconds,
        evaluations_per_picture=evaluations / n,
        parameters=sum(p.numel() for p in parameters),
        peak_memory=_peak(device),
        n=n,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    )


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        memory.reset_peak()


def _peak(device: torch.device) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else memory.peak()
