"""Downloads with a checksum: from several addresses, resumed where cut, whole or not at all.

Pooch checks and places the file; the downloader it is given here adds what it lacks: bytes that
have arrived stay beside the target in `<name>.part`, so that the next attempt, in this process or
another, asks only for the rest (HTTP Range).
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock

from naqsh.data.catalog import File
from naqsh.data.progress import progress

if TYPE_CHECKING:
    from requests import Response

_TRIES = 4
_WAIT = 1.0
_TIMEOUT = (10, 30)


class DownloadError(Exception):
    """A file could not be had from any of its addresses; the message is a few words on each."""


class _Gone(Exception):
    """This address will not give the file; another may."""


class _Cut(Exception):
    """The transfer broke off; trying again may help."""


def fetch(file: File, folder: Path) -> Path:
    """Download a file into a folder.

    Args:
        file: its name, addresses and checksum.
        folder: made if need be.

    Returns:
        the path of the file, whose content matches the checksum.

    Raises:
        DownloadError: no address gave the right bytes, or the folder cannot be written.
    """
    target = folder / file.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{file.name}.lock"):
            if target.exists():  # another process fetched it while this one waited
                return target
            reasons = []
            for url in file.urls:
                try:
                    _retrieve(url, file, target)
                    return target
                except _Gone as error:
                    reasons.append(str(error))
    except OSError as error:
        raise DownloadError(f"cannot write to {folder}: {error.strerror or error}") from error
    raise DownloadError(", ".join(dict.fromkeys(reasons)))


def _retrieve(url: str, file: File, target: Path) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    part = target.with_name(target.name + ".part")
    while True:
        resumed = part.exists()
        try:
            pooch.retrieve(
                url,
                known_hash=file.checksum,
                fname=target.name,
                path=target.parent,
                downloader=_Resuming(part),
            )
            return
        except ValueError as error:  # Pooch's word for a wrong checksum; the part is gone by now
            if not resumed:
                host = urlsplit(url).hostname
                raise _Gone(f"{host} sent other bytes than the published ones") from error
            # The beginning may have been another file's: once more, from nothing.


class _Resuming:
    """A downloader for Pooch that continues `part`."""

    def __init__(self, part: Path):
        self._part = part

    def __call__(self, url: str, output_file: str, _pooch: Any, check_only: bool = False) -> None:
        best, tries = self._size(), 0
        while True:
            try:
                self._continue(url)
                break
            except _Cut as error:
                # Only attempts that bring nothing new count.
                tries = 0 if self._size() > best else tries + 1
                best = max(best, self._size())
                if tries >= _TRIES:
                    raise _Gone(str(error)) from error
                time.sleep(_WAIT * 2**tries)
        self._part.replace(output_file)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _continue(self, url: str) -> None:
        """One request for all that is still missing."""
        import requests
        import urllib3

        host = urlsplit(url).hostname
        have = self._size()
        # The published bytes are wanted, not what a server packs or unpacks on the way.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
                if answer.status_code == 416:
                    self._beyond_the_end(answer, have)
                    return
                if answer.status_code >= 500 or answer.status_code == 429:
                    raise _Cut(f"{host} answers {answer.status_code}")
                if answer.status_code not in (200, 206):
                    raise _Gone(f"{host} answers {answer.status_code}")
                have, total = self._place_of(answer, have)
                mega = None if total is None else total / 1e6
                with (
                    self._part.open("ab" if have else "wb") as out,
                    progress(f"downloading {url}", mega, "MB", have / 1e6) as advance,
                ):
                    for chunk in answer.raw.stream(1 << 16, decode_content=False):
                        out.write(chunk)
                        advance(len(chunk) / 1e6)
        except requests.exceptions.ConnectTimeout as error:
            raise _Gone(f"{host} does not answer") from error
        except requests.exceptions.Timeout as error:
            raise _Cut(f"{host} stopped answering") from error
        except requests.exceptions.ConnectionError as error:
            # Refused or unknown is for good; broken off before the answer came is not.
            if isinstance(error.args[0] if error.args else None, urllib3.exceptions.MaxRetryError):
                raise _Gone(f"no connection to {host}") from error
            raise _Cut(f"{host} broke off") from error
        except requests.exceptions.RequestException as error:
            raise _Gone(f"{host}: {type(error).__name__}") from error
        except urllib3.exceptions.HTTPError as error:
            raise _Cut(f"{host} broke off") from error
        if total is not None and self._size() != total:
            raise _Cut(f"{host} broke off")

    def _place_of(self, answer: "Response", have: int) -> tuple[int, int | None]:
        """(bytes to keep of what is there, length of the whole file if told)."""
        if answer.status_code == 200:  # the server knows no ranges: all of it comes again
            length = answer.headers.get("Content-Length", "")
            return 0, int(length) if length.isdigit() else None
        first, _, total = (
            answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        )
        if first.partition("-")[0] != str(have):
            self._part.unlink()
            raise _Cut(f"{urlsplit(answer.url).hostname} sent another part than asked for")
        return have, int(total) if total.isdigit() else None

    def _beyond_the_end(self, answer: "Response", have: int) -> None:
        """Nothing follows what is there: it is the whole file, or none of this file."""
        if answer.headers.get("Content-Range", "") != f"bytes */{have}":
            self._part.unlink(missing_ok=True)
            raise _Cut(f"{urlsplit(answer.url).hostname} has a shorter file")
