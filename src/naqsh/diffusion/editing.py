r"""Editing images by a diffusion model as it is, without training.

* :func:`vary` takes an image some way into noise and back (SDEdit). The further, the less of it is
  left: what is painted by hand becomes an image of the data, strokes become things.
* :func:`fill` makes a part of it anew and leaves the rest (:mod:`naqsh.diffusion.repaint`).
* :func:`blend` goes from one image to another through the noise that DDIM makes each of them of.

Any model will do whose x0 comes from an image, by :meth:`Denoising.clean`, and becomes one, by
:meth:`Denoising.visible`; in a space of latents a mask is as coarse as these.

References:
    SDEdit: Guided Image Synthesis and Editing with Stochastic Differential Equations (Meng et al.,
    2022), arXiv:2108.01073.
    RePaint (Lugmayr et al., 2022), arXiv:2201.09865.
    Denoising Diffusion Implicit Models (Song et al., 2021), arXiv:2010.02502, section 5.3.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from naqsh.core.batch import Batch
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.precision import autocast, autocast_dtype
from naqsh.core.spec import Precision
from naqsh.diffusion import strips
from naqsh.diffusion.denoiser import Denoises
from naqsh.diffusion.guidance import Interval
from naqsh.diffusion.method import Denoising
from naqsh.diffusion.process import q_sample
from naqsh.diffusion.repaint import Repaint
from naqsh.diffusion.samplers import Ancestral, Ddim, Sampler
from naqsh.diffusion.samplers.sampler import Memoryless

USUAL = Repaint()
"""How often a fill goes its way again, unless it is said otherwise."""


@dataclass(frozen=True)
class Asked:
    """How a model is asked while it edits.

    Attributes:
        sampler: by which images come back from noise; None is the usual one.
        label: the class that images become; None asks the model without one.
        caption: what they become, an embedding with shape (d,), of a model that follows captions.
        guidance, guidance_interval, precision: as in sampling.
    """

    sampler: Sampler | None = None
    label: int | None = None
    caption: Tensor | None = None
    guidance: float = 1.0
    guidance_interval: Interval | None = None
    precision: Precision = "float32"

    def of(self, method: Denoising, images: Tensor) -> tuple[Denoises, Tensor | None]:
        """A method's denoiser under guidance, and what it is told of each of the images."""
        told = _told(method, images, self.label, self.caption)
        return method.guided(self.guidance, self.guidance_interval), told


FREELY = Asked()
"""Without a label or caption, by the usual sampler."""


def taken(strength: float, steps: int) -> int:
    """How many of a sampler's steps a strength takes: none at 0, all at 1, else at least one.

    Raises:
        NaqshError: a strength outside of [0, 1].
    """
    if not 0 <= strength <= 1:
        raise NaqshError(
            f"strength lies in [0, 1], from the image as it is to a new one, got {strength:g}"
        )
    return max(1, round(strength * steps)) if strength else 0


def vary(
    method: Denoising,
    images: Tensor,
    noise: Noise,
    strength: float,
    asked: Asked = FREELY,
) -> Tensor:
    """Images taken into noise and back: float32 in [0, 1] with shape (N, C, H, W).

    Args:
        method: a trained diffusion model.
        images: in its value range, shape (N, C, H, W).
        noise: of these N images.
        strength: share of the sampler's steps that are taken: at 0 the image is returned, at 1 it
            is a sample of the same noise, which has nothing of the image.
        asked: how; the usual sampler is the recipe's.
    """
    run = asked.sampler or method.samplers[method.default_sampler]
    skip = run.steps - taken(strength, run.steps)
    denoiser, told = asked.of(method, images)
    if skip == run.steps:
        return _unit(method, images)
    with autocast(autocast_dtype(asked.precision, noise.device), noise.device):
        start = _noisy(method, images, noise, run, skip) if skip else None
        x = run(denoiser, noise, method.space, labels=told, start=start, skip=skip)
    return method.visible(x)


def _noisy(method: Denoising, images: Tensor, noise: Noise, run: Sampler, skip: int) -> Tensor:
    """What a sampler goes on with after `skip` steps: x0 with the noise of that time."""
    x0 = _clean(method, images, noise)
    schedule = method.denoiser.schedule
    time = float(schedule.times(run.steps, run.spacing)[skip])
    return q_sample(x0, time, noise.normal(*x0.shape[1:]).to(x0), schedule)


def fill(
    method: Denoising,
    images: Tensor,
    unknown: Tensor,
    noise: Noise,
    strength: float = 1.0,
    asked: Asked = FREELY,
    *,
    repaint: Repaint = USUAL,
) -> Tensor:
    """Images made anew where they are unknown: float32 in [0, 1] with shape (N, C, H, W).

    Args:
        method: a trained diffusion model.
        images: in its value range, shape (N, C, H, W).
        unknown: True where they are to be made, shape (N, H, W).
        noise: of these N images.
        strength: share of the sampler's steps that are taken; below 1 what lies under the mask is
            where they begin, as in :func:`vary`.
        asked: how, by a sampler whose steps remember none; the usual one is DDPM's in as many
            steps as the recipe's takes.
        repaint: how often the way is gone again.

    Returns:
        what is known is that of `images`, whatever the model made of it.

    Raises:
        NaqshError: a sampler whose steps remember the last.
    """
    usual = method.samplers[method.default_sampler]
    run = asked.sampler or Ancestral(usual.steps, clip=method.clips)
    if not isinstance(run, Memoryless):
        raise NaqshError(
            "filling goes back and forth between noise levels, which this sampler's steps cannot; "
            "use ancestral, ddim, euler or heun"
        )
    skip = run.steps - taken(strength, run.steps)
    denoiser, told = asked.of(method, images)
    place = _in_space(unknown, method.space)
    with autocast(autocast_dtype(asked.precision, noise.device), noise.device):
        x0 = _clean(method, images, noise)
        x = repaint(run, denoiser, x0, place, noise, labels=told, skip=skip)
    return torch.where(unknown[:, None], method.visible(x), _unit(method, images))


def blend(
    method: Denoising,
    first: Tensor,
    second: Tensor,
    count: int,
    *,
    steps: int = 50,
    label: int | None = None,
    caption: Tensor | None = None,
) -> Tensor:
    """Images on the way from one to another: float32 in [0, 1] with shape (count, C, H, W).

    Args:
        method: a trained diffusion model.
        first, second: images in its value range, shape (C, H, W).
        count: images on the way; the first and the last are what the two become by going into
            noise and back.
        steps: of DDIM, each way.
        label, caption: what the model is told; None asks it without one.
    """
    noise = Noise(0, count, device=first.device)  # not drawn from, unless latents are
    x0 = _clean(method, torch.stack([first, second]), noise.part(0, 2))
    ddim = Ddim(steps, clip=method.clips)
    ends = ddim.invert(method.denoiser, x0, labels=_told(method, x0, label, caption))
    start = strips.between(ends[0], ends[1], count)
    told = _told(method, start, label, caption)
    return method.visible(ddim(method.denoiser, noise, method.space, labels=told, start=start))


def _clean(method: Denoising, images: Tensor, noise: Noise) -> Tensor:
    return method.clean(Batch(images, None, noise))


def _unit(method: Denoising, images: Tensor) -> Tensor:
    """Images in [0, 1]."""
    low, high = method.value_range
    return images.float().sub(low).div(high - low)


def _told(
    method: Denoising, images: Tensor, label: int | None, caption: Tensor | None
) -> Tensor | None:
    """A label or caption for each of the images, or None where the model is asked without one."""
    if caption is not None:
        return caption.to(images.device).expand(len(images), -1)
    if label is not None:
        return method.labels.draw(Noise(0, len(images), device=images.device), label)
    if method.is_told and not method.spec.label_dropout:
        raise NaqshError(
            "this model was always told what images show and knows nothing of any others; say it: "
            "--label, or --caption of one that follows captions"
        )
    return None


def _in_space(unknown: Tensor, space: tuple[int, int, int]) -> Tensor:
    """A mask (N, H, W) as one of x0, (N, 1, h, w): unknown where any pixel below it is."""
    if unknown.shape[1:] == space[1:]:
        return unknown[:, None]
    return F.adaptive_max_pool2d(unknown[:, None].float(), space[1:]) > 0
