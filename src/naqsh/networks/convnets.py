r"""Small convolutional generator and discriminator for images whose sides divide by four.

The generator unfolds channels into pixels instead of using transposed convolutions:

.. math:: Y_{b,\,c,\,hr+i,\,wr+j} = X_{b,\,c r^2 + i r + j,\,h,\,w}

costs no arithmetic and gives no checkerboard pattern of its own, since every output pixel is made
by the same number of products.

References:
    Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional
    Neural Network (Shi et al., 2016), arXiv:1609.05158, equation 4.
"""

from collections import OrderedDict

from torch import nn

from naqsh.core.spec import Shape
from naqsh.networks.conditional import Chain, batch_norm


def quarter(shape: Shape) -> tuple[int, int]:
    """Height and width of the coarsest features."""
    _, height, width = shape
    if height % 4 or width % 4:
        raise ValueError(f"sides must divide by 4, got {height}x{width}; give data.size, e.g. 32")
    return height // 4, width // 4


def generator(shape: Shape, latent: int, width: int = 1, classes: int = 0) -> Chain:
    """The generator of the MNIST systems, for any size.

    Args:
        shape: (C, H, W) of the images; H and W divide by 4.
        latent: size of the latent vector.
        width: factor on every number of channels; 1 is the network for 28x28 digits.
        classes: how many labels its normalisation is told; 0 for none.

    Returns:
        latents with shape (N, latent) to images in [-1, 1] with shape (N, C, H, W). For 28x28x1
        the layers are those of the course's table; tanh then bounds the images.
    """
    height, side = quarter(shape)
    hidden, coarse, fine = 512 * width, 64 * width, 32 * width
    flat = coarse * height * side
    return Chain(
        OrderedDict(
            linear1=nn.Linear(latent, hidden),
            norm1=batch_norm(hidden, classes, 1),
            relu1=nn.ReLU(inplace=True),
            linear2=nn.Linear(hidden, flat),
            norm2=batch_norm(flat, classes, 1),
            relu2=nn.ReLU(inplace=True),
            reshape=nn.Unflatten(1, (coarse, height, side)),
            shuffle1=nn.PixelShuffle(2),
            conv1=nn.Conv2d(coarse // 4, fine, 3, padding=1),
            norm3=batch_norm(fine, classes, 2),
            relu3=nn.ReLU(inplace=True),
            shuffle2=nn.PixelShuffle(2),
            conv2=nn.Conv2d(fine // 4, shape[0], 3, padding=1),
            tanh=nn.Tanh(),
        )
    )


def discriminator(shape: Shape, width: int = 1) -> nn.Sequential:
    """The discriminator of the MNIST systems, for any size; a critic is the same network.

    No batch normalisation: a gradient penalty needs each image's score to depend on it alone.

    Args:
        shape: (C, H, W) of the images; H and W divide by 4.
        width: factor on every number of channels; 1 is the network for 28x28 digits.

    Returns:
        images with shape (N, C, H, W) to logits with shape (N,).
    """
    height, side = quarter(shape)
    fine, coarse, hidden = 32 * width, 64 * width, 512 * width
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(shape[0], fine, 4, stride=2, padding=1),
            relu1=nn.ReLU(inplace=True),
            conv2=nn.Conv2d(fine, coarse, 4, stride=2, padding=1),
            relu2=nn.ReLU(inplace=True),
            flatten=nn.Flatten(),
            linear1=nn.Linear(coarse * height * side, hidden),
            relu3=nn.ReLU(inplace=True),
            linear2=nn.Linear(hidden, 1),
            score=nn.Flatten(0),
        )
    )
