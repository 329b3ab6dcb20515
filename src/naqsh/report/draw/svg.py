"""Matplotlib's SVG made fit to stand inside a page, one rule after another.

Text stays text: the browser sets it in the page's font and colour and joins the letters of scripts
that are joined, and a screen reader or a search finds it.
"""

import io
import re
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG

from naqsh.report.draw import palette


def _short(tag: re.Match[str]) -> str:
    return re.sub(r"(\.\d\d)\d+", r"\1", tag[0])


RULES: dict[str, tuple[str, str | Callable[[re.Match[str]], str]]] = {
    "prolog": (r"\A.*?(?=<svg)", ""),
    "metadata": (r"<metadata>.*?</metadata>\s*", ""),
    # The style that every figure would repeat stands once in the page's.
    "style": (r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>\s*", ""),
    # Groups carry ids that repeat on a page of many figures; nothing refers to them.
    "groups": (r'<g id="[^"]*"', "<g"),
    "ids": (r'\bid="', 'id="NAME-'),
    "links": (r'(?:xlink:)?href="#', 'href="#NAME-'),
    "clips": (r"url\(#", "url(#NAME-"),
    "namespaces": (r' xmlns(:xlink)?="[^"]*"| version="1.1"', ""),
    "width": (r'(<svg[^>]*?) width="[^"]*"', r"\1"),
    "height": (r'(<svg[^>]*?) height="[^"]*"', r"\1"),
    "fonts": (r"font: ([\d.]+px)[^;\"]*", r"font-size: \1"),
    "families": (r"\s*font-family: [^;\"]*;", ""),  # matplotlib 3.11 names the parts of a font
    "exponents": (r"\^([^<\s]+)", r'<tspan dy="-3" style="font-size: 6.5px">\1</tspan>'),
    # Hundredths of a pixel are enough for lines; what stands between the tags is text to read.
    "digits": (r"<[^>]*>", _short),
    "lines": (r"\s*\n\s*", "\n"),
}
"""What is replaced by what, in this order; NAME is the figure's."""


def apply(rule: str, text: str, name: str) -> str:
    """The SVG after one of :data:`RULES`."""
    pattern, by = RULES[rule]
    by = by.replace("NAME", name) if isinstance(by, str) else by
    return re.sub(pattern, by, text, flags=re.DOTALL)


def svg(axes: Axes, name: str) -> str:
    """The figure of some axes as an SVG element for a page; its ids begin with `name`."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # Figure.savefig would draw twice: once to lay out, which fixed margins need not.
    canvas = FigureCanvasSVG(axes.get_figure(root=True))
    canvas.print_svg(buffer, metadata=nothing)  # type: ignore[no-untyped-call]
    text = buffer.getvalue()
    for rule in RULES:
        text = apply(rule, text, name)
    return palette.css(text).strip()
