"""Results that are kept by what they are of, so that none is lost or taken for another.

A file of results is a list; each result says what it is *of* (the metric, how many images, by which
features, against which reference, drawn how, from which weights) and what was *found*. A result
replaces another only if it is of the same thing; what was measured otherwise stays beside it. The
latest stands last.

Nothing here needs PyTorch, so that a report opens at once.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from naqsh.core.errors import NaqshError
from naqsh.io.files import require_there, write_json
from naqsh.io.foreign import read_json
from naqsh.io.values import MISFIT

FORMAT = 2
"""Of all files of results. Files of before held one result and were of format 1, or of none."""

WAIT = 60.0
"""Seconds for which another process that writes to the same file is waited for."""


@dataclass(frozen=True)
class Result:
    """One result.

    Attributes:
        of: all that it depends on, as JSON gives it back; two results are of the same thing where
            these are equal.
        found: what was found, as JSON gives it back.
    """

    of: Mapping[str, Any]
    found: Mapping[str, Any]

    def __post_init__(self) -> None:
        for name in ("of", "found"):
            # Tuples become lists: what was just made equals what is read again.
            object.__setattr__(self, name, json.loads(json.dumps(dict(getattr(self, name)))))

    @property
    def digest(self) -> str:
        """A short name of what it is of, for a file that belongs to it."""
        return hashlib.sha256(json.dumps(self.of, sort_keys=True).encode()).hexdigest()[:12]

    def fits(self, **wanted: Any) -> bool:
        """Whether `of` has these values, whatever else it has."""
        same = json.loads(json.dumps(wanted))
        return all(name in self.of and self.of[name] == value for name, value in same.items())


Upgrade = Callable[[Any], Sequence[Result]]
"""Reads the plain content of a file that was written before files of results were lists."""


@dataclass(frozen=True)
class Store:
    """A file of results.

    Attributes:
        path: the file; it need not be there yet.
        upgrade: reads what was written before; raises KeyError, TypeError or ValueError where the
            content does not fit.
    """

    path: Path
    upgrade: Upgrade

    def read(self) -> list[Result]:
        """All results, the latest last; none where there is no file.

        Raises:
            NaqshError: the file is damaged, or a later Naqsh wrote it.
        """
        if not self.path.exists():
            return []
        try:
            return parse(read_json(self.path), self.upgrade)
        except MISFIT as error:
            raise NaqshError(
                f"{self.path} is damaged: {_said(error)}; move it away to measure anew"
            ) from error

    def find(self, **wanted: Any) -> list[Result]:
        """The results whose `of` has these values, the latest last; raises as :meth:`read`."""
        return [result for result in self.read() if result.fits(**wanted)]

    def keep(self, results: Iterable[Result]) -> list[Result]:
        """Add results; each takes the place of one of the same thing, and of no other.

        Returns:
            all results.

        Raises:
            NaqshError: as :meth:`read`, or another process holds the file for a minute.
        """
        require_there(self.path.parent)
        new = list(results)
        lock = filelock.FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=WAIT)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise NaqshError(f"another process has written to {self.path} for a minute") from None
        try:
            there = [old for old in self.read() if all(old.of != result.of for result in new)]
            written = [*there, *new]
            plain = [{"of": dict(r.of), "found": dict(r.found)} for r in written]
            write_json(self.path, {"format": FORMAT, "results": plain})
        finally:
            lock.release()
        return written


def parse(plain: Any, upgrade: Upgrade) -> list[Result]:
    """The results in a file's content; raises KeyError, TypeError or ValueError if it is none."""
    if not isinstance(plain, dict):
        raise ValueError("it holds no named values")
    written = plain.get("format")
    if "results" not in plain:
        return list(upgrade(plain))
    if written != FORMAT:
        raise ValueError(f"format {written} is not the one this Naqsh reads, {FORMAT}")
    return [Result(_named(result["of"]), _named(result["found"])) for result in plain["results"]]


def groups(results: Iterable[Result], apart: Iterable[str]) -> list[list[Result]]:
    """Results that are of the same thing but for some names, such as the metric.

    The group that was added to last stands last.
    """
    loose, found = set(apart), list[tuple[dict[str, Any], list[Result]]]()
    for result in results:
        key = {name: value for name, value in result.of.items() if name not in loose}
        members = next((group for same, group in found if same == key), [])
        found = [(same, group) for same, group in found if same != key]
        found.append((key, [*members, result]))
    return [group for _, group in found]


def differences(ofs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each of several things, the names and values in which they are not all alike."""
    names = dict.fromkeys(name for of in ofs for name in of)
    apart = [name for name in names if any(of.get(name) != ofs[0].get(name) for of in ofs)]
    return [{name: of[name] for name in apart if name in of} for of in ofs]


def _named(plain: Any) -> dict[str, Any]:
    if not isinstance(plain, dict):
        raise ValueError("a result needs named values under of and found")
    return plain


def _said(error: Exception) -> str:
    missing = f"{error.args[0]} is missing" if isinstance(error, KeyError) and error.args else ""
    return missing or " ".join(str(error).split())
