"""The loss of a diffusion model by noise: in each quarter of the times that training draws."""

from collections.abc import Callable

import torch
from torch import Tensor

from naqsh.core.noise import Noise

QUARTERS = 4
"""Parts of the times, as often drawn one as another."""

DRAWN = 4000
"""Times that tell where the quarters end: within 0.7 % of the drawn ones, one standard error."""


def ends(draw: Callable[[Noise], Tensor]) -> tuple[float, ...]:
    """The times between the quarters, rising.

    Args:
        draw: a time for each image of a block of noise, as training draws them.
    """
    drawn = draw(Noise(0, DRAWN)).double().sort().values.tolist()
    return tuple(drawn[DRAWN * i // QUARTERS] for i in range(1, QUARTERS))


def by_noise(losses: Tensor, t: Tensor, ends: tuple[float, ...]) -> dict[str, Tensor]:
    """What is logged of each quarter: ``noise_1`` has the least noise.

    Args:
        losses: of N images, without gradient, shape (N,).
        t: the time of each, shape (N,).
        ends: the times between the quarters, see :func:`ends`.

    Returns:
        pairs as :data:`naqsh.core.method.Losses` describes them: the mean over the batch of the
        losses in the quarter, 0 for the rest, and the share of the batch that lies in it.
    """
    quarter = torch.stack([t >= end for end in ends]).sum(0)
    found = {}
    for number in range(QUARTERS):
        inside = (quarter == number).to(losses)
        found[f"noise_{number + 1}"] = torch.stack([(losses * inside).mean(), inside.mean()])
    return found
