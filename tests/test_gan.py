"""The GAN's losses against independent sources, and its networks against the table they follow."""

import math

import pytest
import torch
from torch import Tensor, nn

from naqsh.adversarial import penalties
from naqsh.adversarial.diversity import variance
from naqsh.adversarial.objectives import OBJECTIVES
from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.methods import gan
from naqsh.methods.gan import GAN, Spec
from naqsh.networks import convnets

REAL = torch.tensor([-40.0, -1.5, 0.3, 2.0, 60.0])
FAKE = torch.tensor([-50.0, -0.7, 0.0, 1.1, 45.0])


def batch(count: int = 8) -> Batch:
    return Batch(Noise(9, count).uniform(1, 16, 16) * 2 - 1, None, Noise(1, count))


def test_cross_entropy_of_the_critic_is_torchs() -> None:
    theirs = nn.functional.binary_cross_entropy_with_logits
    expected = theirs(REAL, torch.ones(5)) + theirs(FAKE, torch.zeros(5))
    for name in ("non-saturating", "minimax"):
        torch.testing.assert_close(OBJECTIVES[name].critic(REAL, FAKE), expected)


def test_generator_losses_are_the_papers() -> None:
    # In double precision log(sigmoid) is exact enough where logits are moderate.
    moderate = FAKE[1:4].double()
    chance = 1 / (1 + torch.exp(-moderate))
    expected = {
        "non-saturating": -chance.log().mean(),
        "minimax": (1 - chance).log().mean(),
        "least-squares": ((moderate - 1) ** 2).mean() / 2,
        "hinge": -moderate.mean(),
        "wasserstein": -moderate.mean(),
    }
    for name, value in expected.items():
        torch.testing.assert_close(OBJECTIVES[name].generator(None, moderate), value)


def test_other_critic_losses_are_the_papers() -> None:
    squares = nn.functional.mse_loss
    least = (squares(REAL, torch.ones(5)) + squares(FAKE, torch.zeros(5))) / 2
    torch.testing.assert_close(OBJECTIVES["least-squares"].critic(REAL, FAKE), least)
    margin = [max(0.0, 1 - float(d)) for d in REAL], [max(0.0, 1 + float(d)) for d in FAKE]
    hinge = sum(margin[0]) / 5 + sum(margin[1]) / 5
    assert float(OBJECTIVES["hinge"].critic(REAL, FAKE)) == pytest.approx(hinge, rel=1e-6)
    gap = float(OBJECTIVES["wasserstein"].critic(REAL, FAKE))
    assert gap == pytest.approx(float(FAKE.mean() - REAL.mean()), rel=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_stay_finite_far_out(name: str) -> None:
    far = torch.tensor([-1e4, 1e4], requires_grad=True)
    objective = OBJECTIVES[name]
    total = objective.critic(far, far.flip(0)) + objective.generator(far.flip(0), far)
    total.backward()
    assert total.isfinite()
    assert far.grad is not None
    assert far.grad.isfinite().all()


def test_minimax_saturates_where_non_saturating_does_not() -> None:
    sure = torch.full((1,), -20.0, requires_grad=True)
    (flat,) = torch.autograd.grad(OBJECTIVES["minimax"].generator(None, sure), sure)
    (steep,) = torch.autograd.grad(OBJECTIVES["non-saturating"].generator(None, sure), sure)
    # The derivatives are -sigmoid(d) and sigmoid(d) - 1.
    assert float(flat) == pytest.approx(-math.exp(-20) / (1 + math.exp(-20)), rel=1e-5)
    assert float(steep) == pytest.approx(-1, rel=1e-6)


class LinearCritic(nn.Module):
    """D(x) = w.x, whose gradient is w everywhere."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight


def test_penalty_of_a_linear_critic_is_closed_form() -> None:
    method = GAN(Spec(objective="wasserstein", gradient_penalty=10.0), (1, 16, 16))
    weight = Noise(0, 1).normal(256)[0] / 8
    method.critic = LinearCritic(weight)  # type: ignore[assignment]
    losses = method.critic_losses(batch(), 0)
    norm = float(weight.detach().norm())
    assert float(losses["gradient_norm"].detach()) == pytest.approx(norm, rel=1e-5)
    assert float(losses["penalty"].detach()) == pytest.approx((norm - 1) ** 2, rel=1e-4)
    plain = float((losses["fake"] - losses["real"]).detach())
    assert float(losses["total"].detach()) == pytest.approx(plain + 10 * (norm - 1) ** 2, rel=1e-4)
    losses["total"].backward()
    assert method.critic.weight.grad is not None  # the penalty reaches the weights


def test_penalty_is_taken_picture_by_picture_between_real_and_fake() -> None:
    method = GAN(Spec(objective="wasserstein", gradient_penalty=1.0), (1, 16, 16))
    seen = batch(4)
    draws = Noise(1, 4)
    with torch.no_grad():
        fake = method.generator(draws.normal(64))
    share = draws.uniform(1, 1, 1)
    norms = []
    for number in range(4):
        mixed = (1 - share[number]) * seen.images[number] + share[number] * fake[number]
        mixed = mixed[None].requires_grad_()
        (gradient,) = torch.autograd.grad(method.critic(mixed).sum(), mixed)
        norms.append(float(gradient.norm()))
    penalty = sum((norm - 1) ** 2 for norm in norms) / 4
    losses = method.critic_losses(seen, 0)
    assert float(losses["penalty"].detach()) == pytest.approx(penalty, rel=1e-4)


def test_clipping_bounds_the_critic_and_nothing_else() -> None:
    method = GAN(Spec(objective="wasserstein", clip=0.01), (1, 16, 16))
    before = [weight.clone() for weight in method.generator.parameters()]
    after = method.phases()[0].after
    assert after is not None
    after()
    assert max(float(weight.detach().abs().max()) for weight in method.critic.parameters()) <= 0.01
    pairs = zip(before, method.generator.parameters(), strict=True)
    assert all(torch.equal(old, new) for old, new in pairs)


def test_spectral_norm_bounds_the_largest_singular_value() -> None:
    method = GAN(Spec(spectral_norm=True), (1, 16, 16)).train()
    for _ in range(60):  # power iterations, one a pass
        method.critic(batch().images)
    method.eval()
    for name in ("conv1", "conv2", "linear1", "linear2"):
        weight = method.critic.get_submodule(name).weight.detach().flatten(1)
        largest = float(torch.linalg.matrix_norm(weight, ord=2))
        assert largest == pytest.approx(1, abs=0.02), name


def test_networks_are_those_of_the_table() -> None:
    generator, critic = convnets.generator((1, 28, 28), 64), convnets.discriminator((1, 28, 28))
    # Linear and convolution: inputs * outputs + outputs; batch normalisation: two a channel.
    expected_generator = (64 * 512 + 512) + 2 * 512 + (512 * 3136 + 3136) + 2 * 3136
    expected_generator += (16 * 32 * 9 + 32) + 2 * 32 + (8 * 9 + 1)
    expected_critic = (32 * 16 + 32) + (32 * 64 * 16 + 64) + (3136 * 512 + 512) + (512 + 1)
    assert sum(p.numel() for p in generator.parameters()) == expected_generator
    assert sum(p.numel() for p in critic.parameters()) == expected_critic
    shapes = []
    x = torch.zeros(2, 64)
    for layer in generator:
        x = layer(x)
        shapes.append(tuple(x.shape[1:]))
    assert [shapes[6], shapes[7], shapes[11], shapes[12]] == [
        (64, 7, 7),
        (16, 14, 14),
        (8, 28, 28),
        (1, 28, 28),
    ]


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 32), (3, 24, 40)])
def test_networks_scale(shape: tuple[int, int, int]) -> None:
    images = convnets.generator(shape, 8)(torch.zeros(2, 8))
    assert images.shape == (2, *shape)
    assert convnets.discriminator(shape)(images).shape == (2,)


def test_sides_that_do_not_divide_by_four_are_refused() -> None:
    with pytest.raises(ValueError, match=r"30x30.*data\.size"):
        convnets.generator((1, 30, 30), 8)


def test_accuracy_and_wasserstein_estimate() -> None:
    method = GAN(Spec(), (1, 16, 16))
    losses = method.critic_losses(batch(), 0)
    assert 0 <= float(losses["accuracy"].detach()) <= 1
    assert "wasserstein" not in losses
    other = GAN(Spec(objective="wasserstein"), (1, 16, 16)).critic_losses(batch(), 0)
    assert float(other["wasserstein"].detach()) == pytest.approx(
        -float(other["total"].detach()), abs=1e-6
    )
    assert "accuracy" not in other


def diversity(method: GAN, seen: Batch) -> float:
    ours, theirs = method.generator_losses(seen, 0)["diversity"].tolist()
    return ours / theirs


def test_diversity_is_one_for_real_pictures_and_zero_for_a_single_one() -> None:
    method = GAN(Spec(), (1, 16, 16))
    seen = batch()
    method._generate = lambda noise, labels: seen.images  # type: ignore[method-assign]
    assert diversity(method, seen) == 1
    method._generate = lambda noise, labels: seen.images[:1].expand(8, -1, -1, -1)  # type: ignore[method-assign]
    assert diversity(method, seen) == 0
    assert "diversity" not in method.generator_losses(seen, 1)


def test_the_variance_is_the_variance() -> None:
    """Of 20,000 normal images of 4 pixels: a relative standard error of sqrt(3 / 40,000)."""
    images = 3 * torch.randn((20_000, 1, 2, 2), generator=torch.Generator().manual_seed(0))
    assert float(variance(images)) == pytest.approx(36, rel=0.035)
    for count in (1, 2, 3):
        pair = (images[0] - images[1]).square().sum() / 2
        assert float(variance(images[:count])) == pytest.approx(float(pair) * (count > 1))


def test_impossible_numbers_are_refused() -> None:
    for change in ({"latent": 0}, {"clip": -1.0}, {"gradient_penalty": -1.0}, {"n_critic": 0}):
        with pytest.raises(ValueError, match=next(iter(change))):
            gan.Spec(**change)  # type: ignore[arg-type]


class Sum(nn.Module):
    """A critic that is linear, w x, so that its gradient is w at every image."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight


def test_the_penalty_trains_the_critic() -> None:
    """Of a linear critic its gradient is 2 (|w| - 1) w / |w|, beside that of the estimate."""
    method = GAN(Spec(objective="wasserstein", gradient_penalty=10.0), (1, 16, 16))
    method.critic = Sum(Noise(3, 1).normal(256)[0])
    weight = method.critic.weight
    given = batch()
    fake = method._generate(Noise(1, 8)).detach()
    method.critic_losses(given, 0)["total"].backward()
    norm = weight.detach().norm()
    expected = (fake - given.images).flatten(1).mean(0)
    expected = expected + 10 * 2 * (norm - 1) * weight.detach() / norm
    torch.testing.assert_close(weight.grad, expected, rtol=1e-4, atol=1e-4)


def test_the_penalty_is_of_each_norm_and_not_of_their_mean() -> None:
    assert float(penalties.lipschitz(torch.tensor([0.5, 3.0]))) == (0.25 + 4.0) / 2


def test_accuracy_parts_scores_in_the_middle_of_their_targets() -> None:
    """Least squares asks for 1 and 0, so that 0.3 is fake; cross-entropy asks for a sign."""
    for objective, right in {"least-squares": 1.0, "non-saturating": 0.5}.items():
        method = GAN(Spec(objective=objective), (1, 16, 16))
        method.critic = Sum(torch.full((256,), 1 / 256))
        method._generate = lambda noise, labels: torch.full((4, 1, 16, 16), 0.3)
        given = Batch(torch.full((4, 1, 16, 16), 0.7), None, Noise(1, 4))
        assert float(method.critic_losses(given, 0)["accuracy"]) == right
