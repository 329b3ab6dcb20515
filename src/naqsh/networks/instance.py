"""Instance normalisation, and convolutions whose bias it takes away.

Normalisation subtracts each channel's mean, so a bias right before it changes nothing, and its
gradient is nothing but rounding; Adam would turn that into a random walk. Published networks have
these biases. So do these, that weights and their number agree, and nothing adds them.

References:
    Instance Normalization (Ulyanov et al., 2016), arXiv:1607.08022.
"""

from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, group_norm

_NORMALISES = nn.InstanceNorm2d | nn.BatchNorm1d | nn.BatchNorm2d


class InstanceNorm(nn.InstanceNorm2d):
    """Each channel of each image to mean 0 and variance 1, in training and after it alike."""

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W) to features of that shape."""
        # The same by another kernel, which took a third of the time on a CPU.
        return group_norm(x, self.num_features, self.weight, self.bias, self.eps)


class Conv(nn.Conv2d):
    """A convolution with normalisation after it: its bias is kept and not added."""

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W) to features (N, C', H', W')."""
        return conv2d(x, self.weight, None, self.stride, self.padding)


class Transposed(nn.ConvTranspose2d):
    """A transposed convolution with normalisation after it, that doubles an image."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, stride=2, padding=1, output_padding=1)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # it asks for no size
        """Features (N, C, H, W) to features (N, C', 2H, 2W)."""
        return conv_transpose2d(x, self.weight, None, stride=2, padding=1, output_padding=1)


def initialise(network: nn.Module) -> None:
    """Weights from N(0, 0.02), scales of normalisation from N(1, 0.02), biases 0, as published."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, _NORMALISES) and module.affine:
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
