"""Captions encoded by a model folder: of a tiny transformer made here, or of a stand-in."""

import dataclasses
import importlib.util
import json
import shutil
import sys
import types
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import naqsh
from naqsh.captions import encoder as encoders
from naqsh.captions import pretrained
from naqsh.cli import main
from naqsh.core.errors import NaqshError
from naqsh.data import CATALOG
from naqsh.recipes import by_name

KIND = pretrained.KIND
COLOURS = ("red", "green", "blue", "grey")
SHAPES = ("circle", "square", "star", "cross", "ring")
SAID = [
    [f"a {colour} {shape}", f"the {shape} is {colour}"] for colour in COLOURS for shape in SHAPES
]
THERE = importlib.util.find_spec("sentence_transformers") is not None
NUMBERS = 16


class StandIn:
    """What is used of a SentenceTransformer: sums of a random vector of each word and its place."""

    def __init__(self, folder: str, **how: Any) -> None:
        assert how["local_files_only"] is True
        assert how["trust_remote_code"] is False
        assert how["model_kwargs"] == {"use_safetensors": True}
        self.seed = json.loads((Path(folder) / "config.json").read_text())["seed"]

    def eval(self) -> "StandIn":
        return self

    def encode(self, texts: Sequence[str], **_: object) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), NUMBERS), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for place, word in enumerate(text.split()):
                key = zlib.crc32(f"{self.seed} {word}".encode())
                row += np.random.default_rng(key).normal(size=NUMBERS) * (1 + place)
        return rows


def make_transformer(folder: Path) -> None:
    """A transformer of one layer and random weights, with a vocabulary of words."""
    from transformers import BertConfig, BertModel, BertTokenizer

    words = sorted({word for several in SAID for text in several for word in text.split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=NUMBERS,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
        )
    ).save_pretrained(folder)


@pytest.fixture(params=["stand-in", "transformer"])
def model(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a model that gives `NUMBERS` numbers."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "model"
    if request.param == "stand-in":
        pretend(monkeypatch, folder)
    elif THERE:
        make_transformer(folder)
    else:
        pytest.skip("the package sentence-transformers is not installed")
    return folder


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, seed: int = 0) -> None:
    package = types.ModuleType("sentence_transformers")
    package.SentenceTransformer = StandIn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"seed": seed}))


@pytest.mark.filterwarnings("default")  # of whatever a large library warns
def test_embeddings_are_principal_components_of_what_the_model_gives(model: Path) -> None:
    from sklearn.decomposition import PCA

    one = encoders.fit(KIND, 5, SAID, lambda: None, str(model))  # type: ignore[arg-type,return-value]
    assert (one.kind, one.size) == (KIND, 5)
    texts = [text for several in SAID for text in several]
    found = one.encode(texts)
    assert found.shape == (40, 5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(0), 1, rtol=1e-3)
    raw = pretrained.embedded(pretrained.load(model), texts).astype(np.float64)
    assert raw.shape == (40, NUMBERS)
    expected = PCA(5, whiten=True, svd_solver="full").fit_transform(raw)
    expected *= np.sqrt(40 / 39)  # theirs divides by one image less
    same = np.abs((found * expected).mean(0))
    np.testing.assert_allclose(same, 1, rtol=1e-3)
    assert one.unknown("a purple hexagon") == ()
    assert one.encode([]).shape == (0, 5)


@pytest.mark.filterwarnings("default")
def test_a_file_reads_back_and_names_its_folder(model: Path, tmp_path: Path) -> None:
    one = encoders.fit(KIND, 4, SAID, lambda: None, str(model))  # type: ignore[arg-type,return-value]
    encoders.write(tmp_path / "text.safetensors", one)
    again = encoders.read(tmp_path / "text.safetensors")
    assert encoders.digest(again) == encoders.digest(one)
    np.testing.assert_array_equal(again.encode(["a red star"]), one.encode(["a red star"]))
    model.rename(tmp_path / "elsewhere")
    gone = encoders.read(tmp_path / "text.safetensors")  # opening needs no folder
    with pytest.raises(NaqshError, match="there is no folder; bring it back there") as caught:
        gone.encode(["a red star"])
    assert "\n" not in str(caught.value)
    assert str(model) in str(caught.value)
    (tmp_path / "elsewhere").rename(model)
    (model / ".DS_Store").write_text("hidden files are no part of a model")
    assert gone.encode(["a red star"]).shape == (1, 4)
    (model / "more.txt").write_text("another file")
    other = encoders.read(tmp_path / "text.safetensors")
    with pytest.raises(NaqshError, match="another model than captions were encoded by"):
        other.encode(["a red star"])


def test_what_cannot_be_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(match: str, folder: Path | str, size: int = 4) -> None:
        with pytest.raises(NaqshError, match=match) as caught:
            encoders.fit(KIND, size, SAID, lambda: None, str(folder))  # type: ignore[arg-type,return-value]
        assert "\n" not in str(caught.value)

    refused("needs a model: name its folder as data.text_model", "")
    refused("there is no folder; name one", tmp_path / "none")
    (tmp_path / "file").write_text("")
    refused("this is no folder", tmp_path / "file")
    model = tmp_path / "model"
    pretend(monkeypatch, model)
    refused("data.text_size 17 is too much.*gives 16 numbers.*at most 16", model, 17)
    (model / "config.json").write_text("no JSON")
    refused("has no model that sentence-transformers can read", model)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    refused(r"pip install 'naqsh\[sentences\]'", model)


@pytest.mark.skipif(not THERE, reason="the package sentence-transformers is not installed")
@pytest.mark.filterwarnings("default")
def test_no_code_of_a_folder_runs(tmp_path: Path) -> None:
    folder, ran = tmp_path / "model", tmp_path / "ran"
    make_transformer(folder)
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Module: pass\n")
    modules = [{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(NaqshError, match="has no model that sentence-transformers can read"):
        pretrained.load(folder)
    assert not ran.exists()
    (folder / "modules.json").unlink()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")  # a pickle by its name
    with pytest.raises(NaqshError, match="has no model"):
        pretrained.load(folder)


def test_a_recipe_names_both_or_none() -> None:
    recipe = by_name("stackgan-shapes-1")
    with pytest.raises(NaqshError, match="text_model, the folder of its model, go together"):
        recipe.override({"data.text": KIND})
    with pytest.raises(NaqshError, match="go together"):
        recipe.override({"data.text_model": "folder"})
    both = recipe.override({"data.text": KIND, "data.text_model": "folder"})
    assert both.fingerprint() != recipe.fingerprint()


def test_a_run_encodes_what_is_typed_later_while_the_folder_is_there(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(
        CATALOG, "shapes", dataclasses.replace(CATALOG["shapes"], train=40, test=12)
    )
    pretend(monkeypatch, alone / "model")
    overrides: dict[str, object] = {"data.size": 16, "data.text": KIND, "data.text_model": "model"}
    overrides |= {"data.text_size": 6, "training.steps": 1, "training.batch": 8}
    overrides |= {"method.latent": 2, "method.width": 1}
    run = naqsh.train("vae-shapes", out="run", overrides=overrides, device="cpu", quiet=True)
    assert run.encoder.kind == KIND
    typed = ["sample", "run", "--caption", "a red star", "--n", "2", "--out"]
    assert main([*typed, "1.png"]) == 0
    more: dict[str, object] = {"training.steps": 2}
    assert naqsh.train("vae-shapes", out="run", overrides=overrides | more, quiet=True).step == 2
    shutil.move("model", "away")
    capsys.readouterr()
    assert main([*typed, "2.png"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "bring it back there" in said
    assert not Path("2.png").exists()
    assert main(["sample", "run", "--n", "2", "--out", "3.png"]) == 0  # of kept captions
    assert main(["report", "run"]) == 0
