"""Objectives and penalties of adversarial methods against closed forms and plain loops."""

import math

import pytest
import torch
from torch import Tensor, nn

from naqsh.adversarial import penalties
from naqsh.adversarial.objectives import OBJECTIVES
from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.methods.gan import GAN, Spec

SHAPE = (1, 16, 16)


def batch(count: int = 6) -> Batch:
    return Batch(Noise(9, count).uniform(*SHAPE) * 2 - 1, None, Noise(1, count))


def test_the_relativistic_loss_compares_pairs() -> None:
    """Each real score with the fake one at its place, by the logarithm of a chance."""
    real, fake = [-1.5, 0.3, 2.0, 0.1], [-0.7, 0.0, 1.1, 3.0]

    def loss(ahead: list[float], behind: list[float]) -> float:
        chances = [1 / (1 + math.exp(b - a)) for a, b in zip(ahead, behind, strict=True)]
        return -sum(math.log(chance) for chance in chances) / len(chances)

    objective = OBJECTIVES["relativistic"]
    scores = torch.tensor(real, dtype=torch.float64), torch.tensor(fake, dtype=torch.float64)
    assert float(objective.critic(*scores)) == pytest.approx(loss(real, fake), rel=1e-12)
    assert float(objective.generator(*scores)) == pytest.approx(loss(fake, real), rel=1e-12)
    assert not math.isclose(loss(real, fake), loss(fake, real), rel_tol=0.1)


def test_a_relativistic_gan_scores_real_images_in_both_phases() -> None:
    method = GAN(Spec(objective="relativistic"), SHAPE)
    seen = batch()
    with torch.no_grad():
        images = method.generator(Noise(1, 6).normal(64))
        real = torch.cat([method.critic(image[None]) for image in seen.images])
        fake = torch.cat([method.critic(image[None]) for image in images])
    losses = method.critic_losses(seen, 0)
    expected = OBJECTIVES["relativistic"].critic(real, fake)
    torch.testing.assert_close(losses["total"].detach(), expected)
    assert float(losses["accuracy"]) == float((real > fake).float().mean())
    assert "wasserstein" not in losses
    losses = method.generator_losses(batch(), 1)
    expected = OBJECTIVES["relativistic"].generator(real, fake)
    torch.testing.assert_close(losses["total"].detach(), expected)


class Quadratic(nn.Module):
    """D(x) = x'Ax / 2 + b'x with a symmetric A, whose gradient is Ax + b."""

    def __init__(self, size: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        source = torch.Generator().manual_seed(0)
        half = torch.randn((size, size), generator=source, dtype=dtype) / size
        self.curve = nn.Parameter(half + half.T)
        self.slope = nn.Parameter(torch.randn(size, generator=source, dtype=dtype) / size)

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)
        return ((x @ self.curve) * x).sum(1) / 2 + x @ self.slope


def test_r1_of_a_quadratic_critic_is_closed_form_and_so_is_its_gradient() -> None:
    """Of gamma/2 E |Ax + b|^2 the derivative by b is gamma E (Ax + b)."""
    critic = Quadratic(5, torch.float64)
    x = torch.randn((7, 5), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x.requires_grad_()
    found = penalties.zero_centred(penalties.gradients(critic(x), x))
    slopes = [critic.curve.detach() @ point + critic.slope.detach() for point in x.detach()]
    expected = sum(float(slope.square().sum()) for slope in slopes) / 7 / 2
    assert float(found.detach()) == pytest.approx(expected, rel=1e-12)
    found.backward()
    assert critic.slope.grad is not None
    torch.testing.assert_close(critic.slope.grad, torch.stack(slopes).mean(0))


@pytest.mark.parametrize(("r1", "r2"), [(3.0, 0.0), (0.0, 0.7), (3.0, 0.7)])
def test_each_gamma_weights_its_own_images(r1: float, r2: float) -> None:
    """Against a critic without either, and gradients taken image by image."""
    method = GAN(Spec(r1=r1, r2=r2), SHAPE)
    method.critic = Quadratic(256)
    plain = GAN(Spec(), SHAPE)
    plain.generator, plain.critic = method.generator, method.critic
    seen = batch()
    with torch.no_grad():
        fakes = method.generator(Noise(1, 6).normal(64))

    def half(images: Tensor) -> float:
        squares = []
        for image in images:
            one = image[None].clone().requires_grad_()
            (gradient,) = torch.autograd.grad(method.critic(one).sum(), one)
            squares.append(float(gradient.square().sum()))
        return sum(squares) / len(squares) / 2

    losses, before = method.critic_losses(seen, 0), plain.critic_losses(batch(), 0)
    expected = {"r1": half(seen.images), "r2": half(fakes)}
    weights = {"r1": r1, "r2": r2}
    assert losses.keys() == before.keys() | {name for name in weights if weights[name]}
    for name in losses.keys() & weights.keys():
        assert float(losses[name].detach()) == pytest.approx(expected[name], rel=1e-4)
    total = float(before["total"].detach()) + r1 * expected["r1"] + r2 * expected["r2"]
    assert float(losses["total"].detach()) == pytest.approx(total, rel=1e-5)
    losses["total"].backward()
    assert method.critic.curve.grad is not None


def test_interpolates_lie_between() -> None:
    real, fake = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)
    share = torch.tensor([0.0, 0.25, 1.0]).view(3, 1, 1, 1)
    between = penalties.interpolates(real, fake, share)
    assert between.requires_grad
    assert torch.equal(between.detach(), share.expand(3, 1, 2, 2))
