"""SSGAN against the plain GAN, plain references and the published table."""

import dataclasses
import importlib
import importlib.util
import math
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, cross_entropy, pad

from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.methods import ssgan
from naqsh.methods.gan import GAN
from naqsh.methods.ssgan import SSGAN, Spec, turned
from naqsh.networks import sngan
from naqsh.recipes import by_name
from small import state, tiny, tiny_data, trainer

SHAPE = (1, 16, 16)
SMALL = Spec(width=4, latent=8)


def batch(count: int = 8, first: int = 0) -> Batch:
    noise = Noise(9, count, first)
    return Batch(noise.uniform(*SHAPE) * 2 - 1, None, Noise(1, count, first))


def made(cls: type[GAN], spec: Spec) -> GAN:
    torch.manual_seed(0)
    return cls(spec, SHAPE).train()


def gradients(method: GAN, phase: str) -> dict[str, Tensor]:
    """Of one loss by one phase's parameters, those without a gradient left out."""
    (found,) = (p for p in method.phases() if p.name == phase)
    found.loss(batch(), 0)["total"].backward()
    (module,) = found.modules
    return {n: p.grad for n, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("phase", ["critic", "generator"])
def test_without_weights_it_is_the_plain_gan_to_the_bit(phase: str) -> None:
    spec = dataclasses.replace(SMALL, alpha=0.0, beta=0.0)
    ours, plain = made(SSGAN, spec), made(GAN, spec)
    mine, its = gradients(ours, phase), gradients(plain, phase)
    assert mine.keys() == its.keys()
    assert len(mine) > 10
    assert all(torch.equal(mine[name], its[name]) for name in its)
    # So is what spectral normalisation remembers.
    theirs = plain.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("phase", ["critic", "generator"])
def test_turned_images_never_reach_the_score(phase: str) -> None:
    """With both weights the score's head has the plain GAN's gradient, to the bit."""
    ours, plain = made(SSGAN, SMALL), made(GAN, SMALL)
    (loss, its) = (
        next(p for p in m.phases() if p.name == phase).loss(batch(), 0) for m in (ours, plain)
    )
    for losses, method in ((loss, ours), (its, plain)):
        losses["total"].backward()
        assert method.critic.score.bias.grad.abs() > 0
    for name in ("bias", "parametrizations.weight.original"):
        mine = ours.critic.score.get_parameter(name).grad
        assert torch.equal(mine, plain.critic.score.get_parameter(name).grad)
    for term in ("real", "fake", "accuracy"):
        assert term not in its or torch.equal(loss[term], its[term])


def test_the_critic_learns_angles_of_real_images_and_the_generator_of_its_own() -> None:
    """Against images turned one by one, by transposing and flipping."""
    # Without spectral normalisation, whose every pass changes what the next one sees.
    spec = dataclasses.replace(SMALL, alpha=0.3, beta=0.7, spectral_norm=False)
    ours, plain = made(SSGAN, spec), made(GAN, spec)

    def expected(images: Tensor) -> Tensor:
        losses = []
        for number, image in enumerate(images):
            for _ in range(number % 4):  # a quarter turn to the left
                image = image.transpose(1, 2).flip(1)
            logits = plain.critic.turns(image[None])
            losses.append(cross_entropy(logits, torch.tensor([number % 4])))
        return torch.stack(losses).mean()

    for number, (phase, weight) in enumerate((("critic", 0.7), ("generator", 0.3))):
        mine, its = (m.phases()[number].loss(batch(), 0) for m in (ours, plain))
        images = plain._generate(batch().noise) if number else batch().images
        rotation = expected(images)
        torch.testing.assert_close(mine["rotation"], rotation, rtol=1e-5, atol=1e-6)
        whole = its["total"] + weight * rotation
        pairs = list(
            zip(
                ours.get_submodule(phase).named_parameters(),
                plain.get_submodule(phase).parameters(),
                strict=True,
            )
        )
        found = torch.autograd.grad(mine["total"], [a for (_, a), _ in pairs], allow_unused=True)
        wanted = torch.autograd.grad(whole, [b for _, b in pairs], allow_unused=True)
        for ((name, _), _), a, b in zip(pairs, found, wanted, strict=True):
            assert a is not None, name
            # Sums of a few hundred products in another order, against the largest of them.
            assert (a - b).abs().max() <= 1e-4 * b.abs().max() + 1e-5, name


def test_turning_is_by_the_place_in_the_whole_batch() -> None:
    images = batch(8).images
    whole, angles = turned(images)
    parts = [turned(images[a:b], a) for a, b in ((0, 3), (3, 8))]
    assert torch.equal(torch.cat([part for part, _ in parts]), whole)
    assert angles.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert torch.cat([quarter for _, quarter in parts]).tolist() == angles.tolist()
    assert torch.equal(whole[0], images[0])
    corner = torch.zeros(2, 1, 3, 3)
    corner[:, 0, 0, 2] = 1  # at the top right; a turn to the left brings it to the top left
    assert turned(corner)[0][1, 0, 0, 0] == 1


def test_a_quarter_turn_is_guessed_at_random_by_a_flat_head() -> None:
    ours = made(SSGAN, dataclasses.replace(SMALL, spectral_norm=False))
    nn.init.zeros_(ours.critic.turn.weight)
    nn.init.zeros_(ours.critic.turn.bias)
    losses = ours.critic_losses(batch(), 0)
    assert float(losses["rotation"].detach()) == pytest.approx(math.log(4), rel=1e-6)
    assert float(losses["rotation_accuracy"]) == 0.25  # it always says 0, as argmax of equals


@pytest.mark.parametrize("width", [128])
def test_networks_are_those_of_the_table(width: int) -> None:
    made_by, critic = sngan.generator((1, 32, 32), 128), sngan.Discriminator((1, 32, 32))
    conv = 256 * 256 * 9 + 256
    expected = (128 + 1) * 4096 + 2 * 4096 + 3 * (2 * conv + 2 * 2 * 256) + 2 * 256 + (256 * 9 + 1)
    assert sum(p.numel() for p in made_by.parameters()) == expected
    own = width * width * 9 + width
    first = (width * 9 + width) + own + (width + width)
    second = 2 * own + (width * width + width)
    heads = (width + 1) + (4 * width + 4)
    assert sum(p.numel() for p in critic.parameters()) == first + second + 2 * 2 * own + heads
    images = made_by(torch.zeros(2, 128))
    assert images.shape == (2, 1, 32, 32)
    shapes = []
    x = images
    for block in critic.blocks:
        x = block(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(128, 16, 16), (128, 8, 8), (128, 8, 8), (128, 8, 8)]
    assert critic(images).shape == (2,)
    assert critic.turns(images).shape == (2, 4)


def test_the_discriminator_is_a_plain_sum_of_products() -> None:
    """Each block, the sum over positions and both heads, written out with functions."""
    torch.manual_seed(1)
    critic = sngan.Discriminator((1, 28, 28), 5)
    images = torch.rand(3, 1, 28, 28) * 2 - 1
    x = pad(images, (2, 2, 2, 2), value=-1.0)
    weights = critic.state_dict()
    for number, halve in enumerate((True, True, False, False)):

        def layer(y: Tensor, name: str, number: int = number) -> Tensor:
            stem = f"blocks.{number}.{name}"
            weight = weights[f"{stem}.weight"]
            return conv2d(y, weight, weights[f"{stem}.bias"], padding=weight.shape[-1] // 2)

        y = layer(x.clamp(min=0) if number else x, "conv1")
        y = layer(y.clamp(min=0), "conv2")
        if halve:  # mimicry's order, the 1x1 convolution before the mean, is the same map
            y, x = avg_pool2d(y, 2), avg_pool2d(layer(x, "skip"), 2)
        x = x + y
    features = x.clamp(min=0).flatten(2).sum(2)
    for head, found in (("score", critic(images)[:, None]), ("turn", critic.turns(images))):
        expected = features @ weights[f"{head}.weight"].T + weights[f"{head}.bias"]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_an_up_block_repeats_pixels_on_both_ways() -> None:
    torch.manual_seed(2)
    block = sngan.Up(6)
    x = torch.randn(4, 6, 3, 3)

    def normed(y: Tensor) -> Tensor:
        mean = y.mean((0, 2, 3), keepdim=True)
        return (y - mean) / (y.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()

    def twice(y: Tensor) -> Tensor:
        return y.repeat_interleave(2, 2).repeat_interleave(2, 3)

    y = block.conv1(twice(normed(x).clamp(min=0)))
    y = block.conv2(normed(y).clamp(min=0))
    torch.testing.assert_close(block(x), y + twice(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [8, 12, 16, 28, 30])
def test_networks_take_any_square_and_the_border_is_nobodys(side: int) -> None:
    shape = (3, side, side)
    images = sngan.generator(shape, 8, 4).eval()(torch.randn(2, 8)).detach()
    assert images.shape == (2, *shape)
    critic = sngan.Discriminator(shape, 4)
    padded = critic.pad(images)
    assert padded.shape[-1] % 8 == 0
    assert padded.shape[-1] - side < 8
    if padded.shape[-1] > side:
        assert (padded[..., 0] == -1).all() or (padded[..., -1] == -1).all()
    black = padded.numel() - images.numel()
    torch.testing.assert_close(padded.sum(), images.sum() - black, rtol=1e-4, atol=1e-2)


def test_every_layer_of_the_critic_is_normalised_and_none_of_the_generator() -> None:
    method = made(SSGAN, SMALL)
    layers = [m for m in method.critic.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 2 * 4 + 2 + 2
    with torch.no_grad():
        for _ in range(200):  # power iterations, one a pass and layer
            method.critic(batch().images)
            method.critic.turns(batch().images)
    method.eval()
    for layer in layers:
        weight = layer.weight.detach().flatten(1)
        assert float(torch.linalg.matrix_norm(weight, ord=2)) == pytest.approx(1, abs=0.01)
    assert not any("parametrizations" in name for name in method.generator.state_dict())


def test_images_that_are_not_square_are_refused() -> None:
    with pytest.raises(ValueError, match=r"square, got 16x24; give data\.size"):
        SMALL.build(Layout((1, 16, 24)))


@pytest.mark.parametrize("name", ["alpha", "beta"])
def test_negative_weights_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="alpha and beta"):
        ssgan.Spec(**{name: -0.1})  # type: ignore[arg-type]


def test_the_discriminator_is_mimicrys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its blocks, with our weights, without what the package imports for measuring.

    Its ReLU works in place, so that its skip sees the block's input without what is below 0; the
    authors' code and the published table do not, and neither do we.
    """
    found = importlib.util.find_spec("torch_mimicry")
    if found is None:
        pytest.skip("torch-mimicry is not installed: extra parity")
    bare = types.ModuleType("torch_mimicry")
    bare.__path__ = list(found.submodule_search_locations or ())
    monkeypatch.setitem(sys.modules, "torch_mimicry", bare)
    theirs = importlib.import_module("torch_mimicry.modules.resblocks")
    ours = sngan.Discriminator((3, 32, 32), 6)
    plain = {"spectral_norm": False}
    blocks = [
        theirs.DBlockOptimized(3, 6, **plain),
        theirs.DBlock(6, 6, downsample=True, **plain),
        theirs.DBlock(6, 6, downsample=False, **plain),
        theirs.DBlock(6, 6, downsample=False, **plain),
    ]
    x = y = torch.randn(2, 3, 32, 32)
    for mine, its in zip(ours.blocks, blocks, strict=True):
        its.activation = nn.ReLU()
        names = {"c1": "conv1", "c2": "conv2", "c_sc": "skip"}
        for name in its.state_dict():
            stem, kind = name.split(".")
            its.get_parameter(name).data = mine.get_parameter(f"{names[stem]}.{kind}").data
        x, y = mine(x), its(y)
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5)


def test_all_four_angles_of_held_out_images_are_asked_for() -> None:
    """The critic and the ceiling's classifier, one image and angle at a time."""
    ours = made(SSGAN, dataclasses.replace(SMALL, ceiling=True)).eval()
    given = batch(5)
    asked = {"rotation_accuracy": ours.critic, "rotation_ceiling": ours.classifier}
    found = ours.validation(given)
    assert found.keys() == {"rotation", *asked}
    for name, network in asked.items():
        right, loss = 0, 0.0
        for image in given.images:
            for angle in range(4):
                logits = network.turns(image[None])
                right += int(logits.argmax()) == angle
                loss -= float(logits.log_softmax(1)[0, angle].detach()) / 20
                image = image.transpose(1, 2).flip(1)  # a quarter turn to the left
        assert float(found[name]) == pytest.approx(right / 20)
        if network is ours.critic:
            assert float(found["rotation"].detach()) == pytest.approx(loss, rel=1e-4)


def test_the_ceiling_changes_nothing_of_the_gan(tmp_path: Path) -> None:
    """Its classifier sees the same images and is trained apart; no weights are best by angles."""
    runs = []
    for ceiling in (True, False):
        changes = {"training.steps": 2, "method.ceiling": ceiling, "training.validation": 0.25}
        recipe = tiny(by_name("ssgan-digits")).override(changes)
        one = trainer(recipe, tiny_data(1), tmp_path / str(ceiling))
        one.run()
        runs.append(state(one.method))
        assert one.held_out is not None
        assert one.state.best is None
        assert not one.folder.best.exists()
        logged = one.folder.metrics.read_text()
        assert ("validation.rotation_ceiling" in logged) == ceiling
        assert "validation.rotation_accuracy" in logged
    with_it, without = runs
    assert any(name.startswith("classifier.") for name in with_it)
    assert not [name for name, value in without.items() if not torch.equal(value, with_it[name])]
