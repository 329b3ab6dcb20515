"""Where a flow computes in float32 whatever precision is asked for."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """A block without autocast on the device of `like`."""
    kind = like.device.type
    if not torch.amp.is_autocast_available(kind):  # on the meta device, where costs are estimated
        return nullcontext()
    return torch.autocast(kind, enabled=False)
