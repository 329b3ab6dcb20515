"""Frozen dataclasses to plain data (dicts, lists, numbers) and back, exactly.

A recipe, its YAML file and the options of the command line are three spellings of one thing; this
module is the only place that knows how they map. What does not fit is refused by name.

A field whose type is a union of dataclasses is written with a ``kind``: the lower-case class name.
A renamed field names its former one in its metadata, ``{"formerly": "old_name"}``, and files
written before are read by it.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

from naqsh.core.errors import NaqshError, nearest, one_of
from naqsh.core.printable import is_text, short, whole

T = TypeVar("T")
Kinds = Mapping[type, Callable[[str], type]]
"""For an open base class, the function that finds the class of a ``kind``."""

SPARSE: Mapping[str, bool] = {"sparse": True}
"""Metadata of a field that is left out of plain data where it has its default."""


class Text(str):
    """A value typed on the command line, still to be read as what its field needs."""

    __slots__ = ()


def encode(value: Any, hint: Any = None) -> Any:
    """Plain data for a dataclass: a dict in the order of its fields, tuples as lists.

    Args:
        value: the dataclass, or a value inside one.
        hint: the type that its field is declared with. A whole number where a float is due becomes
            one, so that equal recipes have equal spellings.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = typing.get_type_hints(type(value))
        plain: dict[str, Any] = {}
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            if field.metadata.get("sparse") and item == field.default:
                continue
            encoded = encode(item, hints[field.name])
            if dataclasses.is_dataclass(item) and not _alone(type(item), hints[field.name]):
                encoded = {"kind": kind_of(type(item)), **encoded}
            plain[field.name] = encoded
        return plain
    arguments = get_args(hint)
    if isinstance(value, tuple | list):
        if Ellipsis in arguments:
            arguments = arguments[:1] * len(value)
        inner = arguments if len(arguments) == len(value) else (None,) * len(value)
        return [encode(item, part) for item, part in zip(value, inner, strict=True)]
    if isinstance(value, Mapping):
        part = arguments[1] if len(arguments) == 2 else None
        return {name: encode(item, part) for name, item in value.items()}
    value = _unwrapped(value)
    if type(value) is int and (hint is float or float in arguments):
        return float(value)
    return value


def _alone(cls: type, hint: Any) -> bool:
    """Whether a field of this type can hold no dataclass but `cls`; None aside."""
    return [member for member in get_args(hint) or (hint,) if member is not type(None)] == [cls]


def _unwrapped(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's, without importing NumPy."""
    return value.tolist() if type(value).__module__ == "numpy" else value


def kind_of(cls: type) -> str:
    """The ``kind`` of a class: its module's last name for a method's Spec, else its own name."""
    return cls.__module__.rpartition(".")[2] if cls.__name__ == "Spec" else cls.__name__.lower()


def decode(
    cls: type[T],
    plain: Any,
    kinds: Kinds | None = None,
    path: str = "",
    *,
    others: bool = False,
) -> T:
    """The inverse of :func:`encode`.

    Args:
        cls: the dataclass to build.
        plain: what :func:`encode` gave, or a part of it: fields with a default may be missing.
        kinds: where the classes of open base classes are found.
        path: where in the whole this part stands, for messages.
        others: pass over keys that are unknown, here and further in: those of a later version.

    Raises:
        NaqshError: an unknown or missing key, or a value of another type, with the key's full name.
    """
    return _decode(cls, plain, _How(kinds or {}, others), path)


class _How(NamedTuple):
    """How plain data is read: as `kinds` and `others` of :func:`decode`."""

    kinds: Kinds
    others: bool = False


def _decode(cls: type[T], plain: Any, how: _How, path: str) -> T:
    if not isinstance(plain, Mapping):
        raise NaqshError(f"{path or cls.__name__.lower()}: need named values, got {short(plain)}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    former = {
        field.metadata["formerly"]: name
        for name, field in fields.items()
        if "formerly" in field.metadata
    }
    for old, new in former.items():
        if old in plain and new in plain:
            raise NaqshError(f"{join(path, old)}: this is the former name of {new}; keep one")
    plain = {former.get(key, key): value for key, value in plain.items()}
    for key in plain:
        if key not in fields and not how.others:
            raise NaqshError(f"{join(path, str(key))}: {one_of('key', str(key), fields)}")
    values = {}
    for name, field in fields.items():
        if name in plain:
            values[name] = _value(hints[name], plain[name], how, join(path, name))
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise NaqshError(f"{join(path, name)}: missing, and it has no default")
    try:
        return cls(**values)
    except ValueError as error:
        raise NaqshError(f"{path or cls.__name__.lower()}: {error}") from error


def join(path: str, name: str) -> str:
    """The full name of a key: ``method`` and ``latent`` make ``method.latent``."""
    return f"{path}.{name}" if path else name


def read(hint: Any, plain: Any, path: str) -> Any:
    """One value of a type without open classes; raises NaqshError naming `path` if it is not."""
    return _value(hint, plain, _How({}), path)


def _value(hint: Any, plain: Any, how: _How, path: str) -> Any:
    """One field's value, checked against its type hint."""
    plain = _unwrapped(plain)
    if hint in how.kinds or (dataclasses.is_dataclass(hint) and isinstance(hint, type)):
        return _dataclass((hint,), plain, how, path)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        empty = plain is None or (isinstance(plain, Text) and plain in ("null", "none", ""))
        if empty and type(None) in arguments:
            return None
        members = tuple(argument for argument in arguments if argument is not type(None))
        if all(dataclasses.is_dataclass(member) for member in members):
            return _dataclass(members, plain, how, path)
        if bool in members:
            return _switch(members, plain, path)
        kind = tuple if isinstance(plain, list) else type(plain)
        fits = [member for member in members if kind is (get_origin(member) or member)]
        return _value(fits[0] if fits else members[-1], plain, how, path)
    if origin is Literal:
        if not isinstance(plain, str) or plain not in arguments:
            given = plain if isinstance(plain, str) else short(plain)
            raise NaqshError(f"{path}: {one_of('choice', given, map(str, arguments))}")
        return str(plain)
    if hint is Any:
        return plain
    if origin is dict:
        if not isinstance(plain, Mapping):
            raise NaqshError(f"{path}: need named values, got {short(plain)}")
        return {str(k): _value(arguments[1], v, how, join(path, str(k))) for k, v in plain.items()}
    if origin is tuple:
        return _tuple(arguments, plain, how, path)
    return _scalar(hint, plain, path)


def _switch(members: tuple[Any, ...], plain: Any, path: str) -> bool | str:
    """A value that is true, false, or a word out of some."""
    if type(plain) is bool:
        return plain
    known: dict[str, bool | str] = {"true": True, "false": False}
    known |= {word: word for member in members for word in get_args(member)}
    word = plain.lower() if isinstance(plain, Text) else plain
    if not isinstance(word, str) or word not in known:
        given = plain if isinstance(plain, str) else short(plain)
        raise NaqshError(f"{path}: {one_of('choice', given, known)}")
    return known[word]


def _dataclass(members: tuple[type, ...], plain: Any, how: _How, path: str) -> Any:
    if not isinstance(plain, Mapping):
        raise NaqshError(f"{path}: need named values, got {short(plain)}")
    rest = dict(plain)
    if len(members) == 1 and members[0] not in how.kinds:
        return _decode(members[0], rest, how, path)
    if "kind" not in rest:
        raise NaqshError(f"{path}.kind: missing, and it has no default")
    kind = str(rest.pop("kind"))
    if members[0] in how.kinds:
        return _decode(how.kinds[members[0]](kind), rest, how, path)
    known = {kind_of(member): member for member in members}
    if kind not in known:
        raise NaqshError(f"{path}.kind: {one_of('kind', kind, known)}")
    return _decode(known[kind], rest, how, path)


def _tuple(arguments: tuple[Any, ...], plain: Any, how: _How, path: str) -> tuple[Any, ...]:
    if isinstance(plain, Text):
        plain = [Text(part) for part in plain.strip("[]() ").replace(",", " ").split()]
    if not isinstance(plain, list | tuple):
        raise NaqshError(f"{path}: need a list, got {short(plain)}")
    if arguments[-1] is Ellipsis:
        arguments = (arguments[0],) * len(plain)
    if len(plain) != len(arguments):
        raise NaqshError(f"{path}: need {len(arguments)} values, got {len(plain)}")
    pairs = zip(arguments, plain, strict=True)
    return tuple(_value(hint, item, how, path) for hint, item in pairs)


def _scalar(hint: Any, plain: Any, path: str) -> bool | int | float | str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    wrong = NaqshError(f"{path}: need {names[hint]}, got {short(plain)}")
    try:
        if isinstance(plain, Text) and hint in (bool, int):
            plain = {"true": True, "false": False}[plain.lower()] if hint is bool else int(plain)
        if hint is float and (isinstance(plain, str) or type(plain) is int):
            # YAML 1.1 reads 1e-4, without a point, as a text.
            plain = float(plain)
    except (ValueError, KeyError, OverflowError):
        raise wrong from None
    if hint is float and type(plain) is float and not math.isfinite(plain):
        raise NaqshError(f"{path}: need a finite number, got {plain}")
    if isinstance(plain, str) and not is_text(plain):
        raise NaqshError(f"{path}: need a text without control characters, got {short(plain)}")
    if (hint is str and isinstance(plain, str)) or type(plain) is hint:
        return whole(plain) if isinstance(plain, str) else plain
    raise wrong


def assign(plain: dict[str, Any], path: str, value: Any, known: Collection[str] = ()) -> None:
    """Put `value` at the dotted `path` of plain data; a new ``kind`` resets what stood beside it.

    Args:
        plain: what is changed.
        path: of the value.
        value: the new one.
        known: all dotted names, of which the nearest is told where `path` is nowhere.

    Raises:
        NaqshError: no such key on the way.
    """
    *parents, last = path.split(".")
    place: Any = plain
    for depth, name in enumerate(parents):
        if not isinstance(place, dict) or name not in place:
            here = place if isinstance(place, dict) else {}
            raise _no_key(".".join(parents[: depth + 1]), name, here, path, known)
        place = place[name]
    if not isinstance(place, dict):
        raise NaqshError(f"{path}: {'.'.join(parents)} is a single value and has no parts")
    if last == "kind" and place.get("kind") != value:
        place.clear()
    elif last not in place:
        raise _no_key(path, last, place, path, known)
    place[last] = value


def _no_key(
    where: str, name: str, here: Collection[str], path: str, known: Collection[str]
) -> NaqshError:
    """The error for a key that is not `here`: the nearest of its neighbours, else of all names.

    Beside a ``kind`` only what lies below it is looked through: its other kinds have other keys.
    """
    parent = where.rpartition(".")[0]
    wider = [key for key in known if "kind" not in here or key.startswith(f"{parent}.")]
    if not nearest(name, here) and nearest(path, wider):
        return one_of("option", path, wider)
    return NaqshError(f"{where}: {one_of('key', name, here)}")
