"""Where the files of named data sets are looked for, and what a reader of one is given."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from naqsh.core.errors import NaqshError
from naqsh.data.dataset import Split
from naqsh.data.entry import Entry
from naqsh.io import download, places


@dataclass(frozen=True)
class Wanted:
    """A split of a named data set; the fields are arguments of :func:`naqsh.data.load`."""

    entry: Entry
    split: Split
    size: int | None
    channels: int | None
    home: Path | None
    may_download: bool
    text: str = "none"

    @property
    def count(self) -> int:
        """Images that the published split has."""
        return self.entry.train if self.split == "train" else self.entry.test

    @property
    def folder(self) -> Path:
        """Where its files are put."""
        return (self.home or _downloads()) / self.entry.name

    def found(self, *names: str) -> Path | None:
        """The first of the named files that is on the disk, in the first home that has one."""
        for base in homes(self.home):
            for name in names:
                for path in (base / self.entry.name / name, base / name):
                    if path.is_file():
                        return path
        return None

    def file(self, *names: str) -> Path:
        """The first of the named files that is on the disk; else the first name's is downloaded.

        Raises:
            NaqshError: it is not there and cannot be downloaded.
        """
        if path := self.found(*names):
            return path
        file = next(file for file in self.entry.files if file.name == names[0])
        folder = self.folder
        why = "downloading is off"
        if self.may_download:
            try:
                return download.fetch(file, folder)
            except download.DownloadError as error:
                why = str(error)
        raise NaqshError(
            f"data set {self.entry.name!r} needs {file.name} ({why}); put that file into {folder}, "
            "or use --data digits, which needs no download"
        )


def homes(home: Path | None) -> Iterator[Path]:
    """The folders in which the files of named sets are looked for, in order; the cache is last.

    The cache is asked for only where no other had the file: a machine may have no place for it.
    """
    yield from places.data_homes(home)
    yield _downloads()


def _downloads() -> Path:
    return places.cache() / "data"
