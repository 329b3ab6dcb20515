"""What can be set: each option's name, default, choices and description.

All of it is taken from the code itself, from type hints and from the ``Attributes`` and ``Args``
sections of docstrings: help cannot say other than the code does.
"""

import dataclasses
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from naqsh.io import codec

TAKES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class Option:
    """One thing that can be set.

    Attributes:
        name: with dots, as it is typed after ``--``.
        default: its value unless it is set.
        takes: what kind of value, in words; empty where `choices` say it.
        choices: every value it may have, where they can be listed.
        about: what it does.
    """

    name: str
    default: Any
    takes: str
    choices: tuple[str, ...]
    about: str

    @property
    def group(self) -> str:
        """The first part of its name; empty where there is one part."""
        return self.name.partition(".")[0] if "." in self.name else ""

    def spelled(self) -> str:
        """The default as it may be typed."""
        return spelled(self.default)


def spelled(value: Any) -> str:
    """A value as it is typed on the command line."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ",".join(map(spelled, value)) or "[]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def of(value: Any, path: str = "") -> list[Option]:
    """The options of a dataclass with values, such as a recipe, in the order of its fields.

    Args:
        value: the dataclass; its own values are the defaults.
        path: where it stands in a larger one, with dots.
    """
    hints, about = typing.get_type_hints(type(value)), described(type(value))
    found: list[Option] = []
    for field in dataclasses.fields(value):
        name, item = codec.join(path, field.name), getattr(value, field.name)
        if item is None and any(map(dataclasses.is_dataclass, get_args(hints[field.name]))):
            continue  # filled in by training
        if not dataclasses.is_dataclass(item):
            found.append(_option(name, item, hints[field.name], about.get(field.name, "")))
            continue
        if type(item) is not hints[field.name]:
            kinds = tuple(codec.kind_of(member) for member in get_args(hints[field.name]))
            words = about.get(field.name, "")
            found.append(Option(f"{name}.kind", codec.kind_of(type(item)), "a kind", kinds, words))
        found += of(item, name)
    return found


def of_function(function: Callable[..., Any], besides: tuple[str, ...] = ()) -> list[Option]:
    """The options that a function takes, but those named in `besides`."""
    hints, about = typing.get_type_hints(function), sections(inspect.getdoc(function) or "")
    return [
        _option(name, parameter.default, hints[name], about.get(name, ""))
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in besides
    ]


def described(cls: type) -> dict[str, str]:
    """What the docstrings of a class and of its bases say of each attribute."""
    about: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        about |= sections(inspect.cleandoc(base.__doc__ or ""))
    return about


def sections(text: str) -> dict[str, str]:
    """The entries of a docstring's ``Attributes`` and ``Args`` sections, as plain words."""
    about: dict[str, str] = {}
    for section in re.findall(r"^(?:Attributes|Args):\n((?:[ \t]+.*\n?|\n)*)", text, re.MULTILINE):
        for entry in re.split(r"\n(?=\S)", textwrap.dedent(section).strip()):
            name, colon, words = entry.partition(":")
            if colon and name.isidentifier():
                about[name] = plain(words)
    return about


def plain(text: str) -> str:
    """Words of a docstring without the marks of reStructuredText."""
    words = re.sub(r"\s*\(:(?:mod|class|func):`[^`]*`\)", "", text)  # a place in the code
    words = re.sub(r":\w+:(?=`)|`", "", words)
    return " ".join(re.sub(r"\bNone\b", "none", words).split()).rstrip(".")


def _option(name: str, default: Any, hint: Any, about: str) -> Option:
    arguments = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        if bool in arguments:
            words = [word for member in arguments for word in get_args(member)]
            return Option(name, default, "", ("true", "false", *words), about)
        (hint,) = (argument for argument in arguments if argument is not type(None))
        inner = _option(name, default, hint, about)
        if inner.choices:
            return dataclasses.replace(inner, choices=(*inner.choices, "none"))
        return dataclasses.replace(inner, takes=f"none or {inner.takes}")
    if get_origin(hint) is Literal:
        return Option(name, default, "", tuple(map(str, arguments)), about)
    if get_origin(hint) is tuple:
        many = "numbers" if Ellipsis in arguments else f"{len(arguments)} numbers"
        return Option(name, default, f"{many} with commas between", (), about)
    return Option(name, default, TAKES[hint], (), about)
