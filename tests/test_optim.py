import math

import pytest

from naqsh.recipes.recipe import Training
from naqsh.training.optim import lr_factor

TOTAL, EPOCH = 100, 2.4


def factors(**numbers):
    training = Training(**numbers)
    return [lr_factor(training, step, TOTAL, EPOCH) for step in range(TOTAL)]


def test_constant():
    assert set(factors()) == {1.0}


def test_linear_falls_by_equal_steps_towards_zero():
    got = factors(schedule="linear")
    assert got == pytest.approx([1 - step / TOTAL for step in range(TOTAL)])


def test_cosine_is_half_a_wave():
    got = factors(schedule="cosine")
    assert got[0] == 1
    assert got[TOTAL // 2] == pytest.approx(0.5)
    assert got == pytest.approx([(1 + math.cos(math.pi * s / TOTAL)) / 2 for s in range(TOTAL)])
    assert 0 < got[-1] < 1e-3


def test_constant_linear_stays_for_half_of_the_run_and_then_falls_to_zero():
    got = factors(schedule="constant-linear")
    assert set(got[: TOTAL // 2 + 1]) == {1.0}
    assert got[TOTAL // 2 :] == pytest.approx([2 * (1 - s / TOTAL) for s in range(50, TOTAL)])
    assert got[-1] == pytest.approx(2 / TOTAL)
    assert lr_factor(Training(schedule="constant-linear"), 0, 1, EPOCH) == 1


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "constant-linear"])
def test_warmup_rises_evenly_and_joins_the_schedule(schedule):
    got = factors(schedule=schedule, warmup=10)
    assert got[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert got[10] == 1
    assert all(0 < factor <= 1 for factor in got)
    late = got[10:]
    assert late == sorted(late, reverse=True)
    if schedule != "constant":
        assert late[-1] < 0.03


def test_rates_are_halved_after_so_many_epochs():
    got = factors(schedule="halved", halve_every=5)  # of 2.4 steps: after 12 of them
    assert got == [0.5 ** (step // 12) for step in range(TOTAL)]
    assert factors(schedule="halved", halve_every=5 / 3)[:9] == [1.0] * 4 + [0.5] * 4 + [0.25]
    late = factors(schedule="halved", halve_every=5, warmup=18)
    assert late[:18] == pytest.approx([(step + 1) / 18 for step in range(18)])
    assert late[18:] == got[18:]
    with pytest.raises(ValueError, match="halve_every must be above 0"):
        Training(halve_every=0)


def test_warmup_as_long_as_the_run():
    training = Training(schedule="cosine", warmup=TOTAL)
    assert [lr_factor(training, step, TOTAL, EPOCH) for step in (0, TOTAL - 1)] == [1 / TOTAL, 1.0]
    assert lr_factor(Training(schedule="linear"), 0, 1, EPOCH) == 1
