"""Using a run that translates: images of any size and kind in, files and tensors out."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import naqsh
from naqsh import cli
from naqsh.core.errors import NaqshError
from naqsh.io import outputs
from naqsh.recipes.recipe import REGISTRY
from naqsh.runs import translating

PLUGINS = Path(__file__).parent / "plugins"


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    """A run of the method that inverts digits; both numbers have come to -1."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAQSH_PLUGINS", "inverting")
        patch.syspath_prepend(str(PLUGINS))
        folder = tmp_path_factory.mktemp("translator") / "run"
        yield naqsh.train("inverting-digits", out=folder, device="cpu", quiet=True)
    REGISTRY.pop("inverting-digits", None)
    sys.modules.pop("inverting", None)


@pytest.fixture
def work(alone, translator):
    return alone


def photo(path: Path, width: int, height: int, mode: str = "L", seed: int = 0) -> np.ndarray:
    """Write an image of noise; returns its pixels."""
    shape = (height, width) if mode == "L" else (height, width, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


class Echo(torch.nn.Module):
    """Gives what it is given, and keeps the shapes of it."""

    value_range = (-1.0, 1.0)
    directions = ("B",)
    multiple = 8
    least = 3

    def __init__(self):
        super().__init__()
        self.seen = []

    def translate(self, images, to):
        self.seen.append(images)
        return (images + 1) / 2


@pytest.fixture
def echo(monkeypatch):
    monkeypatch.setattr(translating, "Method", Echo)
    return Echo()


@pytest.mark.parametrize(("height", "width"), [(8, 16), (5, 8), (13, 21), (3, 3), (1, 30)])
def test_images_are_mirrored_to_the_multiple_and_cropped_back(echo, height, width):
    images = torch.rand(2, 3, height, width)
    made = translating.translated(echo, images, "B")
    torch.testing.assert_close(made, images, atol=1e-6, rtol=0)
    (padded,) = echo.seen
    assert padded.shape[2] % 8 == padded.shape[3] % 8 == 0
    assert padded.shape[2] - height < 8
    rows = np.pad(np.arange(height), _ends(height), mode="reflect")
    columns = np.pad(np.arange(width), _ends(width), mode="reflect")
    torch.testing.assert_close(padded, images[:, :, rows][:, :, :, columns] * 2 - 1)


def _ends(side):
    return -side % 8 // 2, -side % 8 - -side % 8 // 2


def test_only_images_of_one_size_are_translated_together(echo):
    sizes = [(8, 8), (8, 8), (8, 8), (9, 8), (8, 8)]
    images = [
        (n, torch.full((1, *size), 10 * n, dtype=torch.uint8)) for n, size in enumerate(sizes)
    ]
    made = list(translating.each(echo, images, ["B", "B"], batch=2))
    assert [len(images) for images in echo.seen[::2]] == [2, 1, 1, 1]
    for (name, stages), (own, image) in zip(made, images, strict=True):
        assert name == own
        assert [stage.shape for stage in stages] == [image.shape] * 2
        for stage in stages:
            torch.testing.assert_close(stage, image / 255, atol=1e-6, rtol=0)


def test_every_kind_of_image_in_python(work, translator):
    pixels = photo(work / "one.png", 10, 6)
    grey = torch.from_numpy(pixels.copy())
    due = 1 - grey[None, None] / 255
    opened = Image.fromarray(pixels)
    kinds = {
        "path": str(work / "one.png"),
        "PIL": opened,
        "PIL in colour": opened.convert("RGB"),
        "array": pixels,
        "tensor (C, H, W)": grey[None],
        "float": grey[None, None] / 255,
        "channels last": np.repeat(pixels[..., None], 3, -1),
        "colour as float": np.repeat(pixels[None], 3, 0) / 255,
        "list": [pixels],
    }
    for kind, images in kinds.items():
        made = translator.translate(images, to="B")
        assert made.dtype == torch.float32, kind
        # half a level by which grey is rounded, and what w lacks to -1
        torch.testing.assert_close(made, due, atol=0.5 / 255 + 1e-3, rtol=0, msg=kind)
    assert translator.translate(torch.zeros(5, 9, 9, dtype=torch.uint8)).shape == (5, 1, 9, 9)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((2, 2, 8, 8), np.uint8), r"1 or 3 channels"),
        (np.full((1, 8, 8), 7.0), r"in \[0, 1\], and these go from 7 to 7"),
        (np.full((1, 8, 8), np.nan), r"in \[0, 1\]"),
        (np.zeros((1, 8, 8), np.int64), "uint8, or float"),
        ([], "no images"),
        (5, "not int"),
        ("nowhere.png", "there is no nowhere.png"),
        (np.zeros((3, 5), np.uint8), "5x3 pixels; this network needs at least 4x4"),
        ([np.zeros((8, 8), np.uint8), np.zeros((8, 9), np.uint8)], "2 sizes, among them 8x8"),
    ],
)
def test_images_that_cannot_be_translated(work, translator, images, said):
    with pytest.raises(NaqshError, match=said):
        translator.translate(images)


def test_a_domain_has_a_letter_and_a_name(work, translator):
    assert [translating.direction(translator, to) for to in ("b", "Inverted", None)] == ["B"] * 3
    assert [translating.direction(translator, to) for to in ("A", "images")] == ["A"] * 2
    alone = naqsh.open(translator.export(work / "alone.safetensors"))
    assert translating.direction(alone, "a") == "A"
    with pytest.raises(NaqshError, match=r"give --to B \(A to B\) or A \(B to A\)"):
        translating.direction(alone, "inverted")


def test_one_file(work, translator, capsys):
    pixels = photo(work / "digit.jpg.png", 11, 7)
    words = ["translate", str(translator.folder.path), "digit.jpg.png", "--device", "cpu"]
    assert cli.main([*words, "--out", "made/b.png", "--to", "b", "--back"]) == 0
    assert capsys.readouterr().out == "made/b.png\n"
    assert np.abs(read(work / "made/b.png") - (255 - pixels.astype(int))).max() <= 1
    assert np.abs(read(work / "made/b-back.png") - pixels.astype(int)).max() <= 1
    assert cli.main(words) == 0
    assert (translator.folder.path / "translated.png").exists()
    foreign = work / "made/b-back.png"
    Image.fromarray(pixels).save(foreign)
    before = foreign.read_bytes()
    assert cli.main([*words, "--out", "made/b.png", "--back"]) == 2
    assert "was not written by Naqsh" in capsys.readouterr().err
    assert foreign.read_bytes() == before
    assert cli.main([*words, "--out", "made/b.jpg"]) == 2
    assert "a translation is one file ending in .png" in capsys.readouterr().err


def test_a_folder(work, translator, capsys):
    sizes = {"a.png": (9, 9), "b.png": (9, 9), "c.png": (12, 5), "in/a.png": (4, 4)}
    there = {
        name: photo(work / "from" / name, *sizes[name], seed=n) for n, name in enumerate(sizes)
    }
    photo(work / "from/a.bmp", 5, 5, "RGB")
    words = ["translate", str(translator.folder.path), "from", "--device", "cpu", "--batch", "2"]
    assert cli.main([*words, "--folder", "to"]) == 0
    assert {path.name for path in (work / "to").iterdir()} == {
        *("a.png", "a-2.png", "b.png", "c.png", "in-a.png")
    }
    made = {"a-2.png": "a.png", "b.png": "b.png", "c.png": "c.png", "in-a.png": "in/a.png"}
    for name, of in made.items():
        assert np.abs(read(work / "to" / name) - (255 - there[of].astype(int))).max() <= 1, name
    assert cli.main([*words, "--folder", "to"]) == 2
    assert "images of two commands must not mix" in capsys.readouterr().err
    assert cli.main([*words, "--folder", "to", "--overwrite", "--back"]) == 0
    assert len(list((work / "to").iterdir())) == 10
    assert cli.main(words) == 2
    assert "give --folder" in capsys.readouterr().err


def test_names_with_the_ending_of_the_way_back(work, translator):
    for n, name in enumerate(("x-back.png", "x.png", "X.bmp")):
        photo(work / "from" / name, 4, 4, seed=n)
    saved = translator.save_translations("from", folder="to", back=True, device="cpu")
    assert saved.images == 3
    assert len(list((work / "to").iterdir())) == 6


def test_broken_files(work, translator, capsys):
    photo(work / "from/a.png", 8, 8)
    (work / "from/b.png").write_bytes(b"none")
    photo(work / "from/c.png", 64, 64)
    whole = (work / "from/c.png").read_bytes()
    (work / "from/c.png").write_bytes(whole[: len(whole) // 2])  # the header is sound
    words = ["translate", str(translator.folder.path), "from", "--folder", "to", "--device", "cpu"]
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert "b.png" in said
    assert "--skip-broken" in said
    assert not (work / "to").exists() or not list((work / "to").iterdir())
    assert cli.main([*words, "--skip-broken"]) == 0
    told = capsys.readouterr().out
    assert "b.png" in told
    assert "c.png" in told
    assert [path.name for path in (work / "to").iterdir()] == ["a.png"]
    (work / "from/a.png").unlink()
    assert cli.main([*words, "--skip-broken", "--overwrite"]) == 2
    assert "none of 2 images can be read" in capsys.readouterr().err
    assert [path.name for path in (work / "to").iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["x.png", "--to", "C"],
            "no domain C to translate to; give --to B (A, images to B, inverted) or A (B, inverted "
            "to A, images)",
        ),
        (["nowhere.png"], "there is no nowhere.png; give an image or a folder of images"),
        (["empty"], "empty has no images"),
        (["small.png"], "image small.png has 3x8 pixels; this network needs at least 4x4"),
        (["x.png", "--batch", "0"], "cannot translate 0 images at a time"),
        (["x.png", "--seed", "3"], "--seed"),
    ],
)
def test_what_cannot_be_is_one_line(work, translator, capsys, words, said):
    photo(work / "x.png", 8, 8)
    photo(work / "small.png", 3, 8)
    (work / "empty").mkdir()
    run = str(translator.folder.path)
    assert cli.main(["translate", run, *words, "--device", "cpu", "--out", "made.png"]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not Path("made.png").exists()


def test_a_run_that_does_not_translate(work, finished, capsys):
    photo(work / "x.png", 8, 8)
    assert cli.main(["translate", str(finished), "x.png"]) == 2
    said = capsys.readouterr().err
    assert "gan-digits does not translate: its method is gan" in said
    assert "inverting" in said.partition("and ")[2]


def test_sample_names_translate(work, translator, capsys):
    assert cli.main(["sample", str(translator.folder.path), "--device", "cpu"]) == 2
    assert "naqsh translate" in capsys.readouterr().err


def test_what_is_written_is_known_as_ours(work, translator):
    photo(work / "x.png", 8, 8)
    translator.save_translations("x.png", out="y.png", device="cpu")
    outputs.require_file(work / "y.png")
