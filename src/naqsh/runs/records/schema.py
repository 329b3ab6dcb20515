"""Records to plain values and back, for all files alike."""

from typing import Any, TypeVar

from naqsh.io import codec

T = TypeVar("T")


def read(cls: type[T], plain: Any, path: str = "") -> T:
    """A record out of plain values.

    Args:
        cls: the record.
        plain: what :func:`plain` gave, after a way through JSON.
        path: what it is called in messages; by default the record's name.

    Raises:
        NaqshError: a key is missing, or a value is none that belongs there.
    """
    return codec.decode(cls, plain, path=path, others=True)


def plain(record: Any) -> dict[str, Any]:
    """A record as plain values for JSON."""
    values: dict[str, Any] = codec.encode(record)
    return values


def checked(cls: type[Any], values: Any) -> dict[str, Any]:
    """What a metric gives as plain values, as its record writes it; raises as :func:`read`."""
    return plain(read(cls, values))


def require_format(plain: Any, known: int) -> None:
    """Refuse a file of another format than the one that is `known`; raises ValueError."""
    if plain["format"] != known:
        raise ValueError(f"format {plain['format']} is not the one this Naqsh reads, {known}")
