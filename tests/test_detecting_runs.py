"""Anomaly detection, whole: from a folder of discs and scratches to scores, figures and files."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

import naqsh
from inspection import write_discs
from naqsh import detection
from naqsh.cli import main
from naqsh.detection.scores import LARGEST, finite
from naqsh.noise import Noise, derive

VAE = {
    "data.size": 16,
    "method.likelihood": "gaussian",
    "method.latent": 4,
    "training.batch": 16,
    "training.steps": 60,
    "training.validation": 0.25,
}


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of discs."""
    return write_discs(tmp_path_factory.mktemp("data") / "discs")


@pytest.fixture(scope="module")
def trained(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VAE of good discs, hardly trained."""
    out = tmp_path_factory.mktemp("runs") / "vae"
    changes = VAE | {"data.name": str(discs)}
    naqsh.train("vae-digits", out=out, overrides=changes, device="cpu", quiet=True)
    return out


@pytest.fixture
def run(trained: Path, alone: Path) -> naqsh.Run:
    """A copy of the run that a test may write into."""
    shutil.copytree(trained, alone / "vae")
    return naqsh.open(alone / "vae")


def _rows(run: naqsh.Run) -> list[dict[str, str]]:
    with (run.folder.path / "detection.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_figures_are_those_of_the_kept_scores(run, discs):
    found = detection.detect(run, str(discs))
    kept = json.loads((run.folder.path / "detection.json").read_text())
    assert kept == json.loads(json.dumps(found.to_dict()))
    assert kept["suspects"] == {
        "name": "discs",
        "count": 24,
        "kinds": {"good": 8, "hole": 8, "scratch": 8},
        "labelled": True,
        "masks": 24,
    }
    assert kept["normal"]["origin"] == "validation"
    assert (kept["normal"]["fitted"], kept["normal"]["held_out"]) == (30, 10)
    rows = _rows(run)
    assert [row["path"] for row in rows[:2]] == ["test/good/000.png", "test/good/001.png"]
    labels = np.array([int(row["label"]) for row in rows])
    kinds = np.array([row["kind"] for row in rows])
    assert (labels == (kinds != "good")).all()
    assert kept["deciding"] == "likelihood"
    for scorer in kept["scorers"]:
        scores = np.array([float(row[scorer["name"]]) for row in rows])
        # The file keeps nine digits.
        assert scorer["auroc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
        expected = average_precision_score(labels, scores)
        assert scorer["average_precision"] == pytest.approx(expected, abs=1e-6)
        low, high = scorer["auroc_interval"]
        assert low <= scorer["auroc"] <= high
        for kind, plain in scorer["kinds"].items():
            part = (kinds == kind) | (kinds == "good")
            assert plain["count"] == 8
            assert plain["auroc"] == pytest.approx(roc_auc_score(labels[part], scores[part]))
        assert scorer["flagged"] == int((scores > scorer["threshold"] + 1e-9 * abs(scores)).sum())
        assert sum(scorer["flagged_by_kind"].values()) == scorer["flagged"]
        counts = scorer["histogram"]["counts"]
        assert {name: sum(c) for name, c in counts.items()} == {
            "": 10,
            "good": 8,
            "hole": 8,
            "scratch": 8,
        }
    by_name = {scorer["name"]: scorer for scorer in kept["scorers"]}
    assert by_name["pca"]["auroc"] > 0.95
    assert by_name["pca"]["pixel_auroc"] > 0.8
    assert by_name["complexity"]["pixel_auroc"] is None
    assert by_name["pca"]["baseline"]
    assert not by_name["reconstruction"]["baseline"]
    flagged = [int(row["flagged"]) for row in rows]
    assert sum(flagged) == by_name["likelihood"]["flagged"]


def test_scores_are_the_methods(run, discs):
    found = run.detect(str(discs), draws=3, seed=5, batch=24)
    images = torch.from_numpy(found.suspects.images / np.float32(255))
    with torch.inference_mode():
        noise = Noise(derive(5, "detect"), 24)
        expected = -torch.stack([run.method.log_prob(images, noise) for _ in range(3)]).mean(0)
        error = (run.method.reconstruct(images) - images).square().mean((1, 2, 3))
    # The same arithmetic in float32, but for the order of two sums, of terms of some 300 nats: a
    # score near 0 is what they leave.
    scores = found.figures["likelihood"].scores
    np.testing.assert_allclose(scores.values, expected.numpy(), rtol=1e-5, atol=300 * 2**-20)
    assert scores.maps is None
    scores = found.figures["reconstruction"].scores
    np.testing.assert_allclose(scores.values, error.numpy(), rtol=1e-5)
    # Smoothing moves errors about and, mirrored at the edge, loses none.
    np.testing.assert_allclose(scores.maps.mean((1, 2)), scores.values, rtol=1e-4)


def test_again_is_the_same_whatever_the_batch(run, discs):
    one = detection.detect(run, str(discs), batch=24)
    first = (run.folder.path / "detection.csv").read_bytes()
    detection.detect(run, str(discs), batch=24)
    assert (run.folder.path / "detection.csv").read_bytes() == first
    two = detection.detect(run, str(discs), batch=7)
    for name, figures in one.figures.items():
        other = two.figures[name].scores.values
        np.testing.assert_allclose(figures.scores.values, other, rtol=1e-4, err_msg=name)
    other = detection.detect(run, str(discs), seed=1).figures["likelihood"]
    assert not np.allclose(other.scores.values, one.figures["likelihood"].scores.values, rtol=1e-6)


def test_heat_maps_are_written(run, discs):
    found = detection.detect(run, str(discs), score="pca")
    assert found.pictures == {
        "most": "detection/most.png",
        "least": "detection/least.png",
        "maps_of": "pca",
    }
    flagged = [found.suspects.paths[i] for i in found.order() if found.deciding.flagged[i]]
    assert len(flagged) > 8
    names = sorted(p.name for p in (run.folder.path / "detection").iterdir())
    stems = [path.removesuffix(".png").replace("/", "-") for path in flagged]
    expected = [f"{rank:04}-{stem}.png" for rank, stem in enumerate(stems, start=1)]
    assert names == [*expected, "least.png", "most.png"]
    with Image.open(run.folder.path / "detection" / expected[0]) as picture:
        assert picture.mode == "RGB"
        left, right = np.array_split(np.asarray(picture).astype(int), 2, axis=1)
    assert (left[..., 0] == left[..., 1]).all()
    assert (right[..., 0] - right[..., 1]).max() > 50  # red where the fault is


def test_a_run_that_held_nothing_out_says_so(discs, alone):
    changes = VAE | {"data.name": str(discs), "training.validation": 0.0, "training.steps": 2}
    run = naqsh.train("vae-digits", overrides=changes, device="cpu", quiet=True)
    found = detection.detect(run, str(discs))
    assert found.normal["origin"] == "training"
    assert "seen" in found.notes
    assert "held out some" not in detection.table(found)
    assert "expect more false alarms" in detection.table(found)


def test_pictures_that_were_trained_on_are_noticed(run, discs):
    found = detection.detect(run, str(discs / "train" / "good"))
    assert {"repeated", "unlabelled"} <= set(found.notes)
    assert found.figures["neighbour"].scores.values.min() == 0


def test_two_plain_folders(run, discs, alone, capsys):
    shutil.copytree(discs / "test" / "scratch", alone / "suspects")
    shutil.copytree(discs / "test" / "good", alone / "good")
    words = ["detect", "vae", "suspects", "--normal", "good", "--score", "pca", "--device", "cpu"]
    assert main([*words, "--false-alarms", "0.4"]) == 0
    out = capsys.readouterr().out
    assert "AUROC" not in out
    flagged = [line.split("\t")[0] for line in out.splitlines() if "\t" in line]
    assert set(flagged) == {f"{number:03}.png" for number in range(8)}
    kept = json.loads((run.folder.path / "detection.json").read_text())
    assert kept["normal"] == {"name": "good", "fitted": 6, "held_out": 2, "origin": "given"}
    assert "auroc" not in kept["scorers"][0]
    assert main([*words, "--false-alarms", "0.4", "--fail-on-anomaly"]) == 3
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == ["few", "unlabelled"]


def test_one_picture_of_another_size_and_colour(run, discs, alone, capsys):
    with Image.open(discs / "test/good/000.png") as picture:
        picture.resize((40, 30)).convert("RGB").save(alone / "one.png")
    assert main(["detect", "vae", "one.png", "--device", "cpu"]) == 0
    assert "1 pictures" in capsys.readouterr().out
    (row,) = _rows(run)
    assert row["path"] == "one.png"
    assert (row["kind"], row["label"]) == ("", "")


def test_sub_folders_are_kinds(run, discs, alone, capsys):
    for kind in ("good", "hole"):
        shutil.copytree(discs / "test" / kind, alone / "sorted" / kind)
    assert main(["detect", "vae", "sorted", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "sorted: 16 pictures (8 good, 8 hole)" in out
    assert "by kind, likelihood:" in out
    kept = json.loads((run.folder.path / "detection.json").read_text())
    assert kept["scorers"][0]["pixel_auroc"] is None


def test_another_data_set_is_held_against_the_runs_own(run, alone):
    found = detection.detect(run, "digits", n=20, draws=1)
    assert found.suspects.name.startswith("digits against ")
    # Of the discs' test part only the good ones are good.
    assert found.suspects.kinds == ("good",) * 8 + ("digits",) * 20
    assert found.figures["pca"].measured["auroc"] > 0.9


def test_scores_beyond_all_bounds_are_the_largest():
    values = finite(np.array([np.nan, np.inf, -np.inf, 1.5], np.float32))
    assert values.tolist() == [LARGEST, LARGEST, -LARGEST, 1.5]


def test_a_folder_of_masks_of_another_size(run, discs, alone, capsys):
    shutil.copytree(discs, alone / "bad")
    Image.new("L", (9, 9)).save(alone / "bad/ground_truth/hole/000_mask.png")
    assert main(["detect", "vae", "bad", "--device", "cpu"]) == 2
    assert "is 9x9, its picture 000.png 16x16" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["detect", "vae", "nowhere/"], "nowhere"),
        (["detect", "nowhere", "DISCS"], "no run at nowhere"),
        (["detect", "vae", "DISCS", "--score", "pcs"], "did you mean 'pca'"),
        (["detect", "vae", "DISCS", "--false-alarms", "0"], "between 0 and 1"),
        (["detect", "vae", "DISCS", "--draws", "0"], "at least 1"),
        (["detect", "vae", "DISCS", "--features", "nothing"], "no feature maps named"),
        (["detect", "vae", "DISCS", "--features", "no_module:f"], "no function no_module:f"),
        (["detect", "vae", "DISCS", "--features", "math:pi"], "is no function"),
        (["detect", "vae", "DISCS", "--features", "classifier:vae"], "is no classifier"),
        (["detect", "vae", "DISCS", "--normal", "empty"], "has no pictures"),
        (["detect", "vae", "empty"], "has no pictures"),
        (["detect", "vae", "file.txt"], "is no data set"),
        (["detect", "vae", "DISCS", "--nonsense", "1"], "no option"),
        (["detect", "vae", "capsule"], "put its folder capsule"),
        (["detect", "gan", "DISCS"], "neither log_prob nor reconstruct"),
    ],
)
def test_bad_questions(words, line, run, discs, finished, alone, capsys):
    (alone / "empty").mkdir()
    (alone / "file.txt").write_text("no picture")
    shutil.copytree(finished, alone / "gan")
    asked = [str(discs) if word == "DISCS" else word for word in words]
    assert main(asked) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert line in said


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit):
        main(["detect", "--help"])
    out = capsys.readouterr().out
    assert "examples:\n  naqsh detect" in out
    assert "exit codes: 0 done" in out
