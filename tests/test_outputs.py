"""What a user names for outputs is never mixed with, nor replaced, unasked."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import naqsh
from naqsh import cli, report
from naqsh.core.errors import NaqshError
from naqsh.io import outputs

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def run(finished, alone):
    shutil.copytree(finished, alone / "run")
    return Path("run")


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


SAMPLE = ["sample", "run", "--device", "cpu", "--n", "3", "--folder", "f"]


def test_images_of_two_commands_never_mix(run, capsys):
    assert cli.main([*SAMPLE[:-4], "--n", "20", "--folder", "f"]) == 0
    first = content(Path("f"))
    assert len(first) == 20
    assert cli.main([*SAMPLE, "--seed", "9"]) == 2
    told = capsys.readouterr().err
    assert "f holds 20 files already, and images of two commands must not mix; give an" in told
    assert content(Path("f")) == first
    assert cli.main([*SAMPLE, "--seed", "9", "--overwrite"]) == 0
    assert capsys.readouterr().err == "20 images in f are replaced\n"
    second = content(Path("f"))
    assert sorted(second) == ["000000.png", "000001.png", "000002.png"]
    assert second["000000.png"] != first["000000.png"]


@pytest.mark.parametrize("other", ["notes.txt", "a.png/x", ".hidden", "run/recipe.yaml"])
def test_overwrite_removes_images_alone(other, run, capsys):
    Path("f").mkdir()
    Image.new("L", (4, 4)).save("f/mine.png")
    (Path("f") / other).parent.mkdir(parents=True, exist_ok=True)
    (Path("f") / other).write_text("mine")
    before = content(Path("f"))
    assert cli.main([*SAMPLE, "--overwrite"]) == 2
    told = capsys.readouterr().err
    assert f"f holds {other.split('/')[0]}, which is no image, and --overwrite replaces" in told
    assert content(Path("f")) == before


@pytest.mark.parametrize("make", ["nothing", "empty", "left by a kill", "link"])
def test_folders_that_may_be_written(make, run):
    if make == "empty":
        Path("f").mkdir()
    elif make == "left by a kill":
        (Path("f") / ".naqsh.7.part").mkdir(parents=True)
        (Path("f") / ".naqsh.7.part" / "000009.png").write_text("half")
    elif make == "link":
        Path("elsewhere").mkdir()
        Path("f").symlink_to("elsewhere")
    assert cli.main(SAMPLE) == 0
    assert sorted(p.name for p in Path("f").iterdir()) == [f"00000{n}.png" for n in range(3)]
    expected = naqsh.open("run").sample(3)[2, 0]
    with Image.open("f/000002.png") as image:
        assert np.array_equal(np.asarray(image), (expected * 255).round().byte().numpy())


@pytest.mark.parametrize("existed", [True, False])
def test_all_images_or_none(existed, run, monkeypatch):
    """The tenth image meets a full disk; what lay there stands."""
    if existed:
        Path("f").mkdir()
        Image.new("L", (4, 4)).save("f/mine.png")
    before = content(Path("f")) if existed else {}
    write, written = Path.write_bytes, []

    def fill(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) == 10:
            raise OSError(28, os.strerror(28))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", fill)
    words = [*SAMPLE[:-4], "--n", "20", "--folder", "f", "--overwrite", "--batch", "4"]
    assert cli.main(words) == 2
    assert len(written) == 10
    assert content(Path("f")) == before


def test_the_disk_is_waited_for_once(run, monkeypatch):
    waits = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: waits.append(descriptor))
    with outputs.image_folder(Path("f")) as aside:
        for number in range(50):
            (aside / f"{number}.png").write_bytes(b"x")
    assert len(waits) <= 1
    assert len(list(Path("f").iterdir())) == 50


def test_it_is_refused_before_anything_is_drawn(run, monkeypatch):
    Path("f").mkdir()
    Path("f/a.txt").write_text("x")
    Path("mine.png").write_bytes(b"x")
    opened = naqsh.open("run")
    monkeypatch.setattr(opened.method, "sample", lambda noise: pytest.fail("it drew"))
    with pytest.raises(NaqshError, match="f holds 1 file already"):
        opened.save_samples(3, folder="f")
    with pytest.raises(NaqshError, match=r"mine.png is there already and was not written by Naqsh"):
        opened.save_samples(3, out="mine.png")


FILES = {
    "grid": (["sample", "run", "--n", "2", "--device", "cpu", "--out", "mine.png"], "mine.png"),
    "page": (["report", "run", "--out", "mine.html"], "mine.html"),
    "notebook": (["report", "run", "--notebook", "mine.ipynb"], "mine.ipynb"),
}


@pytest.mark.parametrize("what", FILES)
def test_files_of_others_are_replaced_only_when_asked(what, run, capsys):
    words, name = FILES[what]
    if what == "notebook":
        pytest.importorskip("nbclient")
    Path(name).write_text("what I wrote: naqsh, Naqsh, generator")
    assert cli.main(words) == 2
    told = f"{name} is there already and was not written by Naqsh; give another name, or --overwr"
    assert told in capsys.readouterr().err
    assert Path(name).read_text().startswith("what I wrote")
    assert cli.main([*words, "--overwrite"]) == 0
    assert not Path(name).read_bytes().startswith(b"what I wrote")
    assert cli.main(words) == 0  # now it is ours


OTHER_KINDS = {
    "grid": ("sample", "--out", ["a.jpg", "a", "a.png.gz", "a.html"]),
    "page": ("report", "--out", ["a.pdf", "a", "a.ipynb", "a.htm", "a.html.gz"]),
    "notebook": ("report", "--notebook", ["a.html", "a", "a.py"]),
    "export": ("export", "", ["a.tar.gz", "a", "a.pt"]),
}


def test_every_kind_of_file_is_tried_below():
    # Of other runs than the one here: in test_translating.py and test_plane.py.
    elsewhere = {"translation", "points"}
    assert set(OTHER_KINDS) | elsewhere == set(outputs.NAMES)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, entry in OTHER_KINDS.items() for name in entry[2]]
)
def test_a_name_of_another_kind_of_file_is_refused_before_the_work(kind, name, run, capsys):
    verb, option, _ = OTHER_KINDS[kind]
    before = content(Path())
    assert cli.main([verb, "run", *([option] if option else []), name]) == 2
    told = capsys.readouterr().err
    assert outputs.NAMES[kind][1] in told
    assert f"naqsh: {name}: " in told
    assert content(Path()) == before


def test_python_refuses_a_name_of_another_kind_before_the_work(run):
    opened, before = naqsh.open("run"), content(Path())
    for write in (
        lambda: opened.save_samples(2, out="a.jpg"),
        lambda: opened.report("a.pdf"),
        lambda: opened.report("a.html", notebook="a.html"),
        lambda: opened.export("a.tar"),
    ):
        with pytest.raises(NaqshError, match="is one file"):
            write()
    assert content(Path()) == before


@pytest.mark.parametrize("name", ["a.HTML", "folder.pdf/a.html"])
def test_the_ending_alone_counts(name, run):
    assert naqsh.open("run").report(name) == Path(name)


def test_the_file_of_the_run_itself_is_ours_to_replace(run):
    (run / "samples.png").write_bytes(b"of an earlier version, without our mark")
    naqsh.open(run).save_samples(2, device="cpu")
    assert (run / "samples.png").read_bytes().startswith(b"\x89PNG")
    assert report.write(run, run / "report.html").is_file()


def test_progress_is_told(run):
    told = []
    naqsh.open(run).sample(7, batch=3, progress=lambda *words: told.append(words))
    assert told == [("samples", 3, 7), ("samples", 6, 7), ("samples", 7, 7)]


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked")
def test_images_of_a_command_killed_while_it_moved_them(run, capsys):
    """What it had moved is its own and is replaced; what is not stands in the way as ever."""
    assert cli.main([*SAMPLE[:-4], "--n", "5", "--folder", "f"]) == 0
    moving = Path("f/.naqsh-moving.7.part")
    moving.mkdir()
    assert cli.main(SAMPLE) == 0
    assert sorted(p.name for p in Path("f").iterdir()) == [f"00000{n}.png" for n in range(3)]
    moving.mkdir()
    Image.new("L", (4, 4)).save("f/mine.png")
    capsys.readouterr()
    assert cli.main(SAMPLE) == 2
    assert "f holds 1 file already" in capsys.readouterr().err
    assert len(list(Path("f").glob("*.png"))) == 4


def test_a_detector_or_a_comparison_does_not_lie_among_other_files(alone, finished, capsys):
    place = alone / "mine"
    place.mkdir()
    (place / "keep.txt").write_text("mine")
    detect = ["detect", str(finished), "digits", "--device", "cpu", "--save", "mine"]
    compare = ["compare", "--recipes", "gan-digits", "--images", "64", "--n", "10"]
    for words in (detect, [*compare, "--device", "cpu", "--out", "mine"]):
        assert cli.main(words) == 2
        said = capsys.readouterr()
        assert "mine" in said.err
        assert len(said.err.splitlines()) == 1
        assert [file.name for file in place.glob("[!.]*")] == ["keep.txt"]
    assert not (finished / "detections").exists()  # it was told before the work
