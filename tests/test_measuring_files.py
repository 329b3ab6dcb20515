"""`naqsh measure` on files and folders: options of how they are read, each for both or one."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from naqsh.cli import main
from naqsh.core.errors import NaqshError
from naqsh.data import notes
from naqsh.studies import measure as measuring
from naqsh.studies.measure import Reading, images_of

PIXELS = ["--features", "pixels"]


@pytest.fixture
def levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """The same 12 images as a folder, floats of two ranges, an .npz and two splits; (N, H, W)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(notes, "_said", set())
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
    for place in ("plain", "parts/train", "parts/test"):
        Path(place).mkdir(parents=True)
        for number, image in enumerate(images[: 4 if place == "parts/test" else 12]):
            Image.fromarray(image).save(f"{place}/{number:02d}.png")
    np.save("ones.npy", images / 127.5 - 1)
    np.save("unit.npy", images / 255)
    np.savez("two.npz", first=images, second=255 - images)
    return images


@pytest.mark.parametrize(
    ("words", "same"),
    [
        (["plain", "plain"], True),
        (["plain", "ones.npy", "--range", "-1,1"], True),  # the folder's bytes are left alone
        (["plain", "ones.npy", "--data.range", "-1,1"], True),  # as messages about data spell it
        (["unit.npy", "plain", "--range=0,1"], True),
        (["plain", "ones.npy", "--range", "0,255", "-1,1"], True),
        (["unit.npy", "ones.npy", "--range", "0,1", "-1,1"], True),
        (["plain", "plain", "--range", "0,510"], True),
        (["plain", "plain", "--range", "0,255", "0,510"], False),
        (["plain", "two.npz", "--key", "first"], True),
        (["two.npz", "two.npz", "--key", "first", "second"], False),
        (["plain:train", "plain"], True),
        (["plain", "plain", "--data.skip_broken", "true"], True),
    ],
)
def test_range_and_key(
    words: list[str], same: bool, levels: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", "frechet", *words, *PIXELS, "--json"]) == 0
    value = float(capsys.readouterr().out.partition('"value":')[2].partition(",")[0])
    assert (abs(value) < 1e-6) == same


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["plain", "ones.npy"], "values from -1 to 1.*--data.range -1,1"),
        (["plain", "ones.npy", "--range", "0,1"], "outside data.range 0 to 1"),
        (["plain", "ones.npy", "--range", "1,-1"], "--range needs black, then white"),
        (["plain", "ones.npy", "--range", "nan,1"], "--range needs black, then white"),
        (["plain", "ones.npy", "--range", "0,1", "0,1", "0,1"], "one for each of the two"),
        (["digits", "digits", "--range", "0,1"], "which digits is not"),
        (["plain", "two.npz"], "name one with --data.key"),
        (["plain", "two.npz", "--key", "third"], "third"),
        (["plain:test", "plain"], "plain has no test split; leave :test out"),
        (["nowhere:test", "plain"], "nowhere"),
    ],
)
def test_what_does_not_fit_is_one_line(
    words: list[str], line: str, levels: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", "frechet", *words, *PIXELS]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    with pytest.raises(NaqshError, match=line):
        raise NaqshError(said)


def test_splits_of_folders(levels: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(images_of("parts:test", Reading())) == 4
    assert len(images_of("parts", Reading())) == len(images_of("parts/:train", Reading())) == 12
    assert main(["measure", "frechet", "parts:test", "plain", *PIXELS]) == 0
    assert "12 generated against 4 of parts:test" in capsys.readouterr().out


def test_broken_images_are_skipped_when_asked(
    levels: np.ndarray, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        Path(f"plain/{name}.png").write_bytes(b"none")
    assert main(["measure", "frechet", "parts", "plain", *PIXELS]) == 2
    assert "2 images cannot be read" in (said := capsys.readouterr().err)
    assert "--skip-broken" in said
    assert main(["measure", "frechet", "parts", "plain", *PIXELS, "--skip-broken"]) == 0
    assert "12 generated against 12" in capsys.readouterr().out
    assert "2 broken images skipped" in caplog.text


def test_values_that_a_range_cuts_off_are_counted(levels: np.ndarray) -> None:
    Image.new("L", (8, 8), 1).save("plain/dark.png")
    found = images_of("plain", Reading(range=(0, 1)))
    assert any("12 of 13 images have values outside of data.range 0,1" in n for n in found.notes)
    assert not [n for n in images_of("plain", Reading(range=(0, 255))).notes if "outside" in n]


def test_one_range_is_for_arrays_first(levels: np.ndarray) -> None:
    (measured,) = measuring.measure(
        ["kernel"], "plain", "ones.npy", ranges=[(-1, 1)], features="pixels"
    )
    (told,) = measuring.measure(
        ["kernel"], "plain", "ones.npy", ranges=[None, (-1, 1)], features="pixels"
    )
    assert measured.value == told.value


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull` in its repository"),
        (b"<!doctype html>", "download the file again"),
        (b"", "it is empty.; write or download it again"),
        (b"\x80\x04N.", "save it again with numpy.save"),
    ],
)
@pytest.mark.parametrize("name", ["in.npy", "in.npz"])
def test_the_advice_fits_what_a_file_is(
    content: bytes, line: str, name: str, levels: np.ndarray
) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(NaqshError, match=line) as refused:
        images_of(name, Reading())
    assert ("numpy" in str(refused.value)) == ("numpy" in line)


def test_train_takes_the_recipes_option_as_it_is(levels: np.ndarray, tmp_path: Path) -> None:
    Path("plain/a.png").write_bytes(b"none")
    words = ["train", "gan-digits", "--data", "plain", "--steps", "1", "--out", "r", "--quiet"]
    assert main([*words, "--data.skip_broken", "true"]) == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
def test_what_is_no_file_is_left_out(levels: np.ndarray) -> None:
    os.mkfifo("plain/pipe.png")
    Path("plain/to_pipe.png").symlink_to("pipe.png")
    found = images_of("plain", Reading())
    assert len(found) == 12
    assert any("2 files of no kind that is read here left out" in note for note in found.notes)
