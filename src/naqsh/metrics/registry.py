"""Measures are declared once, where they are computed; whoever needs to know of them asks here.

A measure is a function of two tables of features under the decorator :func:`declare`. All else
follows from that: by which word it is asked for, how many images it needs, its interval, whether
two numbers of images may be compared, which way is better, and its place in files and tables. A
report is made without any measure, so files keep what it has to know (`naqsh.runs.records`).

A Frechet distance depends on its features as much as on the images: by those of an MNIST classifier
it is 0.25 where by Inception it is 4. So only by Inception, exactly as in pytorch-fid, is it called
FID (Heusel et al., 2017, arXiv:1706.08500), and the kernel distance, a squared maximum mean
discrepancy, KID (Binkowski et al., 2018, arXiv:1801.01401); by any other features both are called
by what they are, with the features beside them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from torch import Tensor

from naqsh.metrics.influence import Influence

T = TypeVar("T")

INCEPTION = "inception"
"""The features by which the published names hold."""


class Value(NamedTuple):
    """What a measure comes to.

    Attributes:
        value: the number.
        influence: what each image does to it, where that is known; its error follows.
        cautious: whether the measure's caution holds here.
    """

    value: float
    influence: Influence | None = None
    cautious: bool = True


class Modes(Protocol):
    """Tells of which mode of a known mixture samples are, by their features."""

    @property
    def count(self) -> int:
        """How many modes there are."""

    @property
    def samples(self) -> int:
        """How many samples are usually drawn to count them."""

    @property
    def may_miss(self) -> bool:
        """Whether a sample may be of no mode."""

    def of(self, features: Tensor) -> Tensor:
        """The number of each row's mode, int64 with shape (N,); -1 where it is of none."""


@dataclass(frozen=True)
class Tables:
    """What is measured.

    Attributes:
        real: features with shape (n, d).
        generated: features with shape (m, d).
        k: neighbours that a measure may ask for.
        seed: of random divisions.
        modes: of the mixture that the real ones were drawn from, where it is known.
    """

    real: Tensor
    generated: Tensor
    k: int = 5
    seed: int = 0
    modes: Modes | None = None
    _made: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def fewest(self) -> int:
        """The real or the generated images, whichever are fewer."""
        return min(len(self.real), len(self.generated))

    @property
    def wide(self) -> int | None:
        """How many features there are, where they are more than the images."""
        d = self.real.shape[1]
        return d if self.fewest < d else None

    def once(self, work: "Callable[[Tables], T]") -> T:
        """What `work` makes of the tables; several measures may share it."""
        if work not in self._made:
            self._made[work] = work(self)
        made: T = self._made[work]
        return made


Compute = Callable[[Tables], Value | None]

Needs = Literal["features", "points", "modes"]
"""What a measure is for: features of images, coordinates of points, or data whose modes are known.
"""


@dataclass(frozen=True)
class Declared:
    """A measure; :func:`declare` has what the attributes mean."""

    name: str
    compute: Compute
    metric: str
    better: Literal["lower", "higher"]
    title: str
    published: tuple[str, str] | None
    also: tuple[str, ...]
    unbiased: bool
    share_of: Literal["n_generated", "n_real"] | None
    nonnegative: bool
    least: int | None
    caution: str | None
    ranked: bool
    needs: Needs


DECLARED: dict[str, Declared] = {}
"""All measures by name, in the order in which they are listed and kept."""

METRICS: list[str] = []
"""The words by which measures are asked for; one may stand for several measures."""


def declare(
    name: str,
    *,
    better: Literal["lower", "higher"],
    title: str = "",
    metric: str = "",
    published: tuple[str, str] | None = None,
    also: tuple[str, ...] = (),
    unbiased: bool = False,
    share_of: Literal["n_generated", "n_real"] | None = None,
    nonnegative: bool = False,
    least: int | None = 2,
    caution: str | None = None,
    ranked: bool = True,
    needs: Needs = "features",
) -> Callable[[Compute], Compute]:
    """Declare the function below as a measure; it gives None where it has no value.

    Args:
        name: in files and tables; texts have it under ``metrics``.
        better: which way.
        title: in words, for the terminal; the name unless it is given.
        metric: by which word it is asked for; its name unless it is given.
        published: name and title by Inception's features alone.
        also: further words for its metric.
        unbiased: whether its expected value does not depend on the numbers of images.
        share_of: where it is a share: of which images.
        nonnegative: whether it cannot be below 0.
        least: images that it needs on each side; None for more than k.
        caution: what few images do to it, by a name under ``cautions.kinds`` of the texts.
        ranked: whether comparisons rank by it.
        needs: what it is for; what needs points or modes is not measured of other data.

    Raises:
        ValueError: the name is taken.
    """

    def declared(compute: Compute) -> Compute:
        if name in DECLARED:
            raise ValueError(f"a measure {name} is declared twice")
        measure = Declared(
            name,
            compute,
            metric or name,
            better,
            title or name,
            published,
            also,
            unbiased,
            share_of,
            nonnegative,
            least,
            caution,
            ranked,
            needs,
        )
        DECLARED[name] = measure
        if measure.metric not in METRICS:
            METRICS.append(measure.metric)
        return compute

    return declared


def words() -> dict[str, str]:
    """Further words for metrics, each with the one that it stands for."""
    found = {word: m.metric for m in DECLARED.values() for word in (m.name, *m.also)}
    return {word: metric for word, metric in found.items() if word != metric}


def published() -> dict[str, str]:
    """The names that hold by Inception's features, each with its measure's."""
    return {m.published[0]: m.name for m in DECLARED.values() if m.published}


def kind(name: str) -> str:
    """What a measure is, whatever the features: ``frechet`` for ``fid``, others as they are."""
    return published().get(name, name)


def get(name: str) -> Declared | None:
    """A measure by either of its names; None where it is not known here."""
    return DECLARED.get(kind(name))


def called(name: str, features: str) -> str:
    """What a measure is called by these features: ``fid`` by Inception's, else ``frechet``."""
    known = get(name)
    if known and known.published and features == INCEPTION:
        return known.published[0]
    return known.name if known else name


def title(name: str, features: str | None = None) -> str:
    """A measure in words, with the features that are part of what a distance is.

    Args:
        name: as :func:`called` gives it.
        features: None where they stand beside it anyway.
    """
    known = get(name)
    if known is None:
        return name
    if known.published and name == known.published[0]:
        return known.published[1]
    return known.title + (f" (features {features})" if features and known.published else "")
