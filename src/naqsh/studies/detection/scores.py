r"""Scores of images, larger for what is more anomalous, with a map of where it lies.

By likelihood, :math:`-\log p(x)` in nats, averaged over draws where the method draws noise: of a
lower bound, this is the bound's negative. By reconstruction, the mean of :math:`(x - \hat x)^2`
over an image in [0, 1]; its map is that square, averaged over channels.

Maps are smoothed by a Gaussian with a standard deviation of 1/56 of the image's side (4 pixels of
224, Defard et al., 2020, arXiv:2011.08785, section III-C), since single pixels are noisy and faults
are larger. Scores of images by likelihood and reconstruction come from the maps before smoothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from naqsh.core.abilities import Encodes, HasLogProb, Localises, Reconstructs
from naqsh.core.method import Method
from naqsh.core.noise import Noise, derive
from naqsh.core.spec import Shape
from naqsh.training.rows import seen

State = dict[str, Tensor]
"""What a scorer learnt from normal images, by name; enough to score without them."""

Sizes = Mapping[str, Sequence[int]]
"""The shapes of tensors, by name."""

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Maps = NDArray[np.float32]

SMOOTH = 1 / 56
"""Standard deviation of the smoothing, as part of an image's shorter side."""

LARGEST = float(np.finfo(np.float32).max)
"""What a score that overflowed, or is not a number, counts as: the most anomalous there is."""


@dataclass(frozen=True)
class Scores:
    """What one scorer says of N images.

    Attributes:
        values: finite, larger for what is more anomalous, shape (N,).
        maps: the same for each pixel, smoothed, shape (N, H, W); None where it cannot say.
    """

    values: Floats
    maps: Maps | None


class Scorer(Protocol):
    """Scores images, each by itself.

    Attributes:
        name: what it is called on the command line and in files.
        detail: what its scores are, in a few words.
        baseline: whether it is one of those that any model has to beat.
    """

    name: str
    detail: str
    baseline: bool

    def fit(self, normal: Pixels) -> None:
        """Learn from normal images, uint8 with shape (N, C, H, W); methods have learnt before."""
        ...

    def score(self, images: Pixels, first: int) -> Scores:
        """Scores of images, uint8 with shape (N, C, H, W), the first of them numbered `first`."""
        ...

    def state(self) -> State:
        """What :meth:`fit` learnt."""
        ...

    def due(self, shape: Shape, sizes: Sizes) -> State:
        """What :meth:`restore` takes: tensors of the names, types and shapes that it must have.

        Args:
            shape: (C, H, W) of the images to be scored.
            sizes: the shapes that are given, for what depends on how many normal images there were.
        """
        ...

    def restore(self, state: State) -> None:
        """Take what another scorer of this kind learnt, instead of :meth:`fit`.

        Args:
            state: finite, with the names, types and shapes of :meth:`due`.

        Raises:
            ValueError: it is not of this kind.
        """
        ...


class LearntBefore:
    """What scorers share that learn nothing from normal images: their methods are trained."""

    def fit(self, normal: Pixels) -> None:
        """Nothing to learn."""

    def state(self) -> State:
        """Nothing."""
        return {}

    def due(self, shape: Shape, sizes: Sizes) -> State:
        """Nothing."""
        return {}

    def restore(self, state: State) -> None:
        """Nothing to take."""


def blank(*size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor that has a type and a shape and takes no memory."""
    return torch.empty(size, dtype=dtype, device="meta")


def finite(values: NDArray[np.floating]) -> Floats:
    """The scores in double precision, overflows and what is not a number as :data:`LARGEST`."""
    wide = np.asarray(values, np.float64)
    return np.nan_to_num(wide, nan=LARGEST, posinf=LARGEST, neginf=-LARGEST)


def smooth(maps: NDArray[np.floating]) -> Maps:
    """Maps (N, H, W) after the Gaussian; the edge is mirrored."""
    sigma = SMOOTH * min(maps.shape[1:])
    whole = np.clip(np.nan_to_num(maps, nan=LARGEST), -LARGEST, LARGEST)
    blurred: Maps = gaussian_filter(whole.astype(np.float64), (0, sigma, sigma), mode="reflect")
    return np.clip(blurred, -LARGEST, LARGEST).astype(np.float32)


class Likelihood(LearntBefore):
    """The negative log-likelihood by a trained method.

    Args:
        method: which has it, in evaluation mode.
        draws: over how many draws of the noise it is averaged, where the method draws any.
        seed: of the noise; each image has a stream of its own.
        device: where to compute.
    """

    name = "likelihood"
    baseline = False

    def __init__(self, method: Method, draws: int, seed: int, device: torch.device) -> None:
        assert isinstance(method, HasLogProb)
        self.method, self.draws, self.seed, self.device = method, draws, seed, device
        self.detail = f"negative log-likelihood, {method.log_prob_kind}"

    @torch.inference_mode()
    def score(self, images: Pixels, first: int) -> Scores:
        """Nats; the map where the method localises."""
        given = seen(images, self.method.value_range, self.device)
        noise = Noise(derive(self.seed, "detect"), len(given), first, self.device)
        values: list[Tensor] = []
        maps: list[Tensor] = []
        for _ in range(self.draws):
            if isinstance(self.method, Localises):
                maps.append(self.method.surprise(given, noise).double())
                values.append(maps[-1].sum((1, 2)))
            else:
                assert isinstance(self.method, HasLogProb)
                values.append(-self.method.log_prob(given, noise).double())
            if not noise.draws:
                break  # the method draws nothing: again would be the same
        nats = finite(torch.stack(values).mean(0).cpu().numpy())
        if not maps:
            return Scores(nats, None)
        return Scores(nats, smooth(torch.stack(maps).mean(0).cpu().numpy()))


class Reconstruction(LearntBefore):
    """How far an image is from what a trained method makes of it, there and back.

    A flow is a bijection: what it encodes it gets back, whatever it was. Its error is zero up to
    rounding, for anomalies too, and so says nothing.

    Args:
        method: which reconstructs, or encodes and decodes, in evaluation mode.
        device: where to compute.
    """

    name = "reconstruction"
    detail = "mean square error of the reconstruction"
    baseline = False

    def __init__(self, method: Method, device: torch.device) -> None:
        self.method, self.device = method, device

    @torch.inference_mode()
    def score(self, images: Pixels, first: int) -> Scores:
        """Mean squares of images in [0, 1]."""
        given = seen(images, self.method.value_range, self.device)
        if isinstance(self.method, Reconstructs):
            back = self.method.reconstruct(given)
        else:
            assert isinstance(self.method, Encodes)
            back = self.method.decode(self.method.encode(given))
        real = torch.from_numpy(images.astype(np.float32) / 255)
        squares = (back.cpu().float() - real).square().mean(1).double().numpy()
        return Scores(finite(squares.mean((1, 2))), smooth(squares))


def joined(parts: list[Scores]) -> Scores:
    """Scores of batches, one after another."""
    maps = [part.maps for part in parts if part.maps is not None]
    return Scores(
        np.concatenate([part.values for part in parts]), np.concatenate(maps) if maps else None
    )
