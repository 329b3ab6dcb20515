import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from data_files import tar_of

from naqsh.data import archives
from naqsh.errors import NaqshError


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def bad_tar(path: Path, *members: tarfile.TarInfo) -> Path:
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
}


@pytest.mark.parametrize("members", BAD_TARS.values(), ids=BAD_TARS)
def test_a_malicious_tar_writes_nothing(tmp_path, members):
    (tmp_path / "secret.txt").write_text("secret")
    archive = bad_tar(tmp_path / "bad.tar", *members)
    before = everything(tmp_path)
    with pytest.raises(NaqshError, match=r"bad\.tar is refused: its member .* (link|outside)"):
        archives.extract(archive, tmp_path / "deep" / "in")
    assert everything(tmp_path) - {"deep"} == before
    assert not Path("/tmp/naqsh-outside.txt").exists()


@pytest.mark.parametrize("name", ["../outside.txt", "/tmp/naqsh-outside.txt", "a/../../b", "link"])
def test_a_malicious_zip_writes_nothing(tmp_path, name):
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.txt", "good")
        info = zipfile.ZipInfo(name)
        if name == "link":
            info.external_attr = 0o120777 << 16
        archive.writestr(info, "../..")
    before = everything(tmp_path)
    with pytest.raises(NaqshError, match=r"bad\.zip is refused: its member .* (link|outside)"):
        archives.extract(path, tmp_path / "deep" / "in")
    assert everything(tmp_path) - {"deep"} == before
    assert not Path("/tmp/naqsh-outside.txt").exists()


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.xz"])
def test_a_good_archive(tmp_path, suffix):
    contents = {"./a/b.txt": b"first", "c.txt": b"second"}
    path = tmp_path / f"good{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/", "")
            for name, content in contents.items():
                archive.writestr(name, content)
    else:
        tar_of(path, contents)
    archives.extract(path, tmp_path / "out")
    assert (tmp_path / "out" / "a" / "b.txt").read_bytes() == b"first"
    assert (tmp_path / "out" / "c.txt").read_bytes() == b"second"
    assert everything(tmp_path) == {path.name, "out", "out/a", "out/a/b.txt", "out/c.txt"}


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, suffix):
    path = tmp_path / f"bomb{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("zeros", bytes(1 << 20))
    else:
        tar_of(path, {"zeros": bytes(1 << 20)})
    with pytest.raises(NaqshError, match=r"would unpack to more than"):
        list(archives.members(path, lambda name: True, limit=(1 << 20) - 1))
    assert len(list(archives.members(path, lambda name: True, limit=1 << 20))) == 1


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
    with pytest.raises(NaqshError, match=r"cut short or no archive.*fetch it again"):
        archives.extract(path, tmp_path / "out")
    assert everything(tmp_path) == {path.name}
