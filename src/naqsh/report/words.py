"""The texts of a language, and how it writes numbers.

Every sentence of a report stands in ``texts/<language>.yaml`` under a dotted name; templates and
figures hold none.
"""

import json
import math
from importlib import resources
from typing import Any

import yaml
from markupsafe import Markup, escape

from naqsh.runfolder import flat


class Words:
    """One language."""

    def __init__(self, language: str) -> None:
        file = resources.files("naqsh.report") / "texts" / f"{language}.yaml"
        self._texts: dict[str, str] = flat(yaml.safe_load(file.read_text(encoding="utf-8")))

    def __contains__(self, key: str) -> bool:
        return key in self._texts

    def text(self, key: str, **values: Any) -> Markup:
        """A text with its values filled in; both are escaped, except values that are Markup."""
        return Markup(escape(self._texts[key])).format(**values)

    def plain(self, key: str) -> str:
        """A text without values, for a figure's axis or an attribute."""
        return self._texts[key]

    def number(self, value: int | float) -> str:
        """A number to read: whole ones with all their digits, others to four of them."""
        if isinstance(value, int):
            return f"{value:,}".replace("-", "\N{MINUS SIGN}")
        value = float(f"{value:.4g}")
        if value and not 1e-3 <= abs(value) < 1e6:
            return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
        digits = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
        text = f"{value:,.{digits}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return text.replace("-", "\N{MINUS SIGN}")

    def data(self, value: int | float, text: str | None = None) -> Markup:
        """A number of the page with its exact value beside what is read, `text` if given."""
        shown = self.number(value) if text is None else text
        return Markup('<data value="{}">{}</data>').format(json.dumps(value), shown)

    def time(self, seconds: float) -> str:
        """A time: ``42 s``, ``3 min 05 s`` or ``2 h 10 min``."""
        whole = round(seconds)
        if whole < 60:
            return str(self.text("units.seconds", seconds=whole))
        if whole < 3600:
            minutes, rest = divmod(whole, 60)
            return str(self.text("units.minutes", minutes=minutes, seconds=f"{rest:02d}"))
        hours, rest = divmod(whole // 60, 60)
        return str(self.text("units.hours", hours=hours, minutes=f"{rest:02d}"))

    def bytes(self, count: int) -> str:
        """A size: 1536 is ``1.5 KiB``."""
        power = min(4, int(math.log(max(count, 1), 1024)))
        unit = ["B", "KiB", "MiB", "GiB", "TiB"][power]
        return f"{count / 1024**power:.3g} {unit}"

    def shape(self, shape: list[int]) -> str:
        """Sizes with crosses between them; a single score has none and is written 1."""
        cross = "\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}"
        return cross.join(str(size) for size in shape) or "1"

    def value(self, value: Any) -> str:
        """A value of a recipe as a user would write it."""
        if value is None:
            return self.plain("value_none")
        if isinstance(value, bool):
            return self.plain("value_true" if value else "value_false")
        if isinstance(value, list):
            return ", ".join(self.value(item) for item in value)
        return str(value)
