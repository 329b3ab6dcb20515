"""Scales of guidance held against each other: the study, its verb, and its section of the page."""

import json
from pathlib import Path
from typing import Any

import pytest

import naqsh
from naqsh import report
from naqsh.cli import main
from naqsh.core.errors import NaqshError
from naqsh.report.read import gather
from naqsh.studies import guidance

FEW: dict[str, Any] = {"features": "pixels", "n": 8, "sampling": {"steps": 2}}
TINY = {"training.batch": 8, "training.steps": 4, "method.width": 4, "method.multipliers": (1, 2)}
TINY |= {"training.warmup": 0, "training.ema": 0.1, "method.optimizer.lr": 0.05}  # to tell labels


def trained(out: Path, **more: Any) -> naqsh.Run:
    changes = TINY | {"method.conditional": True} | more
    return naqsh.train("ddpm-digits", out=out, overrides=changes, device="cpu", quiet=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> naqsh.Run:
    """A tiny conditional run, measured at two scales and in an interval of noise levels."""
    made = trained(tmp_path_factory.mktemp("runs") / "ddpm")
    guidance.study(made, [2.0, 1.0], **FEW)
    within = {"steps": 2, "guidance_interval": "0.1,2"}
    guidance.study(made, [2.0], **FEW | {"sampling": within})
    return made


def _values(point: dict[str, Any]) -> dict[str, float]:
    return {m["name"]: m["value"] for m in point["measures"]}


def test_scales_are_kept_and_only_new_ones_are_drawn(
    run: naqsh.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("drawn anew")

    with monkeypatch.context() as changed:
        changed.setattr(guidance, "_point", refuse)
        found = guidance.study(run, [1.0, 2.0], **FEW)
    plain, guided = found["points"]
    assert [plain["guidance"], guided["guidance"]] == [1.0, 2.0]
    assert guided["evaluations"] == 2 * plain["evaluations"] == 4
    assert {"frechet", "precision", "recall"} <= set(_values(plain))
    assert _values(plain) != _values(guided)
    # The first of two steps sees noise beyond the interval, once; the second one twice.
    (part,) = guidance.study(
        run, [2.0], **FEW | {"sampling": {"steps": 2, "guidance_interval": (0.1, 2.0)}}
    )["points"]
    assert part["evaluations"] == 3


def test_the_table_and_the_page_have_the_numbers(run: naqsh.Run, tmp_path: Path) -> None:
    found = guidance.study(run, [1.0, 2.0], **FEW)
    text = guidance.table(found)
    for point in found["points"]:
        values = _values(point)
        row = next(r for r in text.splitlines() if r.startswith(f"  {point['guidance']:>8g}"))
        assert f"{values['frechet']:.4g}" in row
        assert f"{values['precision']:.3f}" in row
    (facts,) = gather.read([run.folder.path])
    assert facts.problems == []
    assert [len(study.scales) for study in facts.guided] == [2, 1]
    page = report.write(run.folder.path, tmp_path / "page.html").read_text(encoding="utf-8")
    figure = page[page.index('id="figure-guidance"') :]
    figure = figure[: figure.index("</figure>")]
    assert figure.count("<svg") == 3
    assert "guidance_interval" in figure
    shown = facts.guided[0].as_plain()["scales"]
    assert [scale["frechet"] for scale in shown] == [
        _values(point)["frechet"] for point in found["points"]
    ]


def test_the_verb_takes_several_scales_or_one(
    run: naqsh.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--n", "8", "--features", "pixels", "--device", "cpu", "--json"]
    path = str(run.folder.path)
    assert main(["samplers", path, "--guidance", "1,2", "--steps", "2", *few]) == 0
    assert [p["guidance"] for p in json.loads(capsys.readouterr().out)["points"]] == [1.0, 2.0]
    one = ["--guidance", "2", "--samplers", "ddim", "--steps", "2"]
    assert main(["samplers", path, *one, *few]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sampling"] == {"guidance": 2.0}
    assert [p["sampler"] for p in found["points"]] == ["ddim"]
    assert main(["samplers", path, "--guidance", "1,2", "--steps", "2,3", *few]) == 2
    assert "one number of steps, got 2 steps" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("scales", "sampling", "line"),
    [
        ([-1.0], {}, "numbers from 0 on"),
        ([], {}, "numbers from 0 on"),
        ([2.0], {"guidance": 2.0}, "sets guidance itself"),
        ([2.0], {"guidance_interval": "3,1"}, "LOW,HIGH of noise over signal"),
    ],
)
def test_mistakes_are_refused(
    run: naqsh.Run, scales: list[float], sampling: dict[str, Any], line: str
) -> None:
    with pytest.raises(NaqshError, match=line):
        guidance.study(run, scales, **FEW | {"sampling": sampling})


def test_what_has_no_guidance_is_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(NaqshError, match="gan-digits takes no guidance"):
        guidance.study(naqsh.open(finished))
    plain = trained(tmp_path / "plain", **{"method.conditional": False})
    with pytest.raises(NaqshError, match="guidance needs labels"):
        guidance.study(plain, **FEW)
    # Whether labels would ever have been hidden is no matter where none are told.
    plain = trained(tmp_path / "bare", **{"method.conditional": False, "method.label_dropout": 0.0})
    with pytest.raises(NaqshError, match="guidance needs labels"):
        guidance.study(plain, **FEW)
    whole = trained(tmp_path / "whole", **{"method.label_dropout": 0.0})
    with pytest.raises(NaqshError, match=r"trained with every label.*label_dropout 0\.1"):
        guidance.study(whole, **FEW)


def test_a_flow_is_guided_without_labels(tmp_path: Path) -> None:
    changes = {"training.steps": 20, "training.batch": 8, "training.ema": 0.1}
    run = naqsh.train(
        "tarflow-digits",
        out=tmp_path / "flow",
        overrides=changes | {"method.width": 16, "method.label_dropout": 0.0},
        device="cpu",
        quiet=True,
    )
    found = guidance.study(run, [1.0, 2.0], features="pixels", n=8)
    plain, guided = found["points"]
    assert plain["guidance"] == 1.0
    assert _values(plain) != _values(guided)
