"""A document as one HTML page that needs nothing beside itself."""

import functools
import math
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from naqsh.report.document import Block, Document
from naqsh.report.draw import palette
from naqsh.report.words import Words


def render(document: Document) -> str:
    """The page as text; everything that came from a run folder is escaped."""
    return (
        _templates(document.words.language)
        .get_template("page.html.j2")
        .render(
            document=document,
            words=document.words,
            light=palette.LIGHT,
            dark=palette.DARK,
            prose=_prose([block for section in document.sections for block in section.blocks]),
            results=embedded(document.results),
        )
    )


def fragment(blocks: Sequence[Block], words: Words) -> str:
    """Some blocks with their own style, to stand in a page of someone else's, always light."""
    template = _templates(words.language).get_template("fragment.html.j2")
    return template.render(blocks=blocks, words=words, light=palette.LIGHT, prose=_prose(blocks))


def style(words: Words) -> str:
    """The style of :func:`fragment` alone, for a page that shows blocks without any."""
    template = _templates(words.language).get_template("fragment.css.j2")
    return template.render(words=words, light=palette.LIGHT, prose=True)


def _prose(blocks: Sequence[Block]) -> bool:
    """Whether there is running text, which has a style of its own."""
    return any(block.kind == "prose" for block in blocks)


def render_blocks(blocks: Sequence[Block], words: Words) -> str:
    """Some blocks as HTML without any style."""
    macros = _templates(words.language).get_template("blocks.html.j2").make_module({"words": words})
    return "\n".join(str(macros.render(block)) for block in blocks)  # type: ignore[attr-defined]


@functools.cache
def _templates(language: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("naqsh.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["own"] = Words(language).own
    return environment


def embedded(plain: Any) -> Markup:
    """Plain data as JSON that may stand inside a script element."""
    how: dict[str, Any] = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":")}
    return htmlsafe_json_dumps(_finite(plain), **how)


def _finite(plain: Any) -> Any:
    """The data with null for what JSON has no number for, and text for what it has no type for."""
    if isinstance(plain, float):
        return plain if math.isfinite(plain) else None
    if isinstance(plain, dict):
        return {str(key): _finite(value) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_finite(value) for value in plain]
    return plain if plain is None or isinstance(plain, str | int) else str(plain)
