import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from naqsh.core.noise import Noise, derive, philox

KNOWN = [  # of Random123's kat_vectors: counter, key, words
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_philox_gives_the_published_words(counter, key, words):
    got = philox([torch.tensor([word]) for word in counter], key[0] | key[1] << 32)
    assert tuple(int(word) for word in got) == words


def test_philox_counts_over_many_entries_at_once():
    counters = [torch.tensor([row[0][i] for row in KNOWN[:1] * 3]) for i in range(4)]
    got = torch.stack(philox(counters, 0))
    assert got.shape == (4, 3)
    assert got.tolist() == [[word] * 3 for word in KNOWN[0][2]]


DRAWS = {
    "normal": lambda noise: noise.normal(2, 3),
    "uniform": lambda noise: noise.uniform(5),
    "integers": lambda noise: noise.integers(7, 3),
    "scalar": lambda noise: noise.normal(),
}


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**63 - 1),
    first=st.integers(0, 2**40),
    count=st.integers(1, 40),
    data=st.data(),
    kind=st.sampled_from(sorted(DRAWS)),
)
def test_a_picture_is_the_same_whatever_the_block(seed, first, count, data, kind):
    start = data.draw(st.integers(0, count - 1))
    length = data.draw(st.integers(1, count - start))
    whole, part = Noise(seed, count, first), Noise(seed, length, first + start)
    cut = whole.part(start, length)
    for _ in range(3):  # a later draw, too
        expected = DRAWS[kind](whole)[start : start + length]
        for got in (DRAWS[kind](part), DRAWS[kind](cut)):
            if expected.dtype == torch.float32:
                # A logarithm, a root, a cosine and a product, each of one unit in the last place,
                # may round otherwise at another place of a vector; no number is above 6.7.
                rounding = 4 * 6.7 * torch.finfo(torch.float32).eps
                torch.testing.assert_close(got, expected, rtol=0, atol=rounding)
            else:
                assert torch.equal(got, expected)


def test_part_starts_at_the_first_draw():
    noise = Noise(5, 4)
    first = noise.normal(3)
    rounding = 4 * 6.7 * torch.finfo(torch.float32).eps  # as above
    torch.testing.assert_close(noise.part(2, 2).normal(3), first[2:], rtol=0, atol=rounding)


def test_draws_seeds_pictures_and_purposes_differ():
    one, other = Noise(1, 64), Noise(2, 64)
    rows = [*one.bits(4), *one.bits(4), *other.bits(4), *Noise(1, 64, 1 << 32).bits(4)]
    assert len({tuple(row.tolist()) for row in rows}) == 256
    purposes = [
        derive(0, "sample"),
        derive(0, "grid"),
        derive(1, "sample"),
        derive(0, "train", 1, 11),
        derive(0, "train", 11, 1),
    ]
    assert len(set(purposes)) == len(purposes)


def test_a_purpose_does_not_run_into_the_next_or_into_the_seed():
    asked = [(1, 23), (12, 3), (123,), (1, 2, 3), (0, "a", "b"), (0, "ab"), (0, "a", 1), (0, "a1")]
    assert len({derive(*words) for words in asked}) == len(asked)


def test_derive_is_pinned():
    # Every run folder's images depend on these: a change breaks resuming and reproduction.
    assert derive(0) == 0x5FECEB66FFC86F38 >> 1
    assert derive(0, "train", "critic", 7, 0) == 0x289EFA4041F2E8E3
    assert all(0 <= derive(seed, "x") < 2**63 for seed in (-1, 0, 2**70))


def test_normal_is_pinned():
    got = Noise(derive(0, "sample"), 2, 17).normal(3)
    assert got.flatten().tolist() == pytest.approx(
        [-0.2821243, 0.3282599, -0.6786081, 1.3832554, 0.6047276, 0.2620561], abs=1e-6
    )


@pytest.mark.parametrize("shape", [(1,), (3,), (257,)])
def test_normal_is_normal(shape):
    per_picture = math.prod(shape)
    values = Noise(11, 200_000 // per_picture).normal(*shape).double().numpy()
    n = values.size
    assert abs(values.mean()) < 4 / math.sqrt(n)
    assert abs(values.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs(stats.skew(values, axis=None)) < 4 * math.sqrt(6 / n)
    assert abs(stats.kurtosis(values, axis=None)) < 4 * math.sqrt(24 / n)
    assert stats.kstest(values.ravel(), "norm").pvalue > 1e-3


def test_normal_pairs_and_neighbours_are_independent():
    values = Noise(3, 50_000).normal(4).double().numpy()
    correlation = np.corrcoef(values.T) - np.eye(4)
    assert np.abs(correlation).max() < 4 / math.sqrt(len(values))
    # Also not through their size, as sine and cosine of one radius would be if it were shared.
    squares = np.corrcoef((values**2).T) - np.eye(4)
    assert np.abs(squares).max() < 4 / math.sqrt(len(values))
    row = values[:, 0]
    assert abs(np.corrcoef(row[1:], row[:-1])[0, 1]) < 4 / math.sqrt(len(row))


def test_normal_has_tails_and_no_infinities():
    values = Noise(0, 1 << 20).normal(4)
    assert bool(values.isfinite().all())
    expected = 2 * stats.norm.sf(4.5) * values.numel()
    assert 0.5 * expected < int((values.abs() > 4.5).sum()) < 1.6 * expected


def extreme(words):
    """A block of noise whose random words are all `words`."""

    class Fixed(Noise):
        def bits(self, elements):
            return torch.full((self.count, 4 * -(-elements // 4)), words)

    return Fixed(0, 2)


@pytest.mark.parametrize("words", [0, 1, 2**31, 2**32 - 1])
def test_the_extreme_words_stay_in_range(words):
    uniform = extreme(words).uniform(3)
    assert uniform.dtype == torch.float32
    assert bool(((uniform > 0) & (uniform < 1)).all())
    assert bool(uniform.log().isfinite().all())
    assert bool(extreme(words).normal(3).isfinite().all())
    assert set(extreme(words).integers(10, 3).unique().tolist()) <= set(range(10))
    assert extreme(2**32 - 1).integers(2**31, 1).max() == 2**31 - 1


def test_uniform_is_uniform():
    values = Noise(7, 50_000).uniform(3).double().numpy()
    assert stats.kstest(values.ravel(), "uniform").pvalue > 1e-3
    assert np.abs(np.corrcoef(values.T) - np.eye(3)).max() < 4 / math.sqrt(len(values))


@pytest.mark.parametrize("high", [2, 7, 10])
def test_integers_are_even(high):
    counts = torch.bincount(Noise(1, 30_000).integers(high, 3).flatten(), minlength=high)
    assert len(counts) == high
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_shapes_and_types():
    noise = Noise(0, 5)
    assert noise.normal().shape == (5,)
    assert noise.normal(2, 3).shape == (5, 2, 3)
    assert noise.uniform(1, 1, 1).shape == (5, 1, 1, 1)
    assert noise.integers(3).dtype == torch.int64
    assert len(noise) == 5
    assert noise.normal(1).dtype == torch.float32


def test_runs_without_numbers_on_meta():
    noise = Noise(0, 6, device="meta")
    for tensor in (noise.normal(3, 2), noise.uniform(3, 2), noise.integers(9, 3, 2)):
        assert tensor.device.type == "meta"
        assert tensor.shape == (6, 3, 2)


def test_numpy_and_torch_give_the_same_words():
    # Noise on the CPU goes by NumPy, on other devices by PyTorch.
    numbers = np.random.default_rng(0).integers(0, 2**32, (4, 1000))
    by_numpy = philox(list(numbers), 0x299F31D0A4093822)
    by_torch = philox([torch.from_numpy(row) for row in numbers], 0x299F31D0A4093822)
    for a, b in zip(by_numpy, by_torch, strict=True):
        assert torch.equal(torch.from_numpy(a), b)
