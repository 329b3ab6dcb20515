"""The generator of pix2pix: halve the image to its last pixel, double it back, join each level.

Each of n steps down is a 4x4 convolution of stride 2 with widths w, 2w, 4w, 8w, 8w, ..., each step
up a transposed one; what a step down gave is joined to what comes up to its size. Leaky ReLU of
slope 0.2 stands before each step down but the first, ReLU before each step up. All but the first
and the last step down and the last step up are normalised. Of the steps up with 8w channels, all
but the innermost and the outermost drop half of their numbers: this is the only chance in the
method, at test as in training.

The published network has batch normalisation, trained on one image at a time and with that image's
own statistics at test: normalisation of each image by itself, with a learnt scale and shift. That
is what stands here, so an image's translation depends on no other image whatever the batch.

With w = 64, n = 8 and three colours it is the published network for 256x256.

References:
    Image-to-Image Translation with Conditional Adversarial Networks (Isola et al., 2017),
    arXiv:1611.07004, sections 3.2.1 and 3.3, appendix 6.1.1.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

from naqsh.core.noise import Noise
from naqsh.networks.instance import InstanceNorm, initialise

PLAIN = 5
"""Steps up that drop nothing: the innermost, and those of widths 4w, 2w, w and the image."""


class Generator(nn.Module):
    """The U-Net from one domain to the other.

    Args:
        inputs: channels of the images that come in.
        outputs: channels of those that go out.
        width: channels of the finest features; up to eight times as many further down.
        downs: how often an image is halved; 8 at 256x256, 7 at 128x128.
        dropout: part of the numbers that are dropped.
    """

    def __init__(
        self, inputs: int, outputs: int, width: int = 64, downs: int = 8, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.dropout = dropout
        widths = [width * min(2**depth, 8) for depth in range(downs)]
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)
            for before, after in zip([inputs, *widths], widths, strict=False)
        )
        self.down_norm = nn.ModuleList(_norm(channels) for channels in widths[1:-1])
        # The innermost step up has nothing joined to it; the others have as much again.
        joined = [widths[-1], *(2 * channels for channels in widths[-2::-1])]
        after = [*widths[-2::-1], outputs]
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(j, a, 4, stride=2, padding=1, bias=step == downs - 1)
            for step, (j, a) in enumerate(zip(joined, after, strict=True))
        )
        self.up_norm = nn.ModuleList(_norm(channels) for channels in widths[-2::-1])
        self.dropping = range(1, 1 + max(0, downs - PLAIN))
        initialise(self)

    def forward(self, images: Tensor, noise: Noise) -> Tensor:
        """Images in [-1, 1] with shape (N, inputs, H, W) to the same with `outputs` channels.

        Args:
            images: H and W divide by 2 to the power of `downs`.
            noise: of these images, or of one for all of them: what is dropped.
        """
        features = [self.down[0](images)]
        for step, conv in enumerate(list(self.down)[1:]):
            x = conv(leaky_relu(features[-1], 0.2))
            innermost = step == len(self.down_norm)
            features.append(x if innermost else self.down_norm[step](x))
        x = features.pop()
        for step, conv in enumerate(self.up):
            x = conv(relu(x))
            if not features:
                break
            x = self.up_norm[step](x)
            if step in self.dropping and self.dropout:
                kept = noise.uniform(*x.shape[1:]) >= self.dropout
                x = x * (kept.to(x.dtype) / (1 - self.dropout))
            x = torch.cat([features.pop(), x], 1)
        images = torch.tanh(x)
        return images


def _norm(channels: int) -> InstanceNorm:
    return InstanceNorm(channels, affine=True)
