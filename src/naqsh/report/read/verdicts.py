r"""Which runs a measure tells apart: by their difference, not by whether two intervals overlap.

Two 95 % intervals that just touch belong to a difference of 2.8 standard errors, which is no test
at 5 %. So the difference itself has an interval, by one of two kinds of randomness:

- *samples*: both runs draw other samples, and both meet other real images of the same source. The
  standard error is :math:`(\operatorname{var} a + \operatorname{var} b + \operatorname{var}(g_a -
  g_b) / m)^{1/2}` with the influences g of the m real images that both share.
- *trainings*: each recipe was trained with several seeds. Its values are the data, their mean and
  standard deviation all that counts, and the difference has Welch's t interval.

References:
    The Generalization of Student's Problem when Several Different Population Variances are
    Involved (Welch, 1947), Biometrika 34.
"""

import math
import statistics
from collections.abc import Sequence

import numpy as np

from naqsh.core.student import student
from naqsh.report.read.facts import Facts

FASTER = {"sampling"}
"""What is faster is better, and is known without an interval. Time of training is no merit where
all had the same."""


def difference(a: Facts, b: Facts, name: str) -> tuple[float, float] | None:
    """How much larger a measure of `a` is than that of `b`, and half of its 95 % interval.

    None where it is not known: nothing was kept of a run, or one stands for several trainings and
    the other for one.
    """
    if not (_has(a, name) and _has(b, name)):
        return None
    several = [trainings(run, name) for run in (a, b)]
    if all(len(values) > 1 for values in several):
        return _welch(*several)
    parts = [run.influences.get(name) for run in (a, b)]
    first, second = parts
    if first is None or second is None or len(first.real) != len(second.real):
        return None
    if a.trainings or b.trainings or _reference(a) != _reference(b):
        return None
    shared = float((first.real - second.real).var(ddof=1, dtype=np.float64)) / len(first.real)
    error = math.sqrt(first.generated + second.generated + shared)
    return value(a, name) - value(b, name), 1.959964 * error


def _welch(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    parts = [statistics.variance(values) / len(values) for values in (a, b)]
    apart, total = statistics.fmean(a) - statistics.fmean(b), sum(parts)
    if total == 0:
        return apart, 0.0
    weights = sum(p * p / (len(v) - 1) for p, v in zip(parts, (a, b), strict=True))
    return apart, student(total * total / weights) * math.sqrt(total)


def trainings(run: Facts, name: str) -> list[float]:
    """A measure of each of the trainings that a run stands for; none where it is one itself."""
    return [value(training, name) for training in run.trainings if _has(training, name)]


def value(run: Facts, name: str) -> float:
    """A measure of a run; of several trainings their mean."""
    assert run.measured is not None
    return run.measured.values[name][0]


def best(name: str, runs: Sequence[Facts]) -> set[int]:
    """The best of several runs by a measure, and those whose difference from it may be chance.

    Where no difference is known, nothing is best: a lead of one image in a thousand is none.
    """
    there = [n for n, run in enumerate(runs) if _has(run, name)]
    if len(there) < 2:
        return set()
    sign = _sign(runs[there[0]], name)
    first = min(there, key=lambda n: sign * value(runs[n], name))
    apart = {n: difference(runs[n], runs[first], name) for n in there if n != first}
    if any(found is None for found in apart.values()):
        return set()
    return {first} | {n for n, found in apart.items() if found and abs(found[0]) <= found[1]}


def not_told_apart(run: Facts, ranked: Sequence[Facts], name: str = "frechet") -> list[Facts]:
    """The runs whose difference from this one may be chance."""
    found = [(other, difference(run, other, name)) for other in ranked if other is not run]
    return [other for other, apart in found if apart and abs(apart[0]) <= apart[1]]


def rank(run: Facts, ranked: Sequence[Facts], name: str) -> int | None:
    """The place of a run by a measure, 1 being the best; None where it has none."""
    if not _has(run, name):
        return None
    sign = _sign(run, name)
    values = [sign * value(other, name) for other in ranked if _has(other, name)]
    return 1 + sum(other < sign * value(run, name) for other in values)


def ranked(runs: Sequence[Facts]) -> list[str]:
    """The measures of these runs that comparisons rank by."""
    return list(dict.fromkeys(name for run in runs if run.measured for name in run.measured.better))


def _sign(run: Facts, name: str) -> int:
    """1 where less is better."""
    return 1 if run.measured and run.measured.better.get(name) == "lower" else -1


def _reference(run: Facts) -> object:
    assert run.measured is not None
    return run.measured.of.get("reference_fingerprint")


def _has(run: Facts, name: str) -> bool:
    return run.measured is not None and name in run.measured.values
