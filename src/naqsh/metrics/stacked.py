"""Features and modes of stacked MNIST: a digit in each of three channels, read by a classifier.

References:
    Unrolled Generative Adversarial Networks (Metz et al., 2017), arXiv:1611.02163, section 3.3:
    the set, and the count of modes. 26,000 samples are VEEGAN's and PacGAN's.
"""

import hashlib

import torch
from torch import Tensor, nn

from naqsh.core.errors import NaqshError
from naqsh.metrics.classifier import ClassifierFeatures


class DigitModes:
    """The modes of three digits: 100 a + 10 b + c, as the classifier reads them.

    Every sample shows some digits to it, so that none is of no mode.

    Args:
        head: of the classifier, features to logits of 10 digits.
    """

    count, samples, may_miss = 1000, 26_000, False

    def __init__(self, head: nn.Linear) -> None:
        self._head = head

    @torch.inference_mode()
    def of(self, features: Tensor) -> Tensor:
        """The mode of each row of three digits' features, (N, 3 d), shape (N,)."""
        each = features.view(-1, 3, self._head.in_features).to(self._head.weight)
        place = torch.tensor([100, 10, 1], device=each.device)
        found: Tensor = (self._head(each).argmax(dim=2) * place).sum(dim=1)
        return found


class StackedDigits:
    """The classifier's features of each channel, side by side.

    Args:
        digits: features of MNIST by a classifier of ten digits.
    """

    name = "stacked-mnist"

    def __init__(self, digits: ClassifierFeatures) -> None:
        self._digits = digits
        self.dimension = 3 * digits.network.dimension
        self.modes = DigitModes(digits.network.head)
        self.fingerprint = hashlib.sha256(f"three of {digits.fingerprint}".encode()).hexdigest()[
            :16
        ]

    def __call__(self, images: Tensor) -> Tensor:
        """Uint8 images (N, 3, 28, 28) to float32 (N, 3 d)."""
        if images.shape[1] != 3:
            raise NaqshError(
                f"features {self.name} are of three digits, one a channel, and these images have "
                f"{images.shape[1]}; take --features mnist"
            )
        return self._digits(images.flatten(0, 1)[:, None]).view(len(images), -1)
