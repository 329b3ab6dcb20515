"""How a command ends: the code, one line, and work that does not depend on who reads the words."""

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from naqsh import cli
from naqsh.cli import entry, streams
from naqsh.core import errors
from naqsh.core.printable import shown_lines
from naqsh.runs.folder import RunFolder
from naqsh.studies.segmentation import ensemble, scratch

pytestmark = pytest.mark.usefixtures("alone", "short_flows", "small_grids")

NAME = "گربه"
"""A run whose name no western code page has."""

CPU = ["--device", "cpu"]
MEASURE = [*CPU, "--features", "pixels"]
VERBS: dict[str, tuple[list[str], str]] = {
    "list": (["list"], ""),
    "train": (
        ["train", "gan-digits", "--steps", "1", "--training.batch", "16", "--out", "گربه/x", *CPU],
        "گربه/x/run.json",
    ),
    "sample": (["sample", NAME, "--n", "2", *CPU], "گربه/samples.png"),
    "sample --folder": (["sample", NAME, "--n", "2", "--folder", "گ", *CPU], "گ/000001.png"),
    "evaluate": (
        ["evaluate", NAME, "--n", "20", "--metrics", "fid", *MEASURE],
        "گربه/evaluation.json",
    ),
    "measure": (["measure", "kid", "digits:test", "digits:train", "--n", "20", *MEASURE], ""),
    "samplers": (
        ["samplers", "ddpm", "--steps", "1", "--samplers", "ddim", "--n", "20", *MEASURE],
        "ddpm/samplers.json",
    ),
    "bound": (["bound", "ddpm", "--n", "2", *CPU], "ddpm/bound.json"),
    "field": (["field", "ring", "--n", "2", *CPU], "ring/field.png"),
    "detect": (
        ["detect", NAME, "digits", "--n", "20", *CPU, "--features", "digits"],
        "گربه/detection*",
    ),
    "translate": (
        ["translate", "cyclegan", "digit.png", "--out", "گ.png", "--device", "cpu"],
        "گ.png",
    ),
    "edit": (["edit", "ddpm", "digit.png", "--strength", "0.5", "--n", "1", *CPU], "ddpm/edit*"),
    "lesson": (["lesson", "narrow-gaussians", "--out", "گ.html"], "گ.html"),
    "segment": (
        [
            *("segment", "ddpm", "--data", "labelled", "--labelled", "2", "--draws", "1"),
            *("--members", "2", *CPU),
        ],
        "ddpm/segment*",
    ),
    "report": (["report", NAME], "گربه/report.html"),
    "export": (["export", NAME, "گ.zip"], "گ.zip"),
    "failures": (
        [
            *("failures", "--data", "ring", "--only", "r1", "--steps", "20", "--seeds", "1"),
            *("--workers", "1", "--out", "گ"),
        ],
        "گ/failures.json",
    ),
    "tune": (
        ["tune", "gan-digits", "--trials", "1", "--epochs", "0.02", "--out", "گ", *CPU],
        "گ/best.yaml",
    ),
}
"""Each verb with words that suffice for it, and a file that it leaves when its work is done."""


class Broken(io.TextIOWrapper):
    """A stream that refuses every byte."""

    def __init__(self, number: int) -> None:
        super().__init__(io.BytesIO(), "utf-8")
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.fixture(scope="module")
def ddpm(tmp_path_factory):
    from naqsh import api

    folder = tmp_path_factory.mktemp("ddpm") / "run"
    changes = {"training.batch": 16, "training.steps": 1, "method.schedule.steps": 20}
    api.train("ddpm-digits", out=folder, overrides=changes, device="cpu", quiet=True)
    return folder


@pytest.fixture(scope="module")
def cyclegan(tmp_path_factory):
    from naqsh import api

    folder = tmp_path_factory.mktemp("cyclegan") / "run"
    changes = {"training.steps": 1, "method.width": 4, "method.critic_width": 4}
    api.train("cyclegan-digits", out=folder, overrides=changes, device="cpu", quiet=True)
    return folder


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    from naqsh import api

    folder = tmp_path_factory.mktemp("ring") / "run"
    changes = {"training.batch": 16, "training.steps": 1, "method.steps": 2, "method.inner": 1}
    api.train("ncsn-ring", out=folder, overrides=changes, device="cpu", quiet=True)
    return folder


@pytest.fixture
def world(alone, finished, request, monkeypatch):
    shutil.copytree(finished, alone / NAME)
    if request.param == "field":
        shutil.copytree(request.getfixturevalue("ring"), alone / "ring")
    if "ddpm" in VERBS[request.param][0]:
        shutil.copytree(request.getfixturevalue("ddpm"), alone / "ddpm")
    if request.param == "segment":
        monkeypatch.setattr(ensemble, "STEPS", 2)
        monkeypatch.setattr(scratch, "UPDATES", 1)
        for part in ("images", "masks"):
            (alone / "labelled" / part).mkdir(parents=True)
            for number in range(4):
                mask = Image.new("L", (16, 16))
                mask.paste(1, (0, 0, 8, 8 + number))
                mask.save(alone / "labelled" / part / f"{number}.png")
    if request.param == "translate":
        shutil.copytree(request.getfixturevalue("cyclegan"), alone / "cyclegan")
    if request.param in ("translate", "edit"):
        Image.new("L", (16, 16), 200).save(alone / "digit.png")
    return request.param


def test_every_verb_is_tried(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    said = capsys.readouterr().out.split("commands:")[1].split("examples:")[0]
    known = {
        line.split()[0]
        for line in said.splitlines()
        if line[:4].strip() == "" and line[4:5].strip()
    }
    tried = {words.split()[0] for words in VERBS}
    assert known - tried <= {"compare"}  # what it prints is one name; its trainings take long
    assert "train" in known


@pytest.mark.parametrize(
    ("world", "stdout"),
    [(verb, "broken") for verb in VERBS]
    + [(verb, "cp1252") for verb in ("list", "sample --folder", "report", "train")]
    + [(verb, stdout) for verb in ("list", "sample", "train") for stdout in ("full", "closed")],
    indirect=["world"],
)
def test_the_work_is_done_whoever_reads(world, stdout, monkeypatch, capsys):
    words, leaves = VERBS[world]
    bytes_ = io.BytesIO()
    stream = {
        "broken": Broken(errno.EPIPE),
        "full": Broken(errno.ENOSPC),
        "closed": None,
        "cp1252": io.TextIOWrapper(bytes_, "cp1252"),
    }[stdout]
    monkeypatch.setattr(sys, "stdout", stream)
    code = cli.main(words)
    assert sys.stdout is stream
    told = capsys.readouterr().err
    prints = world != "train"
    assert code == (2 if stdout == "full" and prints else 0), told
    assert ("cannot write the output: No space left" in told) == (stdout == "full" and prints)
    assert not leaves or list(Path().glob(leaves))
    if stdout == "cp1252" and world == "sample --folder":
        assert bytes_.getvalue().decode("cp1252").startswith(r"\u06af")


@pytest.mark.parametrize("world", ["train", "evaluate", "tune"], indirect=True)
def test_the_work_is_done_when_the_log_is_full(world, monkeypatch):
    words, leaves = VERBS[world]
    monkeypatch.setattr(sys, "stderr", Broken(errno.ENOSPC))
    assert cli.main(words) == 0
    assert Path(leaves).exists()
    if world == "train":
        assert RunFolder("گربه/x").steps() == [1]


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of Unix")
def test_a_reader_of_everything_that_leaves_does_not_stop_a_training(alone):
    """`naqsh train … 2>&1 | head -1`: the training ends, and says so truly."""
    command = [sys.executable, "-m", "naqsh", "train", "gan-digits", "--steps", "3", "--out", "r"]
    read, write = os.pipe()
    with subprocess.Popen([*command, *CPU], stdout=write, stderr=write) as process:
        os.close(write)
        assert os.read(read, 1)
        os.close(read)
        assert process.wait(100) == 0
    assert RunFolder("r").steps()[-1] == 3


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors of Unix")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_descriptors_that_are_closed(closed, finished):
    shutil.copytree(finished, "run")
    words = f'"{sys.executable}" -m naqsh sample run --n 2 --device cpu {closed}'
    done = subprocess.run(["sh", "-c", words], capture_output=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, b"")
    png = Path("run/samples.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert png.endswith(b"IEND\xaeB`\x82")  # nothing was printed into it


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "photos"), "cannot read photos: Permission"),
        (PermissionError(13, "Permission denied", b"ph\xff"), r"cannot read ph\\udcff: Permission"),
        (errors.CannotWrite(13, "Permission denied", "a/b"), "cannot write a/b: Permission"),
        (OSError(28, "No space left on device"), "cannot write the output: No space left"),
        (OSError(5, "Input/output error", "x.png"), "cannot read x.png: Input/output error"),
        (OSError(24, "Too many open files", "x.png"), "Too many open files; `ulimit -n` says"),
        (OSError(12, "Cannot allocate memory"), "the memory does not suffice: Cannot allocate"),
        (OSError(36, "File name too long", "x" * 300), "a name is too long: xxx"),
        (FileNotFoundError(2, "No such file or directory"), "the folder that this was started in"),
        (MemoryError("Unable to allocate 9 TiB"), "memory does not suffice; .*allocate 9 TiB"),
        (MemoryError(), "the memory does not suffice; take a smaller batch"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to …"),
            "the memory does not suffice",
        ),
        (BrokenPipeError(32, "Broken pipe"), "cannot go on: Broken pipe"),  # not of our output
    ],
)
def test_what_the_machine_refuses_is_one_line(error, line, monkeypatch, capsys):
    def refused(words):
        raise error

    monkeypatch.setattr(entry, "_run", refused)
    assert cli.main([]) == 2
    told = capsys.readouterr().err
    assert told.startswith("naqsh: ")
    assert told.count("\n") == 1
    import re

    assert re.search(line, told), told


def test_a_folder_that_cannot_be_read_is_not_called_unwritable(alone, monkeypatch, capsys):
    (alone / "photos").mkdir()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "photos")

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "listdir", refuse)
    assert cli.main(["measure", "fid", "photos", "photos", *MEASURE]) == 2
    assert "cannot write" not in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("made_of_it", [KeyboardInterrupt, ImportError, RuntimeError])
def test_ctrl_c_in_whatever_a_library_makes_of_it(made_of_it, monkeypatch, capsys):
    def interrupted(words):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):  # Python calls the handler between two of its instructions
                pass
        except KeyboardInterrupt:
            raise made_of_it("by a callback") from None

    monkeypatch.setattr(entry, "_run", interrupted)
    before = signal.getsignal(signal.SIGINT)
    assert cli.main([]) == 130
    assert capsys.readouterr().err == "naqsh: stopped\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_names_never_steer_the_terminal(capsys):
    assert cli.main(["train", "a\x1b]0;owned\x07\u202e\x9b2J"]) == 2
    told = capsys.readouterr().err
    assert not set("\x1b\x07\u202e\x9b") & set(told)
    with streams.steady():
        print("run \x1b[31mred\x9b\udce3 می‌رود")
    assert capsys.readouterr().out == "run \\x1b[31mred\\x9b\\udce3 می‌رود\n"


def test_printable_leaves_plain_words_alone():
    for text in ("naqsh", "a\tb\n", "نقش‌ها", "", "é λ 漢"):
        assert shown_lines(text) == text
    assert shown_lines("a\rb\x00") == r"a\rb\x00"


def test_writing_keeps_what_it_was():
    with pytest.raises(errors.CannotWrite) as caught, errors.writing(Path("a")):
        raise PermissionError(13, "Permission denied", "a.part")
    assert (caught.value.errno, caught.value.filename) == (13, "a")


ALONE = """
import os, signal, sys
from naqsh import cli
{within}
code = cli.main()
{after}
sys.exit(code)
"""
PRESS = "os.kill(os.getpid(), signal.SIGINT)"
IN_EXEC = f"""
from naqsh.cli import entry
def run(words):
    exec("import os, signal\\n{PRESS}\\nfor _ in range(1000): pass")
entry._run = run
"""
IN_FINALISER = f"""
from naqsh.cli import entry
class Dies:
    def __del__(self):
        {PRESS}
        for _ in range(1000): pass
def run(words):
    Dies()
    for _ in range(100_000_000): pass
entry._run = run
"""
IN_IMPORT = f"""
import importlib.abc
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "naqsh.cli.entry":
            {PRESS}
            for _ in range(1000): pass
            raise ImportError("as a library makes of it")
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("started", ["script", "-m"])
@pytest.mark.parametrize(
    ("within", "after", "code", "told"),
    [
        (IN_IMPORT, "", 130, ""),
        (IN_EXEC, "", 130, "naqsh: stopped\n"),
        (IN_FINALISER, "", 130, "naqsh: stopped\n"),
        ("", PRESS, 0, ""),  # the work is done
        (IN_EXEC, PRESS, 130, "naqsh: stopped\n"),
    ],
    ids=["import", "exec", "finaliser", "done", "stopped"],
)
def test_ctrl_c_at_any_moment_of_a_process(started, within, after, code, told, alone):
    """Never a traceback, and never an end by the signal itself, which no caller expects."""
    Path("once.py").write_text(ALONE.format(within=within, after=after))
    how = ["once.py"] if started == "script" else ["-m", "once"]
    done = subprocess.run(
        [sys.executable, *how, "list", "recipes"], capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stderr) == (code, told)
    assert bool(done.stdout) == (code == 0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_command_that_was_told_to_ignore_ctrl_c_still_does(alone):
    words = f'trap "" INT; "{sys.executable}" -c "{{}}"'
    code = f"import os,signal,sys; from naqsh import cli; sys.argv[1:]=['list']; {PRESS}; {{}}"
    code = code.format("sys.exit(cli.main())")
    done = subprocess.run(["sh", "-c", words.format(code)], capture_output=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, b"")
