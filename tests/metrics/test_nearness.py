"""Nearer or farther than held-out images: copies and noise are found, alike sets are left alone."""

import itertools
import sys

import numpy as np
import pytest

from naqsh import data
from naqsh.metrics.nearness import Pixels, chance, nearest, nearness


def test_nearest_is_the_nearest_and_a_copy_is_at_zero() -> None:
    random = np.random.default_rng(0)
    among = random.integers(0, 256, (50, 1, 4, 4), dtype=np.uint8)
    wanted = random.integers(0, 256, (5, 1, 4, 4), dtype=np.uint8)
    wanted[2] = among[31]
    distances, numbers = nearest(wanted, among, chunk=7)
    differences = wanted[:, None].astype(float) / 255 - among[None].astype(float) / 255
    rms = np.sqrt((differences**2).mean((2, 3, 4)))
    assert numbers.tolist() == rms.argmin(1).tolist()
    np.testing.assert_allclose(distances, rms.min(1), rtol=1e-5)
    assert (numbers[2], distances[2]) == (31, 0)


@pytest.mark.parametrize(("k", "n", "m"), [(1, 3, 2), (2, 3, 2), (3, 3, 2), (2, 2, 4)])
def test_the_chance_is_counted(k: int, n: int, m: int) -> None:
    orders = list(itertools.combinations(range(n + m), n))
    first = [order for order in orders if set(range(k)) <= set(order)]
    assert chance(k, n, m) == pytest.approx(len(first) / len(orders))


@pytest.fixture(scope="module")
def digits() -> tuple[Pixels, Pixels]:
    train, test = data.load("digits"), data.load("digits", split="test")
    return train.images, test.images


def test_real_images_are_left_alone(digits: tuple[Pixels, Pixels]) -> None:
    train, test = digits
    found = nearness(test[:140], train, test[140:])
    assert found.notes == []
    assert found.training == len(train)


@pytest.mark.parametrize(("n", "noisy"), [(10, 3), (100, 10)])
def test_noise_among_samples_is_counted(digits: tuple[Pixels, Pixels], n: int, noisy: int) -> None:
    train, test = digits
    samples = test[:n].copy()
    random = np.random.default_rng(1)
    samples[:noisy] = random.integers(0, 256, samples[:noisy].shape, dtype=np.uint8)
    found = nearness(samples, train, test[150:])
    assert found.farther >= noisy
    (note,) = found.notes
    assert note.startswith(f"{found.farther} of {n} samples are farther from every training image")
    assert found.to_dict()["farther_than_any_held_out"] == found.farther


def test_copies_are_noted(digits: tuple[Pixels, Pixels]) -> None:
    train, test = digits
    samples = np.concatenate([train[:12], test[:60]])
    found = nearness(samples, train, test[60:])
    assert found.nearer >= 12
    assert found.numbers[:12] == tuple(range(12))
    assert any("nearer to a training image" in note for note in found.notes)


def test_test_images_that_were_trained_on_are_told(digits: tuple[Pixels, Pixels]) -> None:
    train, test = digits
    found = nearness(test[:30], train, train[:40])
    (note,) = found.notes
    assert note.startswith("40 of 40 held-out images are training images")


def test_large_sets_are_thinned_evenly(
    digits: tuple[Pixels, Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = digits
    monkeypatch.setattr(sys.modules["naqsh.metrics.nearness"], "WORK", 20 * 256 * 100)
    found = nearness(test[:20], train, test[20:40])
    assert found.training == 100
    again = nearest(test[:20], train[np.linspace(0, len(train) - 1, 100).astype(int)])[0]
    np.testing.assert_array_equal(found.samples, again)
