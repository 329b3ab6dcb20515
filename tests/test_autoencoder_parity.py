"""Encoder and decoder of the autoencoder against diffusers' AutoencoderKL, on its weights."""

import pytest
import torch
from torch import nn

from naqsh.networks.autoencoder import Decoder, Encoder
from naqsh.networks.unet_blocks import Down, ResidualBlock, SelfAttention, Up

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed: extra parity")

WIDTH, MULTIPLIERS, GROUPS = 8, (1, 2), 4


def theirs():
    """diffusers' autoencoder with every weight at work."""
    torch.manual_seed(0)
    return diffusers.AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=tuple(WIDTH * factor for factor in MULTIPLIERS),
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=GROUPS,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).double()


def ours(kind, inputs, outputs):
    """One of our networks, with as many groups at every width as theirs."""
    network = kind(inputs, outputs, WIDTH, MULTIPLIERS, blocks=2, attention=True).double()
    for part in network.modules():
        if isinstance(part, nn.GroupNorm):
            part.num_groups = GROUPS
    return network


def parts_of(network):
    """What diffusers' network has between its first and its last convolution, in order."""
    middle = [network.mid_block.resnets[0], network.mid_block.attentions[0]]
    middle.append(network.mid_block.resnets[1])
    if hasattr(network, "up_blocks"):
        yield from middle
    for level in network.up_blocks if hasattr(network, "up_blocks") else network.down_blocks:
        yield from level.resnets
        yield from getattr(level, "upsamplers", None) or getattr(level, "downsamplers", None) or ()
    if not hasattr(network, "up_blocks"):
        yield from middle


def load(network, other):
    """Give our network the weights of theirs."""
    pairs = [(network.first, other.conv_in), (network.norm, other.conv_norm_out)]
    pairs.append((network.last, other.conv_out))
    inner = [network.middle, network.up] if isinstance(network, Decoder) else []
    inner = inner or [network.down, network.middle]
    own = [part for several in inner for part in several]
    for mine, part in zip(own, parts_of(other), strict=True):
        if isinstance(mine, Down | Up):
            pairs.append((mine.conv, part.conv))
        elif isinstance(mine, ResidualBlock):
            pairs += [(getattr(mine, n), getattr(part, n)) for n in ("norm1", "conv1")]
            pairs += [(getattr(mine, n), getattr(part, n)) for n in ("norm2", "conv2")]
            if not isinstance(mine.skip, nn.Identity):
                pairs.append((mine.skip, part.conv_shortcut))
        else:
            assert isinstance(mine, SelfAttention)
            pairs += [(mine.norm, part.group_norm), (mine.projection, part.to_out[0])]
            three = [part.to_q, part.to_k, part.to_v]
            for kind in ("weight", "bias"):
                joined = torch.cat([getattr(one, kind) for one in three])
                getattr(mine.qkv, kind).data.copy_(joined.data)
    for mine, part in pairs:
        mine.load_state_dict(part.state_dict())


def numbers(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_encoder_and_decoder_are_diffusers():
    other = theirs()
    encoder, decoder = ours(Encoder, 3, 8), ours(Decoder, 4, 3)
    assert numbers(encoder) + numbers(decoder) == numbers(other)
    load(encoder, other.encoder)
    load(decoder, other.decoder)
    images = torch.randn(2, 3, 8, 12, dtype=torch.float64)
    posterior = other.encode(images).latent_dist
    told = encoder(images)
    mean, log_variance = told.chunk(2, dim=1)
    torch.testing.assert_close(mean, posterior.mean)
    torch.testing.assert_close(log_variance.clamp(-30, 20), posterior.logvar)
    made, reference = decoder(mean), other.decode(posterior.mean).sample
    torch.testing.assert_close(made, reference)
    # theirs sums over latents
    kl = (mean.square() + log_variance.exp() - 1 - log_variance).sum((1, 2, 3)) / 2
    torch.testing.assert_close(kl, posterior.kl())
