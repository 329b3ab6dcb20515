"""Files that someone else may have written: the one place where they are read.

A run folder, a recipe or a comparison from a stranger must be safe to open. So whatever is read of
one goes through here: a regular file that really lies in its folder, no larger than it can sensibly
be, holding plain values, not nested deeper than people nest, with finite numbers. Whatever else it
is ends in a :class:`NaqshError` of one line. What is then shown of it goes through :func:`shown` or
:func:`short`, so that it cannot command a terminal or fill a screen. ``docs/security.md`` says what
is promised to whom.

Nothing here needs PyTorch.
"""

import contextlib
import json
import math
import os
import re
import reprlib
import stat
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from naqsh.errors import NaqshError

JSON_LIMIT = 64 << 20
"""Bytes of a JSON file; what a detection says of 100,000 images takes a third of it."""

LINES_LIMIT = 1 << 30
"""Bytes of a log; a million steps of a large network take a tenth of it."""

YAML_LIMIT = 64 << 10
"""Bytes of a recipe, which takes about one KiB."""

DEPTH = 32
"""How deep values may be nested; ours are seven deep."""

DIGITS = 40
"""Digits of a whole number: more than any count or seed needs, few enough for a float."""

_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNUSUAL = re.compile(rf"[0-9]{{{DIGITS}}}|[eE]\+?[0-9]{{3}}")
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlevel = 3


def shown(text: object) -> str:
    """A text that may come from outside, safe to print on a terminal.

    Control characters, among them the one that begins a terminal's commands, characters that turn
    the direction of writing and halves of characters (a name that is not UTF-8 has them) are
    written as Python would: ``\\x1b``.
    """
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], str(text))


def short(value: object) -> str:
    """A value that may come from outside, for a message: as Python writes it, but short."""
    try:
        return shown(_SHORT.repr(value))
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a whole number of thousands of digits"


def plain_name(text: str, what: str) -> str:
    """`text`, if it can name a file or folder inside another one; it leads nowhere else.

    Args:
        text: the name, from a recipe or a file.
        what: whose name it is, for the message, for example ``"the recipe's name"``.

    Raises:
        NaqshError: it is empty, begins with a point, or holds a slash, a colon or a control
            character.
    """
    if not text or text[0] == "." or len(text.encode("utf-8", "replace")) > 200:
        why = "it needs 1 to 200 bytes, and no point in front"
    elif set(text) & set("/\\:"):
        why = "it has a slash or a colon"
    elif not is_text(text):
        why = "it has control characters"
    else:
        return text
    raise NaqshError(f"{what} {short(text)} cannot name a folder: {why}")


def is_text(text: str) -> bool:
    """Whether a text has no control characters, and can be a path.

    Bytes that are not UTF-8, as paths may have them, are let pass: Python keeps them as halves of
    characters.
    """
    return all("\udc80" <= unseen <= "\udcff" for unseen in _UNSEEN.findall(text))


@contextlib.contextmanager
def opened(path: Path, limit: int, within: Path | None = None) -> Iterator[BinaryIO]:
    """A regular file, open to be read.

    Args:
        path: the file.
        limit: the most bytes that it may have.
        within: the folder in which it must really lie, wherever links lead; its own by default.

    Raises:
        NaqshError: it is missing, cannot be read, is no regular file, leads out, or is too large.
    """
    require_inside(path, within or path.parent)
    try:
        # A pipe without a writer would be waited for; a device might never end.
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    try:
        about = os.fstat(descriptor)
        if stat.S_ISDIR(about.st_mode):
            raise NaqshError(f"cannot read {path}: Is a directory")
        if not stat.S_ISREG(about.st_mode):
            raise NaqshError(f"cannot read {path}: it is a pipe or a device, no regular file")
        if about.st_size > limit:
            raise NaqshError(
                f"{path} is refused: it has {about.st_size:,} bytes, and {limit:,} are more than "
                "such a file needs"
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def unreadable(path: Path, error: Exception) -> NaqshError:
    """The one line for a file that is there and cannot be read."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return NaqshError(f"cannot read {path}: {reason}")


def require_inside(path: Path, folder: Path) -> None:
    """Refuse a path that leads out of a folder by a link; NaqshError names it."""
    try:
        leads_out = not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise unreadable(path, error) from error
    if leads_out:
        raise NaqshError(
            f"{path} is refused: it is a link that leads out of its folder; put the file itself "
            "there"
        )


def require_there(path: Path, whole: str) -> None:
    """Refuse a missing file by the name of what it is a part of."""
    if not os.path.lexists(path):
        raise NaqshError(f"{path} is missing: {whole} is not whole")


def require_file(path: Path, within: Path | None = None) -> None:
    """Refuse what :func:`opened` would refuse of a file that a library opens by its path."""
    with opened(path, limit=1 << 62, within=within):
        pass


def read_bytes(path: Path, limit: int, within: Path | None = None) -> bytes:
    """What a file holds; see :func:`opened` for arguments and errors."""
    with opened(path, limit, within) as file:
        try:
            return file.read()
        except OSError as error:
            raise unreadable(path, error) from error


def read_text(path: Path, limit: int = YAML_LIMIT, within: Path | None = None) -> str:
    """What a file of UTF-8 text holds; see :func:`opened` for arguments and errors."""
    try:
        return read_bytes(path, limit, within).decode()
    except UnicodeDecodeError as error:
        raise NaqshError(f"{path} is damaged: it is no text in UTF-8 ({error.reason})") from error


def read_json(path: Path, limit: int = JSON_LIMIT, within: Path | None = None) -> Any:
    """What a JSON file holds, as plain values with finite numbers.

    Raises:
        NaqshError: as :func:`opened`, or it is damaged.
    """
    require_there(path, "the run folder")
    try:
        return from_json(read_bytes(path, limit, within))
    except ValueError as error:
        raise NaqshError(f"{path} is damaged: {shown(error)}") from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a .jsonl file; a last line cut short by a kill is left out.

    Raises:
        NaqshError: as :func:`opened`, or another line is damaged. A missing file has no records.
    """
    if not os.path.lexists(path):
        return []
    lines = read_bytes(path, LINES_LIMIT).split(b"\n")
    records = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            record = from_json(line)
        except ValueError as error:
            raise NaqshError(f"{path}, line {number} is damaged: {shown(error)}") from error
        if not isinstance(record, dict):
            raise NaqshError(f"{path}, line {number} is damaged: it holds no named values")
        records.append(record)
    return records


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


def read_yaml(path: Path, within: Path | None = None) -> Any:
    """What a YAML file holds, as plain values.

    Raises:
        NaqshError: as :func:`opened`, or :func:`from_yaml` refuses it.
    """
    try:
        return from_yaml(read_text(path, within=within))
    except ValueError as error:
        raise NaqshError(f"{path} is damaged: {error}") from error


def from_yaml(text: str) -> Any:
    """Plain values from YAML: texts, numbers, true and false, null, lists and named values.

    Raises:
        ValueError: it is no YAML, or holds what a recipe never does: anchors and aliases (a few
            lines of them unfold to gigabytes), dates, tags, a name twice, or deep nesting.
    """
    if len(text) > YAML_LIMIT:
        raise ValueError(f"it has {len(text):,} characters, more than the {YAML_LIMIT:,} allowed")
    try:
        value = yaml.load(text, _Plain)  # a SafeLoader that knows less
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


class _Plain(yaml.SafeLoader):
    """YAML's plain values alone."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node, unless it is an alias, has an anchor or stands too deep."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
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
_Plain.yaml_constructors = {
    tag: make for tag, make in yaml.SafeLoader.yaml_constructors.items() if tag in _TAGS or not tag
}
_Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag in _TAGS]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
