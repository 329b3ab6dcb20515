"""Points in the plane: where they lie, and that a data set of them is one like any other."""

import numpy as np
import pytest
import torch

from naqsh.core.errors import NaqshError
from naqsh.data import CATALOG, DataSet, Loader, load, points, to_float
from naqsh.data.fingerprint import fingerprint_of
from naqsh.recipes import by_name
from naqsh.runs import origin

SETS = [name for name, entry in CATALOG.items() if entry.extent]


def places(data: DataSet) -> np.ndarray:
    """Coordinates by the plain rule: a stored value v is at (2 v - 1) extent."""
    return (2.0 * data.images[:, :, 0, 0].astype(float) - 1) * data.extent


@pytest.mark.parametrize("name", SETS)
def test_a_set_of_points(name):
    entry, train, test = CATALOG[name], load(name), load(name, split="test")
    assert (len(train), len(test)) == (entry.train, entry.test)
    assert train.shape == test.shape == entry.shape == (2, 1, 1)
    assert train.images.dtype == np.float32
    assert train.layout.extent == train.extent == entry.extent
    assert train.classes == entry.classes
    assert load(name).fingerprint == train.fingerprint != test.fingerprint
    # A split is another draw of the same: means of 10,000 differ by a few standard errors.
    error = places(train).std(0) / np.sqrt(len(test))
    assert (abs(places(train).mean(0) - places(test).mean(0)) < 5 * error).all()
    assert not np.isin(train.images[:, 0].ravel(), test.images[:, 0].ravel()).mean() > 0.01


@pytest.mark.parametrize(("name", "sigma"), [("ring", 0.01), ("grid", 0.05)])
def test_gaussians_lie_at_their_means_with_their_width(name, sigma):
    data = load(name)
    if name == "ring":
        means = [(np.cos(np.pi * k / 4), np.sin(np.pi * k / 4)) for k in range(8)]
    else:
        means = [(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)]
    np.testing.assert_allclose(data.mixture.means, means, atol=1e-12)
    assert data.mixture.sigma == sigma
    for k, mean in enumerate(means):
        own = places(data)[data.labels == k] - mean
        count = len(own)
        # Evenly many, by the binomial's deviation; mean and width by those of normal samples.
        share = 1 / len(means)
        assert abs(count - share * len(data)) < 5 * np.sqrt(share * (1 - share) * len(data))
        assert (abs(own.mean(0)) < 5 * sigma / np.sqrt(count)).all()
        assert (abs(own.std(0) / sigma - 1) < 5 / np.sqrt(2 * count)).all()
        assert abs(np.corrcoef(own.T)[0, 1]) < 5 / np.sqrt(count)
        # Within 3 sigma lies 1 - exp(-9/2) of a Gaussian in the plane.
        inside = (np.hypot(*own.T) < 3 * sigma).mean()
        assert abs(inside - (1 - np.exp(-4.5))) < 5 * np.sqrt(0.011 / count)


def test_moons_and_the_roll_are_curves_with_noise():
    moons = load("moons")
    upper, lower = (places(moons)[moons.labels == k] for k in (0, 1))
    for moon, centre in ((upper, (0, 0)), (lower, (1, 0.5))):
        radius = np.hypot(*(moon - centre).T)
        assert abs(radius.std() - 0.05) < 0.002
        assert abs(radius.mean() - 1) < 0.003
    assert upper[:, 1].min() > -0.3
    assert lower[:, 1].max() < 0.8
    x, y = places(load("swiss-roll")).T
    # On the curve r = t / 10, so that r - angle / 10 is a whole number of turns.
    turns = (np.hypot(x, y) - np.arctan2(y, x) / 10) / (2 * np.pi / 10)
    assert abs(turns - np.rint(turns)).mean() < 0.1
    assert set(np.rint(turns)) == {1, 2}


def test_other_data_have_another_fingerprint():
    some = load("ring", split="test").subset(np.arange(20))
    assert (
        some.fingerprint
        == DataSet.of("other", some.images.copy(), some.labels, extent=1.5).fingerprint
    )
    assert fingerprint_of(some.images, some.labels, 2.0) != some.fingerprint
    moved = some.images.copy()
    moved[3, 1] = np.nextafter(moved[3, 1], np.float32(1))
    assert fingerprint_of(moved, some.labels, 1.5) != some.fingerprint


def test_a_part_is_of_points_too():
    data = load("grid", split="test")
    stay, held = data.hold_out(0.25, 3)
    assert (len(stay), len(held)) == (7500, 2500)
    for part in (stay, held, data.some(30, 0)):
        assert part.extent == data.extent
        assert part.mixture == data.mixture
        assert part.images.dtype == np.float32


def test_the_loader_gives_points_as_they_are():
    data = load("ring", split="test").subset(np.arange(50))
    images, labels = Loader(data.images, data.labels, seed=1).take(0, 50)
    assert images.dtype == torch.float32
    order = np.lexsort(images.flatten(1).numpy().T)
    expected = np.lexsort(data.images.reshape(50, 2).T)
    np.testing.assert_array_equal(images.numpy()[order], data.images[expected])
    np.testing.assert_array_equal(labels.numpy()[order], data.labels[expected])


def test_to_float_maps_points_by_a_line():
    values = torch.tensor([0.0, 0.25, 0.5, 1.0])
    assert to_float(values, -1, 1).tolist() == [-1, -0.5, 0, 1]
    assert to_float(values, 0, 1).tolist() == values.tolist()
    assert values.tolist() == [0, 0.25, 0.5, 1]


def test_coordinates_come_back():
    where = np.array([[-1.5, 1.5], [0.0, 0.3], [1.0, -0.7]])
    stored = points.stored(where, 1.5)
    assert stored.shape == (3, 2, 1, 1)
    np.testing.assert_allclose(points.coordinates(stored, 1.5), where, atol=2e-7)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 2, 1, 1)),
        np.zeros((4, 3, 1, 1), np.float32),
        np.full((4, 2, 1, 1), 1.01, np.float32),
        np.full((4, 2, 1, 1), np.nan, np.float32),
    ],
)
def test_what_are_no_points_is_refused(bad):
    with pytest.raises(ValueError, match=r"need float32|outside"):
        DataSet.of("bad", bad, extent=1.0)


@pytest.mark.parametrize(
    ("option", "value"), [("size", 8), ("channels", 1), ("crop", True), ("second", "inverted")]
)
def test_what_is_for_images_is_refused(option, value):
    with pytest.raises(NaqshError, match=rf"data\.{option} is for images, and ring has points"):
        load("ring", **{option: value})


def test_points_are_not_mirrored():
    recipe = by_name("gan-ring").override({"data.flip": True})
    with pytest.raises(NaqshError, match=r"data\.flip is for images, and ring has points"):
        origin.load(recipe, "train")
