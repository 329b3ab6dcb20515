"""The U-Net of DDPM against diffusers': on its weights, the same output and the same gradient."""

import pytest
import torch
from torch import Tensor, nn

from naqsh.networks.unet import UNet
from naqsh.networks.unet_blocks import Down, Stage, Up

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed: extra parity")

SHAPE = (3, 16, 16)
NUMBERS = (128, (1, 2, 2))
"""The paper's widths, with which our groups are theirs; a level less."""


def theirs():
    """diffusers' network with every weight at work."""
    torch.manual_seed(0)
    width, multipliers = NUMBERS
    network = diffusers.UNet2DModel(
        sample_size=16,
        block_out_channels=tuple(width * factor for factor in multipliers),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
    ).double()
    return network


def blocks_of(network):
    """What diffusers' network has between its first and its last convolution, in order."""
    for level in network.down_blocks:
        yield from _stages(level)
        for part in level.downsamplers or ():
            yield "change", part.conv, None
    middle = network.mid_block
    yield "stage", middle.resnets[0], middle.attentions[0]
    yield "stage", middle.resnets[1], None
    for level in network.up_blocks:
        yield from _stages(level)
        for part in level.upsamplers or ():
            yield "change", part.conv, None


def _stages(level):
    attentions = getattr(level, "attentions", [None] * len(level.resnets))
    for block, attention in zip(level.resnets, attentions, strict=True):
        yield "stage", block, attention


def load(ours, other):
    """Give our network the weights of theirs."""
    pairs = [
        (ours.embed[1], other.time_embedding.linear_1),
        (ours.embed[3], other.time_embedding.linear_2),
        (ours.first, other.conv_in),
        (ours.norm, other.conv_norm_out),
        (ours.last, other.conv_out),
    ]
    parts = [*ours.down, *ours.middle, *ours.up]
    for part, (kind, block, attention) in zip(parts, blocks_of(other), strict=True):
        if isinstance(part, Down | Up):
            assert kind == "change"
            pairs.append((part.conv, block))
            continue
        assert isinstance(part, Stage)
        names = {"time": "time_emb_proj", "skip": "conv_shortcut"}
        for name in ("norm1", "conv1", "time", "norm2", "conv2", "skip"):
            own = getattr(part.block, name)
            if not isinstance(own, nn.Identity):
                pairs.append((own, getattr(block, names.get(name, name))))
        assert (part.attention is None) == (attention is None)
        if part.attention is not None and attention is not None:
            pairs.append((part.attention.norm, attention.group_norm))
            pairs.append((part.attention.projection, attention.to_out[0]))
            three = [attention.to_q, attention.to_k, attention.to_v]
            for kind in ("weight", "bias"):
                joined = torch.cat([getattr(one, kind) for one in three])
                getattr(part.attention.qkv, kind).data.copy_(joined.data)
    for own, part in pairs:
        own.load_state_dict(part.state_dict())


def test_output_and_gradient_are_diffusers():
    other = theirs()
    width, multipliers = NUMBERS
    ours = UNet(SHAPE, width, multipliers, blocks=2, attention=(8,)).double()
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in other.parameters())
    load(ours, other)
    torch.manual_seed(1)
    x = torch.randn(2, *SHAPE, dtype=torch.float64)
    time = torch.tensor([3.0, 711.0], dtype=torch.float64)

    def made(network):
        seen = x.clone().requires_grad_()
        out = network(seen, time)
        out = out if isinstance(out, Tensor) else out.sample
        (gradient,) = torch.autograd.grad(out.square().sum(), seen)
        return out.detach(), gradient

    for mine, reference in zip(made(ours), made(other), strict=True):
        # Angles of the time are float32 in both: 1000 radians to 6e-5.
        torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-4 * reference.abs().max())
