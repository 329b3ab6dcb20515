"""The sentences of a language, which reports and the terminal share.

They stand in ``naqsh/texts/<language>.yaml`` under dotted names.
"""

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

from naqsh.io.files import flat

LANGUAGES = ("en", "fa")

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast


@functools.cache
def texts(language: str = "en") -> Mapping[str, str]:
    """Every text of one of :data:`LANGUAGES` by its dotted name."""
    file = resources.files("naqsh") / "texts" / f"{language}.yaml"
    return flat(yaml.load(file.read_text(encoding="utf-8"), _LOADER))


def readable_time(seconds: float, language: str = "en") -> str:
    """A time as people read it: ``42 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        unit, values = "seconds", {"seconds": whole}
    elif whole < 3600:
        unit, values = "minutes", {"minutes": whole // 60, "seconds": whole % 60}
    else:
        unit, values = "hours", {"hours": whole // 3600, "minutes": whole % 3600 // 60}
    even = len(values) == 2 and not list(values.values())[1]
    return texts(language)[f"units.{'whole_' if even else ''}{unit}"].format(**values)
