import json
import os
import stat

import pytest

from naqsh.core.errors import NaqshError
from naqsh.io.files import (
    append_line,
    make_folder,
    rewrite_lines,
    whole_folder,
    write_bytes,
    write_json,
)
from naqsh.io.foreign import read_json, read_lines
from naqsh.runs import folder as runfolder
from naqsh.runs.folder import RunFolder


class PowerCut(Exception):
    """Stands for anything that ends a write half-way."""


@pytest.fixture
def cut(monkeypatch):
    """Ends the program, so to speak, in the n-th call of a function of os."""

    def at(name, count):
        real = getattr(os, name)
        calls = [0]

        def counted(*arguments):
            calls[0] += 1
            if calls[0] == count:
                raise PowerCut
            return real(*arguments)

        monkeypatch.setattr(runfolder.os, name, counted)

    return at


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_write_bytes_is_whole_or_not_at_all(tmp_path, cut):
    path = tmp_path / "a.json"
    write_bytes(path, b"old")
    cut("fsync", 1)
    with pytest.raises(PowerCut):
        write_bytes(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.json"]


def test_write_bytes_never_shows_a_part(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_bytes(path, b"old")
    seen = []
    real = os.fsync
    monkeypatch.setattr(
        runfolder.os, "fsync", lambda fd: (seen.append(path.read_bytes()), real(fd))
    )
    write_bytes(path, b"new")
    assert seen == [b"old"]  # it was synced, and until then the old one stood


def test_write_bytes_leaves_the_old_one_to_who_reads_it(tmp_path):
    path = tmp_path / "a"
    write_bytes(path, b"old and long")
    with path.open("rb") as reader:
        write_bytes(path, b"new")
        assert reader.read() == b"old and long"
    assert path.read_bytes() == b"new"


def fill(place, texts, error=None):
    """Write files into a folder that is whole or not there."""
    with whole_folder(place) as aside:
        for name, text in texts.items():
            (aside / name).write_text(text)
        if error:
            raise error


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_whole_folder_is_whole_or_not_at_all(tmp_path, cut, moment):
    place, old, new = tmp_path / "00000005", {"a": "old"}, {"a": "new", "b": "new"}
    fill(place, old)
    cut("fsync", moment)  # of file a, of file b, of the folder around it
    with pytest.raises(PowerCut):
        fill(place, new)
    assert names(tmp_path) == ["00000005"]
    found = {entry.name: entry.read_text() for entry in place.iterdir()}
    assert found == (old if moment < 3 else new)


def test_whole_folder_leaves_nothing_of_a_failed_block(tmp_path):
    with pytest.raises(PowerCut):
        fill(tmp_path / "00000005", {"a": "x"}, PowerCut())
    assert names(tmp_path) == []


def test_lines(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_lines(path) == []
    records = [{"step": 1, "x": 0.1}, {"step": 2, "words": "نقش\u2028"}]
    for record in records:
        append_line(path, record)
    assert read_lines(path) == records
    assert path.read_bytes().count(b"\n") == 2
    rewrite_lines(path, records[1:])
    assert read_lines(path) == records[1:]


@pytest.mark.parametrize("cut_off", range(1, 40))
def test_a_last_line_cut_short_is_left_out(tmp_path, cut_off):
    path = tmp_path / "metrics.jsonl"
    append_line(path, {"step": 1})
    append_line(path, {"step": 2, "words": "نقش and more"})
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut_off])  # also in the middle of a letter
    first_line = len(b'{"step": 1}\n')
    expected = [{"step": 1}] if len(whole) - cut_off >= first_line else []
    assert read_lines(path) == expected


@pytest.mark.parametrize("damage", [b"\0\0\0\n", b"{]\n", b"\xff\xfe\n", b"3\n", b"\n"])
def test_another_damaged_line_is_named(tmp_path, damage):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + damage + b'{"step": 2}\n')
    with pytest.raises(NaqshError, match=r"metrics\.jsonl, line 2 is damaged"):
        read_lines(path)


def test_numbers_that_json_lacks_are_not_written(tmp_path):
    path = tmp_path / "x.jsonl"
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            append_line(path, {"x": value})
    assert read_lines(path) == []
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "y.json", {"x": float("nan")})
    assert not (tmp_path / "y.json").exists()


def test_json(tmp_path):
    path = tmp_path / "run.json"
    write_json(path, {"name": "نقش", "n": [1, 2.5, None]})
    assert read_json(path) == {"name": "نقش", "n": [1, 2.5, None]}
    for damage in (b"", b"{", b"\xff"):
        path.write_bytes(damage)
        with pytest.raises(NaqshError, match=r"run\.json is damaged"):
            read_json(path)
    path.unlink()
    with pytest.raises(NaqshError, match=r"run\.json is missing"):
        read_json(path)


def test_steps_are_those_with_a_whole_checkpoint(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.steps() == []
    for name in ("00000100", "00000020", ".00000300.77.part", "notes", "123456789"):
        (folder.checkpoints / name).mkdir(parents=True)
    (folder.checkpoints / "00000999").write_text("a file")
    assert folder.steps() == [20, 100, 123456789]
    assert folder.checkpoint(20).is_dir()
    assert folder.checkpoint(123456789).is_dir()


def test_require(tmp_path):
    with pytest.raises(NaqshError, match=r"^no run at .*none: there is no such folder"):
        RunFolder(tmp_path / "none").require()
    with pytest.raises(NaqshError, match=r"is no run: it has no recipe\.yaml"):
        RunFolder(tmp_path).require()
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(NaqshError, match=r"no run at"):
        RunFolder(file).require()
    (tmp_path / "recipe.yaml").write_text("a: 1")
    assert RunFolder(tmp_path).require().read_recipe() == {"a": 1}
    for damage in (b"\xff\xfe", b"a: [", b"- 1\n", b"", b"a: &b 1"):
        (tmp_path / "recipe.yaml").write_bytes(damage)
        with pytest.raises(NaqshError, match=r"recipe\.yaml is damaged"):
            RunFolder(tmp_path).read_recipe()


def test_lock(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        with (
            pytest.raises(NaqshError, match="another training writes to"),
            RunFolder(tmp_path / "run").locked(),
        ):
            pass
        with RunFolder(tmp_path / "other").locked():
            pass
    with RunFolder(tmp_path / "run").locked():  # free again
        pass


def test_make_folder(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NaqshError, match="cannot be a folder: a file stands there"):
            make_folder(path)


def test_files_have_the_permissions_that_the_user_asks_for(tmp_path):
    # A temporary file made for nobody else would stay unreadable to the group after its renaming.
    write_json(tmp_path / "a.json", json.loads("1"))
    (tmp_path / "plain").write_text("1")
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "plain").stat().st_mode
    )
