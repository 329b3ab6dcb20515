"""Several metrics of one pair of feature tables, each as a `Measure`."""

from collections.abc import Iterable
from typing import Any

from naqsh.core.errors import NaqshError, one_of
from naqsh.metrics import measures as measures  # these two declare what is known
from naqsh.metrics import modes as modes
from naqsh.metrics import registry
from naqsh.metrics._arrays import Array, as_pair
from naqsh.metrics.features import FeatureExtractor, modes_known, takes_points
from naqsh.metrics.registry import (
    DECLARED,
    METRICS,
    Declared,
    Modes,
    Tables,
    Value,
    called,
    kind,
)
from naqsh.metrics.result import Caution, Measure


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
    wanted, words = [], registry.words()
    for name in given:
        lower = kind(name.lower())
        wanted.append(words.get(lower, lower))
        if wanted[-1] not in known:
            raise one_of("metric", name, (*known, *registry.published(), *words))
    return wanted


def described(extractor: FeatureExtractor) -> dict[str, Any]:
    """What :func:`measure` has to know of the features, by its names."""
    return {
        "features": extractor.name,
        "fingerprint": extractor.fingerprint,
        "points": takes_points(extractor),
        "modes": modes_known(extractor),
    }


def applying(
    names: Iterable[str], features: str, points: bool, modes: Modes | None, **_: object
) -> list[str]:
    """Metrics that have a meaning here, with ``all`` for what is measured of such data.

    Of points ``all`` is what needs points or modes; what is of features may be asked for by name.

    Args:
        names: as :func:`named` gives them.
        features: the extractor's name.
        points: whether it takes points.
        modes: those that it knows.

    Raises:
        NaqshError: one that is asked for by name has none.
    """
    there = {"features": True, "points": points, "modes": modes is not None}
    needs = {declared.metric: declared.needs for declared in DECLARED.values()}
    found = []
    for name in names:
        if name == "all":
            usual = there | {"features": not points}
            found += [metric for metric in METRICS if usual[needs[metric]]]
        elif name in needs and not there[needs[name]]:
            raise NaqshError(
                f"{name} is measured of points in the plane, and features {features} are of images"
                if needs[name] == "points"
                else f"{name} needs data whose modes are known, such as ring, grid and "
                f"stacked-mnist; features {features} know none"
            )
        else:
            found.append(name)
    return list(dict.fromkeys(found))


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
    points: bool = False,
    modes: Modes | None = None,
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
        points: whether the features are coordinates of points.
        modes: of the mixture that the real ones were drawn from, where it is known.

    Returns:
        ``frechet`` and ``frechet_infinity`` for "frechet", ``kernel`` for "kernel" (called ``fid``,
        ``fid_infinity`` and ``kid`` where `features` are "inception"), ``precision`` and ``recall``
        for "pr", ``density`` and ``coverage`` for "dc", ``energy`` for "energy", ``modes``,
        ``modes_twenty``, ``good`` and ``reverse_kl`` for "modes"; in this order, however it is
        asked for.

    Raises:
        NaqshError: an unknown name, one that has no meaning here, too few rows, different columns,
            or numbers that are not finite.
    """
    asked = set(applying(named(metrics), features, points, modes)) if metrics else set()
    real, generated = as_pair(real, generated, 1)
    require_enough(asked, len(real), len(generated), reference, k)
    tables = Tables(real, generated, k, seed, modes)
    depends = (len(real), len(generated), features, fingerprint, reference)
    found = []
    for declared in DECLARED.values():
        value = declared.compute(tables) if declared.metric in asked else None
        if value is not None:
            found.append(
                Measure(
                    called(declared.name, features),
                    value.value,
                    *depends,
                    None if value.influence is None else value.influence.error,
                    _notes(declared, value, tables),
                    reference_fingerprint,
                    value.influence,
                )
            )
    return found


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
    every = {declared.metric for declared in DECLARED.values() if declared.needs == "features"}
    asked = every if "all" in asked else set(asked)
    fewest = min(generated if real is None else real, generated)
    for declared in DECLARED.values():
        least = k + 1 if declared.least is None else declared.least
        if declared.metric in asked and fewest < least:
            raise NaqshError(
                f"{declared.metric} needs at least {least} images on each side, and there are "
                f"{generated} generated" + ("" if real is None else f" and {real} of {reference}")
            )


def _notes(declared: Declared, value: Value, tables: Tables) -> tuple[Caution, ...]:
    """What small samples do to a measure, said rather than hidden."""
    if declared.caution is None or not value.cautious:
        return ()
    return (Caution(declared.caution, tables.fewest, tables.wide),)
