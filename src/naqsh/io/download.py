"""Downloads with a checksum: from several addresses, resumed where cut, whole or not at all.

Bytes that have arrived stay beside the target in `<name>.part`, so that the next attempt, in this
process or another, asks only for the rest (HTTP Range). The part becomes the target by its renaming
once its checksum is the published one; a process that is killed leaves nothing else.

A server is not trusted: it may send no more bytes than were published, and send the caller on to no
address of the network that the caller is in.
"""

import hashlib
import ipaddress
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from naqsh.io.progress import progress

if TYPE_CHECKING:
    from requests import Response

_TRIES = 4
_WAIT = 1.0
_TIMEOUT = (10, 30)
_REDIRECTS = 5


@dataclass(frozen=True)
class File:
    """One published file.

    Attributes:
        name: its file name, under which it is also looked for on the user's disk.
        urls: the same bytes at several addresses, in the order in which they are tried.
        checksum: ``"md5:…"`` or ``"sha256:…"`` of the published bytes.
        size: the most bytes that are taken: those that are published, where their number is known.
    """

    name: str
    urls: tuple[str, ...]
    checksum: str
    size: int


class DownloadError(Exception):
    """A file could not be had from any of its addresses; the message is a few words on each."""


class _Gone(Exception):
    """This address will not give the file; another may."""


class _Cut(Exception):
    """The transfer broke off; trying again may help."""


def fetch(file: File, folder: Path) -> Path:
    """Download a file into a folder.

    Args:
        file: its name, addresses, checksum and size.
        folder: made if need be.

    Returns:
        the path of the file, whose content matches the checksum.

    Raises:
        DownloadError: no address gave the right bytes, or the folder cannot be written.
    """
    from filelock import FileLock

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
    part = target.with_name(target.name + ".part")
    while True:
        resumed = part.exists()
        _Transfer(url, part, file.size).run()
        if _matches(part, file.checksum):
            part.replace(target)
            return
        part.unlink()
        if not resumed:
            raise _Gone(f"{urlsplit(url).hostname} sent other bytes than the published ones")
        # The beginning may have been another file's: once more, from nothing.


def _matches(path: Path, checksum: str) -> bool:
    kind, _, expected = checksum.partition(":")
    with path.open("rb") as content:
        return hashlib.file_digest(content, kind).hexdigest() == expected


class _Transfer:
    """Brings what is missing of a file to `part`."""

    def __init__(self, url: str, part: Path, most: int):
        self._url, self._part, self._most = url, part, most
        self._host = urlsplit(url).hostname

    def run(self) -> None:
        """Ask until all is there; raises _Gone where asking again would not help."""
        if self._size() > self._most:
            self._part.unlink()
        best, tries = self._size(), 0
        while True:
            try:
                self._continue()
                return
            except _Cut as error:
                # Only attempts that bring nothing new count.
                tries = 0 if self._size() > best else tries + 1
                best = max(best, self._size())
                if tries >= _TRIES:
                    raise _Gone(str(error)) from error
                time.sleep(_WAIT * 2**tries)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _continue(self) -> None:
        """One request for all that is still missing."""
        import requests
        import urllib3

        have = self._size()
        # The published bytes are wanted, not what a server packs or unpacks on the way.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            with requests.Session() as session:
                session.max_redirects = _REDIRECTS
                session.hooks["response"].append(self._look_at_redirect)
                with session.get(
                    self._url, headers=headers, stream=True, timeout=_TIMEOUT
                ) as answer:
                    total = self._receive(answer, have)
        except requests.exceptions.ConnectTimeout as error:
            raise _Gone(f"{self._host} does not answer") from error
        except requests.exceptions.Timeout as error:
            raise _Cut(f"{self._host} stopped answering") from error
        except requests.exceptions.ConnectionError as error:
            # Refused or unknown is for good; broken off before the answer came is not.
            if isinstance(error.args[0] if error.args else None, urllib3.exceptions.MaxRetryError):
                raise _Gone(f"no connection to {self._host}") from error
            raise _Cut(f"{self._host} broke off") from error
        except requests.exceptions.RequestException as error:
            raise _Gone(f"{self._host}: {type(error).__name__}") from error
        except urllib3.exceptions.HTTPError as error:
            raise _Cut(f"{self._host} broke off") from error
        if total is not None and self._size() != total:
            raise _Cut(f"{self._host} broke off")

    def _receive(self, answer: "Response", have: int) -> int | None:
        """Append what an answer holds; gives the length of the whole file if it was told."""
        if answer.status_code == 416:
            return self._beyond_the_end(answer, have)
        if answer.status_code >= 500 or answer.status_code == 429:
            raise _Cut(f"{self._host} answers {answer.status_code}")
        if answer.status_code not in (200, 206):
            raise _Gone(f"{self._host} answers {answer.status_code}")
        have, total = self._place_of(answer, have)
        if total is not None and total > self._most:
            raise self._too_much()
        due = (total or self._most) / 1e6
        with (
            self._part.open("ab" if have else "wb") as out,
            progress(f"downloading {self._url}", due, "MB", have / 1e6) as advance,
        ):
            for chunk in answer.raw.stream(1 << 16, decode_content=False):
                have += len(chunk)
                if have > self._most:
                    break
                out.write(chunk)
                advance(len(chunk) / 1e6)
        if have > self._most:
            self._part.unlink()
            raise self._too_much()
        return total

    def _too_much(self) -> _Gone:
        return _Gone(f"{self._host} sends more than the {self._most:,} bytes that were published")

    def _place_of(self, answer: "Response", have: int) -> tuple[int, int | None]:
        """(bytes to keep of what is there, length of the whole file if told)."""
        if answer.status_code == 200:  # the server knows no ranges: all of it comes again
            length = answer.headers.get("Content-Length", "")
            return 0, int(length) if length.isdecimal() else None
        first, _, total = (
            answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        )
        if first.partition("-")[0] != str(have):
            self._part.unlink(missing_ok=True)
            raise _Cut(f"{self._host} sent another part than asked for")
        return have, int(total) if total.isdecimal() else None

    def _beyond_the_end(self, answer: "Response", have: int) -> int:
        """Nothing follows what is there: it is the whole file, or none of this file."""
        if answer.headers.get("Content-Range", "") != f"bytes */{have}":
            self._part.unlink(missing_ok=True)
            raise _Cut(f"{self._host} has a shorter file")
        return have

    def _look_at_redirect(self, answer: "Response", **_: Any) -> None:
        """Refuse to be sent on to the caller's own network, or from TLS to none."""
        if not answer.is_redirect:
            return
        before = urlsplit(answer.url)
        after = urlsplit(urljoin(answer.url, answer.headers["location"]))
        if before.scheme == "https" and after.scheme != "https":
            raise _Gone(f"{self._host} sends on to an address without TLS")
        host = after.hostname if after.scheme in ("http", "https") else None
        if not host or (host != self._host and not _public(host)):
            raise _Gone(f"{self._host} sends on to an address of this network")


def _public(host: str) -> bool:
    """Whether all addresses of a host are of the open network; True where nobody knows any."""
    try:
        found = socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):  # behind a proxy, names are known to the proxy alone
        return host != "localhost"
    addresses = (str(entry[4][0]).partition("%")[0] for entry in found)
    return all(ipaddress.ip_address(address).is_global for address in addresses)
