r"""A random lower bound of the log-likelihood from a few of the variational bound's terms.

All S terms of the bound (:mod:`naqsh.diffusion.bound`) cost S evaluations of the network an image.
Here the last step, into the clean image, is always taken; the others' sum is estimated from one
term drawn in each of K - 1 equal strata of the steps, each counted S - 1 over K - 1 times. The mean
over the draws is the bound itself, so the estimate is above the log-likelihood by chance alone.

References:
    Improved Denoising Diffusion Probabilistic Models (Nichol and Dhariwal, 2021),
    arXiv:2102.09672, section 3.3: terms drawn at random.
"""

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.bound import Terms, placed, prior_nats
from naqsh.diffusion.denoiser import Denoises


@torch.no_grad()
def partial_bound(
    denoiser: Denoises,
    images: Tensor,
    noise: Noise,
    *,
    evaluations: int,
    labels: Tensor | None = None,
    clip: bool = True,
) -> Tensor:
    """A random lower bound of each image's log-probability in nats, float64 with shape (N,).

    Args:
        denoiser: what sees the image.
        images: of 256 grey levels in [-1, 1] with shape (N, C, H, W).
        noise: of these N images.
        evaluations: of the network for each image; as many as there are steps take each once.
        labels: passed on to the denoiser.
        clip: cut the denoiser's clean image to [-1, 1].

    Raises:
        NaqshError: fewer than two evaluations, or more than there are steps.
    """
    schedule = denoiser.schedule
    times = placed(schedule)
    steps = len(times) - 1
    if not 2 <= evaluations <= steps:
        raise NaqshError(
            f"a bound of {steps} steps takes 2 to {steps} evaluations, got {evaluations}"
        )
    cost = Terms(denoiser, images, times, labels, clip)
    times = times.to(images.device)
    share = (steps - 1) / (evaluations - 1)
    total = prior_nats(schedule, images.double())
    for stratum in range(evaluations):
        last = stratum == evaluations - 1
        if last:
            index = torch.full((len(images),), steps - 1, device=images.device)
        else:
            place = (stratum + noise.uniform().double()) * share
            index = place.long().clamp(max=steps - 2)
        t, s = times[index], times[index + 1]
        epsilon = noise.normal(*images.shape[1:]).to(images)
        nats, _ = cost.at(t, s, epsilon, last)
        total = total + (nats if last else share * nats)
    return -total * images[0].numel()
