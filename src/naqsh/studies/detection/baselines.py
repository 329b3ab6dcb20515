r"""Scores that need no training of a network: what a model has to beat before it is of use.

**PCA.** With the mean m and the first k principal directions V of normal images, the score is the
mean square of what they leave over, :math:`x - m - V V^T (x - m)`.

**Nearest neighbour.** The mean squared difference to the normal image nearest in pixels.

Both see images in [0, 1]; the map is the square, averaged over channels.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh.core.spec import Shape
from naqsh.studies.detection.scores import Pixels, Scores, Sizes, State, blank, finite, smooth

COMPONENTS = 60


def _rows(images: Pixels) -> Tensor:
    return torch.from_numpy(images.reshape(len(images), -1).astype(np.float32) / 255)


def _scores(difference: Tensor, shape: tuple[int, ...]) -> Scores:
    squares: NDArray[np.float64] = difference.double().square().view(-1, *shape).mean(1).numpy()
    return Scores(finite(squares.mean((1, 2))), smooth(squares))


class Residual:
    """What principal components leave over; as many as there are normal images less one, if few.

    Args:
        components: how many.
    """

    name = "pca"
    baseline = True

    def __init__(self, components: int = COMPONENTS) -> None:
        self.components = components
        self.detail = "residual of principal components of the pixels"

    def fit(self, normal: Pixels) -> None:
        """Find mean and directions."""
        rows = _rows(normal)
        self.mean = rows.mean(0)
        centred = rows - self.mean
        count, dimensions = centred.shape
        self.components = min(self.components, count - 1, dimensions)
        self.detail = f"residual of {self.components} principal components of the pixels"
        # The smaller of the two Gram matrices, in double precision, has all that is needed.
        if count <= dimensions:
            gram = (centred @ centred.T).double()
            squares, vectors = torch.linalg.eigh(gram)
            directions = centred.T @ vectors[:, -self.components :].float()
            lengths = squares[-self.components :].clamp(min=0).sqrt().float()
            # Directions without any variance (images that repeat) are left out.
            self.directions = directions[:, lengths > 1e-4] / lengths[lengths > 1e-4]
        else:
            _, vectors = torch.linalg.eigh((centred.T @ centred).double())
            self.directions = vectors[:, -self.components :].float()

    def state(self) -> State:
        """Mean and directions."""
        return {"mean": self.mean, "directions": self.directions}

    def due(self, shape: Shape, sizes: Sizes) -> State:
        """Mean and directions, of as many components as are given."""
        pixels, components = math.prod(shape), sizes["directions"][-1]
        return {"mean": blank(pixels), "directions": blank(pixels, components)}

    def restore(self, state: State) -> None:
        """Take mean and directions."""
        self.mean, self.directions = state["mean"], state["directions"]
        self.components = self.directions.shape[1]

    def score(self, images: Pixels, first: int) -> Scores:
        """Mean squares of what is left over."""
        centred = _rows(images) - self.mean
        return _scores(centred - centred @ self.directions @ self.directions.T, images.shape[1:])


class Neighbour:
    """The distance to the nearest normal image."""

    name = "neighbour"
    detail = "mean squared difference to the nearest normal image"
    baseline = True

    def fit(self, normal: Pixels) -> None:
        """Keep the normal images."""
        self.restore({"rows": _rows(normal)})

    def state(self) -> State:
        """The normal images, as rows."""
        return {"rows": self.rows}

    def due(self, shape: Shape, sizes: Sizes) -> State:
        """Rows of pixels, as many as are given, at least one."""
        return {"rows": blank(max(1, sizes["rows"][0]), math.prod(shape))}

    def restore(self, state: State) -> None:
        """Take normal images as rows."""
        self.rows = state["rows"]
        self.lengths = self.rows.square().sum(1)

    def score(self, images: Pixels, first: int) -> Scores:
        """Mean squared differences."""
        rows = _rows(images)
        # Up to the length of the row itself, which is the same for all its neighbours.
        nearest = (self.lengths - 2 * rows @ self.rows.T).argmin(1)
        return _scores(rows - self.rows[nearest], images.shape[1:])
