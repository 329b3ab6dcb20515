"""CycleGAN's and pix2pix's losses by hand, what they refuse, and what they show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from contract import dead_biases
from naqsh import api
from naqsh.core.abilities import Shows, Translates
from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.optimizers import SGD
from naqsh.core.spec import Layout
from naqsh.data import DataSet
from naqsh.methods import cyclegan, pix2pix
from naqsh.recipes import by_name
from naqsh.recipes.recipe import Data, Recipe, Training
from naqsh.runs import origin
from naqsh.training.rows import fixed
from small import trainer

A, B = (3, 16, 16), (1, 16, 16)
SMALL = cyclegan.Spec(width=2, critic_width=2, blocks=1, pool=3)
PAIRS = pix2pix.Spec(width=2, critic_width=2)


def batch(step: int = 0, count: int = 3, second: tuple[int, ...] = A) -> Batch:
    noise = Noise(step, count)
    return Batch(
        noise.normal(*A).tanh(),
        None,
        Noise(100 + step, count),
        second=noise.normal(*second).tanh(),
    )


def two_domains(count: int = 24, paired: bool = False, channels: int = 3) -> DataSet:
    random = np.random.default_rng(0)
    first = random.integers(0, 256, (count, channels, 16, 16), dtype=np.uint8)
    more = first if paired else first[: count - 5]
    return DataSet.of("noise", first, second=255 - more, paired=paired)


def method(spec: cyclegan.Spec = SMALL, second: tuple[int, int, int] = A) -> cyclegan.CycleGAN:
    torch.manual_seed(0)
    built = spec.build(Layout(A, second=second))
    for parameter in built.parameters():  # outputs and losses of about 1
        torch.nn.init.normal_(parameter, 0.0, 0.3)
    return built


def mean_square(x: Tensor) -> Tensor:
    return (x * x).sum() / x.numel()


def mean_absolute(x: Tensor) -> Tensor:
    return x.abs().sum() / x.numel()


def equal(mine: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_one_step_by_hand() -> None:
    """Every image by itself through every network, and the terms added up as in the paper."""
    one, seen = method(), batch()
    to_a, to_b = one.generators["a"], one.generators["b"]
    on_a, on_b = one.critics["a"], one.critics["b"]
    a, b = seen.images, seen.second
    assert b is not None
    with torch.no_grad():
        fake_b, fake_a = to_b(a), to_a(b)
        adversarial = mean_square(on_b(fake_b) - 1) + mean_square(on_a(fake_a) - 1)
        cycle = mean_absolute(to_a(fake_b) - a) + mean_absolute(to_b(fake_a) - b)
        identity = mean_absolute(to_b(b) - b) + mean_absolute(to_a(a) - a)
        losses = one.generator_losses(seen, 0)
    assert set(losses) == {"total", "to_a", "to_b", "cycle", "identity"}
    equal(losses["to_a"] + losses["to_b"], adversarial)
    equal(losses["cycle"], cycle)
    equal(losses["identity"], identity)
    equal(losses["total"], (adversarial + 10 * cycle + 5 * identity))
    for parameter in one.generators.parameters():  # the critics are shown what was made before
        torch.nn.init.normal_(parameter)
    with torch.no_grad():
        losses = one.critic_losses(seen, 0)
        for name, real, fake, critic in (("a", a, fake_a, on_a), ("b", b, fake_b, on_b)):
            expected = (mean_square(critic(real) - 1) + mean_square(critic(fake))) / 2
            equal(losses[f"critic_{name}"], expected)
        equal(losses["total"], losses["critic_a"] + losses["critic_b"])
        right = [
            torch.cat([d(r) > 0.5, d(f) < 0.5]).float().mean()
            for d, r, f in ((on_a, a, fake_a), (on_b, b, fake_b))
        ]
    equal(losses["accuracy"], torch.stack(right).mean())


def test_critics_see_past_fakes_once_the_pool_is_full() -> None:
    """Both pools in step with one list each; coins and places are those of the phase's noise."""
    one = method()
    past: dict[str, list[Tensor]] = {"a": [], "b": []}
    seen_past = 0
    for step in range(8):
        seen = batch(step, count=1)
        with torch.no_grad():
            one.generator_losses(seen, step)
            kept = dict(zip(("a", "b"), one._fakes._kept[0, 1], strict=True))
            losses = one.critic_losses(seen, step)
            noise = Noise(100 + step, 1)
            for name, real in (("a", seen.images), ("b", seen.second)):
                coin, slot = float(noise.uniform()), int(noise.integers(3))
                shown = kept[name]
                if len(past[name]) < 3:
                    past[name].append(shown)
                elif coin > 0.5:
                    shown, past[name][slot] = past[name][slot], shown
                    seen_past += 1
                critic = one.critics[name]
                expected = (mean_square(critic(real) - 1) + mean_square(critic(shown))) / 2
                equal(losses[f"critic_{name}"], expected)
    assert seen_past > 1


def test_without_identity_and_cycle() -> None:
    one = method(cyclegan.Spec(width=2, critic_width=2, blocks=1, pool=0, identity=0, cycle=0))
    with torch.no_grad():
        losses = one.generator_losses(batch(), 0)
    assert "identity" not in losses
    equal(losses["total"], losses["to_a"] + losses["to_b"])


def test_domains_of_other_colours() -> None:
    """Without the identity term a grey domain may stand beside one in colour."""
    with pytest.raises(ValueError, match="A has 3 channels and B 1"):
        SMALL.build(Layout(A, second=B))
    one = method(cyclegan.Spec(width=2, critic_width=2, blocks=1, pool=3, identity=0), B)
    seen = batch(second=B)
    with torch.no_grad():
        for phase in one.phases():
            assert phase.loss(seen, 0)["total"].isfinite()
        assert one.translate(seen.images, "B").shape == (3, *B)
        assert one.translate(seen.second, "A").shape == (3, *A)
        assert {name: sheet.shape for name, (sheet, _) in one.show(seen).items()} == {
            "to_b": (9, *A),
            "to_a": (9, *A),
        }


def test_each_fake_is_made_once_a_step(tmp_path: Path) -> None:
    """By the trainer, in two parts: six images a part through the generators, in four calls."""
    recipe = Recipe("x", Data("digits"), SMALL, Training(steps=2, batch=4, accumulate=2))
    one = trainer(recipe, two_domains(), tmp_path)
    calls: list[int] = []
    for network in one.method.generators.values():
        network.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    one.step()
    assert calls == [4, 4, 2, 2] * 2
    assert not one.method._fakes._kept


def test_a_step_that_is_over_is_not_looked_at_again() -> None:
    one = method()
    with torch.no_grad():
        one.generator_losses(batch(), 0)
        kept = one._fakes._kept[0, 3]
        assert one._fakes.take(batch(), 1) is None
        assert one._fakes.take(batch(count=2), 0) is None
        assert one._fakes.take(batch(), 0) is kept
        assert one._fakes.take(batch(), 0) is None


def pairs(downs: int | None = None) -> pix2pix.Pix2Pix:
    torch.manual_seed(0)
    spec = pix2pix.Spec(width=2, critic_width=2, downs=downs)
    built = spec.build(Layout((3, 64, 64), second=(1, 64, 64), paired=True))
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.3)
    return built


def test_one_step_of_pix2pix_by_hand() -> None:
    one, noise = pairs(), Noise(1, 2)
    a, b = noise.normal(3, 64, 64).tanh(), noise.normal(1, 64, 64).tanh()
    seen = Batch(a, None, Noise(2, 2), second=b)
    with torch.no_grad():
        fake = one.generator(a, Noise(2, 2))
        assert not torch.equal(fake, one.generator(a, Noise(3, 2))), "dropout is its chance"
        on_fake, on_true = (one.critic(torch.cat([a, x], 1)).double() for x in (fake, b))
        fooled = -torch.sigmoid(on_fake).log().mean()
        distance = (fake - b).abs().double().mean()
        losses = one.generator_losses(seen, 0)
        equal(losses["total"].double(), fooled + 100 * distance)
        equal(losses["to_b"].double(), fooled)
        equal(losses["distance"].double(), distance)
        torch.nn.init.normal_(one.generator.up[0].weight)  # what was made before is shown
        losses = one.critic_losses(seen, 0)
        told = torch.sigmoid(on_true).log().mean() + (1 - torch.sigmoid(on_fake)).log().mean()
        equal(losses["total"].double(), -told / 2)
        equal(losses["real"].double(), on_true.mean())
        equal(losses["fake"].double(), on_fake.mean())
        right = torch.cat([on_true > 0, on_fake < 0]).double().mean()
        equal(losses["accuracy"].double(), right)


def test_a_translation_depends_on_no_other_image() -> None:
    """Neither on its place: dropout is one draw, normalisation is of each image."""
    for one, images in (
        (pairs(), Noise(1, 3).normal(3, 64, 128).tanh()),
        (method(), Noise(1, 3).normal(3, 20, 32).tanh()),
    ):
        assert isinstance(one, Translates)
        one.eval()
        with torch.no_grad():
            together = one.translate(images, "B")
            alone = torch.cat([one.translate(image[None], "B") for image in images.flip(0)]).flip(0)
        assert together.shape[2:] == images.shape[2:]
        assert together.dtype == torch.float32
        assert float(together.min()) >= 0
        assert float(together.max()) <= 1
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_the_least_image_is_translated() -> None:
    for one in (pairs(), pairs(3), method()):
        assert one.least % one.multiple == 0
        with torch.no_grad():
            assert one.translate(torch.zeros(1, 3, one.least, one.least), "B").isfinite().all()


def test_stages_show_test_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of both domains of the digits' test split, at each of three stages."""
    given: list[Batch] = []
    show = cyclegan.CycleGAN.show

    def noted(self: cyclegan.CycleGAN, seen: Batch) -> dict[str, tuple[Tensor, int]]:
        given.append(seen)
        return show(self, seen)

    monkeypatch.setattr(cyclegan.CycleGAN, "show", noted)
    recipe = by_name("cyclegan-digits").override({"training.steps": 3})
    recipe = replace(recipe, method=recipe.method.tiny())
    api.train(recipe, out=tmp_path / "run", device="cpu", quiet=True)
    assert len(given) == 3
    test = origin.load(recipe, "test")
    assert test.second is not None
    for seen in given:
        assert seen.second is not None
        for images, pixels in ((seen.images, test.images), (seen.second, test.second)):
            shown = ((images + 1) * 127.5).round().to(torch.uint8).numpy()
            assert all((image == pixels).all((1, 2, 3)).any() for image in shown)
    names = {f"{step:08d}-to_{to}.png" for step in (1, 2, 3) for to in "ab"}
    assert {file.name for file in (tmp_path / "run" / "grids").iterdir()} == names


@pytest.mark.parametrize("paired", [False, True])
def test_shows_stand_in_rows(paired: bool) -> None:
    """Images; their translations; the way back, or the partners."""
    data = two_domains(paired=paired)
    one = PAIRS.build(data.layout) if paired else SMALL.build(data.layout)
    assert isinstance(one, Shows)
    seen = fixed(data, range(4), (-1.0, 1.0), Noise(0, 4))
    with torch.no_grad():
        shown = one.show(seen)
    first, second = (torch.from_numpy(pixels[:4]) / 255 for pixels in (data.images, data.second))
    for name, (sheet, columns) in shown.items():
        assert (columns, len(sheet)) == (4, 12)
        torch.testing.assert_close(
            sheet[:4], second if name == "to_a" else first, rtol=0, atol=1e-6
        )
    if paired:
        torch.testing.assert_close(shown["pairs"][0][8:], second, rtol=0, atol=1e-6)
    else:
        with torch.no_grad():
            there = one.translate(seen.images, "B")
            back = one.translate(there * 2 - 1, "A")
        torch.testing.assert_close(shown["to_b"][0][4:8], there)
        torch.testing.assert_close(shown["to_b"][0][8:], back, rtol=0, atol=1e-5)
        assert list(shown) == ["to_b", "to_a"]


@pytest.mark.parametrize(
    ("spec", "layout", "words"),
    [
        (SMALL, Layout(A), "needs a second domain"),
        (SMALL, Layout(A, second=(3, 16, 20)), "A has images of 16x16, B of 16x20"),
        (
            SMALL,
            Layout((3, 18, 16), second=(3, 18, 16)),
            "divide by 4 and be at least 8, got 18x16",
        ),
        (SMALL, Layout((3, 4, 16), second=(3, 4, 16)), "at least 8, got 4x16"),
        (cyclegan.Spec(strides=3), Layout(A, second=A), "3 strides needs sides of at least 24"),
        (PAIRS, Layout(A), "needs a second domain"),
        (PAIRS, Layout(A, second=A), "not of pairs"),
        (PAIRS, Layout(A, second=(3, 16, 32), paired=True), "A has images of 16x16, B of 16x32"),
        (PAIRS, Layout((3, 18, 16), second=(3, 18, 16), paired=True), "divide by 4, got 18x16"),
        (pix2pix.Spec(downs=5), Layout(A, second=A, paired=True), "divide by 32, got 16x16"),
    ],
)
def test_what_is_refused(spec, layout: Layout, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        spec.build(layout)


@pytest.mark.parametrize(
    "numbers",
    [
        {"width": 0},
        {"critic_width": 0},
        {"strides": 0},
    ],
)
@pytest.mark.parametrize("kind", [cyclegan.Spec, pix2pix.Spec])
def test_hyperparameters_that_make_no_sense(kind, numbers) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        kind(**numbers)


@pytest.mark.parametrize("side", [128, 252, 256])
def test_blocks_by_the_images(side: int) -> None:
    layout = Layout((1, side, side), second=(1, side, side))
    built = cyclegan.Spec(width=1, critic_width=1).build(layout)
    blocks = [m for m in built.generators["a"] if type(m).__name__ == "Block"]
    assert len(blocks) == (9 if side == 256 else 6)


def test_parts_train_as_the_whole_batch(tmp_path: Path) -> None:
    """With plain gradient descent: float32 sums in another order, magnified by normalisation."""
    slow = SGD(lr=0.01)
    spec = cyclegan.Spec(2, 1, critic_width=2, pool=5, generator=slow, critic=slow)
    ends = []
    for parts in (1, 2):
        training = Training(steps=4, batch=4, accumulate=parts, precision="float32")
        one = trainer(
            Recipe("x", Data("digits"), spec, training), two_domains(), tmp_path / f"{parts}"
        )
        start = {k: v.clone() for k, v in one.method.state_dict().items()}
        for _ in range(4):
            one.step()
        ends.append(one.method.state_dict())
    assert int(ends[0]["pools.a.stored"]) == 5
    for name, _ in one.method.named_parameters():
        moved = ends[0][name] - start[name]
        assert float((ends[1][name] - ends[0][name]).norm()) <= 2e-4 * float(moved.norm()), name
        assert bool(moved.any()) or name in dead_biases(one.method), name
    # An image between -1 and 1 by networks that differ by so much of how far they have moved.
    torch.testing.assert_close(
        ends[1]["pools.a.images"], ends[0]["pools.a.images"], rtol=0, atol=1e-3
    )
