"""Whether a flow that was read is the one that was given: a comparison of densities."""

from collections.abc import Callable

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.flows.imported import ImportedFlow
from naqsh.networks.activations import names

Check = tuple[Tensor, Tensor]
"""Vectors with shape (N, D), and their log-densities in nats by the other package, shape (N,)."""

SLOPES = (1e-3, 1e-4)
"""zuko's defaults: of 1.0, 1.5 and 1.6; of 1.1 to 1.4."""


def agreeing(
    read: Callable[[str, float], ImportedFlow],
    activation: str,
    slopes: tuple[float, ...],
    check: Check | None,
) -> ImportedFlow:
    """The flow with the densities of the check, if there is one; raises NaqshError if none has."""
    if check is None:
        return read(activation, slopes[0])
    x, given = check
    off = {}
    for slope in slopes:
        flow = read(activation, slope)
        off[slope] = _off(flow, x, given)
        if off[slope] <= 1:
            return flow
    what = f"activation {activation}" + (f", slope {slopes[0]:g}" if slopes[0] else "")
    other = [
        f"activation {name}" + (f", slope {slope:g}" if slope else "")
        for name in names()
        for slope in (SLOPES if slopes[0] else slopes)
        if _would_agree(read, name, slope, x, given)
    ]
    hint = f"; they agree with {' or '.join(other)}" if other else ""
    raise NaqshError(
        f"the flow read with {what} is not the one that was given: its log-densities differ by "
        f"{min(off.values()):.3g} times what rounding explains{hint}"
    )


def _off(flow: ImportedFlow, x: Tensor, given: Tensor) -> float:
    """The largest difference of densities, over what rounding explains."""
    if x.dim() != 2 or x.shape[1] != flow.features or given.shape != x.shape[:1] or not len(x):
        raise NaqshError(
            f"check needs vectors (N, {flow.features}) and their log-densities (N,), got "
            f"{tuple(x.shape)} and {tuple(given.shape)}"
        )
    weight = next(flow.parameters())
    with torch.no_grad():
        mine = flow.log_prob(x.to(weight)).double()
    coarsest = max(torch.finfo(one.dtype).eps for one in (weight, x, given))
    # Each number's density is of a sum of some dozens; a sum over the numbers follows.
    allowed = 32 * coarsest * (flow.features + given.double().abs())
    ratio = ((mine - given.double().to(mine.device)).abs() / allowed.to(mine.device)).max()
    return float(ratio.nan_to_num(torch.inf))


def _would_agree(
    read: Callable[[str, float], ImportedFlow], name: str, slope: float, x: Tensor, given: Tensor
) -> bool:
    try:
        return _off(read(name, slope), x, given) <= 1
    except NaqshError:  # residual blocks are of ReLU
        return False
