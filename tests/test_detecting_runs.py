"""Anomaly detection, whole: from a folder of discs and scratches to scores, figures and files."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

import naqsh
from inspection import VAE, write_discs
from naqsh.cli import main
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise, derive
from naqsh.runs import records
from naqsh.studies import detection
from naqsh.studies.detection import choice
from naqsh.studies.detection.examined import Examined
from naqsh.studies.detection.figures import less, measured
from naqsh.studies.detection.images import normal
from naqsh.studies.detection.scores import LARGEST, Likelihood, Reconstruction, Scores, finite


@pytest.fixture
def run(run_on_discs: naqsh.Run) -> naqsh.Run:
    """A VAE of good discs."""
    return run_on_discs


def _kept(run: naqsh.Run, name: str = "detection.json") -> Path:
    """A file of the one detection that the run keeps."""
    (place,) = run.folder.detections.iterdir()
    return place / name


def _rows(run: naqsh.Run) -> list[dict[str, str]]:
    with _kept(run, "detection.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_figures_are_those_of_the_kept_scores(run, discs):
    found = run.detect(str(discs))
    kept = json.loads(_kept(run).read_text())
    assert kept == json.loads(json.dumps(found.to_dict()))
    assert kept["suspects"] == {
        "name": "discs",
        "count": 24,
        "kinds": {"good": 8, "hole": 8, "scratch": 8},
        "labelled": True,
        "masks": 24,
        "notes": [],
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
    one = run.detect(str(discs), batch=24)
    first = _kept(run, "detection.csv").read_bytes()
    run.detect(str(discs), batch=24)
    assert _kept(run, "detection.csv").read_bytes() == first
    two = run.detect(str(discs), batch=7)
    for name, figures in one.figures.items():
        other = two.figures[name].scores.values
        np.testing.assert_allclose(figures.scores.values, other, rtol=1e-4, err_msg=name)
    other = run.detect(str(discs), seed=1).figures["likelihood"]
    assert not np.allclose(other.scores.values, one.figures["likelihood"].scores.values, rtol=1e-6)


def test_heat_maps_are_written(run, discs):
    found = run.detect(str(discs), score="pca")
    assert found.pictures == {
        "most": "most.png",
        "least": "least.png",
        "maps_of": "pca",
    }
    flagged = [found.suspects.paths[i] for i in found.order() if found.deciding.flagged[i]]
    assert len(flagged) > 8
    names = sorted(p.name for p in found.folder.glob("*.png"))
    stems = [path.removesuffix(".png").replace("/", "-") for path in flagged]
    expected = [f"{rank:04}-{stem}.png" for rank, stem in enumerate(stems, start=1)]
    assert names == [*expected, "least.png", "most.png"]
    with Image.open(found.folder / expected[0]) as picture:
        assert picture.mode == "RGB"
        left, right = np.array_split(np.asarray(picture).astype(int), 2, axis=1)
    assert (left[..., 0] == left[..., 1]).all()
    assert (right[..., 0] - right[..., 1]).max() > 50  # red where the fault is


def test_a_detection_is_replaced_by_the_same_and_by_nothing_else(run, discs, alone):
    """Each of these differs from the first in one thing that its figures depend on."""
    labelled = run.detect(str(discs), draws=1)
    whole = (labelled.folder / "detection.json").read_bytes()
    others = [
        run.detect(str(discs / "test/good/000.png"), draws=1),
        run.detect(str(discs), draws=2),
        run.detect(str(discs), draws=1, seed=1),
        run.detect(str(discs), draws=1, false_alarms=0.2),
        run.detect(str(discs), draws=1, score="pca"),
        run.detect(str(discs), draws=1, given_normal=str(discs / "test/good")),
        naqsh.open(run.folder.path, "best").detect(str(discs), draws=1),
        run.detect(str(discs), draws=1, good="hole"),
    ]
    places = {found.folder for found in (labelled, *others)}
    assert len(places) == 1 + len(others)
    assert set(run.folder.detections.iterdir()) == places
    assert run.detect(str(discs), draws=1).folder == labelled.folder
    assert set(run.folder.detections.iterdir()) == places
    assert (labelled.folder / "detection.json").read_bytes() == whole
    page = run.report(alone / "page.html").read_text(encoding="utf-8")
    assert "Also kept in the run folder" in page


def test_names_of_any_length_and_script(run, discs, alone):
    (alone / "odd").mkdir()
    names = ["گربه" * 20, "猫" * 80, "a" * 200, "b\x1b[31m", "c d.e"]
    for number, name in enumerate(names):
        shutil.copy(discs / f"test/hole/{number:03}.png", alone / "odd" / f"{name}.png")
    found = run.detect("odd", score="pca", draws=1)
    assert int(found.flagged.sum()) == len(names)
    assert len(list(found.folder.glob("0*.png"))) == len(names)
    for sign in ("=", "+", "-", "@"):  # a spreadsheet would take such a cell for a formula
        shutil.copy(discs / "test/hole/000.png", alone / f"{sign}1.png")
        run.detect(f"./{sign}1.png", score="pca", draws=1)
    tables = [place / "detection.csv" for place in run.folder.detections.iterdir()]
    texts = [table.read_text(encoding="utf-8") for table in tables]
    cells = [row["path"] for text in texts for row in csv.DictReader(io.StringIO(text))]
    assert {f"'{sign}1.png" for sign in "=+-@"} <= set(cells)


def test_thresholds_come_from_the_images_that_training_held_out(discs, alone, monkeypatch):
    """Those that the training takes are recorded, and none of them is among these."""
    from naqsh.training import loop

    trained_on: set[bytes] = set()
    batches = loop.Batches

    def recorded(recipe, data, *others):
        trained_on.update(np.asarray(image).tobytes() for image in data.images)
        return batches(recipe, data, *others)

    monkeypatch.setattr(loop, "Batches", recorded)
    changes = VAE | {"data.name": str(discs), "training.seed": 7, "training.steps": 2}
    run = naqsh.train("vae-digits", overrides=changes, device="cpu", quiet=True)
    reference, _ = normal(run, None, seed=0)
    assert len(trained_on) == 30
    assert {image.tobytes() for image in reference.fitted} == trained_on
    assert not {image.tobytes() for image in reference.held_out} & trained_on


def test_the_interval_of_a_difference_is_paired():
    """Two scores that rank alike have no difference, though the AUROC of each is uncertain."""
    random = np.random.default_rng(0)
    kinds = ("good",) * 20 + ("hole",) * 20
    images = np.zeros((40, 1, 4, 4), np.uint8)
    examined = Examined("some", images, tuple(map(str, range(40))), kinds)
    scores = random.normal(size=40) + np.repeat([0.0, 0.5], 20)
    alike = less(scores, 3 * scores + 1, examined)
    assert alike["difference"] == 0
    low, high = measured(scores, examined, None)["auroc_interval"]
    assert high - low > 0.2
    assert alike["interval"][1] < 0.05


def test_the_terminal_says_which_score_is_weak(run, discs, monkeypatch):
    def nothing(self, images, first):
        return Scores(np.arange(first, first + len(images)) % 5.0, None)

    monkeypatch.setattr(Reconstruction, "score", nothing)
    found = run.detect(str(discs), score="reconstruction")
    low, high = found.deciding.measured["less_pca"]["interval"]
    said = detection.table(found)
    assert high < 0, (low, high)
    assert "warning: reconstruction is worse than principal components" in said
    assert "take --score pca" in said
    assert f"written to {found.folder}" in said


def test_normal_images_choose_the_score_that_notices_pasted_patches():
    random = np.random.default_rng(3)
    blind, sharp = random.normal(size=(2, 60))
    noticed = choice.compare(("likelihood", "pca"), (blind, sharp), (blind + 0.1, sharp + 3.0))
    assert noticed.better == "pca"
    assert noticed.aurocs[1] > 0.95 > noticed.aurocs[0]
    turned = choice.compare(("likelihood", "pca"), (sharp, blind), (sharp + 3.0, blind + 0.1))
    assert turned.better == "likelihood"
    alike = choice.compare(("likelihood", "pca"), (sharp, blind), (sharp + 1, blind + 1))
    assert alike.better is None


@pytest.mark.parametrize(
    ("count", "side", "origin", "reason"),
    [
        (20, 8, "validation", ""),
        (20, 8, "given", ""),
        (20, 8, "training", "seen"),
        (19, 8, "validation", "few"),
        (20, 7, "validation", "small"),
    ],
)
def test_normal_images_choose_only_where_that_is_sound(count, side, origin, reason):
    assert choice.unsound(np.zeros((count, 1, side, side), np.uint8), origin) == reason


def test_a_pasted_patch_is_of_the_image_itself_and_of_the_stated_size():
    random = np.random.default_rng(4)
    images = random.integers(0, 256, (200, 3, 32, 24)).astype(np.uint8)
    changed = choice.pasted(images, seed=0)
    assert (choice.pasted(images, seed=0) == changed).all()
    assert (choice.pasted(images[50:], seed=0)[0] != changed[50]).any()  # of its place in the row
    for image, other in zip(images, changed, strict=True):
        places = np.argwhere((image != other).any(0))
        if not len(places):
            continue  # pasted where it was cut
        rows, columns = np.ptp(places, axis=0) + 1
        # Sides are rounded, so the area may leave its bounds by half a pixel of each side.
        assert rows * columns <= 0.15 * 32 * 24 + (rows + columns)
        assert np.abs(image.astype(int) - other).max() <= np.ptp(image)
    changes = np.abs(changed.astype(float) - images).max((1, 2, 3))
    # Opacities from 2 % to 100 % of differences of up to 255 levels, evenly in the logarithm.
    assert np.quantile(changes, 0.1) < 12
    assert np.quantile(changes, 0.9) > 120


def test_auto_says_both_where_normal_images_cannot_tell(run, discs, capsys):
    """Ten are held out: too few. Both scores flag, each at half the rate."""
    found = run.detect(str(discs), score="auto", false_alarms=0.4)
    assert found.choice.unsound == "few"
    assert [found.deciding.name, found.beside.name] == ["likelihood", "pca"]
    for figures in (found.deciding, found.beside):
        above = int((figures.held_out > figures.threshold).sum())
        assert above <= 0.2 * (len(figures.held_out) + 1)
    assert (found.flagged == (found.deciding.flagged | found.beside.flagged)).all()
    assert [int(row["flagged"]) for row in _rows(run)] == found.flagged.astype(int).tolist()
    assert "both likelihood and pca flag" in detection.table(found)
    assert all(len(line.split("\t")) == 3 for line in detection.lines(found))
    assert "both flag" in run.report(run.folder.path / "p.html").read_text(encoding="utf-8")


def test_auto_takes_the_better_score_of_enough_normal_images(run, discs, alone):
    other = write_discs(alone / "more", train=150)
    found = run.detect(str(discs), score="auto", given_normal=str(other / "train/good"), draws=1)
    assert found.choice.images == 30
    assert found.choice.better == "pca"
    assert found.deciding.name == "pca"
    assert found.beside is None
    kept = json.loads((found.folder / "detection.json").read_text())
    assert kept["choice"] == json.loads(json.dumps(records.plain(found.choice)))
    assert "pca decides" in detection.table(found)


def test_a_run_that_held_nothing_out_says_so(discs, alone):
    changes = VAE | {"data.name": str(discs), "training.validation": 0.0, "training.steps": 2}
    run = naqsh.train("vae-digits", overrides=changes, device="cpu", quiet=True)
    found = run.detect(str(discs))
    assert found.normal["origin"] == "training"
    assert "seen" in found.notes
    assert "held out some" not in detection.table(found)
    said = detection.table(found)
    assert "more false alarms than asked for" in said
    assert "--training.validation" in said


def test_pictures_that_were_trained_on_are_noticed(run, discs):
    found = run.detect(str(discs / "train" / "good"))
    assert {"repeated", "unlabelled"} <= set(found.notes)
    assert found.figures["neighbour"].scores.values.min() == 0


def test_two_plain_folders(run, discs, alone, capsys):
    shutil.copytree(discs / "test" / "scratch", alone / "suspects")
    shutil.copytree(discs / "test" / "good", alone / "good")
    words = ["detect", "vae", "suspects", "--normal", "good", "--score", "pca", "--device", "cpu"]
    assert main([*words, "--false-alarms", "0.4"]) == 0
    out = capsys.readouterr().out
    assert "AUROC (95 %)" not in out
    flagged = [line.split("\t")[0] for line in out.splitlines() if "\t" in line]
    assert set(flagged) == {f"{number:03}.png" for number in range(8)}
    kept = json.loads(_kept(run).read_text())
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
    assert "1 images" in capsys.readouterr().out
    (row,) = _rows(run)
    assert row["path"] == "one.png"
    assert (row["kind"], row["label"]) == ("", "")


def test_sub_folders_are_kinds(run, discs, alone, capsys):
    for kind in ("good", "hole"):
        shutil.copytree(discs / "test" / kind, alone / "sorted" / kind)
    assert main(["detect", "vae", "sorted", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "sorted: 16 images (8 good, 8 hole)" in out
    assert "by kind, likelihood:" in out
    kept = json.loads(_kept(run).read_text())
    assert kept["scorers"][0]["pixel_auroc"] is None


def test_another_data_set_is_held_against_the_runs_own(run, alone):
    found = run.detect("digits", n=20, draws=1)
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
    assert "is 9x9, its image 000.png 16x16" in capsys.readouterr().err


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
        (["detect", "vae", "DISCS", "--normal", "empty"], "has no images"),
        (["detect", "vae", "empty"], "has no images"),
        (["detect", "vae", "file.txt"], "is no data set"),
        (["detect", "vae", "DISCS", "--nonsense", "1"], "no option"),
        (["detect", "vae", "capsule"], "put its folder capsule"),
        (["detect", "gan", "DISCS"], "neither log_prob nor reconstruct"),
    ],
)
def test_bad_questions(words, line, run, discs, finished, alone, capsys):
    (alone / "empty").mkdir()
    (alone / "file.txt").write_text("no image")
    shutil.copytree(finished, alone / "gan")
    asked = [str(discs) if word == "DISCS" else word for word in words]
    assert main(asked) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert line in said


def one_channel(images: torch.Tensor) -> torch.Tensor:
    """A map of which no flow can be."""
    return images[:, :1].float()


def test_features_that_do_not_fit_are_told_before_images_are_scored(run, discs, monkeypatch):
    monkeypatch.setattr(Likelihood, "score", None)
    with pytest.raises(NaqshError, match="at least 2 channels"):
        detection.detect(run, str(discs), features=f"{__name__}:one_channel")


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit):
        main(["detect", "--help"])
    out = capsys.readouterr().out
    assert "examples:\n  naqsh detect" in out
    assert "exit codes: 0 done" in " ".join(out.split())
