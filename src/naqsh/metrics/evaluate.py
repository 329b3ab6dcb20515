"""Several metrics of one pair of feature tables, each as a `Measure`."""

from collections.abc import Iterable

from naqsh.distances import PUBLISHED, called, kind
from naqsh.errors import NaqshError, one_of
from naqsh.metrics._arrays import Array, as_pair
from naqsh.metrics.frechet import frechet_distance_features
from naqsh.metrics.kernel import kernel_distance
from naqsh.metrics.manifold import density_coverage, manifold, precision_recall
from naqsh.metrics.result import UNBIASED, Caution, Measure
from naqsh.metrics.uncertainty import frechet_infinity, frechet_standard_error

METRICS = ("frechet", "kernel", "pr", "dc")
"""What :func:`measure` knows: Frechet distance (and its extrapolation), kernel distance, precision
and recall, density and coverage. ``fid`` and ``kid`` are taken for the first two, which are called
so by Inception's features alone."""

ALSO = {"precision": "pr", "recall": "pr", "density": "dc", "coverage": "dc", "fréchet": "frechet"}
"""Further words for them."""

SMALL = 2048


def named(names: str | Iterable[str], more: Iterable[str] = ()) -> list[str]:
    """Metrics as they are asked for, by one name or several, checked.

    Args:
        names: out of :data:`METRICS`, ``fid``, ``kid``, ``all`` and `more`, in letters of any case.
        more: what else is known.

    Raises:
        NaqshError: an unknown name, or none.
    """
    given = [names] if isinstance(names, str) else list(names)
    known = (*METRICS, *more, "all")
    if not given:
        raise NaqshError(f"no metric is named; known: {', '.join(known)}")
    wanted = []
    for name in given:
        lower = name.lower()
        wanted.append(kind(ALSO.get(lower, lower)))
        if wanted[-1] not in known:
            raise one_of("metric", name, (*known, *PUBLISHED.values(), *ALSO))
    return wanted


def measure(
    metrics: str | Iterable[str],
    real: Array,
    generated: Array,
    *,
    features: str,
    fingerprint: str,
    reference: str,
    reference_fingerprint: str | None = None,
    k: int = 5,
    seed: int = 0,
) -> list[Measure]:
    """Measure generated features against real ones.

    Args:
        metrics: names out of :data:`METRICS`, or ``"all"``.
        real: features with shape (n, d); a held-out set says more than the training set, which a
            generator may have learnt by heart.
        generated: features with shape (m, d), by the same extractor.
        features: the extractor's name.
        fingerprint: the extractor's fingerprint.
        reference: what the real pictures are, in words.
        reference_fingerprint: of the real images by content, where it is known.
        k: neighbours of precision, recall, density and coverage.
        seed: of the random divisions behind standard errors and the extrapolation.

    Returns:
        ``frechet`` and ``frechet_infinity`` for "frechet", ``kernel`` for "kernel" (called ``fid``,
        ``fid_infinity`` and ``kid`` where `features` are "inception"), ``precision`` and ``recall``
        for "pr", ``density`` and ``coverage`` for "dc"; in this order, however it is asked for.

    Raises:
        NaqshError: an unknown name, too few rows, different columns, or numbers that are not
            finite.
    """
    asked = set(named(metrics)) if metrics else set()
    if "all" in asked:
        asked = set(METRICS)
    real, generated = as_pair(real, generated)
    values: dict[str, tuple[float, float | None]] = {}
    if "frechet" in asked:
        error = frechet_standard_error(real, generated)
        values["frechet"] = frechet_distance_features(real, generated), error
        values["frechet_infinity"] = frechet_infinity(real, generated, seed), None
    if "kernel" in asked:
        values["kernel"] = kernel_distance(real, generated, seed=seed)
    pairs: list[dict[str, float]] = []
    if {"pr", "dc"} <= asked:
        pairs = [pair._asdict() for pair in manifold(real, generated, k)]
    elif "pr" in asked:
        pairs = [precision_recall(real, generated, k)._asdict()]
    elif "dc" in asked:
        pairs = [density_coverage(real, generated, k)._asdict()]
    for pair in pairs:
        values |= {name: (value, None) for name, value in pair.items()}
    n, m, d = len(real), len(generated), real.shape[1]
    depends = (n, m, features, fingerprint, reference)
    return [
        Measure(
            called(name, features),
            value,
            *depends,
            error,
            _notes(name, n, m, d),
            reference_fingerprint,
        )
        for name, (value, error) in values.items()
    ]


def _notes(name: str, n: int, m: int, d: int) -> tuple[Caution, ...]:
    """What small samples do to a metric, said rather than hidden."""
    fewest = min(n, m)
    if fewest >= max(SMALL, d) or name == "kernel":
        return ()
    wide = d if fewest < d else None
    if name in UNBIASED:
        return (Caution("extrapolation", fewest, wide),) if wide else ()
    return (Caution("biased" if name == "frechet" else "equal_n", fewest, wide),)
