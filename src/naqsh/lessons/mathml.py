"""Mathematics for a page without scripts: LaTeX as MathML that browsers set well.

latex2mathml does the work; what MathML Core asks for besides, browsers ignore otherwise: columns
are aligned by styles, accents say that they are accents, and names of operators are no operators.
"""

import html
import re
from xml.etree.ElementTree import Element, tostring

from latex2mathml.converter import convert_to_element

from naqsh.report.words import Words

ENVIRONMENTS = {"aligned": "align*", "gathered": "array"}
"""What latex2mathml knows by another name only."""

BELOW = {"max", "min", "lim", "sup", "inf", "argmax", "argmin", "arg max", "arg min"}
"""Operators under which their condition stands in a formula of its own."""

RELATIONS = {"~": "\N{TILDE OPERATOR}", "\N{DIVIDES}": "\N{DIVIDES}", ";": ";"}
"""What latex2mathml takes for a letter."""

ROWS = {"math", "mrow", "mtd", "mstyle", "msqrt", "mpadded"}

ACCENTS = {"\N{MACRON}", "~", "^", "\N{RIGHTWARDS ARROW}"}


def mathml(latex: str, words: Words, *, block: bool = False) -> str:
    """A formula as a ``math`` element.

    Args:
        latex: without dollar signs.
        words: whose digits the numbers of the formula have.
        block: whether it stands on a line of its own.

    Raises:
        ValueError: it holds a command that is not known.
    """
    for theirs, ours in ENVIRONMENTS.items():
        for word in ("begin", "end"):
            latex = latex.replace(rf"\{word}{{{theirs}}}", rf"\{word}{{{ours}}}")
    root = convert_to_element(latex, display="block" if block else "inline")
    for element in root.iter():
        element.text = html.unescape(element.text or "")  # latex2mathml writes entities by hand
    for element in root.iter():
        _repair(element, words)
    for element in root.iter():
        _space(element)
    if block:
        for element in root.iter("msub"):
            if "".join(element[0].itertext()).strip() in BELOW:
                element.tag = "munder"
    text = tostring(root, encoding="unicode")
    if unknown := re.search(r"\\[A-Za-z]+", text):
        raise ValueError(f"{unknown[0]} in the formula {latex!r} is not known")
    if re.search(r"<mi>&amp;</mi>|<mi>(begin|end)</mi>", text):
        raise ValueError(f"an environment in the formula {latex!r} is not known")
    return text.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")


def _space(parent: Element) -> None:
    """Thin spaces around names of functions, where no bracket or sign stands there."""
    spaced: list[Element] = []
    before = None
    for element in parent:
        if parent.tag in ROWS and before is not None:
            named, follows = _is_name(before), _is_name(element)
            if (named and not _is_sign(element)) or (follows and not _is_sign(before)):
                spaced.append(Element("mspace", width="0.167em"))
        spaced.append(element)
        before = element
    parent[:] = spaced


def _is_name(element: Element) -> bool:
    """Whether it is the name of a function, perhaps with a power or a base."""
    if element.tag in ("msub", "msup", "msubsup", "munder"):
        element = element[0]
    text = element.text or ""
    return element.tag in ("mi", "mo") and len(text) > 1 and text.isascii() and text.isalpha()


def _is_sign(element: Element) -> bool:
    return element.tag in ("mo", "mspace") and not _is_name(element)


def _repair(element: Element, words: Words) -> None:
    text = (element.text or "").strip()
    if element.tag == "mn":
        element.text = words.local(text)
    elif element.tag == "mi" and text in RELATIONS:
        element.tag, element.text = "mo", RELATIONS[text]
        if text == ";":
            element.set("lspace", "0")
    elif element.tag == "mo" and text.isalpha() and len(text) > 1 and text.isascii():
        if text not in BELOW:
            element.tag = "mi"
        element.attrib.pop("movablelimits", None)
    elif element.tag == "mover" and len(element) == 2:
        if "".join(element[1].itertext()).strip() in ACCENTS:
            element.set("accent", "true")
    elif element.tag == "mtd" and (side := element.attrib.pop("columnalign", "")):
        element.set("style", f"text-align: {side}")
