"""Networks that translate images: a small CycleGAN, weights by formulas, what numbers see."""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.methods import cyclegan
from naqsh.networks import patchgan


def conv(inputs: int, outputs: int, side: int, bias: bool = True) -> int:
    """Weights of a convolution."""
    return outputs * (inputs * side**2 + bias)


def resnet(blocks: int) -> int:
    """Weights of CycleGAN's generator, 64 channels wide, of images in colour."""
    down = conv(3, 64, 7) + conv(64, 128, 3) + conv(128, 256, 3)
    up = conv(256, 128, 3) + conv(128, 64, 3) + conv(64, 3, 7)
    return down + 2 * blocks * conv(256, 256, 3) + up


def critic() -> int:
    """Weights of the discriminator of 70x70 patches."""
    return sum(conv(a, b, 4) for a, b in itertools.pairwise((3, 64, 128, 256, 512, 1)))


def unet() -> int:
    """Weights of pix2pix's generator for 256x256: those of convolutions and of normalisation."""
    widths = [3, 64, 128, 256, *[512] * 5]
    down = sum(conv(a, b, 4, bias=False) for a, b in itertools.pairwise(widths))
    ups = list(itertools.pairwise(widths[:0:-1]))
    # All but the innermost take twice as many channels: what comes up, and the skip.
    up = sum(conv(a * (1 + (n > 0)), b, 4, bias=False) for n, (a, b) in enumerate(ups))
    normalised = sum(widths[2:-1]) + sum(b for _, b in ups)
    return down + up + 2 * normalised + conv(128, 3, 4)


def plain(network: nn.Sequential) -> nn.Sequential:
    """A network's convolutions alone, every weight 1: its slopes show what it sees."""
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU | nn.LeakyReLU | nn.InstanceNorm2d | nn.Tanh):
                setattr(module, name, nn.Identity())
    for weights in network.parameters():
        nn.init.ones_(weights)
    return network.double()


def seen(network: nn.Sequential, side: int) -> int:
    """How many pixels in a row reach the number in the middle of what a network gives."""
    image = torch.ones(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    made = plain(network)(image)
    (slope,) = torch.autograd.grad(made[0, 0, made.shape[2] // 2, made.shape[3] // 2], image)
    return int((slope[0, 0] != 0).any(0).sum())


def reach(blocks: int, side: int) -> int:
    """The same of CycleGAN's generator by intervals, from its last layer to its first."""
    low, high = side // 2 - 3, side // 2 + 3
    for _ in range(2):  # y of a transposed convolution takes from x, (y - 1) / 2 to (y + 1) / 2
        low, high = math.ceil((low - 1) / 2), math.floor((high + 1) / 2)
    low, high = low - 2 * blocks, high + 2 * blocks
    for _ in range(2):
        low, high = 2 * low - 1, 2 * high + 1
    return high + 3 - (low - 3) + 1


def judge() -> nn.Sequential:
    """A discriminator of 16x16 patches, without normalisation, the only thing that mixes places."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = patchgan.discriminator((1, 64, 64), 8, 1).double()
    network[3] = nn.Identity()
    return network


def unpadded(network: nn.Sequential, images: Tensor) -> Tensor:
    """What a fresh discriminator, whose biases are 0, gives without padding."""
    for layer in network:
        images = (
            conv2d(images, layer.weight, None, layer.stride)
            if isinstance(layer, nn.Conv2d)
            else layer(images)
        )
    return images


def pair() -> cyclegan.CycleGAN:
    """Naqsh's CycleGAN on grey images of 8x8, with narrow networks of fixed weights."""
    spec = cyclegan.Spec(width=4, critic_width=4, blocks=1, pool=0, identity=0.5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return spec.build(Layout((1, 8, 8), second=(1, 8, 8)))


def batch(symmetric: bool = False) -> Batch:
    """Eight random images of each domain; those of B, if asked for, with their negatives."""
    noise = Noise(6, 8)
    a, b = (noise.uniform(1, 8, 8) * 2 - 1 for _ in range(2))
    return Batch(a, None, noise, second=torch.cat([b[:4], -b[:4]]) if symmetric else b)
