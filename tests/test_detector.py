"""A saved detector gives the scores of the detection that made it, with nothing beside it."""

import itertools
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import naqsh
from naqsh.cli import main
from naqsh.core.errors import NaqshError
from naqsh.studies import detection
from naqsh.studies.detection import detector as module

pytestmark = pytest.mark.usefixtures("short_flows")

SCORES = [
    ("likelihood", None),
    ("likelihood-complexity", None),
    ("reconstruction", None),
    ("pca", None),
    ("neighbour", None),
    ("complexity", None),
    ("flow-on-features", "digits"),
    ("gaussian-on-features", "digits"),
    ("auto", None),
]


@pytest.fixture
def run(run_on_discs: naqsh.Run) -> naqsh.Run:
    """A VAE of good discs."""
    return run_on_discs


@pytest.mark.parametrize(("score", "features"), SCORES)
def test_it_scores_as_the_detection_that_made_it(score, features, run, discs, alone):
    found = run.detect(str(discs), score=score, features=features, draws=2, batch=24)
    images = found.suspects.images
    kept = found.detector.save(alone / "kept")
    shutil.rmtree(run.folder.path)  # it needs nothing beside itself
    loaded = detection.load(kept)
    assert loaded.shape == (1, 16, 16)
    deciders = [figures for figures in (found.deciding, found.beside) if figures]
    scores = loaded.score(images)
    assert list(scores) == [figures.name for figures in deciders]
    for figures in deciders:
        # The same arithmetic on the same shapes.
        np.testing.assert_array_equal(scores[figures.name], figures.scores.values)
        assert loaded.thresholds[figures.name] == figures.threshold
    assert (loaded.flag(images) == found.flagged).all()


def test_on_the_command_line(run, discs, alone, capsys):
    words = ["detect", "vae", str(discs), "--score", "pca", "--device", "cpu"]
    assert main([*words, "--save", "kept"]) == 0
    capsys.readouterr()
    shutil.rmtree("vae")
    assert main(["detect", "kept", str(discs / "test/hole"), "--fail-on-anomaly"]) == 3
    out = capsys.readouterr().out.splitlines()
    assert out[-1].startswith("8 of 8 flagged: pca above")
    assert {line.split("\t")[0] for line in out[:-1]} == {f"{n:03}.png" for n in range(8)}
    assert main(["detect", "kept", str(discs / "test/hole"), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert [row["flagged"] for row in plain["images"]] == [True] * 8
    assert all(row["pca"] > plain["thresholds"]["pca"] for row in plain["images"])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["kept", "nowhere"], "nowhere"),
        (["kept", "DISCS", "--score", "pca"], "leave --score out"),
        (["kept", "DISCS", "--false-alarms", "0.1"], "leave --false-alarms out"),
        (["vae", "DISCS", "--save", "vae"], "no detector"),
    ],
)
def test_bad_questions(words, line, run, discs, alone, capsys):
    run.detect(str(discs), score="pca").detector.save("kept")
    assert main(["detect", *(str(discs) if word == "DISCS" else word for word in words)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert line in said[-1]
    assert (alone / "vae/recipe.yaml").exists()


def test_images_of_another_shape_or_type_are_refused(run, discs, alone):
    ready = run.detect(str(discs), score="pca").detector
    for images in (np.zeros((2, 3, 16, 16), np.uint8), np.zeros((2, 1, 16, 16), np.float32)):
        with pytest.raises(NaqshError, match="takes uint8 images of shape"):
            ready.score(images)


def test_one_image_takes_milliseconds(run, discs, alone):
    """No timing: what could take long, reading normal images or fitting, is not called again."""
    kept = run.detect(str(discs), score="pca").detector.save(alone / "kept")
    loaded = detection.load(kept)
    with pytest.MonkeyPatch.context() as patch:
        for scorer in loaded.scorers.values():
            patch.setattr(scorer, "fit", None, raising=False)
        patch.setattr(module.tensors, "read", None)
        assert loaded.flag(np.full((1, 1, 16, 16), 255, np.uint8)).all()


def _elsewhere(file: Path) -> None:
    """Let a file be a link out of its folder."""
    file.rename(file.parent.parent / file.name)
    file.symlink_to(file.parent.parent / file.name)


class Damage:
    """What may be wrong with a detector's folder."""

    @staticmethod
    def of_json(change):
        def damage(place: Path) -> None:
            plain = json.loads((place / "detector.json").read_text())
            change(plain)
            (place / "detector.json").write_text(json.dumps(plain))

        return damage

    @staticmethod
    def of_tensors(change):
        def damage(place: Path) -> None:
            tensors = load_file(place / "fitted.safetensors")
            change(tensors)
            save_file(tensors, place / "fitted.safetensors")

        return damage


@pytest.mark.parametrize(
    "damage",
    [
        Damage.of_json(lambda plain: plain.pop("format")),
        Damage.of_json(lambda plain: plain.update(format=2)),
        Damage.of_json(lambda plain: plain.update(shape=[1, 16])),
        Damage.of_json(lambda plain: plain.update(scorers=[])),
        Damage.of_json(lambda plain: plain["scorers"][0].update(name="nothing")),
        Damage.of_json(lambda plain: plain["scorers"][0].update(threshold="high")),
        Damage.of_tensors(lambda tensors: tensors.pop("pca.mean")),
        Damage.of_tensors(lambda tensors: tensors.update({"pca.directions": torch.zeros(3, 2)})),
        Damage.of_tensors(lambda tensors: tensors.update({"pca.mean": torch.zeros(1)})),
        Damage.of_tensors(lambda tensors: tensors.update({"pca.mean": tensors["pca.mean"].half()})),
        Damage.of_tensors(lambda tensors: tensors["pca.mean"].fill_(torch.nan)),
        Damage.of_tensors(lambda tensors: tensors.update({"pca.more": torch.zeros(1)})),
        Damage.of_tensors(lambda tensors: tensors.update({"flow.mean": torch.zeros(1)})),
        Damage.of_json(lambda plain: plain.update(shape=[1, 10**30, 16])),
        Damage.of_json(lambda plain: plain["scorers"][0].update(threshold=math.inf)),
        Damage.of_json(lambda plain: plain["scorers"].append(plain["scorers"][0])),
        lambda place: (place / "fitted.safetensors").write_bytes(b"no tensors"),
        lambda place: (place / "fitted.safetensors").unlink(),
        lambda place: _elsewhere(place / "fitted.safetensors"),
        lambda place: _elsewhere(place / "detector.json"),
    ],
)
def test_a_damaged_one_is_told_in_one_line(damage, run, discs, alone):
    kept = run.detect(str(discs), score="pca").detector.save(alone / "kept")
    damage(kept)
    with pytest.raises(NaqshError) as error:
        detection.load(kept)
    assert "\n" not in str(error.value)


def test_a_function_of_a_strangers_is_not_imported(run, discs, alone, monkeypatch):
    kept = run.detect(str(discs), features="digits").detector.save(alone / "kept")
    plain = json.loads((kept / "detector.json").read_text())
    plain["scorers"][0]["features"] = "evil:function"
    (kept / "detector.json").write_text(json.dumps(plain))
    (alone / "evil.py").write_text("raise SystemExit('imported')")
    with pytest.raises(NaqshError, match="a function that would be run"):
        detection.load(kept)


def test_features_of_another_network_are_refused(run, discs, alone):
    kept = run.detect(str(discs), features="digits").detector.save(alone / "kept")
    plain = json.loads((kept / "detector.json").read_text())
    plain["scorers"][0]["features"] = "mnist"
    (kept / "detector.json").write_text(json.dumps(plain))
    with pytest.raises(NaqshError, match="not those that this detector was fitted to"):
        detection.load(kept)


CHANGES = (
    lambda tensor: tensor[..., :1] if tensor.dim() else tensor,
    lambda tensor: tensor.double() if tensor.dtype == torch.float32 else tensor.float(),
    lambda tensor: tensor + 10**6 if tensor.dtype == torch.int64 else tensor * torch.inf,
    lambda tensor: None,
)
"""What may be wrong with a tensor that was read: its shape, type, values, that it is missing."""


@pytest.mark.parametrize("score", ["flow-on-features", "gaussian-on-features"])
def test_no_tensor_of_features_is_taken_unseen(score, run, discs, alone):
    kept = run.detect(str(discs), score=score, features="digits").detector.save(alone / "kept")
    whole = load_file(kept / "fitted.safetensors")
    for change, (name, tensor) in itertools.product(CHANGES, whole.items()):
        changed = change(tensor)
        if changed is not None and torch.equal(changed, tensor) and changed.dtype == tensor.dtype:
            continue
        others = {n: t for n, t in whole.items() if n != name}
        save_file(
            others if changed is None else others | {name: changed.contiguous()},
            kept / "fitted.safetensors",
        )
        with pytest.raises(NaqshError):
            detection.load(kept)
