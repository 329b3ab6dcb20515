"""In which numbers networks compute: float32, or bfloat16 where the hardware multiplies it.

Only autocast changes the type: weights, losses and what is between a network and the next stay
float32.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


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


def autocast(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """A block whose networks compute in a type on a device."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """A block without autocast on the device of `like`."""
    kind = like.device.type
    if not torch.amp.is_autocast_available(kind):  # on the meta device, where costs are estimated
        return nullcontext()
    return torch.autocast(kind, enabled=False)
