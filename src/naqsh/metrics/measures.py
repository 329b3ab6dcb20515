"""The measures of two tables of features, in the order in which they are listed and kept."""

from naqsh.metrics.energy import energy_influence
from naqsh.metrics.frechet import frechet_distance_features
from naqsh.metrics.influence import Influence
from naqsh.metrics.kernel import kernel_influence
from naqsh.metrics.manifold import manifold
from naqsh.metrics.registry import Tables, Value, declare
from naqsh.metrics.uncertainty import frechet_infinity, frechet_influence

LEAST_EXTRAPOLATED = 6
"""Images, at least, for an extrapolation; with fewer there is none."""


def _limit(tables: Tables) -> float | None:
    if tables.fewest < LEAST_EXTRAPOLATED:
        return None
    return frechet_infinity(tables.real, tables.generated, tables.seed)


@declare(
    "frechet",
    better="lower",
    title="Fréchet distance",
    published=("fid", "FID"),
    also=("fréchet",),
    nonnegative=True,
    caution="biased",
)
def frechet(tables: Tables) -> Value:
    """The Frechet distance, `naqsh.metrics.frechet`."""
    influence = frechet_influence(tables.real, tables.generated)
    value = frechet_distance_features(tables.real, tables.generated)
    limit = tables.once(_limit)
    # Too large by more than its noise, as far as the extrapolation tells.
    biased = bool(tables.wide) or limit is None or value - limit > influence.error
    return Value(value, influence, biased)


@declare(
    "frechet_infinity",
    better="lower",
    title="Fréchet distance, n → ∞",
    metric="frechet",
    published=("fid_infinity", "FID, n → ∞"),
    unbiased=True,
    caution="extrapolation",
    ranked=False,
)
def frechet_limit(tables: Tables) -> Value | None:
    """Its extrapolation, `naqsh.metrics.uncertainty`."""
    limit = tables.once(_limit)
    return None if limit is None else Value(limit)


@declare(
    "kernel",
    better="lower",
    title="kernel distance",
    published=("kid", "KID"),
    unbiased=True,
    least=4,
)
def kernel(tables: Tables) -> Value:
    """The kernel distance, `naqsh.metrics.kernel`."""
    return Value(*kernel_influence(tables.real, tables.generated))


def _manifold(tables: Tables) -> dict[str, tuple[float, Influence]]:
    return manifold(tables.real, tables.generated, tables.k)


@declare(
    "precision",
    better="higher",
    metric="pr",
    share_of="n_generated",
    least=None,
    caution="equal_n",
)
def precision(tables: Tables) -> Value:
    """How many generated images look real, `naqsh.metrics.manifold`."""
    return Value(*tables.once(_manifold)["precision"])


@declare("recall", better="higher", metric="pr", share_of="n_real", least=None, caution="equal_n")
def recall(tables: Tables) -> Value:
    """How many real images could be generated, `naqsh.metrics.manifold`."""
    return Value(*tables.once(_manifold)["recall"])


@declare("density", better="higher", metric="dc", nonnegative=True, least=None, caution="equal_n")
def density(tables: Tables) -> Value:
    """How densely generated images lie among real ones, `naqsh.metrics.manifold`."""
    return Value(*tables.once(_manifold)["density"])


@declare("coverage", better="higher", metric="dc", share_of="n_real", least=None, caution="equal_n")
def coverage(tables: Tables) -> Value:
    """How many real images have a generated one near, `naqsh.metrics.manifold`."""
    return Value(*tables.once(_manifold)["coverage"])


@declare("energy", better="lower", title="energy distance", unbiased=True, least=4, needs="points")
def energy(tables: Tables) -> Value:
    """The energy distance of points, `naqsh.metrics.energy`."""
    return Value(*energy_influence(tables.real, tables.generated))
