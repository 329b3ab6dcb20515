"""The training loop on a method small enough to be followed by hand."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from naqsh.core.errors import NaqshError
from naqsh.core.method import Method, Phase
from naqsh.core.optimizers import SGD
from naqsh.core.spec import Layout, MethodSpec
from naqsh.core.world import World
from naqsh.data import DataSet
from naqsh.io import headers
from naqsh.io.foreign import read_lines
from naqsh.recipes.recipe import Data, Recipe, Training
from naqsh.runs.folder import RunFolder
from naqsh.training import loop, stages
from naqsh.training.log import Pending
from naqsh.training.loop import Trainer

COUNT = 12


@dataclass(frozen=True)
class Spec(MethodSpec):
    """One linear layer a phase."""

    lr: float = 0.1
    repeats: int = 1
    every: int = 1
    bad: str = ""

    def build(self, layout):
        return Lines(self, layout.shape)


class Lines(Method):
    """Two phases, each a line through the images' pixels; remembers what it saw."""

    value_range = (0.0, 1.0)

    def __init__(self, spec, shape):
        super().__init__(shape)
        torch.manual_seed(0)
        self.spec, self.a, self.b = spec, nn.Linear(16, 1), nn.Linear(16, 1)
        self.seen: list[tuple[str, int, tuple[int, ...], torch.dtype, bool, bool]] = []
        self.after = 0

    def phases(self):
        first = Phase("first", [self.a], self.first, SGD(self.spec.lr), after=self.count)
        return [
            first,
            Phase("second", [self.b], self.second, SGD(1.0), self.spec.repeats, self.spec.every),
        ]

    def count(self):
        self.after += 1

    def first(self, batch, step):
        return self.loss("first", self.a, batch, step)

    def second(self, batch, step):
        return self.loss("second", self.b, batch, step)

    def loss(self, name, layer, batch, step):
        output = layer(batch.images.flatten(1))
        which = tuple((batch.images[:, 0, 0, 0] * 255).round().int().tolist())
        trained = (self.a.weight.requires_grad, self.b.weight.requires_grad)
        self.seen.append((name, step, which, output.dtype, *trained))
        losses = {"total": (output.float() - 3).square().mean(), "side": output.float().mean()}
        if self.spec.bad == name and step == 3:
            losses["side"] = losses["side"] * math.nan
        return losses

    def validation(self, batch):
        return {"total": (self.a(batch.images.flatten(1)) - 3).square().mean()}


def make(folder, spec: Spec = Spec(), **numbers) -> Trainer:
    recipe = Recipe("lines", Data("x"), spec, Training(**{"batch": 4, "steps": 6} | numbers))
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 1, 4, 4), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(COUNT)  # so that each can be told
    run = RunFolder(folder)
    run.grids.mkdir(parents=True)
    run.checkpoints.mkdir()
    world = World(0, 1, torch.device("cpu"))
    method = spec.build(Layout((1, 4, 4)))
    return Trainer(recipe, method, DataSet.of("x", pixels), run, world, display_quiet=True)


def weights(trainer):
    return torch.cat([p.detach().flatten().clone() for p in trainer.method.parameters()])


def test_phases_run_in_order_and_train_what_they_name(tmp_path):
    trainer = make(tmp_path, Spec(repeats=2, every=3))
    trainer.run()
    names = [(name, step) for name, step, *_ in trainer.method.seen]
    expected = []
    for step in range(6):
        expected += [("first", step)] + [("second", step)] * (2 if step % 3 == 0 else 0)
    assert names == expected
    assert all(a == (name == "first") for name, *_, a, _ in trainer.method.seen)
    assert all(b == (name == "second") for name, *_, b in trainer.method.seen)
    assert trainer.method.after == 6


def test_each_repeat_sees_fresh_pictures_and_phases_share_them(tmp_path):
    trainer = make(tmp_path, Spec(repeats=3), steps=4)
    trainer.run()
    # Three batches of four a step are all twelve images, in another order in each.
    by_step = {step: [] for step in range(4)}
    for name, step, which, *_ in trainer.method.seen:
        if name == "second":
            by_step[step] += which
    assert all(sorted(seen) == list(range(COUNT)) for seen in by_step.values())
    assert len({tuple(seen) for seen in by_step.values()}) == 4
    for name, step, which, *_ in trainer.method.seen:
        if name == "first":
            assert list(which) == by_step[step][:4]


def test_noise_differs_wherever_the_update_does_and_parts_have_their_own(tmp_path):
    whole, parts = (
        make(tmp_path / str(count), Spec(repeats=2), accumulate=count).batches for count in (1, 2)
    )
    updates = [(phase, step, k) for phase in "ab" for step in (0, 1) for k in (0, 1)]
    drawn = [whole.take(*update, 0).noise.uniform() for update in updates]
    assert len(torch.cat(drawn).unique()) == len(updates) * 4
    cut = [torch.cat([parts.take(*u, part).noise.uniform() for part in (0, 1)]) for u in updates]
    assert torch.equal(torch.stack(cut), torch.stack(drawn))


def test_one_step_is_plain_gradient_descent(tmp_path):
    trainer = make(tmp_path, steps=1, precision="float32")
    weight, bias = trainer.method.a.weight.detach().clone(), trainer.method.a.bias.detach().clone()
    trainer.step()
    pictures = list(trainer.method.seen[0][2])
    x = torch.from_numpy(trainer.data.images[pictures]).flatten(1).double() / 255
    residual = 2 * (x @ weight.double().T + bias.double() - 3)
    torch.testing.assert_close(
        trainer.method.a.weight.double(),
        weight.double() - 0.1 * (residual * x).mean(0),
        rtol=1e-5,
        atol=1e-6,
    )
    torch.testing.assert_close(
        trainer.method.a.bias.double(), bias.double() - 0.1 * residual.mean(0), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_adds_up_to_the_whole_batch(parts, tmp_path):
    whole = make(tmp_path / "a", precision="float32")
    cut = make(tmp_path / "b", precision="float32", accumulate=parts)
    whole.run()
    cut.run()
    assert len(cut.method.seen) == parts * len(whole.method.seen)
    torch.testing.assert_close(weights(cut), weights(whole), rtol=1e-5, atol=1e-6)
    a, b = (read_lines(t.folder.metrics)[-1]["losses"] for t in (whole, cut))
    assert a == pytest.approx(b, rel=1e-4)


def test_clipping_bounds_the_step(tmp_path):
    trainer = make(tmp_path, Spec(lr=1.0), clip_norm=0.25, precision="float32")
    for _ in range(3):
        before = weights(trainer)[:17]
        trainer.step()
        assert float((weights(trainer)[:17] - before).norm()) == pytest.approx(0.25, rel=1e-4)
    free = make(tmp_path / "free", Spec(lr=1.0), precision="float32")
    before = weights(free)[:17]
    free.step()
    assert float((weights(free)[:17] - before).norm()) > 1


def test_the_schedule_reaches_every_optimiser(tmp_path):
    trainer = make(tmp_path, schedule="linear", warmup=2)
    rates = []
    for _ in range(6):
        trainer.step()
        rates.append([o.param_groups[0]["lr"] for o in trainer.optimizers.values()])
    factors = [0.5, 1, 1, 0.75, 0.5, 0.25]
    assert rates == [[pytest.approx(0.1 * f), pytest.approx(f)] for f in factors]


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_precision_is_that_of_the_networks_and_not_of_the_weights(precision, dtype, tmp_path):
    trainer = make(tmp_path, precision=precision)
    trainer.step()
    assert {seen[3] for seen in trainer.method.seen} == {dtype}
    assert all(p.dtype == torch.float32 for p in trainer.method.parameters())


@pytest.mark.parametrize("phase", ["first", "second"])
def test_a_term_that_is_not_finite_stops_the_run(phase, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 2)
    trainer = make(tmp_path, Spec(bad=phase), steps=9)
    line = rf"^side of phase {phase} is nan in step 4; the last good checkpoint is of step 3\."
    with pytest.raises(NaqshError, match=line):
        trainer.run()
    assert trainer.folder.steps() == [3]
    (note,) = read_lines(trainer.folder.diagnosis)
    assert note["words"].startswith(f"side of phase {phase} is nan")
    assert note["step"] == 4


def test_the_best_on_held_out_pictures_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    trainer = make(tmp_path, Spec(lr=0.2), validation=0.34, steps=12, batch=8)
    assert len(trainer.data) == 8
    assert trainer.held_out is not None
    assert len(trainer.held_out) == 4
    scores = iter([5.0, 4.0, 1.0, 2.0, *[3.0] * 20])
    monkeypatch.setattr(stages, "validate", lambda *arguments: {"validation.total": next(scores)})
    trainer.run()
    assert trainer.state.best == (1.0, 3)
    assert trainer.folder.steps() == [11, 12]
    assert headers.texts(trainer.folder.best)["step"] == "3"
    (note,) = read_lines(trainer.folder.diagnosis)
    assert note["rule"] == "overfitting"
    # Five epochs on end above the least, 1; the fifth is at 3.
    assert note["value"] == 2.0
    told = [r["losses"] for r in read_lines(trainer.folder.metrics) if "speed" not in r]
    assert [losses["validation.total"] for losses in told[:4]] == [5.0, 4.0, 1.0, 2.0]


def test_averaged_weights_are_scored_and_kept(tmp_path):
    """Samples are drawn from the average, so it is what held-out images have to judge."""
    trainer = make(tmp_path, Spec(lr=0.02), validation=0.34, steps=6, batch=8, ema=0.5)
    trainer.run()
    assert trainer.held_out is not None
    images = torch.from_numpy(trainer.held_out.images).flatten(1).double() / 255
    states = {"last": trainer.method.state_dict(), "best": load_file(trainer.folder.best)}
    # The decay rises from 1/10 over 2/11 to 6/15, so the average is behind the last weights.
    losses = {
        name: float((images @ s["a.weight"].double().T + s["a.bias"] - 3).square().mean())
        for name, s in states.items()
    }
    assert trainer.state.best == (pytest.approx(losses["best"], rel=1e-5), 6)
    assert losses["best"] > 1.01 * losses["last"]
    assert trainer.average is not None
    assert torch.equal(states["best"]["a.weight"], trainer.average.method.a.weight)


def test_a_method_without_a_validation_loss_holds_images_out_too(tmp_path, monkeypatch):
    """So that others can judge it by images that it did not train on."""
    whole = make(tmp_path / "whole", validation=0.25)
    monkeypatch.setattr(loop, "Validates", type("Nobody", (), {}))
    trainer = make(tmp_path / "gan", validation=0.25)
    assert trainer.data.fingerprint == whole.data.fingerprint
    trainer.run()
    assert {image for *_, which, _, _, _ in trainer.method.seen for image in which} == {
        int(image) for image in trainer.data.images[:, 0, 0, 0]
    }
    assert len(trainer.data) == 0.75 * COUNT
    assert not trainer.folder.best.exists()


def test_the_end_is_scored_though_no_epoch_ends_there(tmp_path, monkeypatch):
    trainer = make(tmp_path, validation=0.34, steps=4, batch=8)
    monkeypatch.setattr(stages, "validate", lambda *arguments: {"validation.total": 1.0})
    monkeypatch.setattr(type(trainer.plan), "ends_epoch", lambda plan, step: step == 2)
    trainer.run()
    told = [r["step"] for r in read_lines(trainer.folder.metrics) if "speed" not in r]
    assert told == [2, 4]


def test_validation_weighs_every_picture_alike(tmp_path):
    trainer = make(tmp_path)
    whole = stages.validate(trainer.method, trainer.data, COUNT, 0, torch.device("cpu"))
    cut = stages.validate(trainer.method, trainer.data, 5, 0, torch.device("cpu"))
    assert cut == pytest.approx(whole)


def test_validation_gives_every_image_noise_of_its_own(tmp_path):
    """So that the loss does not hang on how many images fit into a batch."""
    trainer = make(tmp_path)
    drawn = []
    trainer.method.validation = lambda batch: {
        "total": drawn.append(batch.noise.uniform()) or torch.tensor(0.0)
    }
    for batch in (COUNT, 5):
        stages.validate(trainer.method, trainer.data, batch, 0, torch.device("cpu"))
    assert len(torch.cat(drawn[1:]).unique()) == COUNT
    assert torch.equal(drawn[0], torch.cat(drawn[1:]))


def test_a_score_that_is_not_finite_stops_the_run(tmp_path, monkeypatch):
    trainer = make(tmp_path, validation=0.34, steps=12, batch=8)
    monkeypatch.setattr(stages, "validate", lambda *arguments: {"validation.total": math.inf})
    with pytest.raises(NaqshError, match=r"^total of phase validation is inf in step 1; none is"):
        trainer.run()


@given(
    count=st.integers(1, 60),
    pictures=st.integers(1, 90),
    steps=st.none() | st.integers(1, 90),
    epochs=st.floats(0.01, 20),
)
def test_the_plan(count, pictures, steps, epochs):
    made = stages.plan(Training(steps=steps, epochs=epochs), count, pictures)
    if steps is None:
        assert (made.total - 1) * pictures < epochs * count <= made.total * pictures * (1 + 1e-9)
    else:
        assert made.total == steps
    # By counting images one at a time:
    last = {
        e: math.ceil(e * count / pictures) for e in range(1, made.total * pictures // count + 1)
    }
    ends = [step for step in range(1, made.total + 1) if made.ends_epoch(step)]
    assert ends == sorted(set(last.values()))
    assert made.total in made.stages
    assert all(1 <= step <= made.total for step in made.stages)
    if len(last) > 2:
        assert made.stages == {last[1], last[(len(last) + 1) // 2], made.total}
    else:
        assert len(made.stages) == min(3, made.total)


def test_a_plan_of_a_billion_epochs_costs_nothing():
    assert stages.plan(Training(epochs=1e9), 60_000, 64).total == 937_500_000_000


def test_a_ratio_is_divided_when_it_is_written():
    """Of all steps together; one by 0 in all of them is left out."""
    pending, world = Pending(), World(0, 1, torch.device("cpu"))
    for step, (a, b) in enumerate([(1.0, 2.0), (0.0, 0.0), (5.0, 1.0)]):
        pair = torch.tensor([a, b])
        pending.add(step, "p", {"total": torch.tensor(a), "share": pair, "none": 0 * pair})
    pending.check()
    assert pending.take(world) == {"p.total": 2.0, "p.share": 2.0}
    pending.add(7, "p", {"share": torch.tensor([1.0, torch.nan])})
    with pytest.raises(NaqshError, match="share of phase p is nan in step 8"):
        pending.check()
