"""The texts of a language, and how it writes numbers.

Every sentence of a report stands in a file of texts (`naqsh.io.texts`) under a dotted name;
templates and figures hold none. Where a language runs from right to left, whatever is not a
sentence of its own (a name, a number, a formula) is enclosed in Unicode's isolates, so that it
keeps its own direction and does not disturb its neighbours. Isolates are characters, so that they
also work in titles and attributes, where no tag may stand.

References:
    Unicode Bidirectional Algorithm (Unicode Standard Annex 9), section 2.4: explicit isolates.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup, escape

from naqsh.core.errors import one_of
from naqsh.core.readable import readable_bytes
from naqsh.io.texts import LANGUAGES, readable_time, texts

__all__ = ["LANGUAGES", "Words"]

ISOLATE, END = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"

PERSIAN = str.maketrans("0123456789,.", "۰۱۲۳۴۵۶۷۸۹٬٫")
"""Digits and separators; ٬ parts the thousands and ٫ stands before the decimals."""

SCIENTIFIC = re.compile(r"(.*)e([+-])0*(\d+)")


class Words:
    """One of :data:`LANGUAGES`; raises NaqshError for another one."""

    def __init__(self, language: str = "en") -> None:
        if language not in LANGUAGES:
            raise one_of("language", language, LANGUAGES)
        self.texts = texts(language)
        self.language = language
        self.leftward = self.texts["direction"] == "rtl"

    def __contains__(self, key: str) -> bool:
        return key in self.texts

    def text(self, key: str, **values: Any) -> Markup:
        """A text with its values filled in, numbers to read; what is no Markup is escaped."""
        own = {name: self.own(value) for name, value in values.items()}
        return Markup(escape(self.texts[key])).format(**own)

    def known(self, key: str, otherwise: str) -> Markup:
        """A text without values; where there is none, a name that is not of this language."""
        return self.text(key) if key in self else Markup(escape(self.own(otherwise)))

    def under(self, key: str) -> dict[str, Markup]:
        """The texts below a name, in their order, for example a table's rows."""
        below = f"{key}."
        return {k.removeprefix(below): self.text(k) for k in self.texts if k.startswith(below)}

    def listed(self, names: Iterable[str], between: str = "list_comma") -> Markup:
        return self.text(between).join(escape(self.own(name)) for name in names)

    def plain(self, key: str) -> str:
        """A text without values, for a figure's axis or an attribute."""
        return self.texts[key]

    def own(self, value: Any) -> Any:
        """A value that keeps its own direction among words of this language.

        Markup is taken as it is: it is a text of this language.
        """
        if isinstance(value, int | float):
            value = self.number(value)
        if self.leftward and isinstance(value, str) and not isinstance(value, Markup):
            return f"{ISOLATE}{value}{END}"
        return value

    def foreign(self, text: str) -> Markup:
        """A sentence in English, marked as such on a page of another language."""
        if self.language == "en":
            return Markup(escape(text))
        return Markup('<span lang="en" dir="ltr">{}</span>').format(text)

    def local(self, number: str) -> str:
        """A number as Python writes it with the language's digits and separators."""
        number = number.replace("-", "\N{MINUS SIGN}")
        return number.translate(PERSIAN) if self.language == "fa" else number

    def number(self, value: int | float) -> str:
        """A number to read: whole ones with all their digits, others to four of them.

        Those above a million or below a thousandth are Markup, with a power of ten.
        """
        if isinstance(value, int):
            return self.local(f"{value:,}")
        value = float(f"{value:.4g}")
        if value and not 1e-3 <= abs(value) < 1e6:
            return self.scientific(f"{value:.4g}")
        digits = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
        text = f"{value:,.{digits}f}"
        return self.local(text.rstrip("0").rstrip(".") if "." in text else text)

    def scientific(self, text: str) -> str:
        """``2.5e+09`` with a power of ten; what has no exponent as it is."""
        parts = SCIENTIFIC.fullmatch(text)
        if not parts:
            return self.local(text)
        digits, sign, exponent = parts.groups()
        power = self.local(exponent if sign == "+" else f"-{exponent}")
        product = Markup("{}\N{THIN SPACE}\N{MULTIPLICATION SIGN}\N{THIN SPACE}{}<sup>{}</sup>")
        # Without a letter, only this keeps the factor on the left.
        whole = Markup('<span dir="ltr">{}</span>') if self.leftward else Markup("{}")
        return whole.format(product.format(self.local(digits), self.local("10"), power))

    def tick(self, value: float) -> str:
        """A number at an axis; ``^`` stands before an exponent."""
        text = f"{value:.6g}"
        parts = SCIENTIFIC.fullmatch(text)
        if not parts:
            return self.local(text)
        digits, sign, exponent = parts.groups()
        power = f"{self.local('10')}^{self.local(exponent if sign == '+' else f'-{exponent}')}"
        return power if digits == "1" else f"{self.local(digits)}\N{MULTIPLICATION SIGN}{power}"

    def data(self, value: int | float, text: str | None = None) -> Markup:
        """A number of the page with its exact value beside what is read, `text` if given."""
        shown = self.number(value) if text is None else text
        direction = Markup(' dir="auto"') if self.leftward else ""
        return Markup('<data value="{}"{}>{}</data>').format(json.dumps(value), direction, shown)

    def formula(self, key: str, **values: Any) -> Markup:
        """A text of numbers and signs alone, which runs from left to right everywhere."""
        text = self.text(key, **values)
        return Markup('<span dir="ltr">{}</span>').format(text) if self.leftward else text

    def rounded(self, value: float) -> str:
        """A number in running text, to three digits."""
        return self.scientific(f"{value:.3g}")

    def percent(self, part: float) -> str:
        """A part of one in hundredths: 0.999 is ``99.9%``."""
        return self.local(f"{100 * part:.1f}") + self.plain("units.percent")

    def time(self, seconds: float) -> Markup:
        """A time: ``42 s``, ``3 min 05 s`` or ``2 h 10 min``."""
        return Markup(escape(self.local(readable_time(seconds, self.language))))

    def bytes(self, count: int) -> str:
        """A size: 1536 is ``1.5 KiB``."""
        return self.local(readable_bytes(count)).replace(" ", "\N{NO-BREAK SPACE}")

    def shape(self, shape: list[int]) -> str:
        """Sizes with crosses between them; a single score has none and is written 1."""
        cross = "\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}"
        return self.local(cross.join(str(size) for size in shape) or "1")

    def caution(self, kind: str, pictures: int, dimensions: int | None) -> Markup:
        """What few images do to a metric, and for how many features they are few."""
        key = "cautions.few" if dimensions is None else "cautions.few_for"
        few = self.text(key, pictures=pictures, dimensions=dimensions)
        return self.text("cautions.said", few=few, then=self.known(f"cautions.kinds.{kind}", kind))

    def value(self, value: Any) -> str:
        """A value of a recipe as a user would write it."""
        if value is None:
            return self.text("value_none")
        if isinstance(value, bool):
            return self.text("value_true" if value else "value_false")
        if isinstance(value, int | float) and math.isfinite(value):
            shown = self.scientific(str(value)) if self.language == "fa" else str(value)
            return self.data(value, shown)
        if isinstance(value, list):
            return self.listed(map(self.value, value))
        return str(value)
