"""Plain values from JSON and YAML that someone else may have written.

What is none of them, is nested deeper than people nest, or holds numbers that no float can have
raises ValueError with the reason. :mod:`naqsh.io.foreign` reads files of them.
"""

import contextlib
import json
import math
import re
from collections.abc import Hashable
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from naqsh.core.printable import short, shown

YAML_LIMIT = 64 << 10
"""Bytes of a recipe, which takes about one KiB."""

MISFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What taking plain values apart raises where they are not what they should be.

Whoever reads a stranger's values catches all of it: a missing name, a list for a number, a number
that no float or no 64 bits can have.
"""

DEPTH = 32
"""How deep values may be nested; ours are seven deep."""

DIGITS = 40
"""Digits of a whole number: more than any count or seed needs, few enough for a float."""

_UNLIKE = re.compile("[\t!?%|>\x85\u2028\u2029\ufeff]")
"""What libyaml reads and PyYAML does not, or otherwise; recipes have none of it."""

_UNUSUAL = re.compile(rf"[0-9]{{{DIGITS}}}|[eE]\+?[0-9]{{3}}")


def from_json(text: str | bytes) -> Any:
    """Plain values from JSON; raises ValueError where they are none, or as :data:`DEPTH` says."""
    if isinstance(text, bytes):
        text = text.decode()
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEPTH}") from None
    # To look at every value takes longer than to read them, and hardly any file needs it.
    if text.count("[") + text.count("{") > DEPTH or _UNUSUAL.search(text):
        _check(value)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it names {short(next(n for n in names if names.count(n) > 1))} twice")
    return named


def _refuse(constant: str) -> Any:
    raise ValueError(f"it holds {constant}, which is no number")


def _check(value: Any) -> None:
    """Refuse numbers that are not finite or absurdly long, and values nested too deep."""
    layer = [value]
    for _ in range(DEPTH):
        inner: list[Any] = []
        for item in layer:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
            elif isinstance(item, float) and not math.isfinite(item):
                raise ValueError("it holds a number that is not finite")
            elif isinstance(item, int) and abs(item) >= 10**DIGITS:
                raise ValueError(f"it holds a whole number of more than {DIGITS} digits")
        layer = inner
        if not layer:
            return
    raise ValueError(f"it is nested deeper than {DEPTH}")


def from_yaml(text: str) -> Any:
    """Plain values from YAML: texts, numbers, true and false, null, lists and named values.

    Raises:
        ValueError: it is no YAML, or holds what a recipe never does: anchors and aliases (a few
            lines of them unfold to gigabytes), dates, tags, a name twice, or deep nesting.
    """
    if len(text) > YAML_LIMIT:
        raise ValueError(f"it has {len(text):,} characters, more than the {YAML_LIMIT:,} allowed")
    value = None
    with contextlib.suppress(yaml.YAMLError, ValueError):
        value = None if _UNLIKE.search(text) else yaml.load(text, _Quick)
    if value is None:
        try:
            value = yaml.load(text, _Plain)  # says in the same words everywhere what is wrong
        except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
            raise ValueError(shown(" ".join(str(error).split()))[:300]) from error
    _check_yaml(value)
    return value


def _check_yaml(value: Any) -> None:
    try:
        _check(value)
    except ValueError as error:
        if "finite" not in str(error):  # the codec says which number it is
            raise


class _Rules(Composer, SafeConstructor, Resolver):
    """YAML's plain values alone: what both readers below keep to."""

    depth = 0
    peek_event: Any

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node, unless it is an alias, has an anchor or stands too deep."""
        event: yaml.Event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise ValueError("it has an anchor or alias (& or *), which no recipe needs")
        self.depth += 1
        if self.depth > DEPTH:
            raise ValueError(f"it is nested deeper than {DEPTH}")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """Named values, each name once."""
        named: dict[Hashable, Any] = {}
        for key, value in node.value:
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str | int | float | bool | None):
                raise ValueError("it has a list or named values as a name")
            if name in named:
                raise ValueError(f"it names {short(name)} twice")
            named[name] = self.construct_object(value, deep=deep)
        return named


_KINDS = ("null", "bool", "int", "float", "str", "seq", "map")
_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in _KINDS}
_Rules.yaml_constructors = {
    tag: make for tag, make in yaml.SafeLoader.yaml_constructors.items() if tag in _TAGS or not tag
}
_Rules.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag in _TAGS]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Plain(_Rules, yaml.SafeLoader):
    """In Python alone: it reads a recipe in 2.4 ms."""


_Events: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Quick(_Rules, _Events):  # type: ignore[misc]
    """With libyaml's events, where PyYAML was built with it: it reads a recipe in 0.5 ms."""

    def __init__(self, stream: str) -> None:
        _Events.__init__(self, stream)
        Composer.__init__(self)
