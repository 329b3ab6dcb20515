"""Modes, good samples and the reverse KL against plain loops; the energy distance likewise."""

import math

import numpy as np
import pytest
import torch

from naqsh import metrics
from naqsh.core.errors import NaqshError
from naqsh.metrics import Coordinates, Gaussians, Tables
from naqsh.metrics import modes as counting
from naqsh.metrics.energy import energy_influence

MEANS = [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [5.0, 5.0]]
SIGMA = 0.1


def by_loops(points: np.ndarray) -> dict[str, float]:
    """The four measures as a reader would compute them by hand."""
    counts, good = [0] * len(MEANS), 0
    for x, y in points:
        near = [math.dist((x, y), mean) for mean in MEANS]
        best = min(range(len(MEANS)), key=near.__getitem__)
        if near[best] < 3 * SIGMA:
            good += 1
            counts[best] += 1
    shares = [count / good for count in counts]
    kl = sum(share * math.log(share * len(MEANS)) for share in shares if share)
    return {
        "modes": sum(count >= 1 for count in counts),
        "modes_twenty": sum(count >= 20 for count in counts),
        "good": good / len(points),
        "reverse_kl": kl,
    }


@pytest.fixture
def points() -> np.ndarray:
    """120 near the first mean, 30 near the second, 5 near the third, 20 far from all."""
    rng = np.random.default_rng(0)
    heaps = [rng.normal(MEANS[k], SIGMA, (n, 2)) for k, n in ((0, 120), (1, 30), (2, 5))]
    return np.concatenate([*heaps, rng.uniform(-4, -3, (20, 2))])


def measured(drawn: np.ndarray, *names: str, **how: object) -> dict[str, metrics.Measure]:
    real = np.random.default_rng(1).normal(size=(50, 2))
    where = {"features": "heaps", "fingerprint": "f" * 16, "reference": "heaps test"}
    how = {"points": True, "modes": Gaussians(torch.tensor(MEANS), SIGMA), **how}
    found = metrics.measure(names or "modes", real, drawn, **where, **how)
    return {measure.name: measure for measure in found}


def test_against_loops(points):
    found = measured(points)
    expected = by_loops(points)
    assert (expected["modes"], expected["modes_twenty"]) == (3, 2)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, rel=1e-12), name


def test_an_even_histogram_has_no_divergence_and_one_mode_the_logarithm():
    even = np.repeat(MEANS, 30, axis=0)
    assert measured(even)["reverse_kl"].value == 0
    assert measured(even)["modes_twenty"].value == 4
    one = np.repeat(MEANS[:1], 30, axis=0)
    assert measured(one)["reverse_kl"].value == pytest.approx(math.log(4), rel=1e-12)
    assert measured(one)["modes"].value == 1


def test_three_sigma_is_the_bound():
    inside, outside = [0.0, 3 * SIGMA - 1e-9], [0.0, 3 * SIGMA + 1e-9]
    assert Gaussians(torch.tensor(MEANS), SIGMA).of(
        torch.tensor([inside, outside], dtype=torch.float64)
    ).tolist() == [0, -1]


def test_without_good_samples_there_is_no_histogram():
    found = measured(np.full((10, 2), -3.0))
    assert "reverse_kl" not in found
    assert found["modes"].value == found["good"].value == 0
    assert found["good"].interval == pytest.approx((0, 0.277533), abs=1e-6)  # Wilson's, by hand


def test_the_divergence_says_where_samples_are_few(points):
    assert not measured(np.repeat(MEANS, 60, axis=0))["reverse_kl"].notes
    (note,) = measured(points[:120])["reverse_kl"].notes  # (4 - 1) / (2 * 120) is 0.0125
    assert note.kind == "equal_n"


def test_errors_are_those_of_repeated_draws():
    """Over 400 draws of 500 samples from an uneven mixture the spread is the mean error."""
    rng = np.random.default_rng(2)
    values, errors = [], []
    for _ in range(400):
        which = rng.choice(4, 500, p=[0.6, 0.25, 0.1, 0.05])
        drawn = np.array(MEANS)[which] + rng.normal(0, SIGMA, (500, 2))
        drawn[rng.random(500) < 0.2] = -3
        found = measured(drawn)
        values.append([found["good"].value, found["reverse_kl"].value])
        errors.append([found["good"].standard_error, found["reverse_kl"].standard_error])
    # A standard deviation of 400 draws is known to 1 / sqrt(800), 3.5 %.
    np.testing.assert_allclose(np.std(values, 0), np.mean(errors, 0), rtol=0.15)


def energy_by_loops(x: np.ndarray, y: np.ndarray) -> float:
    def mean(pairs: list[float]) -> float:
        return sum(pairs) / len(pairs)

    across = mean([math.dist(a, b) for a in x for b in y])
    within = [
        mean([math.dist(t[i], t[j]) for i in range(len(t)) for j in range(len(t)) if i != j])
        for t in (x, y)
    ]
    return 2 * across - sum(within)


def test_the_energy_distance_against_loops():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(40, 2)), rng.normal(0.4, 1.2, size=(30, 2))
    value, influence = energy_influence(x, y)
    assert value == pytest.approx(energy_by_loops(x, y), rel=1e-12)
    # Without sample j of m the value changes by -h_j / (m - 1), to first order; pairs of the
    # sample with itself are no pairs, which is the next order.
    for j in (0, 7):
        without = energy_by_loops(x, np.delete(y, j, 0))
        assert without - value == pytest.approx(-influence.generated[j] / 29, abs=2 / 29**2)


def test_the_energy_distance_of_equal_distributions_is_around_zero():
    rng = np.random.default_rng(4)
    found = [energy_influence(*rng.normal(size=(2, 60, 2)))[0] for _ in range(300)]
    assert abs(np.mean(found)) < 4 * np.std(found) / math.sqrt(300)
    assert min(found) < 0


def test_of_points_all_is_what_points_have(points):
    assert set(measured(points, "all")) == {"energy", *by_loops(points)}
    assert set(measured(points, "all", modes=None)) == {"energy"}
    assert set(measured(points, "pr", modes=None)) == {"precision", "recall"}
    images = measured(points, "all", points=False, modes=None)
    assert {"energy", "modes"}.isdisjoint(images)
    assert "frechet" in images


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("modes", "modes needs data whose modes are known"),
        ("energy", "energy is measured of points"),
    ],
)
def test_what_has_no_meaning_is_refused(points, name, why):
    with pytest.raises(NaqshError, match=why):
        measured(points, name, points=False, modes=None)


def test_features_of_points_are_their_coordinates():
    features = Coordinates("heaps", 4.0)
    stored = torch.tensor([[0.0, 0.5], [1.0, 0.75]])[:, :, None, None]
    assert metrics.extract(features, stored).tolist() == [[-4, 0], [4, 2]]
    others = [Coordinates("heaps", 3.0), Coordinates("heaps", 4.0, Gaussians(torch.zeros(1, 2), 1))]
    assert len({features.fingerprint, *(other.fingerprint for other in others)}) == 3
    with pytest.raises(NaqshError, match="features heaps are of points, and these are images"):
        metrics.extract(features, torch.zeros(1, 2, 1, 1, dtype=torch.uint8))
    with pytest.raises(NaqshError, match="features pixels are of images, and these are points"):
        metrics.extract(metrics.Pixels(), stored)


def test_the_histogram_is_made_once(points):
    tables = Tables(
        torch.zeros(5, 2), torch.tensor(points), modes=Gaussians(torch.tensor(MEANS), SIGMA)
    )
    assert tables.once(counting._counts) is tables.once(counting._counts)
