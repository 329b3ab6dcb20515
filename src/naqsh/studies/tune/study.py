"""The trials of one search, kept in its folder and shared by all processes that add to it.

``search.json`` says which search the folder holds, ``search.db`` (SQLite, by Optuna) what each
trial was given and came to. A lock file is held while a trial is taken or told, so that processes
never create or number anything at once; another one for each trial by the process that works on it.
So a trial whose process was stopped or killed is known by its free lock, and the next process goes
on with it.
"""

import contextlib
import math
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import filelock

from naqsh.core.errors import NaqshError
from naqsh.core.noise import derive
from naqsh.core.printable import short
from naqsh.io import codec
from naqsh.io.files import flat, write_json
from naqsh.io.foreign import read_json, require_file
from naqsh.io.values import MISFIT
from naqsh.recipes.recipe import Recipe
from naqsh.studies.tune.ranges import Range, is_whole, typed

DATABASE = "search.db"
FILE = "search.json"

PATIENCE = 120.0
"""Seconds that one process waits for another to take or tell a trial, which takes milliseconds."""


@dataclass(frozen=True)
class Taken:
    """A trial that this process works on.

    Attributes:
        number: of the trial.
        numbers: what it is given, by dotted name.
        lock: held until the trial is told or let go.
    """

    number: int
    numbers: dict[str, codec.Text]
    lock: filelock.BaseFileLock


class Study:
    """One search in its folder.

    Args:
        folder: of the search; it exists.
        base: the recipe that trials change.
        ranges: what is searched over.
        images: fingerprint of the training images.
        seed: of the proposals, any integer; None takes that of the search in the folder, else 0.

    Raises:
        NaqshError: the folder holds another search, or Optuna is missing.
    """

    def __init__(
        self, folder: Path, base: Recipe, ranges: Sequence[Range], images: str, seed: int | None
    ) -> None:
        self.optuna = optuna()
        self.folder, self.ranges = folder, ranges
        self.whole = {bound.name for bound in ranges if is_whole(base, bound.name)}
        self.lock = filelock.FileLock(folder / ".search.lock", timeout=PATIENCE)
        with self.lock, self._whole():
            self.seed = self._same(base, images, seed)
            if os.path.lexists(folder / DATABASE):
                require_file(folder / DATABASE)
            # The path goes to SQLite itself: in a URL, % and ? and braces would mean something.
            connect = partial(sqlite3.connect, folder / DATABASE, timeout=PATIENCE)
            storage = self.optuna.storages.RDBStorage(
                "sqlite://", engine_kwargs={"creator": connect, "poolclass": _no_pool()}
            )
            self.study = self.optuna.create_study(
                storage=storage, study_name="search", load_if_exists=True
            )

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        """Tell in one line what SQLite and Optuna say, in many ways, of a damaged database."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, *MISFIT) as error:
            why = getattr(error, "orig", None) or error
            raise NaqshError(
                f"{self.folder / DATABASE} is damaged: {short(str(why))}; move it and search.json "
                "away to search anew"
            ) from error

    def _same(self, base: Recipe, images: str, seed: int | None) -> int:
        """Write which search this is, or refuse a folder that holds another; returns its seed."""
        if there := require_same(self.folder, base, self.ranges, seed, images):
            seed = there.get("seed") if seed is None else seed
            return 0 if seed is None else seed  # which searches of before did not keep
        seed = seed or 0
        here = _plain(base, self.ranges, images)
        write_json(self.folder / FILE, here | {"seed": seed})
        return seed

    @contextlib.contextmanager
    def trial(self) -> Iterator[Taken]:
        """The next trial, for as long as the block lasts; what is not told by then is left."""
        taken = self.take()
        try:
            yield taken
        finally:
            taken.lock.release()

    def take(self) -> Taken:
        """The next trial to work on: one that was left, else a new one."""
        with self.lock, self._whole():
            for left in self.study.get_trials(states=(self._states.RUNNING,)):
                if lock := self._held(left.number):
                    if set(left.params) == {bound.name for bound in self.ranges}:
                        return self._taken(left, lock)
                    self._end(left.number, lock, None)  # killed before it had all its numbers
            # A new process must not propose what the one before it did.
            before = len(self.study.get_trials(deepcopy=False))
            self.study.sampler = self.optuna.samplers.TPESampler(
                seed=derive(self.seed, "trial", before) & 0xFFFFFFFF
            )
            trial = self.study.ask()
            lock = self._held(trial.number)
            for bound in self.ranges:
                bound.propose(trial, bound.name in self.whole)
            return self._taken(trial, lock)

    def tell(self, taken: Taken, value: float | None) -> None:
        """Keep what a trial came to; None, or what is not finite, stands for a failure."""
        with self.lock, self._whole():
            self._end(taken.number, taken.lock, value)

    def done(self) -> list[dict[str, Any]]:
        """The trials that have a value, the oldest first: number, value, what they were given."""
        with self._whole():
            ended = self.study.get_trials(deepcopy=False, states=(self._states.COMPLETE,))
            return [{"trial": t.number, "value": t.value, **t.params} for t in ended]

    def place(self, number: int) -> Path:
        """The run folder of a trial."""
        return self.folder / f"trial-{number:04d}"

    @property
    def _states(self) -> Any:
        return self.optuna.trial.TrialState

    def _taken(self, trial: Any, lock: filelock.BaseFileLock | None) -> Taken:
        assert lock is not None
        return Taken(trial.number, {n: typed(v) for n, v in trial.params.items()}, lock)

    def _held(self, number: int) -> filelock.BaseFileLock | None:
        """The lock of a trial, held; None where another process holds it."""
        lock = filelock.FileLock(self.folder / f".trial-{number:04d}.lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            return None
        return lock

    def _end(self, number: int, lock: filelock.BaseFileLock, value: float | None) -> None:
        if value is None or not math.isfinite(value):
            self.study.tell(number, state=self._states.FAIL)
        else:
            self.study.tell(number, value)
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def require_same(
    folder: Path,
    base: Recipe,
    ranges: Sequence[Range],
    seed: int | None,
    images: str | None = None,
    but: Collection[str] = (),
) -> dict[str, Any] | None:
    """Refuse a folder that holds another search, or other files.

    Args:
        folder: which need not exist.
        base: the recipe that trials change.
        ranges: what is searched over.
        seed: of the proposals; None fits any.
        images: fingerprint of the training images; None where they are not known yet.
        but: numbers of the recipe, by dotted name, that are not known yet.

    Returns:
        what the folder's ``search.json`` says; None where there is none.
    """
    file = folder / FILE
    if not file.exists():
        if folder.is_dir() and any(path.name[0] != "." for path in folder.iterdir()):
            raise NaqshError(f"{folder} holds other files; give an empty or new --out")
        return None
    there: dict[str, Any] = read_json(file)
    try:
        before, now = (_about(plain) for plain in (there, _plain(base, ranges, images)))
        own = there.get("seed")
    except MISFIT as error:
        raise NaqshError(f"{file} is damaged: it names no search") from error
    if type(own) is not int and own is not None:
        raise NaqshError(f"{file} is damaged: its seed is {short(own)}")
    if None not in (own, seed):
        before, now = before | {"seed": own}, now | {"seed": seed}
    unknown = {*but, "images"} if images is None else set(but)
    for key in before | now:
        if key not in unknown and before.get(key) != now.get(key):
            raise NaqshError(
                f"{folder} holds a search with {key} {_said(before.get(key))}, not "
                f"{_said(now.get(key))}; give another --out to start a new one"
            )
    return there


def _plain(base: Recipe, ranges: Sequence[Range], images: str | None) -> dict[str, Any]:
    searched = {bound.name: str(bound) for bound in ranges}
    return {"recipe": base.to_dict(), "images": images, "search": searched}


def _said(value: Any) -> str:
    """A number or name as it is, anything else short."""
    return str(value) if isinstance(value, str | int | float | None) else short(value)


def _about(plain: Any) -> dict[str, Any]:
    return {
        **flat(plain["recipe"]),
        "images": plain["images"],
        "ranges": ", ".join(f"{name}={text}" for name, text in plain["search"].items()),
    }


def optuna() -> Any:
    """Optuna, without its chatter; NaqshError where it is not installed."""
    try:
        import matplotlib  # noqa: F401  # the plot at the end needs it
        import optuna
    except ImportError:
        raise NaqshError("tuning needs Optuna: pip install 'naqsh[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _no_pool() -> Any:
    from sqlalchemy.pool import NullPool

    return NullPool
