"""What objects show of themselves in a notebook: small pieces of HTML that need nothing beside."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence

STYLE = "border-collapse:collapse;font-size:0.9em"
CELL = "text-align:start;padding:2px 12px 2px 0;vertical-align:top"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; every cell is escaped."""
    top = "".join(f'<th style="{CELL}">{_safe(cell)}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="{CELL}">{_safe(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f'<table style="{STYLE}"><tr>{top}</tr>{body}</table>'


def facts(title: str, named: Mapping[str, object]) -> str:
    """A title, and names with their values below it."""
    rows = "".join(
        f'<tr><th style="{CELL}">{_safe(name)}</th><td style="{CELL}">{_safe(value)}</td></tr>'
        for name, value in named.items()
    )
    return f'<div><b>{_safe(title)}</b><table style="{STYLE}">{rows}</table></div>'


def image(png: bytes, words: str) -> str:
    """A PNG, and the words that stand for it where it cannot be seen."""
    data = base64.b64encode(png).decode()
    style = "max-width:100%;image-rendering:pixelated"
    return f'<img style="{style}" alt="{_safe(words)}" src="data:image/png;base64,{data}">'


def text(words: str) -> str:
    """Lines as a terminal shows them."""
    return f'<pre style="white-space:pre-wrap">{_safe(words)}</pre>'


def _safe(value: object) -> str:
    return html.escape(str(value))
