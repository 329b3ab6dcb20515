"""How good a run's samples are while it goes on: their Frechet distance to real images.

A GAN's losses say how its two players stand to each other and nothing of its images: samples get
worse for epochs while the discriminator is not saturated and no loss moves (gan-mnist after 24
epochs: twice its least). So the same latents are drawn again and again, and what they become is
compared with the same real images: held-out ones (``training.validation``) where there are any,
else training images. Only differences between moments of one run are read from it, so any features
will do that see the fault: those of the digits' and MNIST's classifiers on their own images, random
filters on others.

It is due after every stage of methods that no likelihood speaks for, and every
``training.measure_every`` epochs of any method. By held-out images it also tells which weights are
the best.
"""

import functools

import numpy as np
import torch
from torch import Tensor

from naqsh import metrics
from naqsh.core.abilities import HasLogProb, HasSamplers, Samples
from naqsh.core.errors import NaqshError
from naqsh.core.method import Method
from naqsh.core.noise import Noise, derive
from naqsh.core.spec import Shape
from naqsh.data import DataSet
from naqsh.io import png as pictures
from naqsh.metrics import FeatureExtractor
from naqsh.recipes.recipe import Recipe
from naqsh.training.stages import Plan

SAMPLES = 2000
"""Images that are drawn, at most, and as many real ones."""

BATCH = 250


class Quality:
    """The distance of a run's samples to the same real images, again and again.

    Args:
        recipe: what is trained.
        method: as the recipe builds it.
        plan: of the run.
        real: the images that samples are compared with; an even choice of :data:`SAMPLES` at most.
        device: where samples are drawn.

    Attributes:
        steps: after which samples are measured; none where there is one real image alone, which
            has no covariance.

    Raises:
        NaqshError: it is asked for, and the method makes no images from noise.
    """

    def __init__(
        self, recipe: Recipe, method: Method, plan: Plan, real: DataSet, device: torch.device
    ) -> None:
        steps = due(recipe, method, plan, points=bool(real.extent))
        self.steps = steps if len(real) > 1 else frozenset()
        self._real, self._seed, self._device = real, recipe.training.seed, device

    @functools.cached_property
    def _reference(self) -> tuple[FeatureExtractor, Tensor]:
        """By which features, and those of the real images; known when they are first needed."""
        chosen = features(self._real.name, self._real.shape)
        real = self._real.some(SAMPLES, self._seed)
        return chosen, metrics.extract(chosen, real.images)

    @torch.no_grad()
    def measure(self, method: Method) -> float:
        """The Frechet distance of as many samples; the method is left in evaluation mode."""
        assert isinstance(method, Samples)
        method.eval()
        chosen, real = self._reference
        parts = []
        for first in range(0, len(real), BATCH):
            count = min(BATCH, len(real) - first)
            noise = Noise(derive(self._seed, "measured"), count, first, self._device)
            parts.append(pictures.to_pixels(method.sample(noise).float().cpu().numpy()))
        found = metrics.extract(chosen, np.concatenate(parts))
        return metrics.frechet_distance_features(real, found)


def features(name: str, shape: Shape) -> FeatureExtractor:
    """Features that are at hand without any download: the set's own classifier's, or random ones.

    Args:
        name: of the data set.
        shape: (C, H, W) of its images.
    """
    if name in metrics.SHIPPED:
        own = metrics.by_name(name)
        try:
            metrics.extract(own, np.zeros((1, *shape), np.uint8))
        except NaqshError:  # the set's images at another size
            pass
        else:
            return own
    return metrics.by_name("random")


def due(recipe: Recipe, method: Method, plan: Plan, *, points: bool = False) -> frozenset[int]:
    """After which steps samples are measured; never those of points, which have no features.

    Raises:
        NaqshError: it is asked for, and the method makes no images from noise.
    """
    every = recipe.training.measure_every
    if points or not isinstance(method, Samples):
        if every:
            made = "makes points" if points else "makes no images from noise"
            raise NaqshError(
                f"{recipe.name} {made}, and images are what would be measured every {every:g} "
                "epochs; leave training.measure_every out"
            )
        return frozenset()
    if every:
        step = every * plan.epoch
        # The end replaces what would be due shortly before it.
        times = [max(1, round(k * step)) for k in range(1, int(plan.total / step - 0.5) + 1)]
        return frozenset([*times, plan.total])
    silent = not isinstance(method, HasLogProb | HasSamplers)
    # A run of one or two epochs is a trial: its stages are thirds of it.
    return plan.stages if silent and plan.epochs > 2 else frozenset()
