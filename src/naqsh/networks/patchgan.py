"""A discriminator that scores patches: each score sees one square of the image, none all of it.

Convolutions 4x4 with padding 1: n of stride 2 of widths w, 2w, 4w, then one of stride 1 with the
next width and one to a single score, leaky ReLU of slope 0.2 between them, and instance
normalisation on all but the first and the last. With n = 3 a score sees 70x70 pixels, with 2 it
sees 34x34, with 1 16x16. Small images need small patches: at 64 pixels three strides would leave
6x6 scores, each of which sees more than the image.

With w = 64 and three colours the network has 2,764,737 parameters.

References:
    Image-to-Image Translation with Conditional Adversarial Networks (Isola et al., 2017),
    arXiv:1611.07004, section 3.2.2 and appendix 6.1.2.
    Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks (Zhu et al.,
    2017), arXiv:1703.10593, appendix 7.2.
"""

from torch import nn

from naqsh.core.spec import Shape
from naqsh.networks.instance import Conv, InstanceNorm, initialise


def strides_for(side: int) -> int:
    """Convolutions of stride 2 for a smaller side: published are 3, from 128 px on."""
    return 3 if side >= 128 else 2 if side >= 64 else 1


def discriminator(
    shape: Shape, width: int = 64, strides: int | None = None, affine: bool = False
) -> nn.Sequential:
    """The discriminator of images, or of pairs whose channels lie one on the other.

    Args:
        shape: (C, H, W) of what it is trained on; it takes other sides, too.
        width: channels of the first convolution; the others have up to eight times as many.
        strides: convolutions of stride 2; None takes what suits the smaller side.
        affine: whether normalisation has a scale and a shift, as in pix2pix; the convolutions
            before it then have no bias.

    Returns:
        images with shape (N, C, H, W) to logits of patches with shape (N, 1, H', W').

    Raises:
        ValueError: the images are too small for so many strides.
    """
    channels, *sides = shape
    strides = strides_for(min(sides)) if strides is None else strides
    if min(sides) < 3 * 2**strides:
        raise ValueError(
            f"a discriminator with {strides} strides needs sides of at least {3 * 2**strides}, got "
            f"{sides[0]}x{sides[1]}; give a larger data.size or fewer method.strides"
        )
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    before = width
    for depth in range(1, strides + 1):
        after = width * min(2**depth, 8)
        stride = 2 if depth < strides else 1
        layers += [
            Conv(before, after, 4, stride=stride, padding=1, bias=not affine),
            InstanceNorm(after, affine=affine),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        before = after
    network = nn.Sequential(*layers, nn.Conv2d(before, 1, 4, padding=1))
    initialise(network)
    return network
