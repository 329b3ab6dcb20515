"""The U-Net: its size in the paper, its parts by their formulas, what it refuses."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.networks.embeddings import Sinusoidal
from naqsh.networks.unet import UNet
from naqsh.networks.unet_blocks import Down, ResidualBlock, SelfAttention, Up, group_norm


def small(**changes: object) -> UNet:
    """A tiny network for 8x8, every weight of it at work."""
    numbers: dict[str, object] = {"width": 8, "multipliers": (1, 2), "attention": (8,)}
    torch.manual_seed(0)
    network = UNet((2, 8, 8), **(numbers | changes))  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def seen(count: int = 3) -> tuple[Tensor, Tensor]:
    """Images and times."""
    noise = Noise(1, count)
    return noise.normal(2, 8, 8), noise.uniform() * 1000


def test_the_papers_network_has_the_released_codes_number_of_parameters() -> None:
    with torch.device("meta"):
        network = UNet((3, 32, 32), 128, (1, 2, 2, 2), blocks=2, attention=(16,), dropout=0.1)
        assert sum(p.numel() for p in network.parameters()) == 35_746_307
        assert network(torch.zeros(2, 3, 32, 32), torch.zeros(2)).shape == (2, 3, 32, 32)
    attending = [name for name, part in network.named_modules() if isinstance(part, SelfAttention)]
    # Two blocks on the way down at 16x16, one in the middle, three on the way up.
    assert len(attending) == 6


def test_embedding_of_time_is_its_closed_form() -> None:
    times = [0.0, 0.25, 1.0, 999.0, 1000.0, -1.5]
    told = Sinusoidal(6)(torch.tensor(times))
    for row, t in zip(told.tolist(), times, strict=True):
        angles = [t, t / 100, t / 10_000]
        expected = [*(math.sin(a) for a in angles), *(math.cos(a) for a in angles)]
        # float32 knows an angle of 1000 to 6e-5.
        assert row == pytest.approx(expected, abs=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        neighbours = Sinusoidal(6)(torch.tensor([999.0, 1000.0]))
    assert float((neighbours[0] - neighbours[1]).abs().max()) > 0.5


@pytest.mark.parametrize("heads", [1, 2])
def test_attention_is_the_softmax_of_scaled_products(heads: int) -> None:
    torch.manual_seed(1)
    layer = SelfAttention(8, heads)
    torch.nn.init.normal_(layer.projection.weight)
    torch.nn.init.normal_(layer.qkv.bias)
    x = Noise(2, 2).normal(8, 3, 4)
    rows = layer.norm(x).flatten(2).transpose(1, 2)
    expected = torch.zeros(2, 12, 8)
    weights, biases = layer.qkv.weight.chunk(3), layer.qkv.bias.chunk(3)
    query, key, value = (rows @ w.T + b for w, b in zip(weights, biases, strict=True))
    size = 8 // heads
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = torch.einsum("nid,njd->nij", query[..., part], key[..., part]) / math.sqrt(size)
        expected[..., part] = scores.softmax(2) @ value[..., part]
    expected = x + layer.projection(expected).transpose(1, 2).view_as(x)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_a_fresh_network_says_zero_and_its_blocks_do_nothing() -> None:
    network = UNet((2, 8, 8), 8, (1, 2), attention=(8,))
    x, time = seen()
    assert torch.equal(network(x, time), torch.zeros_like(x))
    block, attention = ResidualBlock(8, 8, 16, 0.0), SelfAttention(8)
    features = Noise(3, 2).normal(8, 4, 4)
    assert torch.equal(block(features, Noise(4, 2).normal(16)), features)
    assert torch.equal(attention(features), features)


def test_every_parameter_learns() -> None:
    network = small(classes=3)
    x, time = seen()
    labels = torch.tensor([0, 1, 2])
    network(x, time, labels).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


def test_the_output_depends_on_time_class_and_every_pixel() -> None:
    network = small(classes=3).eval()
    x, time = seen(1)
    labels = torch.tensor([1])
    said = network(x, time, labels)
    assert not torch.allclose(said, network(x, time + 0.5, labels), atol=1e-4)
    assert not torch.allclose(said, network(x, time, labels + 1), atol=1e-4)
    x.requires_grad_()
    network(x, time, labels)[0, 0, 0, 0].backward()
    assert x.grad is not None
    assert bool((x.grad != 0).all())  # by attention, also the far corner


def test_a_map_of_places_is_zero_at_first_and_is_added_behind_the_first_layer() -> None:
    torch.manual_seed(0)
    fresh = UNet((2, 8, 8), 8, (1, 2), places=True)
    assert fresh.places is not None
    assert fresh.places.shape == (8, 8, 8)
    assert torch.count_nonzero(fresh.places) == 0
    network = small(places=True).eval()
    assert network.places is not None
    # A constant of each channel is what the first layer's bias may be, too.
    plain = small(places=True).eval()
    assert plain.places is not None
    with torch.no_grad():
        constant = torch.randn(8)
        network.places.copy_(constant[:, None, None].expand(8, 8, 8))
        plain.places.zero_()
        plain.first.bias += constant
    x, time = seen()
    torch.testing.assert_close(network(x, time), plain(x, time))
    with torch.no_grad():
        network.places[:, 0, 0] += 1
    assert not torch.allclose(network(x, time), plain(x, time), atol=1e-4)


def test_no_label_is_the_class_none() -> None:
    network = small(classes=3).eval()
    x, time = seen()
    none = torch.full((3,), 3)
    assert torch.equal(network(x, time), network(x, time, none))
    plain = small()
    assert plain.label is None
    assert torch.equal(plain(x, time), plain(x, time, none))


def test_pictures_do_not_see_each_other() -> None:
    network = small().eval()
    x, time = seen()
    together, alone = network(x, time), network(x[1:2], time[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)


def test_dropout_is_at_work_in_training_alone() -> None:
    network = small(dropout=0.5)
    x, time = seen()
    assert not torch.equal(network(x, time), network(x, time))
    network.eval()
    assert torch.equal(network(x, time), network(x, time))


def test_steps_between_levels_halve_and_double() -> None:
    x = Noise(5, 2).normal(4, 6, 8)
    assert Down(4)(x).shape == (2, 4, 3, 4)
    assert Up(4)(x).shape == (2, 4, 12, 16)
    # Padded below and to the right: the first output looks at the first 3x3 pixels.
    down = Down(4)
    first = torch.einsum("oikl,ikl->o", down.conv.weight, x[0, :, :3, :3])
    torch.testing.assert_close(down(x)[0, :, 0, 0], first, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "multipliers"),
    [((1, 28, 28), (1, 2, 2)), ((3, 12, 20), (1, 1, 2)), ((1, 7, 7), (1,))],
)
def test_any_size_that_halves_evenly(
    shape: tuple[int, int, int], multipliers: tuple[int, ...]
) -> None:
    network = UNet(shape, 8, multipliers, blocks=2, outputs=5)
    assert network(torch.zeros(2, *shape), torch.zeros(2)).shape == (2, 5, *shape[1:])


def test_groups_divide_the_channels() -> None:
    groups = {channels: group_norm(channels).num_groups for channels in (1, 6, 8, 24, 96, 128, 384)}
    assert groups == {1: 1, 6: 1, 8: 2, 24: 6, 96: 24, 128: 32, 384: 32}


def test_more_width_or_levels_cost_more_and_classes_cost_their_vectors() -> None:
    def size(**changes: object) -> int:
        return sum(p.numel() for p in small(**changes).parameters())

    growing = [size(), size(classes=3), size(blocks=2), size(width=16)]
    assert all(a < b for a, b in pairwise(growing))
    assert growing[1] - growing[0] == 4 * 32


@pytest.mark.parametrize(
    ("numbers", "complaint"),
    [
        ({"shape": (1, 30, 28), "multipliers": (1, 2, 2)}, "divide by 4, got 30x28"),
        ({"shape": (1, 28, 28), "multipliers": ()}, "at least one multiplier"),
        ({"shape": (1, 8, 8), "width": 7, "multipliers": (1,)}, "even length"),
        ({"shape": (1, 8, 8), "width": 8, "heads": 5}, "5 attention heads do not divide 48"),
    ],
)
def test_what_does_not_fit_is_refused(numbers: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        UNet(**numbers)  # type: ignore[arg-type]
