"""The study of samplers: what it measures, keeps and refuses; sampling options of evaluate."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import naqsh
from naqsh import data
from naqsh.cli import main
from naqsh.core.abilities import Samples
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.noise import Noise, derive
from naqsh.diffusion.samplers import Heun
from naqsh.methods.diffusion import Diffusion
from naqsh.metrics import extract, frechet_distance_features
from naqsh.metrics.extractors import by_name as features_named
from naqsh.recipes import by_name
from naqsh.report.read import gather
from naqsh.runs import kept
from naqsh.runs.sampling import sample_options
from naqsh.studies import bound, samplers
from naqsh.studies.evaluation import draw
from small import trainer

TINY = {
    "training.batch": 16,
    "training.steps": 2,
    "training.warmup": 0,
    "method.width": 4,
    "method.multipliers": (1, 2),
    "method.steps": 2,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> naqsh.Run:
    """A diffusion model that has hardly begun."""
    folder = tmp_path_factory.mktemp("samplers") / "run"
    return naqsh.train("ddpm-digits", out=folder, overrides=TINY, device="cpu", quiet=True)


def study(run: naqsh.Run, *names: str, steps: tuple[int, ...] = (2, 3)) -> dict[str, Any]:
    """A small one by pixels."""
    return samplers.study(run, names, steps, Machine(batch=5), features="pixels", n=12)


def test_each_point_is_the_distance_and_the_cost_of_its_samples(run: naqsh.Run) -> None:
    found = study(run, "heun", "ddim")
    stored = kept.samplers(run.folder).find(n=12, seed=0, features="pixels")
    assert [p for p in found["points"] if {**p} in [dict(r.found) for r in stored]] == found[
        "points"
    ]
    order = [(point["sampler"], point["steps"]) for point in found["points"]]
    assert order == [("ddim", 2), ("ddim", 3), ("heun", 2), ("heun", 3)]
    assert [point["evaluations"] for point in found["points"]] == [2, 3, 3, 5]
    options = {"sampler": "heun", "steps": 3}
    drawn = draw(run, 12, Machine(batch=12), options)
    real = data.load("digits", split="test", size=None)
    tables = [extract(features_named("pixels"), images) for images in (real.images, drawn)]
    told = {m["name"]: m["value"] for m in found["points"][-1]["measures"]}
    assert told["frechet"] == pytest.approx(frechet_distance_features(*tables), rel=1e-4)
    assert "heun" in samplers.table(found)
    assert (run.folder.path / found["nearest"]["picture"]).exists()


def test_what_is_measured_is_kept(run: naqsh.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = study(run, "ddim")
    drawn: list[object] = []
    inner: Callable[..., Any] = draw

    def counted(*arguments: Any) -> Any:
        drawn.append(arguments[-1])
        return inner(*arguments)

    for module in ("alike", "samplers"):
        monkeypatch.setattr(f"naqsh.studies.{module}.draw", counted)
    assert study(run, "ddim") == before
    assert not drawn
    after = study(run, "ddim", steps=(4,))
    assert drawn == [{"sampler": "ddim", "steps": 4}]
    assert len(after["points"]) == len(before["points"]) + 1
    # Other images are another study.
    other = samplers.study(run, ["ddim"], [2], Machine(batch=5), features="pixels", n=13)
    assert [point["steps"] for point in other["points"]] == [2]
    assert other["nearest"]["picture"] != before["nearest"]["picture"]
    # And it takes nothing from the first.
    assert study(run, "ddim") == after
    (facts,) = gather.read([run.folder.path])
    assert {12: len(after["points"]), 13: 1} == {s.about.n: len(s.points) for s in facts.sampled}


def test_what_has_no_samplers_is_refused(run: naqsh.Run, finished: Path) -> None:
    with pytest.raises(NaqshError, match="gan-digits has no samplers"):
        samplers.study(naqsh.open(finished))
    with pytest.raises(NaqshError, match="ancestral"):
        study(run, "ancestrol")
    with pytest.raises(NaqshError, match="at least 1"):
        study(run, "ddim", steps=(0, 5))


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ({"n": 1}, "at least 2 images"),
        ({"machine": Machine(batch=0)}, "a batch of at least 1"),
        ({"features": "mnist"}, "are of 1x28x28 images, got 1x16x16"),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(
    how: dict[str, Any], line: str, run: naqsh.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naqsh.runs.trained.Trained.images", None)
    with pytest.raises(NaqshError, match=line):
        samplers.study(run, **{"features": "pixels", **how})
    if "features" not in how:
        with pytest.raises(NaqshError, match=line):
            bound.study(run, **how)


def test_the_commands_take_samplers(run: naqsh.Run, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(run.folder.path)
    small = ["--n", "12", "--features", "pixels", "--device", "cpu"]
    assert main(["samplers", path, "--samplers", "euler", "--steps", "2", *small]) == 0
    assert "euler" in capsys.readouterr().out
    guided = ["--samplers", "euler", "--steps", "2", "--clip", "false", *small]
    assert main(["samplers", path, *guided]) == 0
    assert kept.samplers(run.folder).find(sampler="euler", sampling={"clip": False})
    assert main(["samplers", path, "--sampler", "euler", *small]) == 2
    assert "sets sampler itself" in capsys.readouterr().err
    assert main(["samplers", path, "--nonsense", "3", *small]) == 2
    assert "no option named '--nonsense'" in capsys.readouterr().err
    sampled = ["--sampler", "heun", "--steps", "3"]
    assert main(["evaluate", path, "--metrics", "frechet", *sampled, *small]) == 0
    drawn = {"sampling": {"sampler": "heun", "steps": 3}}
    store = kept.evaluations(run.folder)
    assert store.find(metric="frechet", **drawn)
    (speed,) = store.find(metric="speed", **drawn)
    assert speed.found["evaluations_per_picture"] == 5
    assert main(["evaluate", path, "--nonsense", "3", *small]) == 2
    assert "no option named" in capsys.readouterr().err


def test_an_option_is_of_its_sampler_alone(
    run: naqsh.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = str(run.folder.path), str(tmp_path / "grid.png")
    small = ["--n", "2", "--device", "cpu", "--out", out]
    for wrong in (["--sampler", "heun", "--eta", "0.5"], ["--eta", "0.5", "--sampler", "heun"]):
        assert main(["sample", path, *wrong, *small]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "heun takes no eta; it takes steps, spacing, clip, churn, churn_least" in said
    # Without a name it is the recipe's sampler.
    assert main(["sample", path, "--churn", "3", *small]) == 2
    assert "dpm-solver++ takes no churn; it takes steps, spacing, clip" in capsys.readouterr().err
    assert main(["sample", path, "--sampler", "ddim", "--eta", "2", *small]) == 2
    assert "eta must lie in [0, 1], got 2" in capsys.readouterr().err
    assert main(["sample", path, "--sampler", "hoin", *small]) == 2
    assert "no sampler named 'hoin'" in capsys.readouterr().err
    assert not Path(out).exists()
    churned = ["--sampler", "heun", "--churn", "4", "--churn_most", "none", "--steps", "3"]
    assert main(["sample", path, *churned, *small]) == 0
    assert Path(out).exists()


def test_options_by_name_are_those_of_the_object(run: naqsh.Run) -> None:
    options = {"sampler": "heun", "steps": 3, "churn": 4.0, "spacing": "karras"}
    drawn = run.sample(4, **options)
    method = run.method
    assert isinstance(method, Diffusion)
    heun = Heun(3, "karras", clip=True, churn=4.0)
    with torch.inference_mode():
        assert torch.equal(drawn, method.sample(Noise(derive(0, "sample"), 4), heun))
    assert not torch.equal(drawn, run.sample(4, **(options | {"churn": None})))
    # None leaves an option as it is set.
    usual = run.sample(4, sampler=None, steps=None, spacing=None, clip=None)
    assert torch.equal(usual, run.sample(4))


def test_a_study_asks_every_sampler_before_it_draws(
    run: naqsh.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("alike", "samplers"):
        monkeypatch.setattr(f"naqsh.studies.{module}.draw", None)
    with pytest.raises(NaqshError, match="ddim takes no churn"):
        samplers.study(run, ["heun", "ddim"], sampling={"churn": "2"}, n=12, features="pixels")
    monkeypatch.undo()
    found = samplers.study(
        run, ["euler", "heun"], [2], sampling={"churn": "2"}, n=12, features="pixels"
    )
    assert found["sampling"] == {"churn": 2.0}
    assert [point["sampler"] for point in found["points"]] == ["euler", "heun"]


def test_classes_are_asked_for_by_name_first_and_by_number(tmp_path: Path) -> None:
    names = ("cat", "900", "0", "none", "1.5")
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 16, 16), dtype=np.uint8)
    labelled = data.DataSet.of("named", images, np.arange(40) % 5, names)
    recipe = by_name("ddpm-digits").override(TINY | {"method.conditional": True})
    trainer(recipe, labelled, tmp_path).run()
    opened = naqsh.open(tmp_path)
    assert opened.classes == names
    wanted = {"cat": 0, "900": 1, "0": 2, "none": 3, "1.5": 4, "1": 1, "4": 4, 0: 0, 4: 4}
    for asked, number in wanted.items():
        read = sample_options(opened.method, {"label": asked}, opened.classes)
        assert read == {"label": number}
        assert torch.equal(opened.sample(2, label=asked), opened.sample(2, label=number))
    for wrong, complaint in [
        ("dog", "no label named 'dog'"),
        ("-1", "0 to 4, got -1"),
        (7, "0 to 4"),
    ]:
        with pytest.raises(NaqshError, match=complaint):
            opened.sample(2, label=wrong)
    out = tmp_path / "grid.png"
    path = str(tmp_path)
    assert main(["sample", path, "--label", "900", "--n", "2", "--out", str(out)]) == 0
    assert main(["sample", path, "--label", "901", "--n", "2", "--out", str(out)]) == 2
    assert isinstance(opened.method, Samples)
    assert sample_options(opened.method, {"label": "none"}) == {"label": None}  # no names
