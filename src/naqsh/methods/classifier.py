r"""A classifier of small images, whose features generative models are measured by.

Minimises the cross-entropy :math:`-\log p(y \mid x)` with smoothed labels, on images shifted by
up to `shift` pixels either way, each by its own amount.

References:
    Rethinking the Inception Architecture (Szegedy et al., 2015), arXiv:1512.00567, section 7: label
    smoothing.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from naqsh.core.batch import Batch
from naqsh.core.method import Losses, Method, Phase
from naqsh.core.noise import Noise
from naqsh.core.optimizers import Adam, Optimizer
from naqsh.core.spec import Layout, MethodSpec, Shape
from naqsh.networks.classifier import SmallClassifier


@dataclass(frozen=True)
class Spec(MethodSpec):
    """Hyperparameters of the classifier.

    Attributes:
        width: channels of the first convolution; the features are 4 * width numbers.
        shift: pixels a training image is moved by at most, up, down, left and right.
        smoothing: part of a label's probability that is spread over all classes.
        optimizer: how it is trained.
    """

    width: int = 16
    shift: int = 2
    smoothing: float = 0.1
    optimizer: Optimizer = Adam(lr=2e-3)

    def __post_init__(self) -> None:
        if self.width < 1 or self.shift < 0:
            raise ValueError("need width >= 1 and shift >= 0")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing must lie in [0, 1), got {self.smoothing}")

    def tiny(self) -> Self:
        """The same with small networks, for tests and quick looks."""
        return replace(self, width=1)

    def build(self, layout: Layout) -> "Classifier":
        """The method with a fresh network."""
        classes = len(layout.classes)
        if classes < 2:
            raise ValueError(f"a classifier needs labelled images of 2 classes, got {classes}")
        return Classifier(self, layout.shape, classes)


class Classifier(Method):
    """One phase: a network that names the class of an image."""

    def __init__(self, spec: Spec, shape: Shape, classes: int) -> None:
        super().__init__(shape)
        self.spec = spec
        self.network = SmallClassifier(shape, classes, spec.width)

    def phases(self) -> list[Phase]:
        """The one phase."""
        return [Phase("classifier", [self.network], self.losses, self.spec.optimizer)]

    def losses(self, batch: Batch, step: int) -> Losses:
        """Smoothed cross-entropy on shifted images, and how many are named rightly."""
        assert batch.labels is not None
        images = shifted(batch.images, batch.noise, self.spec.shift)
        logits = self.network(images).float()
        return {
            "total": cross_entropy(logits, batch.labels, label_smoothing=self.spec.smoothing),
            "right": (logits.argmax(1) == batch.labels).float().mean(),
        }

    def validation(self, batch: Batch) -> Losses:
        """Plain cross-entropy and accuracy on images as they are."""
        assert batch.labels is not None
        logits = self.network(batch.images).float()
        return {
            "total": cross_entropy(logits, batch.labels),
            "right": (logits.argmax(1) == batch.labels).float().mean(),
        }


def shifted(images: Tensor, noise: Noise, shift: int) -> Tensor:
    """Each image moved by its own whole number of pixels, the edge filled with -1.

    Args:
        images: images in [-1, 1] with shape (N, C, H, W).
        noise: of these N images.
        shift: largest move; all 2 * shift + 1 values are equally likely, in either direction.
    """
    if not shift:
        return images
    count, _, height, width = images.shape
    wide = pad(images, (shift,) * 4, value=-1.0)
    top, left = noise.integers(2 * shift + 1, 2).unbind(1)
    rows = top.view(-1, 1) + torch.arange(height, device=images.device)
    columns = left.view(-1, 1) + torch.arange(width, device=images.device)
    picture = torch.arange(count, device=images.device).view(-1, 1, 1)
    # Advanced indices around the channel slice put it last.
    moved = wide[picture, :, rows.unsqueeze(2), columns.unsqueeze(1)]
    return moved.movedim(3, 1)
