"""Feature maps: what a network sees at each place of an image, at a few scales.

A classifier or an encoder that was trained on other images knows edges, textures and shapes. Its
intermediate activations describe a place better than the pixels there, so that a density of them
tells faults that a density of pixels does not (Kirichenko et al., 2020, arXiv:2006.08545,
section 7).
"""

import hashlib
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from naqsh import metrics
from naqsh.core.errors import NaqshError
from naqsh.core.method import Method
from naqsh.core.spec import Shape
from naqsh.data import to_float
from naqsh.methods.classifier import Classifier
from naqsh.metrics.features import network_fingerprint
from naqsh.runs.trained import open_trained

SCALES = 3
"""Most scales that are used, the finest ones below the image's own."""

LEAST_SIDE = 4
"""Maps with a shorter side say too little of where."""

FORMS = (
    "digits, mnist, inception, classifier:RUN, encoder:RUN, or a function of yours, module:function"
)


class FeatureMaps(Protocol):
    """Maps uint8 images to feature maps, each image by itself.

    Attributes:
        name: what people call it.
        fingerprint: a hash of all that determines its output.
    """

    name: str
    fingerprint: str

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Images, uint8 with shape (N, C, H, W), to maps, finest first, each (N, D, h, w)."""
        ...


class NetworkMaps:
    """The last activations of a network at each of a few scales.

    Args:
        network: fully convolutional where `shape` is None.
        name: what people call it.
        channels: of the images that it takes.
        value_range: what images are mapped to.
        shape: the only images that it takes; others are resized.
        device: where to compute.
        layers: those of its modules whose output is taken; all by default, of which the last of
            each size counts.
    """

    def __init__(
        self,
        network: nn.Module,
        name: str,
        channels: int,
        value_range: tuple[float, float],
        shape: Shape | None,
        device: str | torch.device = "cpu",
        layers: Sequence[nn.Module] | None = None,
    ) -> None:
        self.layers = layers
        self.name, self.channels, self.value_range, self.shape = name, channels, value_range, shape
        self.device = torch.device(device)
        self.fingerprint = network_fingerprint(network, type(network).__name__, str(value_range))
        self.network = network.eval().to(self.device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> list[Tensor]:
        """The maps, at most half as fine as the images unless the layers are given."""
        seen = to_float(_recoloured(images, self.channels).to(self.device), *self.value_range)
        if self.shape and tuple(seen.shape[2:]) != self.shape[1:]:
            seen = nn.functional.interpolate(
                seen, self.shape[1:], mode="bilinear", antialias=True, align_corners=False
            )
        by_side: dict[int, Tensor] = {}

        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.dim() == 4:
                by_side[min(output.shape[2:])] = output  # the last one of each size stays

        watched = self.network.modules() if self.layers is None else self.layers
        hooks = [module.register_forward_hook(keep) for module in watched]
        try:
            self.network(seen)
        finally:
            for hook in hooks:
                hook.remove()
        finest = min(seen.shape[2:]) // 2 if self.layers is None else max(by_side)
        sides = sorted((s for s in by_side if LEAST_SIDE <= s <= finest), reverse=True)[:SCALES]
        if not sides:
            raise NaqshError(
                f"features {self.name!r} have no map of at least {LEAST_SIDE}x{LEAST_SIDE} for "
                f"images of {images.shape[2]}x{images.shape[3]}; take larger images"
            )
        return [by_side[side].float().cpu().contiguous() for side in sides]


class FunctionMaps:
    """A user's function as feature maps.

    Args:
        function: uint8 images (N, C, H, W) to one map (N, D, h, w), or to several.
        name: what people call it; results of other functions must have other names.
    """

    def __init__(self, function: Callable[[Tensor], Any], name: str) -> None:
        self.name = name
        self.fingerprint = hashlib.sha256(f"function {name}".encode()).hexdigest()[:16]
        self._function = function

    def __call__(self, images: Tensor) -> list[Tensor]:
        """What the function gives, checked."""
        with torch.no_grad():
            given = self._function(images)
        found: Sequence[Any] = [given] if isinstance(given, Tensor) else list(given)
        fits = all(isinstance(m, Tensor) and m.dim() == 4 and len(m) == len(images) for m in found)
        if not found or not fits:
            raise NaqshError(
                f"the function of features {self.name!r} must return a tensor of shape "
                "(N, D, h, w), or a list of such"
            )
        return [m.detach().float().cpu().contiguous() for m in found]


def _recoloured(images: Tensor, channels: int) -> Tensor:
    if images.shape[1] == channels:
        return images
    from naqsh.data import pixels

    return torch.from_numpy(pixels.recolour(np.ascontiguousarray(images.numpy()), channels))


def feature_maps(name: str, device: str | torch.device = "cpu") -> FeatureMaps:
    """Feature maps by name.

    Args:
        name: ``digits`` or ``mnist``, the classifiers that come with the package; ``inception``;
            ``classifier:RUN`` or ``encoder:RUN``, a classifier or the encoder of a VAE that the
            user trained; ``module:function``.
        device: where a network computes.

    Raises:
        NaqshError: an unknown name, a run of something else, a function that cannot be imported.
    """
    kind, colon, rest = name.partition(":")
    if name in ("digits", "mnist"):
        features = metrics.by_name(name)
        assert isinstance(features, metrics.ClassifierFeatures)
        network = features.network
        return NetworkMaps(network.trunk, name, network.shape[0], (-1.0, 1.0), None, device)
    if name == "inception":
        from naqsh.metrics.inception import load_inception

        inception = load_inception()
        layers = (inception.Mixed_5d, inception.Mixed_6e)  # 35x35 and 17x17
        return NetworkMaps(inception, name, 3, (0.0, 1.0), None, device, layers)
    if kind == "classifier" and colon:
        method = open_trained(rest).method
        if not isinstance(method, Classifier):
            raise NaqshError(f"{rest} is no classifier; train one: naqsh train classifier-mnist")
        trunk = method.network.trunk
        return NetworkMaps(trunk, name, method.shape[0], method.value_range, None, device)
    if kind == "encoder" and colon:
        return _encoder(open_trained(rest).method, name, rest, device)
    if colon:
        return FunctionMaps(_imported(kind, rest), name)
    raise NaqshError(f"no feature maps named {name!r}; take {FORMS}")


def _encoder(method: Method, name: str, path: str, device: str | torch.device) -> FeatureMaps:
    encoder = getattr(method, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise NaqshError(f"{path} has no encoder; train one: naqsh train vae-digits")
    shape = method.shape
    return NetworkMaps(encoder, name, shape[0], method.value_range, shape, device)


def _imported(module: str, function: str) -> Callable[[Tensor], Any]:
    """A function of the user's, from the working folder or an installed package."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise NaqshError(f"no function {module}:{function}: {error}; features: {FORMS}") from error
    if not callable(found):
        raise NaqshError(f"{module}:{function} is no function of images")
    checked: Callable[[Tensor], Any] = found
    return checked
