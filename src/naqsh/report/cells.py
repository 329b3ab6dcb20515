"""Values as tables show them: in their units, in the page's language, exact for who reads HTML."""

from typing import Any

from markupsafe import Markup

from naqsh.core.measured import Likelihood
from naqsh.report.words import Words

Interval = tuple[float, float]


def cell(words: Words, name: str, value: Any) -> Markup | str:
    """A value by its name: times and sizes have units, other numbers are written to be read."""
    if value is None:
        return words.text("absent")
    match name:
        case _ if isinstance(value, Markup):
            return value
        case "seconds":
            return words.data(value, words.time(value))
        case "memory":
            return words.data(value, words.bytes(value))
        case "false_alarms":
            return words.data(value, words.percent(value))
        case "shape" | "output":
            return words.shape(value)
        case "kind" | "flow_kind":
            return words.known(f"kinds.{value}", value)
        case "of":
            return words.known(f"likelihood_of.{value}", value)
    return value if isinstance(value, str) else words.data(value)


def measure(words: Words, value: float, interval: Interval | None) -> Markup:
    """A value with its interval in brackets, where it has one."""
    if interval is None:
        return words.data(value)
    low, high = map(words.data, interval)
    return words.text("tables.measured.cell", value=words.data(value), low=low, high=high)


def rounded(words: Words, value: float, interval: Interval | None = None) -> Markup:
    """The same to three digits."""
    shown = words.data(value, words.rounded(value))
    if interval is None:
        return shown
    low, high = map(words.rounded, interval)
    return words.text("tables.measured.cell", value=shown, low=low, high=high)


def mean(words: Words, value: float, error: float) -> Markup:
    """A mean ± its standard error, to three digits."""
    shown = rounded(words, value)
    return words.formula("tables.bound.cell", mean=shown, error=words.rounded(error))


def kinds(words: Words, found: Likelihood) -> dict[str, Markup | str]:
    """What kind of number a likelihood is, and of what."""
    return {name: cell(words, name, getattr(found, name)) for name in ("kind", "of")}
