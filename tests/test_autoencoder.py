"""The autoencoder of latent diffusion: its losses, its discriminator, and what is measured."""

from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal, kl_divergence

import naqsh
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.methods import autoencoder
from naqsh.metrics.extractors import weights_of
from naqsh.networks.inception import Inception
from naqsh.networks.perceptual import Perceptual
from naqsh.training.rows import fixed
from small import tiny_data

SPEC = autoencoder.Spec(latent=2, width=4, multipliers=(1, 2), perceptual="mnist")


@pytest.fixture
def method():
    torch.manual_seed(0)
    return SPEC.build(tiny_data(1).layout).train()


def batch(method, count=8):
    return fixed(tiny_data(1), range(count), method.value_range, Noise(3, count))


def test_the_loss_is_the_weighted_sum_of_its_parts(method):
    seen = batch(method)
    losses = method.losses(seen, 0)
    mean, log_variance = method.posterior(seen.images)
    assert mean.shape == (8, 2, 8, 8)
    scale = (log_variance / 2).exp()
    z = mean + scale * Noise(3, 8).normal(2, 8, 8)
    made = method.decoder(z)
    torch.testing.assert_close(losses["error"], (made - seen.images).abs().mean())
    kl = kl_divergence(Normal(mean, scale), Normal(0.0, 1.0))
    torch.testing.assert_close(losses["kl"], kl.sum((1, 2, 3)).mean())
    torch.testing.assert_close(losses["kl_1"], kl[:, 1].sum((1, 2)).mean())
    torch.testing.assert_close(losses["std_0"], mean[:, 0].std())
    perceptual = method.eye.module(seen.images, made).mean()
    total = losses["error"] + 0.1 * perceptual + 1e-3 * kl.mean()
    torch.testing.assert_close(losses["total"], total)


def test_held_out_images_go_through_the_means(method):
    seen = batch(method)
    losses = method.validation(seen)
    back = method.reconstruct(seen.images) * 2 - 1
    unclipped = method.decoder(method.encode(seen.images))
    torch.testing.assert_close(losses["error"], (unclipped - seen.images).abs().mean())
    torch.testing.assert_close(back, unclipped.clamp(-1, 1))
    assert "fake" not in losses


def test_without_kl_there_is_no_variance_and_nothing_is_drawn():
    plain = replace(SPEC, kl=0.0, perceptual="none").build(tiny_data(1).layout).train()
    seen = batch(plain)
    other = replace(seen, noise=Noise(4, 8))
    losses = plain.losses(seen, 0)
    assert plain.encoder(seen.images).shape[1] == 2
    assert torch.equal(losses["total"], plain.losses(other, 0)["total"])
    assert torch.equal(losses["total"], losses["error"])
    assert not any(name.startswith("kl") for name in losses)


def test_the_discriminator_counts_from_its_step_on():
    spec = replace(SPEC, adversarial=0.5, adversarial_after=3, critic_width=4)
    method = spec.build(tiny_data(1).layout).train()
    before, after = (method.losses(batch(method), step) for step in (2, 3))
    seen = batch(method)
    mean, log_variance = method.posterior(seen.images)
    made = method.decoder(mean + (log_variance / 2).exp() * Noise(3, 8).normal(2, 8, 8))
    score = method.critic(made).mean()
    # the same noise: what is between the two totals is the discriminator's part
    torch.testing.assert_close(after["total"], before["total"] - 0.5 * score)
    losses = method.critic_losses(seen, 3)
    real, fake = method.critic(seen.images), method.critic(made.detach())
    hinges = (1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()
    torch.testing.assert_close(losses["total"], hinges)
    assert [phase.name for phase in method.phases()] == ["autoencoder", "critic"]


def test_features_are_those_of_the_package_and_lie_with_the_weights(method):
    method.take_features(weights_of("mnist"))
    weights = weights_of("mnist")
    kept = {n: v for n, v in method.state_dict().items() if n.startswith("eye.module.trunk")}
    assert kept
    for name, value in kept.items():
        assert torch.equal(value, weights[name.removeprefix("eye.module.")]), name


def test_the_perceptual_distance():
    eye = Perceptual("shapes").eval()
    eye.load_state_dict({n: weights_of("shapes")[n] for n in eye.state_dict()})
    a, b = torch.rand(3, 3, 32, 32) * 2 - 1, torch.rand(3, 3, 32, 32) * 2 - 1
    x, y, total = a, b, 0.0
    for layer in eye.trunk:
        x, y = layer(x), layer(y)
        cosine = torch.nn.functional.cosine_similarity(x, y, dim=1)
        lit = [v.norm(dim=1) > 1e-3 for v in (x, y)]
        assert all(bool(on.all()) for on in lit)  # else no direction is to be compared
        total = total + (2 - 2 * cosine).mean((1, 2))  # of vectors of length 1
    torch.testing.assert_close(eye(a, b), total)
    assert torch.equal(eye(a, a), torch.zeros(3))
    grey = a[:, :1]
    assert torch.equal(eye(grey, b), eye(grey.expand(-1, 3, -1, -1), b))


def test_inceptions_stem_is_that_of_the_whole_network():
    torch.manual_seed(0)
    whole = Inception().eval()
    eye = Perceptual("inception").eval()
    eye.take(whole.state_dict())
    a, b = torch.rand(2, 3, 19, 19) * 2 - 1, torch.rand(2, 3, 19, 19) * 2 - 1
    x = whole.Conv2d_2b_3x3(whole.Conv2d_2a_3x3(whole.Conv2d_1a_3x3(a)))
    x = torch.nn.functional.max_pool2d(x, kernel_size=3, stride=2)
    torch.testing.assert_close(eye.trunk(a), whole.Conv2d_4a_3x3(whole.Conv2d_3b_1x1(x)))
    assert (eye(a, b) > 0).all()
    grey = a.mean(1, keepdim=True)
    assert torch.equal(eye(grey, b), eye(grey.expand(-1, 3, -1, -1), b))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"multipliers": (1, 2, 4, 8)}, r"4 levels need sides that divide by 8, got 28x28.*e\.g"),
        ({"multipliers": ()}, "at least one multiplier"),
        ({"kl": -1.0}, "at least 0"),
        ({"width": 0}, "at least 1"),
        ({"multipliers": (1,), "perceptual": "inception", "shape": (3, 18, 18)}, "at least 19x19"),
    ],
)
def test_what_does_not_fit_is_said(changes, said):
    given = {name: value for name, value in changes.items() if name != "shape"}
    with pytest.raises(ValueError, match=said):
        replace(SPEC, **given).build(Layout(changes.get("shape", (1, 28, 28))))


@pytest.mark.usefixtures("small_grids")
def test_reconstructions_are_measured_and_said_to_be_some(alone):
    numbers = {"method.width": 4, "training.steps": 3, "training.batch": 8}
    run = naqsh.train("autoencoder-digits", out="ae", overrides=numbers, device="cpu", quiet=True)
    assert torch.equal(
        run.method.state_dict()["eye.module.trunk.0.0.weight"],
        weights_of("digits")["trunk.0.0.weight"],
    )
    with pytest.raises(NaqshError, match="makes no images"):
        run.sample(1)
    with pytest.raises(NaqshError, match="nearest is for samples"):
        run.evaluate(["nearest"], n=60)
    found = run.evaluate(["frechet", "kernel"], n=60)
    assert found.nearness is None
    assert any("reconstructions of 60 images of digits test" in note for note in found.notes)
    assert found.speed.evaluations_per_picture == 1
    assert {measure.n_generated for measure in found.measures} == {60}
    page = run.report().read_text()
    assert "std_0" in page
    assert "reconstructions of 60 images" in page
