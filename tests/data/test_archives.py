import bz2
import gzip
import io
import lzma
import os
import random
import subprocess
import sys
import tarfile
import zipfile

import pytest
from data_files import tar_of

from naqsh.core.errors import NaqshError
from naqsh.data import archives


def read(path, **how):
    return dict(archives.members(path, lambda name: True, **how))


def bad_tar(path, *members):
    with tarfile.open(path, "w") as archive:
        good = tarfile.TarInfo("good.txt")
        good.size = 4
        archive.addfile(good, io.BytesIO(b"good"))
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


BAD_TARS = {
    "parent": [member("../outside.txt", size=3)],
    "hidden parent": [member("a/../../outside.txt", size=3)],
    "absolute": [member("/tmp/naqsh-outside.txt", size=3)],
    "windows": [member("..\\outside.txt", size=3)],
    "drive": [member("C:outside.txt", size=3)],
    "symbolic link": [member("door", tarfile.SYMTYPE, "..")],
    "through a link": [member("door", tarfile.SYMTYPE, ".."), member("door/outside.txt", size=3)],
    "hard link": [member("door", tarfile.LNKTYPE, "../secret.txt")],
    "device": [member("null", tarfile.CHRTYPE)],
    "pipe": [member("pipe", tarfile.FIFOTYPE)],
    "no name": [member("", size=3)],
    "a point for a name": [member("./", tarfile.REGTYPE, size=3), member(".", size=3)],
    "sparse": [member("holes", tarfile.GNUTYPE_SPARSE, size=0)],
}


@pytest.mark.parametrize("members", BAD_TARS.values(), ids=BAD_TARS)
def test_a_malicious_tar_is_refused(tmp_path, members):
    archive = bad_tar(tmp_path / "bad.tar", *members)
    with pytest.raises(NaqshError, match=r"bad\.tar is refused: its member .* (is|lies|has) "):
        read(archive)


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/tmp/naqsh-outside.txt", "a/../../b", "link", "", "."]
)
def test_a_malicious_zip_is_refused(tmp_path, name):
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.txt", "good")
        info = zipfile.ZipInfo("placeholder" if name == "" else name)
        if name == "link":
            info.external_attr = 0o120777 << 16
        info.filename = name
        archive.writestr(info, "../..")
    with pytest.raises(NaqshError, match=r"bad\.zip is refused: its member .* (link|outside|name)"):
        read(path)


def test_a_locked_zip_is_refused(tmp_path):
    path = tmp_path / "locked.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "secret")
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag in the member's header, and in the table of contents
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(NaqshError, match="its member 'a' is locked by a password"):
        read(path)


def test_a_zip_of_an_unknown_method_is_refused(tmp_path):
    path = tmp_path / "odd.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "content")
    content = bytearray(path.read_bytes())
    content[8] = content[content.index(b"PK\1\2") + 10] = 99
    path.write_bytes(content)
    with pytest.raises(NaqshError, match=r"packed in a way other than deflate"):
        read(path)


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_a_good_archive(tmp_path, suffix):
    contents = {"./a/b.txt": b"first", "c.txt": bytes(3 << 20) + b"second"}
    path = tmp_path / f"good{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/", "")
            for name, content in contents.items():
                archive.writestr(name, content)
    else:
        tar_of(path, contents)
    assert read(path) == {"a/b.txt": b"first", "c.txt": contents["c.txt"]}
    assert dict(archives.members(path, "c.txt".__eq__)) == {"c.txt": contents["c.txt"]}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, suffix):
    path = tmp_path / f"bomb{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("zeros", bytes(1 << 20))
    else:
        tar_of(path, {"zeros": bytes(1 << 20)})
    with pytest.raises(NaqshError, match=r"would unpack to more than"):
        read(path, limit=(1 << 20) - 1)
    assert len(read(path, limit=1 << 20)) == 1


LIMITED = """
import resource, sys
from pathlib import Path
from naqsh.data import archives
resource.setrlimit(resource.RLIMIT_AS, (400 << 20, -1))
print(len(list(archives.members(Path(sys.argv[1]), lambda name: False))))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of the address space is Linux's")
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_does_not_fill_the_memory(tmp_path, kind):
    """Such a header is read whole by tarfile: 500 KB packed, 500 MB in memory."""
    path = tmp_path / "bomb.tar.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(member("x", kind, size=500 << 20).tobuf(tarfile.GNU_FORMAT))
        for _ in range(500):
            file.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, timeout=100
    )
    assert "would unpack to more than" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.xz"])
def test_a_cut_archive(tmp_path, suffix):
    path = tmp_path / f"cut{suffix}"
    noise = bytes(i * i % 251 for i in range(50_000))
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("noise", noise)
    else:
        tar_of(path, {"noise": noise})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(NaqshError, match=r"cut short or no archive.*get it again"):
        read(path)


@pytest.mark.parametrize("form", ["zip", "tar", "gz", "bz2", "xz"])
def test_mutants_are_read_or_refused(tmp_path, form):
    rng = random.Random(form)
    inner = tar_of(tmp_path / "a.tar", {"a": os.urandom(700), "b/c": b"text" * 99}).read_bytes()
    path = tmp_path / "mutant"
    if form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a", os.urandom(700))
            archive.writestr("b/c", "text" * 99)
        inner = path.read_bytes()
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}.get(form, bytes)
    refused = 0
    for number in range(120):
        content = bytearray(inner)
        if form not in ("zip", "tar") and number % 2:
            content = bytearray(pack(content))
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(content))
            if rng.random() < 0.2:
                del content[at : at + rng.randint(1, 60)]
            else:
                content[at % len(content)] = rng.choice((0, 255, 0x2F, 0x2E, rng.randrange(256)))
        path.write_bytes(content if form in ("zip", "tar") or number % 2 else pack(content))
        try:
            read(path)
        except NaqshError:
            refused += 1
    assert refused > 10
