"""Learning rates over a run, and the precision that autocast computes in."""

import math

import torch

from naqsh.recipe import Training


def lr_factor(training: Training, step: int, total: int) -> float:
    """What the learning rates are multiplied by in step `step` of `total`, from 0 to 1.

    It rises evenly over the warm-up, then stays, or falls to 0 by a line or half a cosine wave.
    """
    if step < training.warmup:
        return (step + 1) / training.warmup
    done = (step - training.warmup) / max(1, total - training.warmup)
    if training.schedule == "linear":
        return 1 - done
    if training.schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    return 1.0


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type that ``precision`` means on a device.

    ``auto`` is bfloat16 only where the hardware multiplies it: emulated, it is slower than float32.
    """
    if precision == "auto":
        if device.type == "cuda":
            fast = torch.cuda.get_device_capability(device) >= (8, 0)
        else:
            # No public question exists; one that a later PyTorch lacks is answered with no.
            fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32
