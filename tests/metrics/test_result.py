"""Measures carry all they depend on, and refuse comparisons that mean nothing."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from naqsh.core.errors import NaqshError
from naqsh.metrics.evaluate import METRICS, measure
from naqsh.metrics.extractors import FunctionFeatures
from naqsh.metrics.frechet import frechet_distance_features
from naqsh.metrics.kernel import kernel_distance
from naqsh.metrics.manifold import density_coverage, precision_recall
from naqsh.metrics.registry import called
from naqsh.metrics.result import Caution, Measure, compare

FEW = Caution("biased", 4000, 8192)
FID = Measure("frechet", 3.25, 5000, 4000, "mnist", "0123456789abcdef", "mnist test", 0.5, (FEW,))
WHERE = {"features": "mnist", "fingerprint": "0123456789abcdef", "reference": "mnist test"}


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 4)), rng.normal(0.3, 1.1, size=(200, 4))


def test_prints_everything_on_one_line():
    assert str(FID) == (
        "Fréchet distance (features mnist) 3.25; 95 % interval 2.27 to 4.23; "
        "4,000 generated against 5,000 of mnist test; "
        "features mnist (01234567); "
        "4,000 images are few for 8,192 features: "
        "it is biased upwards, so compare at equal numbers of images only, or take the kernel "
        "distance"
    )
    assert "interval" not in str(replace(FID, standard_error=None))


def test_interval_of_a_distance_does_not_start_below_zero():
    assert replace(FID, value=0.1).interval == (0.0, pytest.approx(1.08))
    assert replace(FID, name="kernel", value=0.1).interval == pytest.approx((-0.88, 1.08))


def test_survives_json():
    for measured in (FID, replace(FID, standard_error=None, notes=())):
        stored = json.loads(json.dumps(measured.to_dict()))
        assert Measure.from_dict(stored) == measured
    assert json.loads(json.dumps(FID.to_dict()))["interval"] == pytest.approx([2.27, 4.23])
    with pytest.raises(NaqshError, match=r"not a stored measure.*colour"):
        Measure.from_dict(FID.to_dict() | {"colour": "red"})
    with pytest.raises(NaqshError, match=r"not a stored measure.*fingerprint"):
        Measure.from_dict({"name": "frechet", "value": 1.0})


def test_better_knows_the_direction():
    other = replace(FID, value=4.0)
    assert sorted([other, FID]) == [FID, other]
    assert other > FID
    assert FID.better_than(other)
    assert not replace(FID, name="recall").better_than(replace(other, name="recall"))
    assert compare(other, FID) == 0.75


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "kernel"}, "different metrics"),
        ({"fingerprint": "f" * 16}, "measure both with the same features"),
        ({"reference": "mnist train"}, "same reference"),
        ({"n_generated": 1000}, "same n"),
        ({"n_real": 1000}, "same n"),
    ],
)
def test_refuses_comparisons_that_mean_nothing(change, words):
    other = replace(FID, **change)
    for act in (compare, Measure.__lt__, Measure.__gt__, Measure.better_than):
        with pytest.raises(NaqshError, match=words):
            act(FID, other)


def test_unbiased_metrics_compare_across_n():
    kid = replace(FID, name="kernel")
    assert compare(kid, replace(kid, n_generated=1000)) == 0.0


@pytest.mark.parametrize("word", ["frechet", "fid", "FID", "Fréchet", "kid", "KERNEL"])
@pytest.mark.parametrize("features", ["inception", "mnist", "pixels", "classifier:run"])
def test_a_distance_is_called_what_it_is(tables, word, features):
    """FID and KID are of Inception alone, whichever word was asked for."""
    where = WHERE | {"features": features}
    (name, *_) = [m.name for m in measure(word, *tables, **where)]
    kernel = word.lower() in ("kid", "kernel")
    assert name == called("kernel" if kernel else "frechet", features)
    assert (name in ("fid", "kid")) == (features == "inception")
    shown = str(measure(word, *tables, **where)[0])
    assert ("FID" in shown or "KID" in shown) == (features == "inception")
    if features != "inception":
        assert f"distance (features {features}) " in shown


def test_no_features_pass_for_inception():
    with pytest.raises(NaqshError, match="another name"):
        FunctionFeatures(lambda images: images, "inception", "1")


def test_all_metrics_equal_the_plain_functions(tables):
    real, generated = tables
    results = {m.name: m for m in measure(["all"], real, generated, **WHERE)}
    assert list(results) == [
        *("frechet", "frechet_infinity", "kernel", "precision", "recall", "density", "coverage")
    ]
    plain = frechet_distance_features(real, generated)
    assert results["frechet"].value == pytest.approx(plain, rel=1e-12)
    assert results["kernel"].value == pytest.approx(
        kernel_distance(real, generated).value, rel=1e-12
    )
    assert results["recall"].value == precision_recall(real, generated).recall
    assert results["density"].value == density_coverage(real, generated).density
    low, high = results["frechet"].interval
    assert low < results["frechet"].value < high
    for result in results.values():
        assert (result.n_real, result.n_generated) == (300, 200)
        assert (result.features, result.reference) == ("mnist", "mnist test")


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("frechet", ["frechet", "frechet_infinity"]),
        ("kernel", ["kernel"]),
        ("pr", ["precision", "recall"]),
        ("dc", ["density", "coverage"]),
    ],
)
def test_each_metric_alone(tables, asked, names):
    assert asked in METRICS
    alone = measure([asked], *tables, **WHERE)
    assert [m.name for m in alone] == names
    together = [m for m in measure(["all"], *tables, **WHERE) if m.name in names]
    # Where its operands lie in memory decides in which order a matrix product sums them.
    assert [m.value for m in together] == pytest.approx([m.value for m in alone], rel=1e-12)
    assert [replace(m, value=0.0, standard_error=None) for m in together] == [
        replace(m, value=0.0, standard_error=None) for m in alone
    ]


def test_small_samples_are_said():
    rng = np.random.default_rng(0)
    few = rng.normal(size=(100, 2))
    notes = {m.name: m.notes for m in measure(["all"], rng.normal(size=(300, 2)), few, **WHERE)}
    assert "equal numbers of images only" in str(notes["recall"][0])
    assert notes["kernel"] == ()
    assert "rough" in str(notes["frechet_infinity"][0])
    wide = {m.name: m.notes for m in measure(["frechet"], *rng.normal(size=(2, 30, 40)), **WHERE)}
    assert "30 images are few for 40 features" in str(wide["frechet"][0])


@pytest.mark.parametrize(("n", "d"), [(100, 2), (40, 40), (30, 40)])
def test_images_are_few_beside_the_features_at_hand(n, d):
    """Not beside 2,048, which are Inception's."""
    tables = np.random.default_rng(0).normal(size=(2, n, d)).astype(np.float32)
    precision, _ = measure(["pr"], *tables, **WHERE)
    assert [note.dimensions for note in precision.notes] == [d if n < d else None]


@pytest.mark.parametrize(
    ("n", "d", "shift", "said"),
    [
        (100, 20, 0.0, True),
        (2100, 64, 0.0, True),  # many images, but the bias is most of the distance
        (2100, 2, 1.0, False),  # few features and a large distance: the noise is more than the bias
        (3, 2, 1.0, True),  # nothing can be extrapolated
    ],
)
def test_a_bias_is_said_where_it_is_more_than_the_noise(n, d, shift, said):
    rng = np.random.default_rng(1)
    found = measure(["frechet"], rng.normal(size=(n, d)), rng.normal(shift, 1, (n, d)), **WHERE)
    assert [m.name for m in found] == ["frechet", "frechet_infinity"][: 1 + (n >= 6)]
    assert ("biased" in [note.kind for note in found[0].notes]) == said


def test_what_is_measured_tells_its_influences_and_the_file_does_not(tables):
    (frechet, _) = measure("frechet", *tables, **WHERE)
    assert frechet.influence
    assert frechet.influence.standard_error == pytest.approx(frechet.standard_error)
    assert "influence" not in frechet.to_dict()
    assert Measure.from_dict(frechet.to_dict()) == frechet


def test_wrong_requests(tables):
    with pytest.raises(NaqshError, match="did you mean 'fid'"):
        measure(["fidd"], *tables, **WHERE)
    with pytest.raises(NaqshError, match="4 columns and generated features 3"):
        measure(["frechet"], tables[0], tables[1][:, :3], **WHERE)
    with pytest.raises(NaqshError, match="at least 6"):
        measure(["pr"], tables[0], tables[1][:5], **WHERE)


@pytest.mark.parametrize(("name", "least"), [("frechet", 2), ("kernel", 4), ("pr", 6), ("dc", 6)])
def test_too_few_images_are_told_with_the_metric(name: str, least: int) -> None:
    many, few = torch.randn(20, 3), torch.randn(least - 1, 3)
    for real, generated in ((many, few), (few, many)):
        with pytest.raises(NaqshError, match=f"{name} needs at least {least} images on each side"):
            measure([name], real, generated, features="pixels", fingerprint="f", reference="r")
    enough = measure([name], many, many[:least], features="pixels", fingerprint="f", reference="r")
    assert all(math.isfinite(one.value) for one in enough)
