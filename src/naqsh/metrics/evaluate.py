"""Several metrics of one pair of feature tables, each as a `Measure`."""

from collections.abc import Iterable

from naqsh.core.errors import NaqshError, one_of
from naqsh.metrics import measures as measures  # declares what is known
from naqsh.metrics import registry
from naqsh.metrics._arrays import Array, as_pair
from naqsh.metrics.registry import DECLARED, METRICS, Declared, Tables, Value, called, kind
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
    tables = Tables(real, generated, k, seed)
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
    asked = set(METRICS) if "all" in asked else set(asked)
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
