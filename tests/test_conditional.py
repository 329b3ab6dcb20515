"""GANs that are told labels, and their layers, against plain loops over images."""

import importlib
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from contract import CHECKS
from naqsh.api import Run
from naqsh.core.batch import Batch
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.core.world import synchronise_batch_norm
from naqsh.methods import gan, ssgan
from naqsh.methods.gan import GAN, Spec
from naqsh.networks import conditional, convnets, heads, points, r3gan, sngan
from naqsh.networks.conditional import Beside, Chain, ClassNorm, Labelled
from naqsh.recipes import by_name
from naqsh.runs.folder import RunFolder
from small import tiny, tiny_data, trainer

SHAPE = (1, 16, 16)

GENERATORS = {
    "convnets": lambda classes: convnets.generator((1, 8, 8), 6, classes=classes),
    "points": lambda classes: points.generator((2, 1, 1), 6, classes=classes),
    "sngan": lambda classes: sngan.generator((1, 8, 8), 6, 4, classes),
    "r3gan": lambda classes: r3gan.generator((1, 8, 8), 6, 8, classes=classes),
}


def filled(norm: ClassNorm) -> ClassNorm:
    """With scales and shifts that differ by class and channel."""
    nn.init.normal_(norm.table.weight, 1.0)
    return norm


@pytest.mark.parametrize("shape", [(7, 3), (7, 3, 2, 4)])
def test_class_norm_against_a_loop_over_images_and_channels(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    norm = conditional.batch_norm(3, 4, 2 if len(shape) == 4 else 1)
    assert isinstance(norm, ClassNorm)
    filled(norm)
    x, labels = torch.randn(shape), torch.tensor([0, 3, 1, 1, 2, 0, 3])
    found = norm(x, labels)
    table = norm.table.weight.detach()
    for channel in range(3):
        values = x[:, channel].double()
        mean = float(values.mean())
        deviation = (float(((values - mean) ** 2).mean()) + 1e-5) ** 0.5
        for number in range(7):
            scale, shift = (float(table[labels[number], i]) for i in (channel, 3 + channel))
            expected = (x[number, channel] - mean) / deviation * scale + shift
            torch.testing.assert_close(found[number, channel].detach(), expected)


def test_class_norm_begins_as_plain_batch_normalisation() -> None:
    x = torch.randn(5, 3, 4, 4)
    told = conditional.batch_norm(3, 2, 2)
    plain = conditional.batch_norm(3, 0, 2)
    assert isinstance(plain, nn.BatchNorm2d)
    torch.testing.assert_close(told(x, torch.tensor([0, 1, 1, 0, 1])), plain(x))


def test_class_norm_takes_statistics_over_all_ranks_too() -> None:
    """Of one rank the same as without; its normalisation has no scale of its own."""
    x, labels = torch.randn(5, 3, 4, 4), torch.tensor([0, 1, 1, 0, 1])
    told = filled(ClassNorm(nn.BatchNorm2d(3, affine=False), 3, 2))
    expected = told(x, labels)
    told.norm.reset_running_stats()
    synchronise_batch_norm(told)
    torch.testing.assert_close(told(x, labels), expected, rtol=1e-5, atol=1e-5)
    assert not isinstance(told.norm, nn.BatchNorm2d)
    kept = told.norm.running_mean.view(1, -1, 1, 1), told.norm.running_var.view(1, -1, 1, 1)
    scale, shift = told.table(labels)[..., None, None].chunk(2, 1)
    expected = (x - kept[0]) / (kept[1] + 1e-5).sqrt() * scale + shift
    torch.testing.assert_close(told.eval()(x, labels), expected, rtol=1e-5, atol=1e-5)


def test_an_embedding_stands_beside_the_latent() -> None:
    beside = Beside(3, 2)
    latents, labels = torch.randn(4, 5), torch.tensor([2, 0, 0, 1])
    found = beside(latents, labels)
    for number, label in enumerate(labels.tolist()):
        expected = torch.cat([latents[number], beside.table.weight[label]])
        assert torch.equal(found[number], expected)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generators_image_depends_on_its_own_label_alone(name: str) -> None:
    torch.manual_seed(0)
    network = GENERATORS[name](3).eval()
    for module in network.modules():
        if isinstance(module, ClassNorm):
            filled(module)
        if isinstance(module, r3gan.Block):  # which begins as the identity
            nn.init.normal_(module.narrow.weight, std=0.1)
    latents = torch.randn(4, 6)

    def made(*labels: int) -> Tensor:
        images: Tensor = network(latents, torch.tensor(labels)).detach()
        return images

    first, second = made(0, 1, 2, 0), made(0, 2, 2, 0)
    assert not torch.equal(first[1], second[1])
    for number in (0, 2, 3):
        torch.testing.assert_close(first[number], second[number])


@pytest.mark.parametrize("name", GENERATORS)
def test_without_classes_a_generator_has_no_table(name: str) -> None:
    network = GENERATORS[name](0)
    assert not [key for key in network.state_dict() if "table" in key]
    assert torch.equal(network.eval()(torch.ones(2, 6)), network(torch.ones(2, 6), None))


def test_labels_go_to_those_layers_of_a_chain_that_take_them() -> None:
    class Adds(Labelled):
        def forward(self, x: Tensor, labels: Tensor) -> Tensor:
            return x + labels[:, None]

    chain = Chain({"first": nn.Flatten(), "second": Adds(), "third": Chain({"inner": Adds()})})
    labels = torch.tensor([1.0, 5.0])
    assert chain(torch.zeros(2, 1, 2), labels).tolist() == [[2, 2], [10, 10]]


def critic(classes: int = 3, **more: Any) -> heads.Headed:
    torch.manual_seed(0)
    return heads.headed(convnets.discriminator(SHAPE), classes=classes, **more)


@pytest.mark.parametrize("kernels", [0, 4])
def test_the_projection_against_a_loop_over_images_and_features(kernels: int) -> None:
    """s = w.f + b + e_c.f; kernels of a batch are beside f in the first product alone."""
    made = critic(kernels=kernels)
    images, labels = torch.randn(5, *SHAPE), torch.tensor([2, 0, 1, 1, 2])
    found = made.judged(images, labels).scores.tolist()
    features = made.features(images).detach()
    plain = made.score(made.kernels(features) if made.kernels else features).squeeze(1).tolist()
    assert made.table is not None
    table = made.table.weight.detach().double()
    for number, label in enumerate(labels.tolist()):
        more = 0.0
        for feature, value in enumerate(features[number].double()):
            more += float(table[label, feature] * value)
        assert found[number] == pytest.approx(plain[number] + more, rel=1e-4, abs=1e-5)


def mimicry(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    """A module of torch-mimicry, without what the package imports for measuring."""
    found = importlib.util.find_spec("torch_mimicry")
    if found is None:
        pytest.skip("torch-mimicry is not installed: extra parity")
    (root,) = found.submodule_search_locations or ()
    for package in ("", "/nets", "/nets/cgan_pd"):
        dotted = "torch_mimicry" + package.replace("/", ".")
        bare = types.ModuleType(dotted)
        bare.__path__ = [root + package]
        monkeypatch.setitem(sys.modules, dotted, bare)
    return importlib.import_module(f"torch_mimicry.{name}")


def test_class_norm_is_mimicrys(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = mimicry(monkeypatch, "modules.layers").ConditionalBatchNorm2d(3, 4)
    ours = filled(ClassNorm(nn.BatchNorm2d(3, affine=False), 3, 4))
    theirs.embed.weight.data = ours.table.weight.data
    x, labels = torch.randn(6, 3, 5, 5), torch.tensor([0, 1, 2, 3, 3, 1])
    torch.testing.assert_close(ours(x, labels), theirs(x, labels))


def test_the_projection_is_mimicrys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its head on our features; both begin with the same spread of the embedding."""
    theirs = mimicry(monkeypatch, "nets.cgan_pd.cgan_pd_32").CGANPDDiscriminator32(4, ndf=6)
    ours = heads.headed(sngan.Discriminator((3, 32, 32), 6), classes=4)
    images, labels = torch.randn(3, 3, 32, 32), torch.tensor([3, 0, 2])
    blocks = ours.blocks(images)
    for name in ("block1", "block2", "block3", "block4"):
        setattr(theirs, name, nn.Identity())
    theirs.l5, theirs.l_y = ours.score, ours.table
    found = ours.judged(images, labels).scores
    torch.testing.assert_close(found[:, None], theirs(blocks.clone(), labels), rtol=1e-4, atol=1e-5)


# --- the method -----------------------------------------------------------------------------------


def method(spec: gan.Spec | None = None, classes: int = 3) -> GAN:
    torch.manual_seed(0)
    layout = Layout(SHAPE, tuple(map(str, range(classes))))
    built = (spec or Spec(conditional=True)).build(layout)
    assert isinstance(built, GAN)
    for module in built.modules():
        if isinstance(module, ClassNorm):
            filled(module)
    return built


def batch(labels: list[int]) -> Batch:
    count = len(labels)
    return Batch(Noise(9, count).uniform(*SHAPE) * 2 - 1, torch.tensor(labels), Noise(1, count))


def test_both_players_are_told_each_images_own_label() -> None:
    """Real and generated images have those of the batch; image by image but for normalisation."""
    built, seen = method(), batch([2, 0, 1, 1, 0])
    assert seen.labels is not None
    with torch.no_grad():
        fakes = built.generator(Noise(1, 5).normal(64), seen.labels)
        scores = [
            torch.stack([built.critic.judged(i[None], c[None]).scores[0] for i, c in pairs])
            for pairs in (
                zip(seen.images, seen.labels, strict=True),
                zip(fakes, seen.labels, strict=True),
            )
        ]
    real, fake = scores
    torch.testing.assert_close(
        built.critic_losses(seen, 0)["total"].detach(), built.objective.critic(real, fake)
    )
    found = built.generator_losses(batch([2, 0, 1, 1, 0]), 1)["total"].detach()
    torch.testing.assert_close(found, built.objective.generator(None, fake))


@pytest.mark.parametrize(
    "change",
    [
        {"objective": "relativistic", "r1": 1.0},
        {"minibatch": 3},
        {"gradient_penalty": 10.0, "objective": "wasserstein"},
    ],
)
def test_labels_reach_the_critic_under_every_switch(change: dict[str, Any]) -> None:
    """Another label of one image changes the losses of both players."""
    losses = []
    for labels in ([2, 0, 1, 1], [2, 0, 1, 0]):
        built = method(Spec(conditional=True, **change))
        losses.append(
            [
                float(loss(batch(labels), 1)["total"].detach())
                for loss in (built.critic_losses, built.generator_losses)
            ]
        )
    assert losses[0][0] != losses[1][0]
    assert losses[0][1] != losses[1][1]


def test_the_critics_table_is_normalised_with_its_layers() -> None:
    built = method(Spec(conditional=True, spectral_norm=True)).train()
    labels = torch.tensor([0, 1, 2, 0])
    with torch.no_grad():
        for _ in range(60):  # power iterations, one a pass
            built.critic.judged(torch.randn(4, *SHAPE), labels)
    table = built.eval().critic.table.weight.detach()
    assert float(torch.linalg.matrix_norm(table, ord=2)) == pytest.approx(1, abs=0.02)


def test_a_wanted_label_is_drawn_from_the_same_latents() -> None:
    built = method().eval()
    with torch.no_grad():
        latents = Noise(4, 5).normal(64)
        for label in range(3):
            expected = built.generator(latents, torch.full((5,), label))
            found = built.sample(Noise(4, 5), label=label)
            torch.testing.assert_close(found, expected.add(1).div(2).clamp(0, 1))
        with pytest.raises(NaqshError, match="label must lie in 0 to 2, got 3"):
            built.sample(Noise(4, 5), label=3)
        plain = method(Spec())
        with pytest.raises(NaqshError, match=r"knows no labels; train with --method\.conditional"):
            plain.sample(Noise(4, 5), label=1)


def test_without_a_label_each_image_has_one_as_often_as_training_had_it() -> None:
    built = method().eval()
    built.count_labels([3, 0, 1])
    noise = Noise(4, 2000)
    latents = noise.normal(64)
    drawn = built.labels.draw(noise, None)
    counts = torch.bincount(drawn, minlength=3).tolist()
    assert counts[1] == 0
    assert counts[2] == pytest.approx(500, abs=4 * (2000 * 0.25 * 0.75) ** 0.5)
    with torch.no_grad():
        expected = built.generator(latents[:9], drawn[:9])
        found = built.sample(Noise(4, 9))
    torch.testing.assert_close(found, expected.add(1).div(2).clamp(0, 1))


def test_what_makes_no_sense_with_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="needs labels, and these images have none"):
        Spec(conditional=True).build(Layout(SHAPE))
    for change in ({"packing": 2}, {"generators": 2}):
        with pytest.raises(ValueError, match=f"leave conditional out, or {next(iter(change))}"):
            Spec(conditional=True, **change)  # type: ignore[arg-type]


def test_a_run_draws_a_class_by_its_name(tmp_path: Path) -> None:
    """Trained, opened from its folder alone, asked for bright discs."""
    recipe = tiny(by_name("gan-digits"), training__steps=2, method__conditional=True)
    trainer(recipe, tiny_data(1), tmp_path).run()
    run = Run(RunFolder(tmp_path))
    bright, second = run.sample(3, label="bright"), run.sample(3, label=1)
    assert np.array_equal(bright, second)
    assert not np.array_equal(bright, run.sample(3, label="dark"))


VARIANTS = {
    "gan-digits": {"method.conditional": True, "method.augment": "colour,translation,cutout"},
    "r3gan-digits": {"method.conditional": True, "method.augment": "translation"},
    "ssgan-digits": {"method.conditional": True, "method.augment": "cutout"},
    "wgan-gp-digits": {"method.conditional": True},
}


@pytest.mark.usefixtures("small_grids")
@pytest.mark.parametrize("check", ["losses", "phases", "resume", "sampling", "load", "estimate"])
@pytest.mark.parametrize("name", VARIANTS)
def test_contract(name: str, check: str, tmp_path: Path) -> None:
    recipe = tiny(by_name(name)).override(VARIANTS[name])
    CHECKS[check](recipe, tiny_data(1), tmp_path)


def test_ssgans_are_conditional_too() -> None:
    built = method(ssgan.Spec(width=4, latent=8, conditional=True))
    for loss in (built.critic_losses, built.generator_losses):
        losses = loss(batch([0, 1, 2, 2]), 1)
        assert {"total", "rotation"} <= losses.keys()
        assert losses["total"].isfinite()
