"""A small convolutional classifier whose last layer but one serves as features for measuring.

Six 3x3 convolutions, each followed by batch normalisation and ReLU, on three scales (S, S/2, S/4),
then the mean over positions and one linear layer. The mean makes the number of features independent
of the image's size, so the same network takes 8x8 digits and 32x32 colour images.

Why not Inception for small images: it was trained on photographs of 299x299; on 28x28 digits its
features say little of what a digit is, and cost a hundred times as much.

References:
    Very Deep Convolutional Networks for Large-Scale Image Recognition (Simonyan and Zisserman,
    2014), arXiv:1409.1556: stacks of 3x3 convolutions.
    Batch Normalization (Ioffe and Szegedy, 2015), arXiv:1502.03167.
    Network In Network (Lin et al., 2013), arXiv:1312.4400: the mean over positions.
"""

import torch
from torch import Tensor, nn


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        # No bias: the normalisation behind subtracts it again.
        nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class SmallClassifier(nn.Module):
    """Images to class scores, with the penultimate activations at hand.

    With `width` 16 and one channel it has 107,322 parameters (0.43 MB in float32).

    Args:
        shape: channels, height and width of an image; height and width at least 8.
        classes: how many classes to tell apart.
        width: channels of the first convolution; the features are 4 * `width` numbers.
    """

    def __init__(
        self, shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10, width: int = 16
    ) -> None:
        super().__init__()
        channels, *size = shape
        if min(size) < 8:
            raise ValueError(f"need images of at least 8x8, got {size[0]}x{size[1]}")
        if min(channels, width) < 1 or classes < 2:
            raise ValueError(
                f"need channels and width >= 1 and classes >= 2, got {channels}, {width}, {classes}"
            )
        self.shape = shape
        self.classes = classes
        self.width = width
        self.dimension = 4 * width
        self.trunk = nn.Sequential(
            _stage(channels, width, stride=1),
            _stage(width, 2 * width, stride=2),
            _stage(2 * width, 2 * width, stride=1),
            _stage(2 * width, 4 * width, stride=2),
            _stage(4 * width, 4 * width, stride=1),
            _stage(4 * width, 4 * width, stride=1),
        )
        self.head = nn.Linear(self.dimension, classes)

    def features(self, x: Tensor) -> Tensor:
        """Activations before the last layer, mean over positions.

        Args:
            x: images in [-1, 1] with shape (N, C, H, W).

        Returns:
            non-negative numbers with shape (N, `dimension`).
        """
        activations: Tensor = self.trunk(x)
        return activations.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Class scores before the softmax.

        Args:
            x: images in [-1, 1] with shape (N, C, H, W).

        Returns:
            logits with shape (N, `classes`).
        """
        logits: Tensor = self.head(self.features(x))
        return logits

    @torch.no_grad()
    def probabilities(self, x: Tensor) -> Tensor:
        """Class probabilities, each row summing to one, with shape (N, `classes`)."""
        return self.forward(x).softmax(dim=1)
