"""Editing with a run: files and tensors in, grids and folders out, its record and its page."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import naqsh
from naqsh import report
from naqsh.cli import main
from naqsh.core.abilities import Reconstructs
from naqsh.core.errors import NaqshError
from naqsh.report.read import gather
from naqsh.runs import kept
from naqsh.studies import editing

Pixels = NDArray[np.uint8]
SMALL = {"training.batch": 8, "training.steps": 2}
DDPM = SMALL | {"method.width": 4, "method.multipliers": (1, 2), "method.steps": 4}
FEW: dict[str, Any] = {"jump": 1, "resamples": 2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny runs: a conditional diffusion model of digits, a VAE."""
    place = tmp_path_factory.mktemp("runs")
    conditional = DDPM | {"method.conditional": True}
    for recipe, changes in (("ddpm-digits", conditional), ("vae-digits", SMALL)):
        naqsh.train(recipe, out=place / recipe, overrides=changes, device="cpu", quiet=True)
    return place


@pytest.fixture
def ddpm(runs: Path, alone: Path) -> naqsh.Run:
    return naqsh.open(runs / "ddpm-digits")


def write(path: Path, size: tuple[int, int] = (16, 16), colour: bool = False) -> Pixels:
    """Write an image of noise; returns its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if colour else (size[1], size[0])
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def write_mask(path: Path, size: tuple[int, int] = (16, 16)) -> NDArray[np.bool_]:
    """Write a mask whose lower right quarter is white; returns where it is."""
    unknown = np.zeros((size[1], size[0]), np.bool_)
    unknown[size[1] // 2 :, size[0] // 2 :] = True
    Image.fromarray(unknown.astype(np.uint8) * 255).save(path)
    return unknown


def read(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.array(image)


def test_the_command_fills_a_mask_and_keeps_the_rest(
    ddpm: naqsh.Run, alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(ddpm.folder.path)
    given = [write(alone / "in" / name) for name in ("a.png", "bb.png")]
    unknown = write_mask(alone / "mask.png")
    words = ["edit", run, "in", "--mask", "mask.png", "--n", "2", "--resamples", "2"]
    assert main([*words, "--folder", "out", "--label", "3", "--guidance", "2"]) == 0
    assert capsys.readouterr().out == "out\n"
    made = [read(file) for file in sorted((alone / "out").iterdir())]
    assert len(made) == 4
    for number, image in enumerate(made):
        assert np.array_equal(image[~unknown], given[number // 2][~unknown])
        assert not np.array_equal(image[unknown], given[number // 2][unknown])
    assert not np.array_equal(made[0], made[1])
    edits = kept.editing(ddpm.folder).read()
    (result,) = (edit for edit in edits if edit.of["sampling"].get("label") == 3)
    assert result.of["kind"] == "fill"
    assert (result.of["jump"], result.of["resamples"]) == (5, 2)
    assert result.found["kept"] == 0
    assert result.found["filled"] == 0.25
    # Four steps are too few to go back five: straight down, each image twice for guidance.
    assert result.found["evaluations"] == 8
    assert (ddpm.folder.path / result.found["picture"]).exists()


def test_python_gives_what_the_command_writes(ddpm: naqsh.Run, alone: Path) -> None:
    given = write(alone / "a.png")
    how: dict[str, Any] = {"mask": "right", "n": 2, "seed": 4, **FEW}
    made = ddpm.edit(given, **how)
    assert made.shape == (1, 2, 1, 16, 16)
    saved = ddpm.save_edits(["a.png"], folder="out", device="cpu", **how)
    levels = (made * 255).round().byte()[0, :, 0].numpy()
    for number, file in enumerate(sorted(saved.path.iterdir())):
        assert np.array_equal(read(file), levels[number])
    assert np.array_equal(levels[0][:, :8], given[:, :8])
    assert torch.equal(ddpm.edit("a.png", **how), made)
    # Of one image alone the network rounds otherwise than of two.
    one = ddpm.edit(torch.from_numpy(given), **how | {"n": 1})
    torch.testing.assert_close(one[:, 0], made[:, 0], rtol=0, atol=1e-4)
    assert not torch.equal(ddpm.edit(given, **how | {"seed": 5}), made)


def test_strength_goes_from_the_image_to_a_sample(ddpm: naqsh.Run, alone: Path) -> None:
    given = write(alone / "a.png")
    same = ddpm.edit(given, strength=0.0, n=1)[0, 0, 0]
    assert np.array_equal((same * 255).round().byte().numpy(), given)
    new = ddpm.edit(given, strength=1.0, n=3, label=2, seed=7)[0]
    assert torch.equal(new, ddpm.sample(3, seed=7, label=2))
    half = ddpm.edit(given, strength=0.5, n=1, sampler="heun")[0, 0]
    assert not torch.equal(half, same[None])


def test_two_are_blended_by_what_has_codes(runs: Path, alone: Path) -> None:
    first, second = write(alone / "a.png"), write(alone / "bb.png")
    for name in ("ddpm-digits", "vae-digits"):
        run = naqsh.open(runs / name)
        made = run.edit("a.png", blend="bb.png", n=5)
        assert made.shape == (1, 5, 1, 16, 16)
        ends = torch.from_numpy(np.stack([first, second])[:, None]).float() / 255
        if name == "vae-digits":
            assert isinstance(run.method, Reconstructs)
            torch.testing.assert_close(made[0, [0, -1]], run.method.reconstruct(ends).detach())
        else:
            torch.testing.assert_close(made[0, [0, -1]], ends, rtol=0, atol=0.1)
        saved = run.save_edits([first], blend=second, n=5, out="way.png", device="cpu")
        assert read(alone / "way.png").ndim == 2
        assert saved.found.change.value < 0.5


def test_other_sizes_and_colours_are_brought_to_the_runs(
    ddpm: naqsh.Run, alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(alone / "photo.png", (40, 32), colour=True)
    write_mask(alone / "mask.png", (40, 32))
    how = ["--n", "1", "--resamples", "1", "--out", "grid.png"]
    run = str(ddpm.folder.path)
    assert main(["edit", run, "photo.png", "--mask", "mask.png", *how]) == 0
    told = capsys.readouterr()
    assert told.out == "grid.png\n"
    assert "note: the image was brought to 16x16 pixels" in told.err
    made = editing.edit(ddpm, "photo.png", mask="mask.png", n=1)
    assert made.given.unknown is not None
    rows, columns = made.given.unknown[0].nonzero()
    # The mask is cut and resized as its image: 32 columns of 40 are kept, from the 5th on.
    assert (rows.min(), columns.min(), rows.max(), columns.max()) == (8, 8, 15, 15)
    write_mask(alone / "mask.png", (20, 20))
    assert main(["edit", run, "photo.png", "--mask", "mask.png", *how]) == 2
    assert "the mask mask.png is 20x20 and an image 32x40" in capsys.readouterr().err


def test_parts_have_names(ddpm: naqsh.Run) -> None:
    shares = {}
    for side in editing.SIDES:
        made = editing.edit(ddpm, np.zeros((16, 16), np.uint8), mask=side, n=1, resamples=1)
        assert made.given.unknown is not None
        shares[side] = made.given.unknown.mean()
    assert shares == {"left": 0.5, "right": 0.5, "top": 0.5, "bottom": 0.5, "centre": 0.25}


BLACK = np.zeros((16, 16), np.uint8)


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ({}, "say what to do: --mask"),
        ({"mask": BLACK}, "the mask is black: white is what is filled"),
        ({"mask": "left", "blend": BLACK}, "leave out --mask and --strength"),
        ({"strength": 1.5}, r"strength lies in \[0, 1\]"),
        ({"strength": 0.5, "jump": 2}, "jump and resamples are of filling"),
        ({"mask": "left", "n": 0}, "need n from 1 on"),
        ({"blend": BLACK, "n": 1}, "need n from 2 on"),
        ({"mask": "left", "sampler": "dpm-solver++"}, "use ancestral, ddim, euler or heun"),
        ({"mask": "left", "caption": "a ten"}, "ddpm-digits follows no captions"),
        ({"mask": "left", "label": "ten"}, "no label named 'ten'"),
        ({"mask": "gone.png"}, "there is no gone.png"),
        ({"blend": BLACK, "guidance": 2.0}, "a blend takes no guidance; it takes steps and label"),
        ({"blend": [BLACK, BLACK]}, "1 images are blended with one other, or with as many, got 2"),
    ],
)
def test_what_does_not_fit_is_one_line(ddpm: naqsh.Run, how: dict[str, Any], line: str) -> None:
    before = kept.editing(ddpm.folder).read()
    with pytest.raises(NaqshError, match=line):
        ddpm.save_edits([BLACK], device="cpu", **_apart(how))
    assert kept.editing(ddpm.folder).read() == before


def _apart(how: dict[str, Any]) -> dict[str, Any]:
    """Options of sampling under their own name."""
    of_sampling = {name: how[name] for name in ("sampler", "label", "guidance") if name in how}
    own = {name: value for name, value in how.items() if name not in of_sampling}
    return own | ({"sampling": of_sampling} if of_sampling else {})


def test_other_families_are_told_what_would_work(runs: Path, finished: Path) -> None:
    with pytest.raises(NaqshError, match=r"vae-digits fills no mask.*ddpm-digits.*--blend OTHER"):
        naqsh.open(runs / "vae-digits").edit(BLACK, mask="left")
    with pytest.raises(NaqshError, match=r"gan-digits edits no images.*ddpm-digits"):
        naqsh.open(finished).edit(BLACK, blend=BLACK)


def test_what_stands_there_is_refused_before_the_work(ddpm: naqsh.Run, alone: Path) -> None:
    write(alone / "full" / "a.png")
    with pytest.raises(NaqshError, match="images of two commands must not mix"):
        ddpm.save_edits([BLACK], mask="left", folder="full", device="cpu")
    with pytest.raises(NaqshError, match="a grid is one file ending in"):
        ddpm.save_edits([BLACK], mask="left", out="grid.jpg", device="cpu")


def test_the_page_shows_each_edit_with_its_numbers(ddpm: naqsh.Run, alone: Path) -> None:
    place = ddpm.folder.path
    for how in ({"mask": "left", **FEW}, {"strength": 0.5}, {"blend": BLACK, "n": 3}):
        ddpm.save_edits([BLACK + 9], device="cpu", **how)
    (facts,) = gather.read([place])
    assert facts.problems == []
    kinds = {edited.about.kind for edited in facts.edited}
    assert kinds == {"fill", "vary", "blend"}
    page = report.write(place, alone / "page.html").read_text(encoding="utf-8")
    figure = page[page.index('id="figure-editing"') :]
    figure = figure[: figure.index("</figure>")]
    assert figure.count("<img") == min(len(facts.edited), 6)
    assert "Varied at strength 0.5" in figure
    results = page[page.index('id="table-editing"') :]
    assert "Filled, 50.0%" in results[: results.index("</table>")]
    last = facts.edited[-1].as_plain()["found"]["change"]["value"]
    assert str(json.loads(json.dumps(last)))[:6] in page
    persian = report.write(place, alone / "fa.html", "fa").read_text(encoding="utf-8")
    assert "figure-editing" in persian


def test_a_record_that_leads_elsewhere_is_not_followed(ddpm: naqsh.Run, alone: Path) -> None:
    ddpm.save_edits([BLACK], strength=0.5, device="cpu", seed=77)
    file = ddpm.folder.editing
    before = file.read_text()
    plain = json.loads(before)
    plain["results"][-1]["found"]["picture"] = "../secret.png"
    file.write_text(json.dumps(plain))
    (facts,) = gather.read([ddpm.folder.path])
    assert [problem.file for problem in facts.problems] == ["editing.json"]
    file.write_text(before)
