"""Runs in one file: opened like a folder, and never more than that."""

import contextlib
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import naqsh
from naqsh import cli, report
from naqsh.core.errors import NaqshError
from naqsh.io import zips
from naqsh.report.read import gather
from naqsh.runs import packed

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def run(finished, alone):
    shutil.copytree(finished, alone / "run")
    return Path("run")


def zipped(folder: Path, top: str = "", name: str = "a.zip") -> Path:
    """A zip as a person makes it of a run folder."""
    with zipfile.ZipFile(name, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, Path(top) / file.relative_to(folder))
        archive.writestr("__MACOSX/run/._recipe.yaml", "what macOS adds")
        archive.writestr("__MACOSX/recipe.yaml", "likewise")
    return Path(name)


def weights(run: Path) -> Path:
    return max(run.glob("checkpoints/*/weights.safetensors"))


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("top", ["", "run", "./run", "runs/mine/run"])
def test_a_zip_of_a_run_opens_wherever_in_it_the_run_lies(top, run):
    opened, whole = naqsh.open(zipped(run, top)), naqsh.open(run)
    assert (opened.recipe, opened.step) == (whole.recipe, whole.step)
    assert torch.equal(opened.sample(3), whole.sample(3))
    there, here = content(opened.folder.path), content(run)
    assert there == {name: here[name] for name in here if name != ".lock"}


def test_a_zip_of_a_run_without_its_recipe_opens_by_its_weights(run):
    (run / "recipe.yaml").unlink()
    assert naqsh.open(zipped(run, "run")).recipe.name == "gan-digits"


@pytest.mark.parametrize("named", ["mine.safetensors", "checkpoints/00000004/weights.safetensors"])
def test_a_weights_file_opens(named, run):
    file = run / named
    if not file.exists():
        shutil.copyfile(weights(run), file)
    opened, whole = naqsh.open(file), naqsh.open(run)
    assert (opened.recipe, opened.step) == (whole.recipe, whole.step)
    assert torch.equal(opened.sample(3), whole.sample(3))
    assert report.write(file, Path("page.html")).is_file()


def test_what_is_measured_is_kept_and_said(run, capsys):
    """Also under another name, and in a process that opens the file anew."""
    words = ["--n", "40", "--metrics", "frechet", "--features", "pixels", "--device", "cpu"]
    assert cli.main(["evaluate", str(zipped(run)), *words]) == 0
    said = capsys.readouterr().err
    place = naqsh.open("a.zip").folder.path
    assert f"a.zip is opened in {place}; what is measured of it is kept there\n" in said
    Path("a.zip").rename("b.zip")
    packed._said.clear()
    assert naqsh.open("b.zip").folder.path == place
    assert (place / "evaluation.json").is_file()
    assert not (run / "evaluation.json").exists()
    (facts,) = gather.read([Path("b.zip")])
    assert [found.of["features"] for found in facts.evaluations] == ["pixels"]


def test_it_is_unpacked_once(run, monkeypatch):
    first = naqsh.open(zipped(run)).folder.path
    monkeypatch.setattr(zips, "pieces", lambda *arguments: pytest.fail("again"))
    assert naqsh.open("a.zip").folder.path == first
    assert [p.name for p in first.parent.iterdir() if p.name[0] != "."] == [first.name]


def test_a_report_of_several_names_the_files(run):
    shutil.copy(zipped(run), "b.zip")
    with zipfile.ZipFile("b.zip", "a") as archive:
        archive.writestr("note.txt", "so that it is another file")
    report.write([Path("a.zip"), Path("b.zip")], Path("page.html"))
    page = Path("page.html").read_text()
    assert "gan-digits (a.zip)" in page
    assert "gan-digits (b.zip)" in page


VERBS = {
    "sample": "sample {} --n 4 --device cpu --out s.png",
    "sample help": "sample {} --help",
    "report": "report {} --out p.html",
    "report in its folder": "report {}",
    "evaluate": "evaluate {} --n 20 --metrics frechet --features pixels --device cpu",
}


@pytest.mark.parametrize("form", ["zip", "weights"])
@pytest.mark.parametrize("verb", VERBS)
def test_verbs_take_a_file_for_a_run(verb, form, run, capsys):
    file = zipped(run) if form == "zip" else weights(run)
    before = content(run)
    assert cli.main(VERBS[verb].format(file).split()) == 0
    assert content(run) == before


@pytest.mark.parametrize("state", [True, False])
@pytest.mark.parametrize(
    "words",
    [["a.zip"], ["gan-digits", "--out", "a.zip"], ["a.zip", "--out", "again"]],
)
def test_training_it_further_is_refused_with_what_works(words, state, run, capsys):
    if not state:
        for file in run.glob("checkpoints/*/optimizers.safetensors"):
            file.unlink()
    before = zipped(run).read_bytes()
    assert cli.main(["train", *words]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "a.zip is a run in one file, which is not trained further; " in said
    assert Path("a.zip").read_bytes() == before
    if state:
        assert said.endswith("unpack it and train the folder")
        return
    assert "it has no optimiser state. For a new training: naqsh train " in said
    command = said[said.index("train ") :].replace("NEW", "new").split()
    assert cli.main([*command, "--device", "cpu", "--quiet"]) == 0
    assert naqsh.open("new").step == 4


def test_an_unpacked_export_is_not_trained_further(run, capsys):
    for file in run.glob("checkpoints/*/optimizers.safetensors"):
        file.unlink()
    before = content(run)
    assert cli.main(["train", "run/recipe.yaml", "--out", "run", "--steps", "9"]) == 2
    assert "run has weights and no optimiser state, as a run that was" in capsys.readouterr().err
    assert content(run) == before


def member(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


HOSTILE = {
    "outside": ({"../../evil.txt": b"x"}, "lies outside it"),
    "outside below": ({"run/../../evil.txt": b"x"}, "lies outside it"),
    "absolute": ({"/tmp/naqsh-evil.txt": b"x"}, "lies outside it"),
    "of windows": ({"..\\evil.txt": b"x"}, "lies outside it"),
    "a drive": ({"C:evil.txt": b"x"}, "lies outside it"),
    "a link": ({member("run.json", stat.S_IFLNK | 0o777): b"/etc/passwd"}, "is a link"),
    "a link for a folder": ({member("grids", stat.S_IFLNK | 0o777): b"/tmp"}, "is a link"),
    "a pipe": ({member("run.json", stat.S_IFIFO | 0o644): b""}, "is a link or a device"),
    "twice": ({member("run.json"): b"{}", member("./run.json"): b"[]"}, "is there twice"),
    "twice but for case": ({"run.json": b"{}", "RUN.json": b"[]"}, "is there twice"),
    "a file for a folder": ({"grids": b"", "grids/1.png": b""}, "lies in a file"),
    "a control character": ({"a\x1b[31m.json": b""}, "control characters"),
    "a bomb": ({"metrics.jsonl": bytes(80 << 20)}, "would unpack to more than"),
    "many bombs": ({f"{n}.json": bytes(4 << 20) for n in range(20)}, "would unpack to more than"),
    "too many": ({f"grids/{n}.png": b"" for n in range(zips.MEMBERS)}, "more than 20,000 members"),
    "nothing": ({}, "holds no run"),
    "several runs": ({"a/recipe.yaml": b"", "b/recipe.yaml": b""}, "holds 2 runs"),
    "a recipe of aliases": ({"recipe.yaml": b"a: &a [1]\nb: *a"}, "anchor or alias"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_zip_is_one_line(case, alone, capsys):
    members, why = HOSTILE[case]
    with zipfile.ZipFile("evil.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        if members and not any("recipe" in str(name) for name in members):
            archive.writestr("recipe.yaml", "name: a")
        for name, data in members.items():
            archive.writestr(name, data, zipfile.ZIP_DEFLATED)
    before = sorted(alone.parent.rglob("*"))
    assert cli.main(["sample", "evil.zip", "--n", "2"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert why in said[-1]
    assert len(said) == 1 + ("is opened in" in said[0])
    assert "\x1b" not in "".join(said)
    new = set(alone.parent.rglob("*")) - set(before)
    assert all(path.is_relative_to(alone.parent / "cache") for path in new)
    assert not [path for path in new if path.is_symlink() or path.suffix == ".part"]
    assert not Path("/tmp/naqsh-evil.txt").exists()


LOCAL, CENTRAL = (6, 8), (8, 10)
"""Where the flags and the method stand in a member's header, and in the table of contents."""


def forged(change, at: int) -> bytes:
    """A zip of a small file of which both headers are changed."""
    with zipfile.ZipFile("evil.zip", "w") as archive:
        archive.writestr("recipe.yaml", "name: a")
    data = bytearray(Path("evil.zip").read_bytes())
    table = data.index(b"PK\1\2")
    for start in (LOCAL[at], table + CENTRAL[at]):
        data[start : start + 2] = change
    return bytes(data)


@pytest.mark.parametrize("flags", [0x1, 0x40, 0x2000])
def test_a_locked_zip_is_refused(flags, alone):
    Path("evil.zip").write_bytes(forged(flags.to_bytes(2, "little"), 0))
    with pytest.raises(NaqshError, match=r"(?s)evil\.zip .*(password|encr|no archive)"):
        naqsh.open("evil.zip")


@pytest.mark.parametrize("method", [12, 14, 93, 99])
def test_other_ways_to_pack_are_refused(method, alone):
    Path("evil.zip").write_bytes(forged(method.to_bytes(2, "little"), 1))
    with pytest.raises(NaqshError, match="packed in a way other than deflate"):
        naqsh.open("evil.zip")


def test_a_table_of_contents_is_read_no_longer_than_it_may_be(alone):
    """Its length is taken from the archive, and zipfile asks for all of it."""
    with zipfile.ZipFile("evil.zip", "w") as archive:
        archive.writestr("recipe.yaml", "name: a")
        for n in range(300):
            info = member(f"{n}")
            info.comment = b"x" * 60_000
            archive.writestr(info, b"")
    assert Path("evil.zip").stat().st_size > zips.DIRECTORY
    with pytest.raises(NaqshError, match="more than 20,000 members"):
        naqsh.open("evil.zip")


def test_members_that_overlap_count_for_what_they_unpack_to(alone):
    """As in a bomb that names one packed megabyte a hundred times."""
    with zipfile.ZipFile("evil.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("recipe.yaml", bytes(8 << 20))
        (first,) = archive.infolist()
        for n in range(100):
            again = member(f"{n}")
            for name in ("CRC", "compress_size", "file_size", "header_offset", "compress_type"):
                setattr(again, name, getattr(first, name))
            archive.filelist.append(again)
    with pytest.raises(NaqshError, match="would unpack to more than"):
        naqsh.open("evil.zip")


@pytest.mark.parametrize("place", [0.1, 0.4, 0.7, 0.95])
def test_a_damaged_zip_leaves_nothing(place, run, alone):
    data = bytearray(zipped(run).read_bytes())
    at = int(place * len(data))
    data[at : at + 40] = bytes(byte ^ 0x55 for byte in data[at : at + 40])
    Path("a.zip").write_bytes(data)
    with contextlib.suppress(NaqshError):  # what is damaged may be nothing but a log
        naqsh.open("a.zip").sample(1)
    left = [p.name for p in (alone.parent / "cache/runs").glob("*") if p.is_dir()]
    assert not [name for name in left if name.startswith(".")]


def test_a_cut_zip_is_one_line(run, alone):
    file = zipped(run)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(NaqshError, match=r"a\.zip is cut short or no archive"):
        naqsh.open(file)


FOREIGN = {
    "no header": lambda file: save_file(load_file(file), file),
    "of others": lambda file: save_file(load_file(file), file, metadata={"format": "pt"}),
    "no tensors": lambda file: file.write_bytes(b"x" * 100),
    "empty": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-9]),
    "a zip": lambda file: file.write_bytes(b"PK\3\4" + bytes(50)),
}


@pytest.mark.parametrize("case", FOREIGN)
@pytest.mark.parametrize("verb", ["sample {}", "report {}", "train {}"])
def test_weights_that_are_not_ours_are_one_line(case, verb, run, capsys):
    file = Path(shutil.copyfile(weights(run), "theirs.safetensors"))
    FOREIGN[case](file)
    assert cli.main(verb.format(file).split()) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "theirs.safetensors" in said
    assert "is damaged" in said or "was not written by Naqsh: its header names no" in said


def test_a_cache_that_cannot_be_written_is_one_line(run, monkeypatch):
    Path("file").write_text("x")
    monkeypatch.setenv("NAQSH_CACHE", "file/cache")
    with pytest.raises(NaqshError, match=r"the cache file/cache/runs cannot be written .*; set N"):
        naqsh.open(zipped(run))


def test_other_files_are_no_run(run):
    for name in ("run/run.json", "run/grids/00000004.png"):
        with pytest.raises(NaqshError, match=f"no run at {name}: it is a file"):
            naqsh.open(name)
