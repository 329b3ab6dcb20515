"""The error of a difference of two runs that share their real images, checked by simulation."""

import pytest
import torch

from naqsh.metrics import (
    density_coverage,
    error_of_difference,
    frechet_distance_features,
    frechet_standard_error,
    influences,
    kernel_distance,
    precision_recall,
)
from naqsh.metrics.manifold import hit_counts

REAL, GENERATED, DIMENSIONS = 300, 500, 8
REPLICATES = 400
BAND = (0.93, 0.97)
"""Of the share of 95 % intervals that hold the truth: 1.8 standard errors of 400 replicates."""


def measured(real, generated):
    pr, dc = precision_recall(real, generated), density_coverage(real, generated)
    return {
        "fid": frechet_distance_features(real, generated),
        "kid": kernel_distance(real, generated, subsets=2).value,
        **pr._asdict(),
        **dc._asdict(),
    }


def draws(seed, fixed):
    """Real images, and samples of two generators: one too wide, one shifted."""
    torch.manual_seed(0 if fixed else 10_000 + seed)
    real = torch.randn(REAL, DIMENSIONS, dtype=torch.float64)
    torch.manual_seed(seed)
    wide = 1.3 * torch.randn(GENERATED, DIMENSIONS, dtype=torch.float64)
    shifted = torch.randn(GENERATED, DIMENSIONS, dtype=torch.float64) + 0.3
    return real, wide, shifted


@pytest.fixture(scope="module")
def coverage():
    """Each measure's share of intervals of a difference that hold its mean over all replicates."""
    found = {}
    for fixed in (False, True):
        pairs = {}
        for seed in range(REPLICATES):
            real, *both = draws(seed, fixed)
            values = [measured(real, generated) for generated in both]
            parts = [influences(real, generated) for generated in both]
            for name, first in values[0].items():
                a, b = (part[name] for part in parts)
                error = (a.generated + b.generated) ** 0.5 if fixed else error_of_difference(a, b)
                pairs.setdefault(name, []).append((first - values[1][name], error))
        for name, table in pairs.items():
            difference, error = torch.tensor(table, dtype=torch.float64).T
            inside = (difference - difference.mean()).abs() <= 1.96 * error
            found[name, fixed] = float(inside.double().mean())
    return found


@pytest.mark.parametrize("fixed", [False, True], ids=["other real images", "the same real images"])
@pytest.mark.parametrize("name", ["fid", "kid"])
def test_intervals_of_distances_hold_the_truth_as_often_as_they_say(name, fixed, coverage):
    assert BAND[0] <= coverage[name, fixed] <= BAND[1]


@pytest.mark.parametrize("name", ["precision", "density"])
def test_intervals_of_means_over_samples_hold_it_for_the_given_reference(name, coverage):
    assert BAND[0] <= coverage[name, True] <= BAND[1]


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("name", ["recall", "coverage"])
def test_intervals_of_shares_of_real_images_hold_it_at_least_so_often(name, fixed, coverage):
    """The jackknife errs to the large side here (Efron and Stein, 1981)."""
    assert coverage[name, fixed] >= BAND[0]


def test_influences_belong_to_their_measures():
    real, _, generated = draws(3, fixed=False)
    counts, values = hit_counts(real, generated), measured(real, generated)
    assert float((counts.real_balls > 0).double().mean()) == pytest.approx(values["precision"])
    assert float(counts.real_balls.double().mean()) / 5 == pytest.approx(values["density"])
    assert float(counts.covered.double().mean()) == pytest.approx(values["coverage"])
    assert float(counts.recalled.double().mean()) == pytest.approx(values["recall"])
    found = influences(real, generated)
    error = frechet_standard_error(real, generated)
    assert found["fid"].generated ** 0.5 == pytest.approx(error)
    assert all(part.real.shape == (REAL,) for part in found.values())
    assert all(abs(float(part.real.mean())) < 1e-9 for part in found.values())


@pytest.mark.parametrize("name", ["fid", "kid"])
@pytest.mark.parametrize("side", [0, 1])
def test_an_influence_is_what_leaving_an_image_out_does(name, side):
    """To first order: (n - 1) times the change, up to its mean and terms of order 1/n."""
    real, _, generated = draws(5, fixed=False)
    tables = [generated, real]
    influence = influences(real, generated)[name]
    whole, moved = measured(real, generated)[name], []
    for left_out in range(60):
        kept = [*tables]
        kept[side] = torch.cat([tables[side][:left_out], tables[side][left_out + 1 :]])
        changed = (
            frechet_distance_features(kept[1], kept[0])
            if name == "fid"
            else kernel_distance(kept[1], kept[0]).value
        )
        moved.append((len(tables[side]) - 1) * (whole - changed))
    moved = torch.tensor(moved, dtype=torch.float64)
    if side == 1:
        expected = influence.real[:60]
        assert torch.corrcoef(torch.stack([moved, expected]))[0, 1] > 0.999
        assert float(moved.std() / expected.std()) == pytest.approx(1, abs=0.03)
    else:
        assert float(moved.var() / GENERATED) == pytest.approx(influence.generated, rel=0.5)


def test_what_both_share_cancels():
    real, generated, _ = draws(7, fixed=False)
    part = influences(real, generated)["kid"]
    assert error_of_difference(part, part) == pytest.approx((2 * part.generated) ** 0.5)
