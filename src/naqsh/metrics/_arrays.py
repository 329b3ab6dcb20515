"""What every metric asks of its input: finite numbers, two axes, enough rows, equal columns."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh.core.errors import NaqshError

Array = Tensor | NDArray[Any]


def as_tensor(values: Array) -> Tensor:
    """A tensor without gradient that shares memory with `values` where it can.

    Devices without double precision (Apple's) are left for the processor, because every metric here
    needs it.
    """
    if isinstance(values, Tensor):
        tensor = values.detach()
        return tensor if tensor.device.type in ("cpu", "cuda") else tensor.cpu()
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise NaqshError(f"a measure takes numbers, not {array.dtype}")
    if array.dtype.itemsize > 8 or (array.dtype.kind == "u" and array.dtype.itemsize > 1):
        array = array.astype(np.float64)  # PyTorch has no such type, or not all of its arithmetic
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    # from_numpy warns about read-only arrays, such as memory-mapped caches, and refuses others.
    fits = array.flags.writeable and min(array.strides, default=1) >= 0
    return torch.from_numpy(array if fits else array.copy())


def as_features(values: Array, what: str, at_least: int = 2) -> Tensor:
    """Check features and return them as a floating-point tensor with shape (n, d).

    Args:
        values: features with shape (n, d), one row an image.
        what: how messages call them, for example ``"real features"``.
        at_least: the fewest rows that the metric can work with.

    Raises:
        NaqshError: not two axes, too few rows, or a number that is not finite.
    """
    tensor = as_tensor(values)
    if tensor.ndim != 2 or tensor.shape[1] == 0:
        raise NaqshError(
            f"{what} have shape {tuple(tensor.shape)}; features are a table of shape (n, d), "
            "one row an image"
        )
    if len(tensor) < at_least:
        raise NaqshError(
            f"{what} have {len(tensor)} row{'s' if len(tensor) != 1 else ''}, this metric needs at "
            f"least {at_least}; give more images"
        )
    if not tensor.is_floating_point():
        tensor = tensor.double()
    # A sum is finite where all of its terms are, and needs no table of flags beside the features.
    finite = torch.isfinite(tensor.sum(dim=1, dtype=torch.float64))
    if not finite.all():
        bad = torch.nonzero(~finite)[:, 0]
        raise NaqshError(
            f"{what} hold NaN or infinity in {len(bad)} of {len(tensor)} rows (the first is row "
            f"{int(bad[0])}); look at that image or at the feature extractor"
        )
    return tensor


def as_pair(
    real: Array,
    generated: Array,
    at_least: int = 2,
    names: tuple[str, str] = ("real features", "generated features"),
) -> tuple[Tensor, Tensor]:
    """Check two tables of features that are to be compared; both land on the first one's device.

    Raises:
        NaqshError: as :func:`as_features`, or when the numbers of columns differ.
    """
    first = as_features(real, names[0], at_least)
    second = as_features(generated, names[1], at_least)
    if first.shape[1] != second.shape[1]:
        raise NaqshError(
            f"{names[0]} have {first.shape[1]} columns and {names[1]} {second.shape[1]}; take both "
            "from the same feature extractor"
        )
    return first, second.to(first.device)
