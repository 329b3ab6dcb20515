"""The pool of past fakes: what is stored, what is given back, how often."""

import math

import torch
from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.networks.pool import Pool


def numbered(first: int, count: int) -> Tensor:
    return torch.arange(first, first + count, dtype=torch.float32).view(-1, 1, 1, 1)


def test_it_stores_and_gives_back_until_it_is_full() -> None:
    pool = Pool(5, (1, 1, 1))
    given = pool(numbered(1, 4), Noise(0, 4))
    assert torch.equal(given, numbered(1, 4))
    assert pool.images.flatten().tolist() == [1, 2, 3, 4, 0]
    assert int(pool.stored) == 4
    assert float(pool(numbered(5, 1), Noise(1, 1))) == 5
    assert int(pool.stored) == 5


def test_a_full_pool_against_a_list() -> None:
    """Two thousand fakes in batches of four, by the definition in plain Python."""
    pool, listed = Pool(7, (1, 1, 1)), []
    for batch in range(500):
        fakes = numbered(4 * batch, 4)
        noise = Noise(batch, 4)
        coins, slots = noise.uniform().tolist(), noise.integers(7).tolist()
        expected = []
        for fake, coin, slot in zip(fakes.flatten().tolist(), coins, slots, strict=True):
            if len(listed) < 7:
                listed.append(fake)
                expected.append(fake)
            elif coin > 0.5:
                expected.append(listed[slot])
                listed[slot] = fake
            else:
                expected.append(fake)
        assert pool(fakes, Noise(batch, 4)).flatten().tolist() == expected
        assert pool.images.flatten().tolist()[: len(listed)] == listed


def test_half_of_the_images_come_from_the_store() -> None:
    """Of 100,000 queries 0.5 within 3 sigma; each of 50 places as often, within 5."""
    pool, count = Pool(50, (1, 1, 1)), 100_000
    pool(numbered(0, 50), Noise(0, 50))
    assert int(pool.stored) == 50
    fakes = numbered(50, count)
    given = pool(fakes, Noise(1, count)).flatten()
    past = given != fakes.flatten()
    assert abs(float(past.float().mean()) - 0.5) < 3 * 0.5 / math.sqrt(count)
    noise = Noise(1, count)
    noise.uniform()
    places = torch.bincount(noise.integers(50)[past], minlength=50)
    expected = int(past.sum()) / 50
    assert float((places - expected).abs().max()) < 5 * math.sqrt(expected)
    ages = (fakes.flatten() - given)[past]
    # A stored image is replaced with chance 1/100 a query, so its age is geometric: mean 100.
    assert abs(float(ages.mean()) - 100) < 3 * 100 / math.sqrt(len(ages)) + 100 * 50 / len(ages)


def test_no_pool_gives_back_what_came() -> None:
    pool = Pool(0, (1, 1, 1))
    noise = Noise(0, 3)
    fakes = numbered(1, 3)
    assert pool(fakes, noise) is fakes
    assert noise.draws == 0


def test_a_batch_in_parts_is_the_whole_batch() -> None:
    whole, cut = Pool(3, (1, 1, 1)), Pool(3, (1, 1, 1))
    for batch in range(20):
        fakes = numbered(8 * batch, 8)
        given = whole(fakes, Noise(batch, 8))
        parts = [cut(fakes[k : k + 2], Noise(batch, 2, first=k)) for k in range(0, 8, 2)]
        assert torch.equal(torch.cat(parts), given)
        assert torch.equal(cut.images, whole.images)


def test_what_it_holds_is_in_its_state_and_without_gradient() -> None:
    pool = Pool(4, (3, 2, 2))
    assert {k: tuple(v.shape) for k, v in pool.state_dict().items()} == {
        "images": (4, 3, 2, 2),
        "stored": (),
    }
    given = pool(torch.ones(2, 3, 2, 2, requires_grad=True) * 2, Noise(0, 2))
    assert not given.requires_grad
    assert not list(pool.parameters())
