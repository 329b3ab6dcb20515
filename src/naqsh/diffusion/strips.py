r"""Film strips: an image on its way into noise, samples on their way out of it, and between two.

All images are returned in [-1, 1], uncut, row by row. A noisy image is divided by
:math:`\sqrt{\alpha^2 + \sigma^2}`, so that it is equally bright under every schedule.

References:
    Denoising Diffusion Probabilistic Models (Ho et al., 2020), arXiv:2006.11239, equations 2 and 4.
    Denoising Diffusion Implicit Models (Song et al., 2021), arXiv:2010.02502, section 5.3.
    Animating Rotation with Quaternion Curves (Shoemake, 1985), doi:10.1145/325334.325242.
"""

from itertools import pairwise

import torch
from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.core.spec import Shape
from naqsh.diffusion.denoiser import Denoises
from naqsh.diffusion.process import q_sample, q_step
from naqsh.diffusion.samplers import Sampler
from naqsh.diffusion.schedule import Schedule


def forward(schedule: Schedule, image: Tensor, noise: Noise, count: int) -> Tensor:
    """An image at `count` times from 0 to the end, two rows.

    Args:
        schedule: of the noise.
        image: with shape (1, C, H, W).
        noise: of one image.
        count: images in a row.

    Returns:
        shape (2 * count, C, H, W): jumps q(x_t | x_0), all with the same noise, then a walk
        q(x_t | x_s) from each time to the next with fresh noise.
    """
    shape = image.shape[1:]
    few = schedule.levels is not None and schedule.levels < count - 1
    times = schedule.times(count - 1, "log-snr" if few else "even").flip(0).tolist()
    epsilon = noise.normal(*shape)
    jumps, steps = [image], [image]
    for s, t in pairwise(times):
        jumps.append(q_sample(image, t, epsilon, schedule))
        steps.append(q_step(steps[-1], t, noise.normal(*shape), schedule, s))
    rows = [
        _sized(schedule, x, t) for row in (jumps, steps) for x, t in zip(row, times, strict=True)
    ]
    return torch.cat(rows)


def reverse(
    sampler: Sampler,
    denoiser: Denoises,
    noise: Noise,
    shape: Shape,
    count: int,
    labels: Tensor | None = None,
) -> Tensor:
    """Samples on their way, two rows for each.

    Args:
        sampler: makes them, in at least `count` - 1 steps.
        denoiser: sees the clean image.
        noise: of N images.
        shape: of an image.
        count: images in a row.
        labels: passed on to the denoiser.

    Returns:
        shape (N * 2 * count, C, H, W): the noisy images, then what was seen in each of them.
    """
    schedule = denoiser.schedule
    begin = noise.normal(*shape) * schedule.prior
    # The image that a step begins with, and what the step sees in it; the last one is finished.
    chosen = {sampler.steps * i // (count - 1) for i in range(count - 1)}
    noisy, seen, now = [], [], _sized(schedule, begin, schedule.end)

    def keep(index: int, time: float, x: Tensor, x0: Tensor) -> None:
        nonlocal now
        if index in chosen:
            noisy.append(now)
            seen.append(x0)
        now = _sized(schedule, x, time)

    end = sampler(denoiser, noise, shape, labels=labels, start=begin, callback=keep)
    rows = torch.stack([torch.stack([*noisy, end]), torch.stack([*seen, end])])
    return rows.permute(2, 0, 1, 3, 4, 5).flatten(0, 2)


def between(a: Tensor, b: Tensor, count: int) -> Tensor:
    r"""Latents on the arc between two, which keeps the length that noise has.

    Args:
        a: one latent, of any shape.
        b: another one.
        count: of latents, the two ends among them.

    Returns:
        shape (count, ...): :math:`(a \sin((1-u)\theta) + b \sin(u\theta)) / \sin\theta` with
        the angle :math:`\theta` between the two and u from 0 to 1.
    """
    way = torch.linspace(0, 1, count, device=a.device).view(-1, *[1] * a.dim())
    cosine = (a * b).sum() / (a.norm() * b.norm()).clamp(min=1e-12)
    angle = cosine.clamp(-1 + 1e-6, 1 - 1e-6).acos()
    arc: Tensor = (((1 - way) * angle).sin() * a + (way * angle).sin() * b) / angle.sin()
    return arc


def _sized(schedule: Schedule, x: Tensor, t: float) -> Tensor:
    alpha, sigma = schedule(t)
    return x / float((alpha**2 + sigma**2).sqrt())
