"""The networks of CycleGAN and pix2pix against their layers written out one by one."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from naqsh.core.noise import Noise
from naqsh.networks import patchgan, resnet
from naqsh.networks.instance import InstanceNorm
from naqsh.networks.pix2pix_unet import Generator


def numbers(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def drawn(network: nn.Module) -> list[Tensor]:
    """Random weights, biases not 0, in float64; in the order in which they are defined."""
    torch.manual_seed(0)
    network.double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.1, 0.5 / math.sqrt(parameter[0].numel()))
    return [parameter.detach() for parameter in network.parameters()]


def instance_norm(x: Tensor) -> Tensor:
    """By the definition: a biased variance, 1e-5 under the root."""
    mean = x.mean((2, 3), keepdim=True)
    return (x - mean) / torch.sqrt(((x - mean) ** 2).mean((2, 3), keepdim=True) + 1e-5)


def reflected(x: Tensor, by: int) -> Tensor:
    """Rows and columns by their numbers: ... 2 1 | 0 1 2 ..."""
    for axis in (2, 3):
        n = x.shape[axis]
        index = [abs(i) if i < n else 2 * (n - 1) - i for i in range(-by, n + by)]
        x = x.index_select(axis, torch.tensor(index))
    return x


def close(mine: Tensor, theirs: Tensor) -> None:
    assert mine.shape == theirs.shape
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("blocks", "count"), [(6, 7_837_699), (9, 11_378_179)])
def test_the_generator_has_the_published_number_of_parameters(blocks: int, count: int) -> None:
    assert numbers(resnet.generator(3, 3, blocks=blocks)) == count


def test_the_discriminator_has_the_published_number_of_parameters() -> None:
    assert numbers(patchgan.discriminator((3, 256, 256))) == 2_764_737


def test_pix2pix_has_the_published_numbers_of_parameters() -> None:
    """54.414 and 2.769 million, as the authors' program prints them."""
    assert round(numbers(Generator(3, 3)) / 1e3) == 54_414
    assert round(numbers(patchgan.discriminator((6, 256, 256), affine=True)) / 1e3) == 2_769


@pytest.mark.parametrize("upsample", ["transposed", "nearest"])
def test_the_generator_layer_by_layer(upsample) -> None:
    network = resnet.generator(3, 2, width=4, blocks=2, upsample=upsample)
    weights = iter(drawn(network))
    x = images = torch.randn(2, 3, 12, 16, dtype=torch.float64)

    def conv(x: Tensor, **options: int) -> Tensor:
        return F.conv2d(x, next(weights), next(weights), **options)

    x = F.relu(instance_norm(conv(reflected(x, 3))))
    x = F.relu(instance_norm(conv(x, stride=2, padding=1)))
    x = F.relu(instance_norm(conv(x, stride=2, padding=1)))
    for _ in range(2):
        inner = F.relu(instance_norm(conv(reflected(x, 1))))
        x = x + instance_norm(conv(reflected(inner, 1)))
    for _ in range(2):
        if upsample == "nearest":
            x = conv(reflected(x.repeat_interleave(2, 2).repeat_interleave(2, 3), 1))
        else:
            x = F.conv_transpose2d(
                x, next(weights), next(weights), stride=2, padding=1, output_padding=1
            )
        x = F.relu(instance_norm(x))
    x = torch.tanh(conv(reflected(x, 3)))
    assert next(weights, None) is None
    close(network(images), x)


@pytest.mark.parametrize(("strides", "side", "scores"), [(3, 128, 14), (2, 64, 14), (1, 16, 6)])
@pytest.mark.parametrize("affine", [False, True])
def test_the_discriminator_layer_by_layer(
    strides: int, side: int, scores: int, affine: bool
) -> None:
    assert patchgan.strides_for(side) == strides
    network = patchgan.discriminator((3, side, side), width=4, affine=affine)
    weights = iter(drawn(network))
    x = images = torch.randn(2, 3, side, side, dtype=torch.float64)
    x = F.leaky_relu(F.conv2d(x, next(weights), next(weights), stride=2, padding=1), 0.2)
    for stride in (*[2] * (strides - 1), 1):
        w = next(weights)
        x = F.conv2d(x, w, None if affine else next(weights), stride=stride, padding=1)
        x = instance_norm(x)
        if affine:
            scale, shift = next(weights), next(weights)
            x = x * scale[:, None, None] + shift[:, None, None]
        x = F.leaky_relu(x, 0.2)
    x = F.conv2d(x, next(weights), next(weights), padding=1)
    assert next(weights, None) is None
    assert x.shape == (2, 1, scores, scores)
    close(network(images), x)


@pytest.mark.parametrize(("strides", "field"), [(1, 16), (2, 34), (3, 70)])
def test_how_much_a_score_sees(strides: int, field: int) -> None:
    """The pixels that one score's gradient reaches, without normalisation, which sees all."""
    network = patchgan.discriminator((1, 96, 96), width=2, strides=strides)
    plain = nn.Sequential(*(m for m in network if not isinstance(m, InstanceNorm)))
    for parameter in plain.parameters():
        nn.init.constant_(parameter, 1.0)
    images = torch.ones(1, 1, 96, 96, requires_grad=True)
    scores = plain(images)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert images.grad is not None
    reached = images.grad[0, 0].nonzero()
    assert (reached.amax(0) - reached.amin(0) + 1).tolist() == [field, field]


def test_too_small_for_a_discriminator() -> None:
    patchgan.discriminator((1, 24, 24), width=2, strides=3)(torch.zeros(1, 1, 24, 24))
    with pytest.raises(ValueError, match="3 strides needs sides of at least 24, got 20x64"):
        patchgan.discriminator((1, 20, 64), strides=3)


def test_the_unet_level_by_level() -> None:
    """Six levels, so that one step up drops; batch normalisation of one image at a time."""
    downs, width = 6, 2
    network = Generator(3, 2, width, downs)
    w = drawn(network)
    assert len(w) == 6 + 4 * 2 + 7 + 5 * 2
    down, down_norm, up, up_norm = w[:6], w[6:14], w[14:21], w[21:]
    widths = [2, 4, 8, 16, 16, 16]
    images = torch.randn(2, 3, 64, 128, dtype=torch.float64)
    noise = Noise(7, 2)
    kept = Noise(7, 2).uniform(16, 4, 8) >= 0.5
    assert 0.4 < float(kept.double().mean()) < 0.6

    def norm(x: Tensor, of: list[Tensor], k: int) -> Tensor:
        return F.batch_norm(x, None, None, of[2 * k], of[2 * k + 1], training=True)

    def one(number: int) -> Tensor:
        skips = [F.conv2d(images[number : number + 1], down[0], stride=2, padding=1)]
        for k in range(1, downs):
            x = F.conv2d(F.leaky_relu(skips[-1], 0.2), down[k], stride=2, padding=1)
            skips.append(x if k == downs - 1 else norm(x, down_norm, k - 1))
        assert [s.shape[1] for s in skips] == widths
        x = skips.pop()
        for k in range(downs - 1):
            x = norm(F.conv_transpose2d(F.relu(x), up[k], stride=2, padding=1), up_norm, k)
            if k == 1:
                x = torch.where(kept[number : number + 1], 2 * x, 0.0)
            x = torch.cat([skips.pop(), x], 1)
        last = F.conv_transpose2d(F.relu(x), up[5], up[6], stride=2, padding=1)
        return torch.tanh(last)

    close(network(images, noise), torch.cat([one(0), one(1)]))
    assert noise.draws == 1


def test_the_deepest_steps_up_drop() -> None:
    """Three at 256x256, two at 128x128, none where there are five levels or fewer."""
    assert [list(Generator(1, 1, 2, n).dropping) for n in (8, 7, 5, 4)] == [
        [1, 2, 3],
        [1, 2],
        [],
        [],
    ]


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(lambda: resnet.generator(3, 3, 32, 2), id="resnet"),
        pytest.param(lambda: patchgan.discriminator((3, 64, 64), 32, affine=True), id="patchgan"),
        pytest.param(lambda: Generator(3, 3, 16, 5), id="unet"),
    ],
)
def test_weights_begin_as_published(network) -> None:
    """Each layer's mean within 5 of its own errors of 0, its spread within 5 of 0.02."""
    torch.manual_seed(1)
    for name, tensor in network().named_parameters():
        parameter = tensor.detach()
        count = parameter.numel()
        scale = parameter.dim() == 1 and name.endswith("weight")
        if name.endswith("bias"):
            assert not parameter.any(), name
            continue
        assert abs(float(parameter.mean()) - scale) < 5 * 0.02 / math.sqrt(count), name
        if count > 1:
            spread = float(parameter.std())
            assert abs(spread - 0.02) < 5 * 0.02 / math.sqrt(2 * (count - 1)), name
