"""R3GAN's networks: against plain functions, at their beginning, and in their shapes."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from naqsh.networks import r3gan


def test_a_block_is_a_plain_sum_of_products() -> None:
    torch.manual_seed(0)
    block = r3gan.Block(16, 2)
    nn.init.normal_(block.narrow.weight, std=0.2)
    x = torch.randn(3, 16, 5, 4)
    weights = block.state_dict()

    def phi(y: Tensor) -> Tensor:
        return torch.maximum(y, y / 5)

    y = torch.einsum("oi,nihw->nohw", weights["widen.weight"][:, :, 0, 0], x)
    y = phi(y + weights["widen.bias"].view(1, -1, 1, 1))
    groups = [  # 16 channels see 16 channels
        conv2d(y[:, 16 * g : 16 * g + 16], weights["mix.weight"][16 * g : 16 * g + 16], padding=1)
        for g in range(2)
    ]
    y = phi(torch.cat(groups, 1) + weights["mix.bias"].view(1, -1, 1, 1))
    y = x + torch.einsum("oi,nihw->nohw", weights["narrow.weight"][:, :, 0, 0], y)
    torch.testing.assert_close(block(x), y, rtol=1e-4, atol=1e-5)


def test_a_block_begins_as_the_identity() -> None:
    block = r3gan.Block(16, 2)
    x = torch.randn(2, 16, 4, 4)
    assert torch.equal(block(x), x)
    block(x).sum().backward()
    assert block.narrow.weight.grad is not None
    assert block.narrow.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("blocks", [1, 8])
def test_first_weights_have_the_variance_of_fixup(blocks: int) -> None:
    """Of 32,768 normal weights the deviation has a relative standard error of 0.4 %."""
    torch.manual_seed(0)
    block = r3gan.Block(128, blocks)
    gain = math.sqrt(2 / (1 + 0.04)) / blocks**0.25
    for layer, inputs in ((block.widen, 128), (block.mix, 16 * 9)):
        assert float(layer.weight.detach().std()) == pytest.approx(
            gain / math.sqrt(inputs), rel=0.02
        )


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 16, 24)])
@pytest.mark.parametrize("blocks", [1, 2])
def test_networks_fit_images(shape: tuple[int, int, int], blocks: int) -> None:
    torch.manual_seed(0)
    images = r3gan.generator(shape, 8, 16, blocks)(torch.randn(5, 8))
    assert images.shape == (5, *shape)
    assert images.abs().max() <= 1
    critic = r3gan.discriminator(shape, 16, blocks)
    assert critic(images).shape == (5,)
    layers = [m for m in critic.modules() if isinstance(m, r3gan.Block)]
    assert len(layers) == 2 * blocks
    assert not [m for m in critic.modules() if "Norm" in type(m).__name__]


def test_what_goes_through_keeps_its_scale() -> None:
    """Without normalisation: of normal latents and images, the scores begin near unit variance."""
    torch.manual_seed(0)
    shape = (1, 28, 28)
    before = nn.Sequential(*list(r3gan.generator(shape, 64, 32))[:-1])
    assert 0.3 < float(before(torch.randn(200, 64)).detach().std()) < 3
    assert 0.2 < float(r3gan.discriminator(shape, 32)(torch.randn(200, *shape)).detach().std()) < 3
