"""Images of captions that somebody types."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from naqsh import report
from naqsh.api import Run
from naqsh.captions import encoder as encoders
from naqsh.captions.changes import changed
from naqsh.cli import main
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise, derive
from naqsh.core.spec import Layout, Parent
from naqsh.core.thinning import evenly
from naqsh.data import DataSet
from naqsh.io.files import rewrite_lines
from naqsh.io.foreign import read_lines
from naqsh.methods import gan, stackgan, stackgan2
from naqsh.recipes.recipe import Data, Recipe, Training
from naqsh.runs.folder import RunFolder
from small import tiny_data, trainer

TEXTS = (
    ("a dark disc", "a small dark disc", "یک دایرهٔ تیره", "دایرهٔ کوچک تیره"),
    ("a bright disc", "a large bright disc", "یک دایرهٔ روشن", "دایرهٔ بزرگ روشن"),
)
SIZE = 6


def told() -> DataSet:
    """Discs of 16x16 with captions, and an encoder of them."""
    data = tiny_data(3)
    texts = [TEXTS[n % 2] for n in range(len(data))]
    encoder = encoders.fit("tfidf", SIZE, texts, lambda: data.images)
    return data.with_columns(texts=texts).encoded(encoder)


def run(folder: Path, stages: int = 1) -> Run:
    """A trained run of a stage, in its folder."""
    data = told()
    method: stackgan.StageSpec = stackgan.Spec().tiny()
    if stages == 2:
        layout = Layout((3, 8, 8), data.classes, SIZE)
        first = Parent("first", sha256="0" * 64, method=method, layout=layout)
        method = stackgan2.Spec(first=first).tiny()
    recipe = Recipe("discs", Data("discs", text="tfidf"), method, Training(steps=2, batch=8))
    trainer(recipe, data, folder).run()
    assert data.encoder
    encoders.write(RunFolder(folder).text, data.encoder)
    return Run(RunFolder(folder))


pytestmark = pytest.mark.usefixtures("small_grids")


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))


def cell(sheet: np.ndarray, row: int, column: int, factor: int) -> np.ndarray:
    """An image of a sheet as it was before it was enlarged, with shape (16, 16, 3)."""
    step = 16 * factor + 2
    top, left = row * step, column * step
    found: np.ndarray = sheet[top : top + 16 * factor, left : left + 16 * factor]
    return found[::factor, ::factor]


def test_images_of_captions_have_one_noise_in_every_row(tmp_path: Path) -> None:
    opened = run(tmp_path)
    captions = ["a dark disc", "یک دایرهٔ روشن", "a dark disc"]
    images = opened.sample_captions(captions, 3)
    assert images.shape == (3, 3, 3, 16, 16)
    assert torch.equal(images[0], images[2])
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(images[0, 0], images[0, 1])
    parts = opened.sample_captions(captions[:1], 3, batch=2)
    torch.testing.assert_close(parts[0], images[0], rtol=1e-4, atol=1e-5)
    assert not torch.equal(opened.sample_captions(captions, 3, seed=1), images)


def test_rows_have_stage_one_above_stage_two(tmp_path: Path) -> None:
    opened = run(tmp_path, stages=2)
    saved = opened.save_captions(["a dark disc", "روشن"], 4, out=tmp_path / "rows.png")
    assert saved.notes == ()
    sheet = pixels(saved.path)
    one = opened.sample_captions(["a dark disc"], 4)[0]
    side = 16 * 10  # four of them are 640 pixels wide
    height = 2 * side + 2
    assert sheet.shape == (2 * (height + 26), 4 * (side + 2) - 2, 3)
    expected = (one[0] * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(cell(sheet, 1, 0, 10), expected)
    upper = cell(sheet, 0, 0, 10)
    assert np.array_equal(upper[::2, ::2], upper[1::2, 1::2])  # 8x8, every pixel four times
    assert len(np.unique(sheet[height : height + 26])) > 2  # a caption is there


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = run(tmp_path / "run")
    file = tmp_path / "captions.txt"
    file.write_text("a bright disc\n\n  یک دایرهٔ تیره \n", encoding="utf-8")
    words = ["sample", str(tmp_path / "run"), "--device", "cpu", "--n", "2"]
    words += ["--caption", "a purple disc", "--captions", str(file)]
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(opened.folder.path / "captions.png")
    assert "note: 'a purple disc': 'purple' is in no training caption and says nothing" in said.err
    assert len(pixels(opened.folder.path / "captions.png")) == 3 * (16 * 20 + 26)
    folder = tmp_path / "each"
    assert main([*words, "--folder", str(folder)]) == 0
    captions = ["a purple disc", "a bright disc", "یک دایرهٔ تیره"]
    expected = opened.sample_captions(captions, 2).flatten(0, 1)
    files = sorted(folder.glob("*.png"))
    assert len(files) == 6
    for path, image in zip(files, expected, strict=True):
        assert np.array_equal(pixels(path), (image * 255).round().byte().permute(1, 2, 0).numpy())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--caption", " "], "--caption is empty"),
        (["--caption", "..."], "a caption is empty: it needs at least one word"),
        (["--caption", "x" * 10_000], "a caption has at most 1,000 characters"),
        (["--caption", "a\x07b"], "has control characters"),
        (["--caption", "a disc", "--n", "0"], "need n and batch above 0"),
        (["--caption", "a disc", "--columns", "3"], "give --n instead of --columns"),
        (["--captions", "none.txt"], "none.txt"),
        (["--captions", "empty.txt"], "empty.txt has no captions; write one a line"),
        (["--captions", "bad.txt"], "bad.txt, line 2: a caption is empty"),
        (["--captions", "latin.txt"], "latin.txt"),
    ],
)
def test_bad_captions_are_said_in_a_line(
    words: list[str], said: str, alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(Path("run"))
    Path("empty.txt").write_text("\n \n")
    Path("bad.txt").write_text("a disc\n...\n")
    Path("latin.txt").write_bytes("a disc caf\u00e9\n".encode("latin-1"))
    before = sorted(Path("run").iterdir())
    assert main(["sample", "run", "--device", "cpu", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert sorted(Path("run").iterdir()) == before


def test_other_methods_follow_no_captions(tmp_path: Path) -> None:
    recipe = Recipe("discs", Data("discs"), gan.Spec().tiny(), Training(steps=2, batch=8))
    trainer(recipe, tiny_data(3), tmp_path).run()
    opened = Run(RunFolder(tmp_path))
    with pytest.raises(NaqshError, match="discs follows no captions: it is of kind gan"):
        opened.sample_captions(["a disc"])


def test_an_encoder_of_another_run_is_refused(tmp_path: Path) -> None:
    opened = run(tmp_path)
    other = encoders.fit("tfidf", SIZE - 2, TEXTS, lambda: tiny_data(3).images)
    encoders.write(opened.folder.text, other)
    with pytest.raises(NaqshError, match="makes 4 numbers of a caption, and the method takes 6"):
        opened.sample_captions(["a disc"])
    opened.folder.text.unlink()
    with pytest.raises(NaqshError, match=r"has no text\.safetensors"):
        opened.sample_captions(["a disc"])


def test_a_stage_draws_captions_of_test_images_and_changed_words(tmp_path: Path) -> None:
    opened = run(tmp_path, stages=2)
    (*_, stage) = read_lines(opened.folder.stages)
    rows = stage["captions"]
    data = told()
    images = [evenly(len(data), 10)[row] for row in range(10)]
    expected = [data.texts[image][row % 4] for row, image in enumerate(images)]
    assert [row["text"] for row in rows["test"]] == expected
    assert "changed" not in rows  # no caption has a colour
    sheet = pixels(opened.folder.grids / rows["test"][3]["file"])
    assert np.array_equal(cell(sheet, 0, 0, 5), data.images[images[3]].transpose(1, 2, 0))
    noise = Noise(derive(0, "captions"), 7)
    assert data.captions is not None
    with torch.no_grad():
        made = opened.method.follow(
            noise, torch.from_numpy(data.captions[images[3], 3]).expand(7, -1)
        )
    own = (made[-1][4] * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(cell(sheet, 1, 5, 5), own)


def test_one_word_is_changed_for_each_other_that_is_known() -> None:
    known = {"red", "green", "a", "قرمز", "آبی", "زرد"}
    made = changed("a red disc on green", known.__contains__)
    assert made == ["a red disc on green", "a green disc on green"]
    assert changed("دایرهٔ آبی", known.__contains__) == ["دایرهٔ آبی", "دایرهٔ قرمز", "دایرهٔ زرد"]
    assert changed("a disc", known.__contains__) == []
    assert changed("a blue disc", lambda word: False) == []


def test_reports_show_captions_as_texts(tmp_path: Path) -> None:
    opened = run(tmp_path)
    lines = read_lines(opened.folder.stages)
    rows = lines[-1]["captions"]
    rows["changed"] = [{"text": "<b>a red disc", "file": rows["test"][0]["file"]}]
    rows["other"] = rows["changed"]
    rewrite_lines(opened.folder.stages, lines)
    for language in ("en", "fa"):
        page = report.open(tmp_path, language=language)
        assert {"captions_test", "captions_changed"} <= set(page.figures)
        html = page.figure("captions_test").html
        for row in rows["test"]:
            assert f"<bdi>{row['text']}</bdi>" in html
        assert html.count("<img") == 10
        assert "<bdi>&lt;b&gt;a red disc</bdi>" in page.figure("captions_changed").html
