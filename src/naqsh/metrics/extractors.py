"""The feature extractors that have a name, and the wrapper that makes one of a function."""

import hashlib
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError, one_of
from naqsh.metrics import classifier, reading
from naqsh.metrics.features import FeatureExtractor
from naqsh.metrics.modes import Gaussians
from naqsh.metrics.stacked import StackedDigits
from naqsh.metrics.untrained import RandomFeatures

NAMES = ("digits", "inception", "mnist", "pixels", "random", "shapes", "stacked-mnist")
"""What :func:`by_name` knows."""

SHIPPED = (*classifier.SHIPPED, "shapes", "stacked-mnist")
"""Features of a data set of the same name, whose weights come with the package."""


class Pixels:
    """The pixels themselves in [0, 1], flattened: a baseline that needs no weights."""

    name = "pixels"
    fingerprint = hashlib.sha256(b"pixels / 255").hexdigest()[:16]
    dimension = None

    def __call__(self, images: Tensor) -> Tensor:
        """Uint8 images (N, C, H, W) to float32 (N, C * H * W)."""
        return images.flatten(start_dim=1).float() / 255


class Coordinates:
    """The coordinates of points in the plane.

    Args:
        name: of the set of points.
        extent: coordinates reach from -extent to extent.
        modes: of the mixture that the set was drawn from, where it is one.
    """

    dimension = 2
    points = True

    def __init__(self, name: str, extent: float, modes: Gaussians | None = None) -> None:
        self.name, self.modes, self._extent = name, modes, extent
        known = "" if modes is None else f"{modes.means.tolist()} {modes.sigma}"
        self.fingerprint = hashlib.sha256(f"coordinates {extent} {known}".encode()).hexdigest()[:16]

    def __call__(self, images: Tensor) -> Tensor:
        """Points in [0, 1] with shape (N, 2, 1, 1) to float32 (N, 2)."""
        return ((2 * images.flatten(1).double() - 1) * self._extent).float()


class FunctionFeatures:
    """Any function from images to features, under a name and a version.

    Args:
        function: uint8 images (N, C, H, W) to numbers (N, ...), each image by itself; further
            axes are flattened.
        name: what people call it.
        version: what tells its output from that of every other function of this name, such as a
            hash of its weights. A function cannot be hashed by content, so its owner says it.
    """

    dimension = None

    def __init__(self, function: Callable[[Tensor], Tensor], name: str, version: str) -> None:
        if name in NAMES:
            raise NaqshError(f"{name!r} are features of Naqsh's own; give yours another name")
        self.name = name
        self.fingerprint = hashlib.sha256(f"{name}\0{version}".encode()).hexdigest()[:16]
        self._function = function

    def __call__(self, images: Tensor) -> Tensor:
        """Uint8 images (N, C, H, W) to float32 (N, d)."""
        features = self._function(images)
        if not isinstance(features, Tensor) or features.ndim < 2:
            raise NaqshError(
                f"the function of features {self.name!r} must return a tensor of shape (N, d)"
            )
        return features.flatten(start_dim=1).to(torch.float32)


def weights_of(name: str) -> Mapping[str, Tensor]:
    """The weights of the network whose features have that name: a small one's, or Inception's.

    Raises:
        NaqshError: they cannot be had.
    """
    if name == "inception":
        from naqsh.metrics.inception import load_inception

        return load_inception().state_dict()
    network = reading.load() if name == "shapes" else classifier.shipped(name).network
    return network.state_dict()


def by_name(name: str, device: str = "cpu") -> FeatureExtractor:
    """The extractor called `name`.

    Args:
        name: one of :data:`NAMES`.
        device: where its network computes.

    Raises:
        NaqshError: an unknown name, or weights that cannot be had.
    """
    if name == "pixels":
        return Pixels()
    if name == "random":
        return RandomFeatures(device)
    if name == "shapes":
        return reading.ReaderFeatures(device)
    if name == "stacked-mnist":
        return StackedDigits(classifier.shipped("mnist", device))
    if name in classifier.SHIPPED:
        return classifier.shipped(name, device)
    if name == "inception":
        from naqsh.metrics.inception import InceptionFeatures, load_inception

        return InceptionFeatures(load_inception(), device)
    raise one_of("features", name, NAMES)
