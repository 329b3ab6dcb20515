"""Features of images at each place, less what is usual there, and scores of places as maps."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from naqsh.core.errors import NaqshError
from naqsh.core.progress import Count
from naqsh.core.spec import Shape
from naqsh.core.thinning import evenly
from naqsh.studies.detection.maps import FeatureMaps
from naqsh.studies.detection.scores import Maps, Pixels, Scores, Sizes, State, blank, finite, smooth

MOST_NUMBERS = 1 << 26
"""Features that are held at once, 256 MiB; of more normal images some are taken."""

SHRUNK = 0.1
"""Part of a channel's mean variance that is added to its variance at each place."""

BATCH = 32


class Standard:
    """Features less their mean, over their deviation, at each place.

    Args:
        mean: shape (1, D, h, w).
        deviation: likewise.
    """

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        self.mean, self.deviation = mean, deviation

    @classmethod
    def of(cls, features: Tensor) -> "Standard":
        """The standard of normal images' features, shape (N, D, h, w).

        Objects that always lie alike have their own look at each place. The variance of few images
        is a rough guess, so a part of the channel's mean variance is added.
        """
        variance = features.var(0, keepdim=True)
        typical = variance.mean((2, 3), keepdim=True)
        return cls(features.mean(0, keepdim=True), (variance + SHRUNK * typical + 1e-12).sqrt())

    def __call__(self, features: Tensor) -> Tensor:
        """Shape of `features`, (N, D, h, w)."""
        return (features - self.mean) / self.deviation


class OnFeatures:
    """What both densities share: features of images, and from maps of places to scores.

    Args:
        features: the maps.
        seed: of all choices.
        progress: called with how far the fit is.
    """

    baseline = False

    def __init__(self, features: FeatureMaps, seed: int, progress: Count | None = None) -> None:
        self.features, self.seed = features, seed
        self.progress = progress or (lambda done, total: None)

    def _maps(self, images: Pixels) -> list[Tensor]:
        parts = [
            self.features(torch.from_numpy(np.array(images[start : start + BATCH])))
            for start in range(0, len(images), BATCH)
        ]
        return [torch.cat(scale) for scale in zip(*parts, strict=True)]

    def _some_maps(self, normal: Pixels) -> list[Tensor]:
        """Maps of as many normal images as there is room for, evenly chosen, standardised."""
        one = sum(scale.numel() for scale in self._maps(normal[:1]))
        most = max(2, MOST_NUMBERS // one)
        if len(normal) > most:
            normal = normal[evenly(len(normal), most)]
        maps = self._maps(normal)
        self.standards = [Standard.of(scale) for scale in maps]
        found = [standard(scale) for standard, scale in zip(self.standards, maps, strict=True)]
        if not all(bool(scale.isfinite().all()) for scale in found):
            raise NaqshError(f"features {self.features.name!r} of normal images are not finite")
        return found

    def state(self) -> State:
        """Means and deviations of every scale's features."""
        kept = {}
        for number, standard in enumerate(self.standards):
            kept[f"mean.{number}"] = standard.mean.contiguous()
            kept[f"deviation.{number}"] = standard.deviation.contiguous()
        return kept

    def due(self, shape: Shape, sizes: Sizes) -> State:
        """Means and deviations, a pair for each map of these features."""
        return {
            f"{kind}.{number}": blank(*scale.shape)
            for number, scale in enumerate(self._of_black(shape))
            for kind in ("mean", "deviation")
        }

    def _of_black(self, shape: Shape) -> list[Tensor]:
        """The maps of one black image."""
        return self._maps(np.zeros((1, *shape), np.uint8))

    def restore(self, state: State) -> None:
        """Take means and deviations."""
        self.standards = [
            Standard(state[f"mean.{number}"], state[f"deviation.{number}"])
            for number in range(sum(name.startswith("mean.") for name in state))
        ]
        if not all(bool((standard.deviation > 0).all()) for standard in self.standards):
            raise ValueError("deviations must be above 0")

    def _standardised(self, images: Pixels) -> list[Tensor]:
        maps = zip(self.standards, self._maps(images), strict=True)
        return [standard(scale) for standard, scale in maps]

    @staticmethod
    def _scores(places: list[Tensor], images: Pixels) -> Scores:
        """From scores of places, each (N, h, w), to maps of the images' size and scores."""
        size = tuple(images.shape[2:])
        whole = torch.stack(
            [
                interpolate(scale[:, None].float(), size, mode="bilinear", align_corners=False)[
                    :, 0
                ]
                for scale in places
            ]
        ).sum(0)
        maps: Maps = smooth(whole.numpy())
        return Scores(finite(maps.max((1, 2))), maps)
