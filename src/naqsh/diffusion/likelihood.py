r"""Log-likelihood by the probability-flow equation.

With :math:`y = x/\alpha`, :math:`u = \sigma/\alpha` and :math:`\tau = \ln u`, images and noise
are joined by an ordinary differential equation, and densities along it by its Jacobian's trace:

.. math:: \frac{dy}{d\tau} = u\, \hat\epsilon(x, t), \qquad
   \frac{d \log p(y)}{d\tau} = -\sigma \operatorname{tr} \frac{\partial \hat\epsilon}{\partial x}.

It is solved from the least noise u of the schedule, where y is the image itself, to the most,
where :math:`x = \alpha y` is the noise that sampling begins with. In :math:`\tau` the equation is
smooth at both ends, so the classical Runge-Kutta method with equal steps does well.

The trace is estimated by :math:`v^\top J v` with signs v drawn evenly (Hutchinson), the same v all
along, or taken exactly from D backward passes where images are small. The estimate is right in
the mean if the equation is solved exactly; the trained score, and the noise u that every image is
taken to hold, may move it to either side.

The interface::

    log_likelihood(denoiser, images, noise, labels=None, steps=50, probes=1) -> (N,) nats
    KIND                                     # "estimate"; 4 network evaluations a step

References:
    Score-Based Generative Modeling through Stochastic Differential Equations (Song et al., 2021),
    arXiv:2011.13456, section 4.3 and appendix D.2.
    FFJORD (Grathwohl et al., 2019), arXiv:1810.01367, equations 7 and 8.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from naqsh.core.abilities import LogProbKind
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.progress import Count
from naqsh.diffusion.denoiser import Denoises

KIND: LogProbKind = "estimate"


def log_likelihood(
    denoiser: Denoises,
    images: Tensor,
    noise: Noise,
    *,
    labels: Tensor | None = None,
    steps: int = 50,
    probes: int | Literal["exact"] = 1,
    progress: Count | None = None,
) -> Tensor:
    """The log-density of each image in nats, shape (N,), float64.

    Args:
        denoiser: what sees the noise.
        images: in the denoiser's range of values with shape (N, C, H, W). The density is of these
            values: images of grey levels need noise of a level's width added first.
        noise: of these N images; one draw a probe.
        labels: passed on to the denoiser.
        steps: of the Runge-Kutta method.
        probes: random signs that the trace is estimated from, one backward pass each an
            evaluation, or ``exact`` for one pass a number of the image.
        progress: called after each step with how many are done, and of how many.

    Raises:
        NaqshError: no step or no probe.
    """
    if steps < 1 or (probes != "exact" and probes < 1):
        raise NaqshError(f"need at least 1 step and 1 probe, got {steps} and {probes}")
    schedule, count = denoiser.schedule, images[0].numel()
    signs = _signs(images, noise, probes)
    least, most = (math.log(u) for u in schedule.extent)
    h = (most - least) / steps

    def rates(y: Tensor, tau: float) -> tuple[Tensor, Tensor]:
        """Derivatives of y, and of minus log p(y), by tau."""
        t = float(schedule.time(-2 * tau))
        alpha, sigma = (float(number) for number in schedule(t))
        epsilon, trace = _trace(denoiser, alpha * y, t, labels, signs)
        return sigma / alpha * epsilon, sigma * trace

    y, gained = images.detach(), images.new_zeros(len(images), dtype=torch.float64)
    for i in range(steps):
        tau = least + i * h
        first, a = rates(y, tau)
        second, b = rates(y + h / 2 * first, tau + h / 2)
        third, c = rates(y + h / 2 * second, tau + h / 2)
        fourth, d = rates(y + h * third, tau + h)
        y = y + h / 6 * (first + 2 * second + 2 * third + fourth)
        gained += h / 6 * (a + 2 * b + 2 * c + d)
        if progress:
            progress(i + 1, steps)
    alpha, sigma = (float(number) for number in schedule(schedule.time(-2 * most)))
    # Flow matching's most noise lies before its end, and is not yet that of the prior.
    deviation = schedule.prior if float(schedule(schedule.end)[0]) else sigma
    squares = (y.double() * (alpha / deviation)).square().flatten(1).sum(1)
    constant = count * (math.log(2 * math.pi) / 2 + math.log(deviation / alpha))
    return gained - squares / 2 - constant


def _signs(images: Tensor, noise: Noise, probes: int | Literal["exact"]) -> list[Tensor]:
    """What the Jacobian is multiplied by on both sides; the products sum to its trace."""
    shape = images.shape[1:]
    if probes == "exact":
        return list(torch.eye(shape.numel(), dtype=images.dtype, device=images.device))
    scale = probes**-0.5
    return [
        (2 * noise.integers(2, *shape) - 1).to(images).flatten(1) * scale for _ in range(probes)
    ]


def _trace(
    denoiser: Denoises, x: Tensor, t: float, labels: Tensor | None, signs: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Epsilon, and the trace of its Jacobian by `signs`, float64 with shape (N,)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        epsilon = denoiser(x, t, labels).epsilon
        total = x.new_zeros(len(x), dtype=torch.float64)
        for i, sign in enumerate(signs):
            inner = (epsilon.flatten(1) * sign).sum()
            (row,) = torch.autograd.grad(inner, x, retain_graph=i + 1 < len(signs))
            total += (row.flatten(1) * sign).sum(1).double()
    return epsilon.detach(), total
