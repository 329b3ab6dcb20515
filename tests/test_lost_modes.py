"""What keeps a GAN from losing modes, each against plain references; the layers lie beside it."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from contract import CHECKS
from naqsh.adversarial import several
from naqsh.adversarial.packing import packed
from naqsh.adversarial.unrolled import unrolled, with_weights
from naqsh.core.batch import Batch
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.core.world import World
from naqsh.methods import gan, ssgan
from naqsh.methods.gan import GAN, Spec
from naqsh.networks import convnets, heads, points
from naqsh.networks.conditional import Chain
from naqsh.recipes import by_name
from naqsh.training.building import estimated
from small import CPU, state, tiny, tiny_data, trainer

SHAPE = (1, 16, 16)
LAYOUT = Layout(SHAPE)


def batch(count: int = 8, first: int = 0) -> Batch:
    noise = Noise(9, count, first)
    return Batch(noise.uniform(*SHAPE) * 2 - 1, None, Noise(1, count, first))


def made(**switches: Any) -> GAN:
    torch.manual_seed(0)
    return GAN(Spec(latent=8, **switches), SHAPE).train()


def gradients(method: GAN, phase: str) -> list[Tensor]:
    (found,) = (p for p in method.phases() if p.name == phase)
    loss = found.loss(batch(), 1)["total"]
    return list(torch.autograd.grad(loss, found.parameters(), allow_unused=True))


# --- the contract ---------------------------------------------------------------------------------

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "minibatch": ("gan-digits", {"minibatch": 6}),
    "minibatch, spectral norm": ("ssgan-digits", {"minibatch": 6}),
    "feature matching": ("gan-digits", {"feature_matching": True}),
    "packing": ("wgan-gp-digits", {"packing": 2}),
    "unroll": ("gan-digits", {"unroll": 2}),
    "unroll, spectral norm, angles": ("ssgan-digits", {"unroll": 1}),
    "mgan": ("gan-digits", {"generators": 3}),
    "mad-gan": ("gan-digits", {"generators": 3, "several": "mad-gan"}),
    "all": ("gan-digits", {"minibatch": 6, "generators": 2, "unroll": 1}),
}


# The larger networks of SSGAN take seconds, and with kernels 50 steps to what others learn in 30.
FEW = ("losses", "phases", "resume", "estimate")
ASKED = [
    (name, check)
    for name, (base, _) in VARIANTS.items()
    for check in (FEW if base == "ssgan-digits" else CHECKS)
    if check not in ("columns", "shows")
]


@pytest.mark.usefixtures("small_grids")
@pytest.mark.parametrize(("name", "check"), ASKED)
def test_contract(name: str, check: str, tmp_path: Path) -> None:
    base, switches = VARIANTS[name]
    changes = {f"method.{key}": value for key, value in switches.items()}
    recipe = tiny(by_name(base)).override(changes)
    CHECKS[check](recipe, tiny_data(1), tmp_path)


# --- what excludes each other ---------------------------------------------------------------------

REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("minibatch makes a score", {"minibatch": 3, "gradient_penalty": 1.0}),
    ("minibatch makes a score", {"minibatch": 3, "r1": 1.0}),
    ("minibatch makes a score", {"minibatch": 3, "r2": 1.0}),
    ("does not clip", {"unroll": 1, "clip": 0.1}),
    ("packing and generators", {"packing": 2, "generators": 2}),
    ("mad-gan has a softmax", {"several": "mad-gan", "generators": 2, "objective": "hinge"}),
    ("packing and generators must be at least 1", {"packing": 0}),
    ("packing and generators must be at least 1", {"generators": 0}),
    ("minibatch must be at least 0", {"minibatch": -1}),
    ("unroll must be at least 0", {"unroll": -1}),
    ("diversity must be at least 0", {"diversity": -0.1}),
]


@pytest.mark.parametrize(("words", "switches"), REFUSED)
def test_what_makes_no_sense_is_refused(words: str, switches: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=words):
        Spec(**switches)


def test_turned_images_are_not_packed() -> None:
    with pytest.raises(ValueError, match="one by one"):
        ssgan.Spec(packing=2)


@pytest.mark.parametrize(
    ("switch", "value", "training", "words"),
    [
        ("minibatch", 3, {"training.accumulate": 2}, "accumulate must be 1, got 2"),
        ("feature_matching", True, {"training.accumulate": 2}, "accumulate must be 1"),
        ("unroll", 1, {"training.accumulate": 2}, "accumulate must be 1"),
        ("packing", 3, {"training.batch": 16}, "3 images at once, and 16 do not divide"),
        ("packing", 4, {"training.accumulate": 4}, "4 images at once, and 2 do not divide"),
    ],
)
def test_parts_of_a_batch_are_refused_before_the_first_step(
    switch: str, value: Any, training: dict[str, Any], words: str
) -> None:
    recipe = tiny(by_name("gan-digits")).override({f"method.{switch}": value} | training)
    with pytest.raises(NaqshError, match=words):
        estimated(recipe, LAYOUT, World(0, 1, CPU))
    assert "\n" not in words


# --- minibatch discrimination ---------------------------------------------------------------------


def test_real_and_generated_images_are_two_batches() -> None:
    method = made(minibatch=4)
    given, seen = batch(), []
    assert isinstance(method.critic, heads.Headed)
    assert method.critic.kernels is not None
    method.critic.kernels.register_forward_hook(lambda _, x, __: seen.append(len(x[0])))
    losses = method.critic_losses(given, 0)
    assert seen == [8, 8]
    with torch.no_grad():
        real = method.critic(given.images)
        fake = method.critic(method._generate(Noise(1, 8)))
    expected = softplus(-real).mean() + softplus(fake).mean()
    torch.testing.assert_close(losses["total"].detach(), expected)
    together = method.critic(torch.cat([given.images, given.images.flip(0)]))[:8].detach()
    assert not torch.allclose(together, real), "a score depends on the other images"


def test_a_headed_critic_is_the_critic_with_more_on_it() -> None:
    """Its scores are those of the layers by themselves; what is added stands on the features."""
    for plain in (convnets.discriminator(SHAPE), points.discriminator((2, 1, 1))):
        shape = SHAPE if "conv1" in dict(plain.named_children()) else (2, 1, 1)
        images = torch.randn(5, *shape)
        found = heads.headed(copy.deepcopy(plain)).judged(images)
        assert torch.equal(found.scores, plain(images))
        before_the_last = list(plain.children())[:-2]
        assert torch.equal(found.shown, nn.Sequential(*before_the_last)(images))
        wide = heads.headed(copy.deepcopy(plain), kernels=3, ways=4)
        said = wide.judged(images)
        assert wide.kernels is not None
        assert wide.ways is not None
        seen = wide.kernels(found.shown)
        torch.testing.assert_close(said.scores, wide.score(seen)[:, 0])
        torch.testing.assert_close(said.ways, wide.ways(seen))


# --- feature matching -----------------------------------------------------------------------------


def test_the_generator_matches_mean_features() -> None:
    method, given = made(feature_matching=True), batch()
    with torch.no_grad():
        layers = nn.Sequential(*list(method.critic.body))
        real, fake = layers(given.images), layers(method._generate(Noise(1, 8)))
    expected = 0.0
    for number in range(real.shape[1]):
        gap = sum(float(real[i, number] - fake[i, number]) for i in range(8)) / 8
        expected += gap**2
    found = method.generator_losses(given, 1)["total"]
    assert float(found.detach()) == pytest.approx(expected, rel=1e-4)
    # The critic's loss is that of the plain one.
    plain = made()
    plain.load_state_dict(
        {
            key.replace("body.", "").replace("score.", "linear2."): v
            for key, v in state(method).items()
        }
    )
    torch.testing.assert_close(
        method.critic_losses(batch(), 0)["total"], plain.critic_losses(batch(), 0)["total"]
    )


# --- packing --------------------------------------------------------------------------------------


def test_a_pack_of_one_is_the_image_itself() -> None:
    """And no view of it, which would have gradients of several losses added in another order."""
    images = torch.rand(4, 1, 3, 3)
    assert packed(images, 1) is images


def test_packs_are_neighbours_along_channels() -> None:
    images = torch.randn(6, 2, 3, 5)
    packs = packed(images, 3)
    assert packs.shape == (2, 6, 3, 5)
    for number in range(2):
        assert torch.equal(packs[number], torch.cat(list(images[3 * number : 3 * number + 3])))
    assert torch.equal(packed(images, 1), images)


@pytest.mark.parametrize("name", ["gan-digits", "gan-ring"])
def test_the_critic_sees_packs_of_its_own_kind_alone(name: str) -> None:
    shape = (2, 1, 1) if name == "gan-ring" else SHAPE
    method = by_name(name).override({"method.packing": 4}).method.build(Layout(shape))
    seen: list[Tensor] = []
    method.critic.register_forward_hook(lambda _, x, __: seen.append(x[0]))
    given = Batch(torch.randn(8, *shape), None, Noise(1, 8))
    method.critic_losses(given, 0)
    (packs,) = seen
    with torch.no_grad():
        fakes = method._generate(Noise(1, 8))
    assert packs.shape == (4, 4 * shape[0], *shape[1:])
    assert torch.equal(packs[:2], packed(given.images, 4))
    torch.testing.assert_close(packs[2:], packed(fakes, 4))
    method.generator_losses(Batch(given.images, None, Noise(1, 8)), 0)
    torch.testing.assert_close(seen[-1], packs[2:])


def test_the_penalty_is_of_a_packs_gradient() -> None:
    method = made(objective="wasserstein", gradient_penalty=1.0, packing=2)
    given, draws = batch(4), Noise(1, 4)
    with torch.no_grad():
        fake = method._made(draws.normal(8), draws)
    share, norms = draws.uniform(1, 1, 1), []
    for pack in range(2):
        both = [torch.cat([of[2 * pack], of[2 * pack + 1]]) for of in (given.images, fake)]
        mixed = (both[0] + share[2 * pack] * (both[1] - both[0]))[None].requires_grad_()
        (gradient,) = torch.autograd.grad(method.critic(mixed).sum(), mixed)
        norms.append(float(gradient.norm()))
    expected = sum((norm - 1) ** 2 for norm in norms) / 2
    assert float(method.critic_losses(given, 0)["penalty"].detach()) == pytest.approx(
        expected, rel=1e-4
    )


# --- unrolling ------------------------------------------------------------------------------------


def test_no_steps_ahead_is_the_plain_gan_to_the_bit() -> None:
    method = made()
    images = method._generate(Noise(1, 8))

    def gradient(total: Callable[[], Tensor]) -> list[Tensor]:
        weights = list(method.generator.parameters())
        return list(torch.autograd.grad(total(), weights, retain_graph=True))

    def plain() -> Tensor:
        return method.passing(images, batch(), 1)["total"]

    def loss() -> Tensor:
        return method.judging(images, batch())["total"]

    ahead = unrolled(method.critic, loss, 0, method.spec.critic)
    pairs = zip(
        gradient(plain), gradient(lambda: with_weights(method.critic, ahead, plain)), strict=True
    )
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", ["gan-digits", "wgan-gp-digits", "ssgan-digits"])
def test_the_generator_meets_the_critic_of_k_real_steps(name: str, tmp_path: Path) -> None:
    """A copy of the critic and of its optimiser, three steps of training in, takes two more.

    The critic's penalty draws other interpolates at each step, in the copy as ahead; spectral
    normalisation takes one power iteration a pass in both.
    """
    recipe = tiny(by_name(name)).override(
        {"method.unroll": 2, "training.batch": 8, "training.precision": "float32"}
    )
    one = trainer(recipe, tiny_data(1), tmp_path)
    for _ in range(3):
        one.step()
    method = one.method
    assert isinstance(method, GAN)
    assert method._live is one.optimizers["critic"]
    copied, optimizer = copy.deepcopy((method, method._live))
    assert optimizer.param_groups[0]["params"][0] is next(copied.critic.parameters())
    before = state(method)
    given = batch()
    found = method.generator_losses(given, 1)["total"]
    assert all(
        torch.equal(value, before[key])
        for key, value in method.state_dict().items()
        if key.startswith("critic") and key.rsplit(".", 1)[-1] not in ("_u", "_v")
    )
    again = batch()
    images = copied._generate(again.noise).detach()
    for _ in range(2):
        copied.critic.requires_grad_(True)
        copied.judging(images, again)["total"].backward()
        optimizer.step()
        optimizer.zero_grad()
    expected = copied.passing(images, again, 1)["total"]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    method._live = None
    fresh = method.generator_losses(batch(), 1)["total"]
    assert abs(float((fresh - expected).detach())) > 10 * abs(float((found - expected).detach()))


# --- several generators ---------------------------------------------------------------------------


def test_images_are_made_by_generators_in_turn() -> None:
    assert several.makers(Noise(0, 5, first=4), 3).tolist() == [1, 2, 0, 1, 2]
    method = made(generators=3).eval()
    latents = torch.randn(6, 8)
    which = torch.tensor([0, 1, 2, 2, 1, 0])
    with torch.no_grad():
        found = method.generator(latents, which)
        for number in range(6):
            first, shared = method.generator.first[which[number]], method.generator.shared
            torch.testing.assert_close(
                found[number], shared(first(latents[number : number + 1]))[0]
            )
    # They differ in their first layer, and share all others.
    one = convnets.generator(SHAPE, 8)
    own = sum(p.numel() for p in one.linear1.parameters())
    total = sum(p.numel() for p in one.parameters())
    assert sum(p.numel() for p in method.generator.parameters()) == total + 2 * own


def test_generators_share_latents_in_training_alone() -> None:
    whole = several.shared_latents(Noise(3, 7), 3, 5)
    for number in range(7):
        assert torch.equal(whole[number], whole[number // 3 * 3])
    assert len({tuple(row.tolist()) for row in whole}) == 3
    parts = [
        several.shared_latents(Noise(3, count, first), 3, 5) for first, count in ((0, 2), (2, 5))
    ]
    assert torch.equal(torch.cat(parts), whole)
    method = made(generators=2).eval()
    entered: list[Tensor] = []
    method.generator.register_forward_pre_hook(lambda _, x: entered.append(x[0]))
    method.sample(Noise(3, 4))
    assert len({tuple(row.tolist()) for row in entered[0]}) == 4


def test_the_two_heads_of_mgan() -> None:
    method, given = made(generators=3, diversity=0.3), batch(7)
    with torch.no_grad():
        fakes = method._generate(Noise(1, 7))
    judged = method.critic.judged(fakes)
    chance = judged.ways.softmax(1)
    maker = -sum(chance[i, i % 3].log() for i in range(7)) / 7
    real, fake = method.critic(given.images), judged.scores
    critic = method.critic_losses(given, 0)
    torch.testing.assert_close(
        critic["total"], softplus(-real).mean() + softplus(fake).mean() + maker
    )
    right = sum(int(chance[i].argmax()) == i % 3 for i in range(7))
    assert float(critic["maker_accuracy"]) == pytest.approx(right / 7)
    generator = method.generator_losses(batch(7), 1)
    torch.testing.assert_close(generator["total"], softplus(-fake).mean() + 0.3 * maker)


def test_mad_gan_is_a_softmax_of_one_class_more() -> None:
    """With the K ways and the score as logits of K + 1 classes, the last of which is real."""
    method, given = made(generators=3, several="mad-gan", diversity=9.0), batch(6)
    with torch.no_grad():
        fakes = method._generate(Noise(1, 6))

    def logits(images: Tensor) -> Tensor:
        seen = method.critic.features(images)
        return torch.cat([method.critic.ways(seen), method.critic.score(seen)], 1)

    real, fake = logits(given.images), logits(fakes)
    expected = cross_entropy(real, torch.full((6,), 3))
    expected = expected + cross_entropy(fake, torch.tensor([0, 1, 2] * 2))
    torch.testing.assert_close(method.critic_losses(given, 0)["total"], expected)
    generator = method.generator_losses(batch(6), 1)
    assert "maker" not in generator
    torch.testing.assert_close(generator["total"], cross_entropy(fake, torch.full((6,), 3)))


def test_without_switches_networks_are_as_they_were() -> None:
    method = made()
    assert type(method.critic) is nn.Sequential
    assert type(method.generator) is Chain
    assert (method.group, method.whole) == (1, False)
    assert gan.Spec().unroll == 0
