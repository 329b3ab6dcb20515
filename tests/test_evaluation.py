"""Measuring runs and collections: numbers reach the file and the reader as they were computed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import naqsh
from naqsh import data, metrics, recipes
from naqsh.cli import main
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.noise import Noise
from naqsh.data.dataset import Split
from naqsh.io import png as pictures
from naqsh.report.read import gather
from naqsh.report.read.evaluation import by_kind
from naqsh.runs import kept
from naqsh.studies import evaluation
from naqsh.studies import measure as measuring
from naqsh.studies.floor import floor
from small import tiny, tiny_data, trainer


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> naqsh.Run:
    """A GAN on the digits, hardly trained."""
    folder = tmp_path_factory.mktemp("run")
    recipe = recipes.by_name("gan-digits").override({"training.steps": 20})
    trainer(recipe, data.load("digits"), folder).run()
    return naqsh.open(folder)


def test_evaluate_equals_the_plain_functions(run: naqsh.Run) -> None:
    result = run.evaluate(["frechet", "pr"], features="digits", n=60, seed=3, batch=17)
    drawn = torch.from_numpy(pictures.to_pixels(run.sample(60, seed=3).numpy()))
    extractor = metrics.by_name("digits")
    test = data.load("digits", split="test")
    real, generated = extractor(torch.from_numpy(test.images.copy())), extractor(drawn)
    named = {measure.name: measure for measure in result.measures}
    # Batches of another size round otherwise, and an image may cross to the next grey level.
    expected = metrics.frechet_distance_features(real, generated)
    assert named["frechet"].value == pytest.approx(expected, rel=1e-3)
    assert (named["frechet"].n_real, named["frechet"].n_generated) == (297, 60)
    assert named["frechet"].reference == "digits test"
    assert result.speed.parameters == sum(p.numel() for p in run.method.generator.parameters())
    assert result.speed.evaluations_per_picture == 1


def test_evaluation_is_kept_as_json(run: naqsh.Run) -> None:
    result = run.evaluate(["kernel"], features="pixels", n=30)
    (stored,) = kept.evaluations(run.folder).find(metric="kernel", n=30, features="pixels")
    assert metrics.Measure.from_dict(kept.measure_of(stored)) == result.measures[0]
    assert (stored.of["step"], stored.of["weights"]) == (20, "last")
    assert stored.of["reference_fingerprint"] == data.load("digits", split="test").fingerprint


@pytest.mark.parametrize(
    ("reference", "split", "wanted", "n"),
    [("test", "train", 60, 60), ("train", "test", 400, 297)],
)
def test_the_floor_is_what_real_images_come_to(
    run: naqsh.Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reference: Split,
    split: Split,
    wanted: int,
    n: int,
) -> None:
    """Of the other split as many as were generated; it has no more than 297 for the test."""
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path))
    of = {"features": "pixels", "n": wanted}
    found = run.evaluate("frechet", reference=reference, seed=7, **of)
    assert found.floor
    assert (found.floor.split, found.floor.n, found.no_floor) == (split, n, None)
    images = data.load("digits", split=reference), data.load("digits", split=split).some(n, 0)
    real, other = (metrics.extract(metrics.by_name("pixels"), side.images) for side in images)
    value = found.floor.measures[0].value
    assert value == pytest.approx(metrics.frechet_distance_features(real, other), rel=1e-9)
    assert found.to_dict()["floor"]["measures"][0]["value"] == value
    assert f"floor {value:.4g}" in measuring.table(found.measures, found.floor)
    (stored,) = kept.evaluations(run.folder).find(metric="floor", **of)
    assert stored.found == json.loads(json.dumps(found.floor.to_dict()))
    (facts,) = gather.read([run.folder.path])
    (measured,) = [m for m in facts.evaluations if (m.about.n, m.about.seed) == (wanted, 7)]
    assert measured.floor
    assert by_kind(measured.floor.measures)["frechet"][0] == value


def test_a_floor_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the run and its samples' seed; a further metric is added to what is known."""
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path))
    real, other = data.load("digits", split="test"), data.load("digits")
    of = {"split": "train", "n": 50, "reference": "digits test"}
    pixels = metrics.by_name("pixels")
    first = floor(["kernel"], pixels, real, other, **of)
    more = floor(["all"], pixels, real, other, **of)
    assert more.measures[0].name == "kernel"
    assert {m.name for m in more.measures} > {"frechet", "recall", "coverage"}
    with monkeypatch.context() as patch:
        patch.setattr(metrics, "measure", None)
        again = floor(["all"], pixels, real, other, **of)
    assert again == more
    (place,) = (tmp_path / "floors").iterdir()
    for damage in (b"{", b"[]", b'{"of": {}}', place.read_bytes().replace(b'"value"', b'"v"')):
        place.write_bytes(damage)
        assert floor(["kernel"], pixels, real, other, **of) == first


def test_where_there_is_no_floor_it_is_said(
    run: naqsh.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = run.evaluate("kernel", features="pixels", n=20, reference="digits")
    assert elsewhere.floor is None
    assert elsewhere.no_floor == "digits is no split of the images that the run was trained on"
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 16, 16), np.uint8)
    np.save(tmp_path / "mine.npy", images)
    changes = {"data.name": str(tmp_path / "mine.npy"), "training.steps": 1, "training.batch": 8}
    out = str(tmp_path / "r")
    naqsh.train("gan-digits", out=out, overrides=changes, device="cpu", quiet=True)
    told = ["--reference", "train", "--n", "20", "--metrics", "kernel", "--features", "pixels"]
    assert main(["evaluate", out, *told]) == 0
    assert "note: no floor: " in (said := capsys.readouterr().out)
    assert "no test split" in said
    likely = run.evaluate("nearest", n=20)
    assert (likely.floor, likely.no_floor) == (None, None)


def test_nothing_that_was_measured_is_lost_or_mixed(run: naqsh.Run) -> None:
    """A further evaluation replaces what is of the same thing, and leaves all else."""
    run.folder.evaluation.unlink(missing_ok=True)
    store = kept.evaluations(run.folder)
    first = run.evaluate(["frechet", "kernel", "pr"], features="pixels", n=40)
    before = store.read()
    ways: list[dict[str, Any]] = [
        {"n": 30},
        {"n": 40, "features": "digits"},
        {"n": 40, "reference": "train"},
        {"n": 40, "seed": 1},
    ]
    for way in ways:
        run.evaluate(["frechet"], **({"features": "pixels"} | way))
    there = store.read()
    measures = [result for result in before if result.of["metric"] != "speed"]
    assert all(result in there for result in measures)
    assert len([result for result in there if result.of["metric"] == "frechet"]) == 1 + len(ways)
    again = run.evaluate(["frechet"], features="pixels", n=40)
    assert len(store.read()) == len(there)
    assert again.measures[0].value == pytest.approx(first.measures[0].value, rel=1e-9)
    (facts,) = gather.read([run.folder.path])
    shown = {
        (m.about.n, m.about.features, m.about.reference, m.about.seed): set(m.values)
        for m in facts.evaluations
    }
    assert {"frechet", "kernel", "precision", "recall"} < shown[40, "pixels", "digits test", 0]
    assert set(shown[30, "pixels", "digits test", 0]) == {"frechet", "frechet_infinity"}
    assert len(shown) == 1 + len(ways)


def test_samples_drawn_otherwise_are_another_result(tmp_path: Path) -> None:
    recipe = tiny(recipes.by_name("maf-digits"), training__steps=2)
    trainer(recipe, data.load("digits"), tmp_path).run()
    one = naqsh.open(tmp_path)
    for temperature in (1.0, 0.5, 0.5):
        sampling = {"temperature": temperature} if temperature < 1 else {}
        one.evaluate(["frechet", "nearest"], features="pixels", n=20, sampling=sampling)
    store = kept.evaluations(one.folder)
    for name in ("frechet", "nearest", "speed"):
        there = [result.of["sampling"] for result in store.find(metric=name)]
        assert there == [{}, {"temperature": 0.5}]


def test_who_asks_for_fid_is_told_what_it_is(
    run: naqsh.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--n", "20", "--features", "pixels", "--device", "cpu"]
    assert main(["evaluate", str(run.folder.path), "--metrics", "FID", *small]) == 0
    said = capsys.readouterr().out
    assert "by features pixels this is a Fréchet distance; FID is by Inception's alone" in said
    assert not [line for line in said.splitlines() if line.strip().startswith("FID")]
    assert main(["measure", "kid", "digits:test", "digits", *small, "--json"]) == 0
    assert [m["name"] for m in json.loads(capsys.readouterr().out)] == ["kernel"]


def test_copies_and_noise_are_told(run: naqsh.Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Samples of a generator that has hardly begun lie far from all training images."""
    path = str(run.folder.path)
    assert main(["evaluate", path, "--metrics", "nearest", "--n", "40", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "of 40 samples are farther from every training image than any of 100 held-out" in said
    (stored,) = kept.evaluations(run.folder).find(metric="nearest", n=40)
    assert stored.found["signs"] == ["noise"]


def test_other_images_are_noted_or_refused(tmp_path: Path) -> None:
    """A run is measured against its own images, known by content, or it is said."""
    names = [tmp_path / name for name in ("own", "other")]
    for seed, name in enumerate(names):
        random = np.random.default_rng(seed)
        images = random.integers(0, 256, (30, 16, 16), dtype=np.uint8)
        np.save(f"{name}.npy", images)
    own, other = (f"{name}.npy" for name in names)
    small = {"training.steps": 2, "data.name": own}
    run = naqsh.train("gan-digits", out=tmp_path / "run", overrides=small, quiet=True, device="cpu")
    moved = str(Path(own).rename(tmp_path / "moved.npy"))
    Path(other).rename(own)
    ways: dict[str, Any] = {"features": "pixels", "n": 20, "reference": "train"}
    with pytest.raises(NaqshError, match="--data"):
        run.evaluate("frechet", **ways)
    found = run.evaluate("frechet", data=moved, **ways)
    assert not found.notes
    against = run.evaluate("frechet", data=own, **ways)
    assert len(against.notes) == 1
    assert against.measures[0].value != found.measures[0].value
    values = [r.found.get("remarks") for r in kept.evaluations(run.folder).find(metric="frechet")]
    assert values == [None, list(against.notes)]
    named = run.evaluate("frechet", **(ways | {"reference": own}))
    assert named.measures[0].value == against.measures[0].value


def test_a_damaged_file_is_told_before_the_work(run: naqsh.Run) -> None:
    run.folder.evaluation.write_text('{"format": 2, "results": [{"of": 3}]}')
    try:
        with pytest.raises(NaqshError, match=r"evaluation\.json is damaged: .* move it away"):
            run.evaluate(
                ["frechet"], features="pixels", n=20, progress=lambda *_: pytest.fail("began")
            )
    finally:
        run.folder.evaluation.unlink()


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> naqsh.Run:
    """A VAE on the digits, hardly trained."""
    folder = tmp_path_factory.mktemp("vae")
    recipe = recipes.by_name("vae-digits").override({"training.steps": 5})
    trainer(recipe, data.load("digits"), folder).run()
    return naqsh.open(folder)


def test_likelihood_is_the_mean_over_test_pictures(
    vae: naqsh.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    result = vae.evaluate(["likelihood"], n=20, batch=64)
    measured = result.likelihood
    assert measured
    assert (measured.kind, measured.of) == ("lower bound", "black and white")
    assert (measured.n, measured.reference) == (297, "digits test")
    assert result.measures == []
    test = data.load("digits", split="test")
    images = data.to_float(torch.from_numpy(test.images.copy()), 0.0, 1.0)
    with torch.no_grad():
        other = vae.method.log_prob(images, Noise(5, 297)).double()
    # Another noise: the bound is random, each image's by a few nats, their mean by a 17th of it.
    assert measured.nats == pytest.approx(float(other.mean()), abs=3 * float(other.std()) / 17)
    assert measured.bits == pytest.approx(-measured.nats / (256 * np.log(2)))
    path = str(vae.folder.path)
    assert main(["evaluate", path, "--metrics", "likelihood", "--n", "20"]) == 0
    assert "bits a pixel, black and white (lower bound" in capsys.readouterr().out
    (stored,) = kept.evaluations(vae.folder).find(metric="likelihood")
    assert {**stored.found, "remarks": None} == measured.to_dict() | {"remarks": None}
    (facts,) = gather.read([vae.folder.path])
    assert not facts.lost("evaluation.json")
    assert [likelihood.bits for likelihood in facts.likelihoods] == [measured.bits]


def test_a_method_without_likelihood_says_so(run: naqsh.Run) -> None:
    with pytest.raises(NaqshError, match="no log_prob"):
        run.evaluate(["likelihood"], n=20)
    assert run.evaluate("FID", features="pixels", n=20).likelihood is None


def test_measure_on_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tiny_data(1, count=40).images.transpose(0, 2, 3, 1)
    np.save(tmp_path / "real.npy", images)
    np.save(tmp_path / "same.npy", images)
    noise = np.random.default_rng(0).integers(0, 256, images.shape, dtype=np.uint8)
    np.save(tmp_path / "noise.npy", noise)
    real = str(tmp_path / "real.npy")
    (same,) = measuring.measure(["kernel"], real, str(tmp_path / "same.npy"), features="pixels")
    (far,) = measuring.measure(["kernel"], real, str(tmp_path / "noise.npy"), features="pixels")
    assert same.value < 0.1 * far.value
    code = main(["measure", "frechet", real, str(tmp_path / "same.npy"), "--features", "pixels"])
    assert code == 0
    shown = capsys.readouterr().out
    assert "40 generated against 40 of" in shown
    assert main(["measure", "frechet", real, real, "--features", "pixels", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain[0]["value"] == pytest.approx(0, abs=1e-6)


def test_n_takes_that_many_the_same_for_a_seed() -> None:
    first = measuring.measure(["frechet"], "digits:test", "digits", Machine(seed=1), n=50)
    again = measuring.measure(["frechet"], "digits:test", "digits", Machine(seed=1), n=50)
    other = measuring.measure(["frechet"], "digits:test", "digits", Machine(seed=2), n=50)
    for one, two in zip(first, again, strict=True):
        # LAPACK's last digits depend on where its arrays lie in memory.
        assert one.value == pytest.approx(two.value, rel=1e-9), one.name
    assert first[0].value != pytest.approx(other[0].value, rel=1e-3)
    assert (first[0].n_real, first[0].n_generated) == (50, 50)


def test_classifier_of_a_run_gives_features(tmp_path: Path) -> None:
    recipe = tiny(recipes.by_name("classifier-digits"))
    trainer(recipe, tiny_data(1), tmp_path).run()
    extractor = measuring.extractor(f"classifier:{tmp_path}")
    images = torch.from_numpy(tiny_data(1).images)
    method = naqsh.open(tmp_path).method
    expected = method.network.features(images.float() / 127.5 - 1)
    torch.testing.assert_close(extractor(images), expected)
    assert extractor.name == f"classifier:{tmp_path}"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["measure", "fad", "digits:test", "digits"], "no metric named 'fad'"),
        (
            ["measure", "frechet", "digits:test", "digits", "--features", "mnst"],
            "did you mean 'mnist'",
        ),
        (["measure", "frechet", "digits:test", "digits", "--n", "1"], "at least 2 images, got n 1"),
        (["measure", "kernel", "digits:test", "digits", "--n", "3"], "kernel needs at least 4"),
        (["measure", "frechet", "digits:test", "digits", "--batch", "0"], "a batch of at least 1"),
        (["measure", "frechet", "digits:test", "digits", "--features", "mnist"], "1x28x28"),
        (["measure", "frechet", "digits:test", "no-such-folder"], "no-such-folder"),
        (
            ["measure", "frechet", "digits:test", "digits", "--features", "classifier:x"],
            "no run at x",
        ),
    ],
)
def test_bad_questions(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    with pytest.raises(NaqshError, match=line):
        raise NaqshError(said)


def test_shipped_classifiers_name_their_origin() -> None:
    for name, least in (("digits", 0.98), ("mnist", 0.993)):
        path = Path(metrics.__file__).parent / "weights" / f"{name}.safetensors"
        network, origin = metrics.load_classifier(path)
        assert origin.test_accuracy >= least
        assert f"classifier-{name}" in origin.command
        assert path.stat().st_size < 1_000_000
        assert network.classes == 10


def test_shipped_digits_classifier_is_as_good_as_it_says() -> None:
    path = Path(metrics.__file__).parent / "weights" / "digits.safetensors"
    network, origin = metrics.load_classifier(path)
    test = data.load("digits", split="test")
    named = network.probabilities(torch.from_numpy(test.images.copy()) / 127.5 - 1).argmax(1)
    assert test.labels is not None
    right = float((named.numpy() == test.labels).mean())
    assert right == pytest.approx(origin.test_accuracy, abs=1e-4)


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ({"reference": "val"}, "the splits test and train, not val"),
        ({"reference": "tset"}, "did you mean 'test'"),
        ({"reference": "no/such"}, "no reference named"),
        ({"n": 1}, "at least 2 images"),
        ({"n": 3, "names": "kernel"}, "kernel needs at least 4"),
        ({"machine": Machine(batch=0)}, "a batch of at least 1"),
        ({"features": "mnist"}, "are of 1x28x28 images, got 1x16x16"),
        ({"names": "fidd"}, "no metric named 'fidd'"),
        ({"features": "pixel"}, "did you mean 'pixels'"),
        ({"sampling": {"sampler": "x"}}, "sampler"),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(
    how: dict[str, Any], line: str, run: naqsh.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*arguments: object, **named: object) -> None:
        raise AssertionError("this is work")

    for name in ("evaluation.images_of", "evaluation.draw"):
        monkeypatch.setattr(f"naqsh.studies.{name}", work)
    monkeypatch.setattr("naqsh.runs.trained.Trained.images", work)
    with pytest.raises(NaqshError, match=line):
        evaluation.evaluate(run, **{"features": "pixels", **how})


def test_a_reference_of_another_shape_is_told_before_images_are_drawn(
    run: naqsh.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe says no size, so an array keeps its own; by pixels its rows are longer."""
    np.save(tmp_path / "large.npy", np.zeros((8, 1, 24, 24), np.uint8))
    monkeypatch.setattr("naqsh.studies.evaluation.draw", None)
    how = {"reference": str(tmp_path / "large.npy"), "n": 8}
    with pytest.raises(NaqshError, match="images of 24x24x1 and of 16x16x1 rows of other lengths"):
        evaluation.evaluate(run, "frechet", features="pixels", **how)
    with pytest.raises(NaqshError, match="digits' are of 1x16x16 images, got 1x24x24"):
        evaluation.evaluate(run, "frechet", features="digits", **how)
    how["reference"] = str(tmp_path / "few.npy")
    np.save(how["reference"], np.zeros((3, 1, 16, 16), np.uint8))
    with pytest.raises(NaqshError, match="8 generated and 3 of few"):
        evaluation.evaluate(run, "kernel", features="pixels", **how)
