"""Stacked MNIST: the set is made of MNIST's digits, and its modes are read channel by channel."""

import numpy as np
import pytest
import torch
from data_files import mnist_test_split

from naqsh import metrics
from naqsh.core.errors import NaqshError
from naqsh.data import CATALOG, load
from naqsh.data.sets import stacked
from naqsh.metrics.stacked import DigitModes


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path / "cache"))
    mnist_test_split(tmp_path / "home" / "mnist")
    return tmp_path / "home"


def test_each_channel_is_a_digit_of_mnist(home):
    digits = load("mnist", split="test", home=home, download=False)
    data = load("stacked-mnist", split="test", home=home, download=False)
    assert data.images.shape == (10_000, 3, 28, 28)
    assert data.classes == CATALOG["stacked-mnist"].classes
    assert data.classes[7] == "007"
    chosen = stacked.rows("test", 10_000, 10_000)
    for number in (0, 17, 9_999):
        a, b, c = (int(digits.labels[row]) for row in chosen[number])
        assert data.labels[number] == 100 * a + 10 * b + c
        for channel, row in enumerate(chosen[number]):
            assert np.array_equal(data.images[number, channel], digits.images[row, 0])
    again = load("stacked-mnist", split="test", home=home, download=False)
    assert again.fingerprint == data.fingerprint


def test_rows_are_drawn_evenly_and_apart_for_the_splits():
    train, test = stacked.rows("train", 60_000, 10), stacked.rows("test", 60_000, 10)
    counts = np.stack([np.bincount(train[:, k], minlength=10) for k in range(3)])
    assert abs(counts - 6000).max() < 5 * np.sqrt(60_000 * 0.1 * 0.9)
    assert (train == test).mean() < 0.11
    assert abs(np.corrcoef(train.T) - np.eye(3)).max() < 5 / np.sqrt(60_000)


def test_a_mode_is_read_channel_by_channel():
    head = torch.nn.Linear(10, 10)
    torch.nn.init.eye_(head.weight)
    torch.nn.init.zeros_(head.bias)
    digits = [(3, 0, 9), (0, 0, 0), (1, 2, 3)]
    features = torch.eye(10)[torch.tensor(digits)].flatten(1)
    assert DigitModes(head).of(features).tolist() == [309, 0, 123]


def test_the_shipped_classifier_reads_real_digits(real_home):
    if not (real_home / "mnist").is_dir():
        pytest.skip("real data: NAQSH_DATA_HOME has no mnist")
    data = load("stacked-mnist", split="test", home=real_home, download=False)
    by = metrics.by_name("stacked-mnist")
    found = by.modes.of(metrics.extract(by, data.images[:300])).numpy()
    # Each digit is read rightly by 99.5 %, three of them by 98.5 %.
    assert (found == data.labels[:300]).mean() > 0.95


def test_all_of_stacked_digits_has_features_and_modes():
    by = metrics.by_name("stacked-mnist")
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 28, 28), np.uint8)
    table = metrics.extract(by, images)
    assert table.shape == (20, by.dimension)
    alone = metrics.extract(metrics.by_name("mnist"), images[:, 1:2])
    torch.testing.assert_close(table[:, 64:128], alone)
    found = metrics.measure("all", table, table, **metrics.described(by), reference="noise")
    names = [measure.name for measure in found]
    assert {"frechet", "modes", "reverse_kl"} <= set(names)
    assert {"good", "energy"}.isdisjoint(names)  # none is bad, and they are no points
    with pytest.raises(NaqshError, match="features stacked-mnist are of three digits"):
        metrics.extract(by, images[:, :1])
