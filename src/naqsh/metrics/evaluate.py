"""Several metrics of one pair of feature tables, each as a `Measure`."""

import math
from collections.abc import Iterable, Mapping

from naqsh.core.distances import PUBLISHED, called, kind
from naqsh.core.errors import NaqshError, one_of
from naqsh.metrics._arrays import Array, as_pair
from naqsh.metrics.frechet import frechet_distance_features
from naqsh.metrics.influence import Influence
from naqsh.metrics.kernel import kernel_influence
from naqsh.metrics.manifold import manifold
from naqsh.metrics.result import Caution, Measure
from naqsh.metrics.uncertainty import frechet_infinity, frechet_influence

METRICS = ("frechet", "kernel", "pr", "dc")
"""What :func:`measure` knows: Frechet distance (and its extrapolation), kernel distance, precision
and recall, density and coverage. ``fid`` and ``kid`` are taken for the first two, which are called
so by Inception's features alone."""

ALSO = {"precision": "pr", "recall": "pr", "density": "dc", "coverage": "dc", "fréchet": "frechet"}
"""Further words for them."""

LEAST_EXTRAPOLATED = 6
"""Images, at least, for an extrapolation; with fewer there is none."""


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
            generator may have memorised.
        generated: features with shape (m, d), by the same extractor.
        features: the extractor's name.
        fingerprint: the extractor's fingerprint.
        reference: what the real images are, in words.
        reference_fingerprint: of the real images by content, where it is known.
        k: neighbours of precision, recall, density and coverage.
        seed: of the random division behind the extrapolation.

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
    real, generated = as_pair(real, generated, 1)
    require_enough(asked, len(real), len(generated), reference, k)
    found: dict[str, tuple[float, Influence | None]] = {}
    if "frechet" in asked:
        influence = frechet_influence(real, generated)
        found["frechet"] = frechet_distance_features(real, generated), influence
        if min(len(real), len(generated)) >= LEAST_EXTRAPOLATED:
            found["frechet_infinity"] = frechet_infinity(real, generated, seed), None
    if "kernel" in asked:
        found["kernel"] = kernel_influence(real, generated)
    if asked & {"pr", "dc"}:
        pairs = manifold(real, generated, k)
        wanted = {"pr": ("precision", "recall"), "dc": ("density", "coverage")}
        found |= {n: pairs[n] for word in ("pr", "dc") if word in asked for n in wanted[word]}
    depends = (len(real), len(generated), features, fingerprint, reference)
    return [
        Measure(
            called(name, features),
            value,
            *depends,
            None if influence is None else _error(influence),
            _notes(name, found, len(real), len(generated), real.shape[1]),
            reference_fingerprint,
            influence,
        )
        for name, (value, influence) in found.items()
    ]


def require_enough(
    asked: Iterable[str], real: int | None, generated: int, reference: str = "", k: int = 5
) -> None:
    """Refuse fewer images than a metric that is asked for can work with.

    Args:
        asked: names as :func:`named` gives them.
        real: images of the reference; None where that is not known yet.
        generated: images that are measured.
        reference: what the real images are, in words.
        k: neighbours of precision, recall, density and coverage.
    """
    asked = set(METRICS) if "all" in asked else set(asked)
    least = {"frechet": 2, "kernel": 4, "pr": k + 1, "dc": k + 1}
    for name in METRICS:
        if name in asked and min(generated if real is None else real, generated) < least[name]:
            raise NaqshError(
                f"{name} needs at least {least[name]} images on each side, and there are "
                f"{generated} generated" + ("" if real is None else f" and {real} of {reference}")
            )


def _error(influence: Influence) -> float:
    """Over the side that a measure is a mean over: of recall and coverage the real images."""
    side = influence.generated if influence.generated.any() else influence.real
    return float(side.std(ddof=1) / math.sqrt(len(side)))


def _notes(
    name: str, found: Mapping[str, tuple[float, Influence | None]], n: int, m: int, d: int
) -> tuple[Caution, ...]:
    """What small samples do to a metric, said rather than hidden."""
    fewest = min(n, m)
    wide = d if fewest < d else None
    if name == "kernel":
        return ()
    if name == "frechet_infinity":
        return (Caution("extrapolation", fewest, wide),)
    if name != "frechet":
        return (Caution("equal_n", fewest, wide),)
    value, influence = found[name]
    limit, _ = found.get("frechet_infinity", (-math.inf, None))
    # Too large by more than its noise, as far as the extrapolation tells.
    biased = wide or influence is None or value - limit > _error(influence)
    return (Caution("biased", fewest, wide),) if biased else ()
