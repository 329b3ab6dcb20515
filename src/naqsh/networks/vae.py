"""Encoder and decoder of the VAEs: the convolutions of beta-VAE's dSprites network, for any size.

Each stage halves the image with a 4x4 convolution; where it is 4x4 (or its sides no longer
halve), one convolution takes all that is left to 1x1. The decoder is the encoder backwards. For
64x64 the encoder is

    Conv4x4/2 32, 32, 64, 64 | Conv4x4 256 | mean and log-variance

each but the last followed by ReLU. Smaller images leave out the first of these stages, larger
ones repeat the last.

References:
    Understanding disentangling in beta-VAE (Burgess et al., 2018), arXiv:1804.03599, section A.1.
    ControlVAE (Shao et al., 2020), arXiv:2004.05988, whose released code has these layers.
    Delving Deep into Rectifiers (He et al., 2015), arXiv:1502.01852, equation 10.
"""

from collections import OrderedDict

import torch
from torch import nn

from naqsh.core.spec import Shape

STAGES = (32, 32, 64, 64)
HIDDEN = 256


def _plan(shape: Shape, width: int) -> tuple[list[int], tuple[int, int]]:
    """Channels after each stage, and height and width of what the stages leave."""
    _, height, side = shape
    if height % 4 or side % 4:
        raise ValueError(f"sides must divide by 4, got {height}x{side}; give data.size, e.g. 32")
    halvings = 0
    while height % 2 == side % 2 == 0 and min(height, side) > 4:
        height, side, halvings = height // 2, side // 2, halvings + 1
    stages = STAGES + STAGES[-1:] * (halvings - len(STAGES))
    return [width * number for number in stages[len(stages) - halvings :]], (height, side)


def encoder(shape: Shape, latent: int, width: int = 1, context: int = 0) -> nn.Sequential:
    """Images to the mean and log-variance of their latents.

    Args:
        shape: (C, H, W) of the images; H and W divide by 4.
        latent: number of latents.
        width: factor on every number of channels.
        context: how many numbers it gives beside, for whatever else depends on an image.

    Returns:
        images with shape (N, C, H, W) to means, log-variances and context side by side, shape
        (N, 2 * latent + context): linear heads as one matrix.
    """
    channels, rest = _plan(shape, width)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before = shape[0]
    for number, after in enumerate(channels, 1):
        layers[f"conv{number}"] = nn.Conv2d(before, after, 4, stride=2, padding=1)
        layers[f"relu{number}"] = nn.ReLU(inplace=True)
        before = after
    layers["conv_last"] = nn.Conv2d(before, HIDDEN * width, rest)
    layers["relu_last"] = nn.ReLU(inplace=True)
    layers["flatten"] = nn.Flatten()
    layers["heads"] = nn.Linear(HIDDEN * width, 2 * latent + context)
    return _initialised(nn.Sequential(layers))


def decoder(shape: Shape, latent: int, width: int = 1) -> nn.Sequential:
    """Latents to what a likelihood makes of an image: logits or means.

    Args:
        shape: (C, H, W) of the images; H and W divide by 4.
        latent: number of latents.
        width: factor on every number of channels.

    Returns:
        latents with shape (N, latent) to unbounded numbers with shape (N, C, H, W).
    """
    channels, rest = _plan(shape, width)
    channels = [shape[0], *channels]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["linear"] = nn.Linear(latent, HIDDEN * width)
    layers["relu"] = nn.ReLU(inplace=True)
    layers["unflatten"] = nn.Unflatten(1, (HIDDEN * width, 1, 1))
    layers["conv_first"] = nn.ConvTranspose2d(HIDDEN * width, channels[-1], rest)
    for number in range(len(channels) - 1, 0, -1):
        layers[f"relu{number}"] = nn.ReLU(inplace=True)
        before, after = channels[number], channels[number - 1]
        layers[f"conv{number}"] = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)
    return _initialised(nn.Sequential(layers))


def _initialised(network: nn.Sequential) -> nn.Sequential:
    """He's weights and no bias, on what the released code initialises: not transposed layers.

    Channels come last in memory, which makes a training step on a CPU 1.2 times as fast.
    """
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
