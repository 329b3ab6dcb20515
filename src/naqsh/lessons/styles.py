"""A small generator of styles, and what it learns of sixteen images: four places, four textures."""

import functools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu

WIDTH, LAYERS = 16, 3


def pictures() -> Tensor:
    """Squares in four places with four textures, (16, 1, 16, 16) in [-1, 1], by place first."""
    row, column = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    textures = [torch.ones(16, 16), column % 2, row % 2, (row + column) % 2]
    images = torch.zeros(4, 4, 16, 16)
    for place, (top, left) in enumerate(((1, 1), (1, 8), (8, 1), (8, 8))):
        for number, texture in enumerate(textures):
            inside = slice(top, top + 7), slice(left, left + 7)
            images[place, number][inside] = texture[inside].float()
    return images.view(16, 1, 16, 16) * 2 - 1


def modulated(weight: Tensor, style: Tensor) -> Tensor:
    """Weights (O, C, k, k) times a style (N, C), each output's then brought to length 1."""
    scaled = weight[None] * style[:, None, :, None, None]
    return scaled * (scaled.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()


class Generator(nn.Module):
    """A learnt 4x4 constant through three modulated convolutions, at 4x4, 8x8 and 16x16."""

    def __init__(self) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(1, WIDTH, 4, 4))
        self.weights = nn.ParameterList(
            torch.randn(WIDTH, WIDTH, 3, 3) / math.sqrt(9 * WIDTH) for _ in range(LAYERS)
        )
        self.biases = nn.ParameterList(torch.zeros(1, WIDTH, 1, 1) for _ in range(LAYERS))
        self.affine = nn.ModuleList(nn.Linear(16, WIDTH) for _ in range(LAYERS))
        for layer in self.affine.children():
            assert isinstance(layer, nn.Linear)
            nn.init.ones_(layer.bias)
        self.mapping = nn.Sequential(nn.Linear(8, 32), nn.LeakyReLU(0.2), nn.Linear(32, 16))
        self.image = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, styles: list[Tensor]) -> Tensor:
        """Images (N, 1, 16, 16) of a w, shape (N, 16), for each of the layers."""
        count = len(styles[0])
        x = self.constant.expand(count, -1, -1, -1)
        parts = zip(self.weights, self.biases, self.affine, styles, strict=True)
        for number, (weight, bias, affine, style) in enumerate(parts):
            x = interpolate(x, scale_factor=2.0) if number else x
            weights = modulated(weight, affine(style)).flatten(0, 1)
            # One image is one group of channels, so that each has weights of its own.
            x = conv2d(x.reshape(1, -1, *x.shape[2:]), weights, padding=1, groups=count)
            x = leaky_relu(x.view(count, WIDTH, *x.shape[2:]) + bias, 0.2) * math.sqrt(2)
        made: Tensor = self.image(x)
        return made


@functools.cache
def trained(steps: int = 300) -> tuple[Generator, Tensor]:
    """The generator after it has learnt the sixteen images, and each one's w, (16, 16)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Generator()
    images, four = pictures(), torch.eye(4)
    codes = torch.cat([four.repeat_interleave(4, 0), four.repeat(4, 1)], 1)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(steps):
        loss = (network([network.mapping(codes)] * LAYERS) - images).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return network, network.mapping(codes)


@functools.cache
def mixed() -> tuple[Tensor, dict[str, float]]:
    """All mixtures, coarse styles of one image and fine ones of another, and what they show.

    Returns:
        images (16, 16, 1, 16, 16), by who gives the styles at 4x4 and 8x8 and by who gives those at
        16x16; and of the mixtures that differ in it, the shares with the place of the first, and
        with the texture of either.
    """
    network, w = trained()
    images, coarse, fine = (
        pictures(),
        torch.arange(16).repeat_interleave(16),
        torch.arange(16).repeat(16),
    )
    with torch.no_grad():
        made = network([w[coarse], w[coarse], w[fine]])
        error = (network([w] * LAYERS) - images).square().mean()
    nearest = (made[:, None] - images[None]).square().mean((2, 3, 4)).argmin(1)
    places, textures = coarse // 4 != fine // 4, coarse % 4 != fine % 4
    found = {
        "fit": error,
        "place": (nearest // 4 == coarse // 4)[places].float().mean(),
        "texture_coarse": (nearest % 4 == coarse % 4)[textures].float().mean(),
        "texture_fine": (nearest % 4 == fine % 4)[textures].float().mean(),
    }
    return made.view(16, 16, 1, 16, 16), {name: float(value) for name, value in found.items()}
