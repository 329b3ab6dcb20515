"""Ways to classify pixels from a few labelled images: features of a network, and baselines.

An approach looks at images once and is then fitted on those of each draw. Features, pixels, and
pixels with coordinates are classified by one and the same ensemble; a U-Net from scratch is trained
on the images. All see the same labelled images.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from naqsh.core.seeds import derive
from naqsh.core.spec import Layout
from naqsh.diffusion.denoiser import Denoiser
from naqsh.diffusion.method import Denoising
from naqsh.runs.records import FEATURES
from naqsh.studies.segmentation import ensemble, scratch
from naqsh.studies.segmentation.looking import Look, Maps, Segmenter, looking


@dataclass(frozen=True)
class Approach:
    """A way to classify pixels.

    Attributes:
        name: as :class:`naqsh.runs.records.Classified` has it.
        look: at images, the same for every draw.
        fit: on what was seen of labelled images, N of them, on their masks, int64 (N, H, W), and by
            a seed: gives what tells classes.
    """

    name: str
    look: Look
    fit: Callable[[Maps, Tensor, int], Segmenter]


def approaches(
    method: Denoising,
    layout: Layout,
    levels: Sequence[float],
    classes: int,
    members: int,
    flip: bool,
    seed: int,
) -> list[Approach]:
    """That of features, and what stands beside it.

    Args:
        method: a diffusion model whose network is a U-Net.
        layout: that it was built for.
        levels: noise over signal.
        classes: how many there are.
        members: of each ensemble.
        flip: whether a U-Net from scratch sees images flipped too, as the run did.
        seed: of the noise, and of weights that are not trained.
    """

    def heads(maps: Maps, masks: Tensor, draw: int) -> Segmenter:
        return ensemble.fit(maps, masks, classes, members, draw)

    def whole(maps: Maps, masks: Tensor, draw: int) -> Segmenter:
        network = scratch.unet(method, classes, draw).to(masks.device)
        return scratch.fit(network, maps[0], masks, flip, draw)

    look = partial(looking, method, levels=levels, seed=seed)
    return [
        Approach(FEATURES, look(method.denoiser), heads),
        Approach("scratch", lambda images: [images], whole),
        Approach("untrained", look(untrained(method, layout, seed)), heads),
        Approach("places", lambda images: [images, coordinates(images)], heads),
        Approach("pixels", lambda images: [images], heads),
    ]


def untrained(method: Denoising, layout: Layout, seed: int) -> Denoiser:
    """The method's denoiser with a fresh network of the same kind."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "untrained"))
        built = method.spec.build(layout)
    assert isinstance(built, Denoising)
    fresh = copy.deepcopy(method.denoiser)
    fresh.network = built.denoiser.network.to(next(method.parameters()).device).eval()
    return fresh


def coordinates(images: Tensor) -> Tensor:
    """Right and down of each pixel in [-1, 1], shape (N, 2, H, W)."""
    height, width = images.shape[2:]
    right, down = (torch.linspace(-1, 1, n, device=images.device) for n in (width, height))
    grid = torch.stack(torch.meshgrid(right, down, indexing="xy"))
    return grid.expand(len(images), -1, -1, -1)
