"""A weights file from a stranger: opened, or refused in one line before it costs time or memory."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from naqsh import api as run
from naqsh import recipes
from naqsh.core.errors import NaqshError
from naqsh.core.spec import Layout
from naqsh.io.files import flat
from naqsh.recipes.recipe import from_yaml
from naqsh.runs import loading, tensors
from naqsh.runs.blueprint import blueprint

OLD = Path(__file__).parent / "old_run"
WEIGHTS = OLD / "best.safetensors"


def header_of(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata()


def with_header(path: Path, **texts: str) -> Path:
    """The weights with other texts, and a digest that fits them."""
    tensors.save(path, load_file(WEIGHTS), header_of(WEIGHTS) | texts)
    return path


def with_recipe(path: Path, **changes) -> Path:
    recipe = header_of(WEIGHTS)["recipe"]
    for key, value in changes.items():
        (line,) = [line for line in recipe.splitlines() if line.strip().startswith(f"{key}:")]
        recipe = recipe.replace(line, f"{line.partition(':')[0]}: {value}")
    return with_header(
        path, recipe=recipe.replace("  - 8\n", "") if "hidden" in changes else recipe
    )


def test_a_weights_file_is_complete(tmp_path):
    method, header = loading.load(with_header(tmp_path / "a.safetensors"))
    assert (header.layout.shape, header.step) == ((1, 4, 4), 6)
    assert header.layout.classes == tuple("0123456789")
    assert not method.training
    expected = load_file(WEIGHTS)
    assert all(torch.equal(value, expected[name]) for name, value in method.state_dict().items())


SPOILT = {
    "no recipe": {"recipe": ""},
    "a recipe of aliases": {"recipe": "a: &b [1]\nc: *b"},
    "an endless recipe": {"recipe": "a: " + "b" * 100_000},
    "a shape of words": {"shape": '["a", 4, 4]'},
    "a shape of truths": {"shape": "[true, 4, 4]"},
    "a shape below 0": {"shape": "[1, -4, -4]"},
    "a shape of two": {"shape": "[4, 4]"},
    "a shape of fractions": {"shape": "[1, 4.5, 4]"},
    "a shape of 1.6 gigapixels": {"shape": "[1, 40000, 40000]"},
    "a shape of 256 megapixels": {"shape": "[1, 16000, 16000]"},
    "a shape of a million digits": {"shape": f"[1, {'9' * 4000}, 4]"},
    "two channels": {"shape": "[2, 4, 4]"},
    "deep classes": {"classes": "[" * 5000},
    "classes that are a number": {"classes": "3"},
    "a step of words": {"step": "x"},
    "a step below 0": {"step": "-3"},
    "a step of a thousand digits": {"step": "9" * 1000},
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_header_that_does_not_fit_is_one_line(case, tmp_path):
    path = with_header(tmp_path / "a.safetensors", **SPOILT[case])
    with pytest.raises(NaqshError, match=r"a\.safetensors ") as refused:
        loading.load(path)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 700


@pytest.mark.parametrize(
    "changes",
    [
        {"blocks": 10**6},
        {"blocks": 10**12},
        {"blocks": 3},
        {"hidden": [10**6, 10**6]},
        {"hidden": [1] * 10_000},
        {"hidden": [10**5] * 50},
        {"hidden": [10**40]},
    ],
    ids=str,
)
def test_a_recipe_that_asks_for_other_networks_is_one_line(changes, tmp_path):
    path = with_recipe(tmp_path / "a.safetensors", **changes)
    with pytest.raises(NaqshError, match=r"a\.safetensors |fits into no memory"):
        loading.load(path)


def test_bits_that_turned_are_found(tmp_path):
    path = with_header(tmp_path / "a.safetensors")
    data = bytearray(path.read_bytes())
    data[-5] ^= 4
    path.write_bytes(data)
    with pytest.raises(NaqshError, match="does not have the digest"):
        loading.load(path)
    # A step that was changed in the header is found as well.
    found, header = load_file(WEIGHTS), header_of(with_header(tmp_path / "b.safetensors"))
    save_file(found, tmp_path / "c.safetensors", metadata=header | {"step": "7"})
    with pytest.raises(NaqshError, match="does not have the digest"):
        loading.load(tmp_path / "c.safetensors")


def test_memory_is_asked_for_before_it_is_taken(monkeypatch):
    monkeypatch.setattr(loading.environment, "memory", lambda device: 1000)
    with pytest.raises(
        NaqshError, match=r"needs about .* of memory to be read, and there are 1000 B"
    ):
        loading.load(WEIGHTS)


def test_more_images_than_memory_are_one_line():
    opened = run.open(OLD)
    with pytest.raises(NaqshError, match=r"images of 4x4x1 need .* of memory"):
        opened.sample(10**13)
    with pytest.raises(NaqshError, match="take a smaller batch"):
        opened.save_samples(10**13, batch=10**13, device="cpu")


@pytest.mark.parametrize(
    "name", ["vae-digits", "gan-digits", "maf-digits", "realnvp-digits", "ddpm-digits"]
)
def test_no_number_of_a_method_takes_long_to_refuse(name):
    base = recipes.by_name(name)
    for key, value in flat(base.to_dict()).items():
        if not key.startswith("method.") or type(value) is not int:
            continue
        for number in (10**12, 10**30):
            with pytest.raises(NaqshError, match=f"{key} must be at most 10,000,000"):
                base.override({key: number})
        try:
            # As from a file with ten small tensors.
            blueprint(
                base.override({key: 9_999_999}), Layout((1, 16, 16), tuple("0123456789")), 10, 1000
            )
        except (NaqshError, ValueError) as error:
            assert "\n" not in str(error)  # noqa: PT017 - it may be fine as well


def test_the_step_is_of_the_weights_that_were_read(tmp_path):
    folder = Path(shutil.copytree(OLD, tmp_path / "run"))
    opened = run.open(folder)
    assert opened.step == 6
    assert opened.method is opened.method
    newer = folder / "checkpoints" / "00000009"
    shutil.copytree(folder / "checkpoints" / "00000006", newer)
    shutil.rmtree(folder / "checkpoints" / "00000006")
    assert opened.step == 6
    opened.save_samples(2, out=tmp_path / "a.png", device="cpu")
    assert run.open(folder).step == 9
    best = run.open(folder, "best")
    assert best.method is not None
    header = header_of(folder / "best.safetensors")
    tensors.save(folder / "best.safetensors", load_file(WEIGHTS), header | {"step": "8"})
    assert best.step == 6
    assert run.open(folder, "best").step == 8


def test_best_weights_without_a_step_are_one_line(tmp_path):
    folder = Path(shutil.copytree(OLD, tmp_path / "run"))
    header = {key: text for key, text in header_of(WEIGHTS).items() if key != "step"}
    save_file(load_file(WEIGHTS), folder / "best.safetensors", metadata=header)
    with pytest.raises(NaqshError, match="it says no step"):
        _ = run.open(folder, "best").step


def test_headers_keep_what_they_are_given():
    header = header_of(WEIGHTS)
    assert from_yaml(header["recipe"]).name == "maf-digits"
    assert json.loads(header["shape"]) == [1, 4, 4]


def test_weights_of_another_method_are_not_taken_for_the_recipes(finished, tmp_path):
    place = tmp_path / "run"
    shutil.copytree(finished, place)
    (place / "recipe.yaml").write_text(recipes.by_name("vae-digits").to_yaml())
    with pytest.raises(NaqshError, match=r"kind gan, and .* of kind vae: they are of different"):
        run.open(place).sample(1)


def test_weights_of_another_run_of_the_same_method_are_told_apart(finished, tmp_path):
    """By their digest in the checkpoint; best weights, which have none there, by their recipe."""
    place, other = tmp_path / "run", tmp_path / "other"
    shutil.copytree(finished, place)
    changes = {"training.batch": 16, "training.steps": 4, "method.latent": 7}
    made = run.train("gan-digits", out=other, overrides=changes, device="cpu", quiet=True)
    own = run.open(place)
    weights, foreign = own.weights_file, made.weights_file
    shutil.copy(weights, place / "best.safetensors")
    assert run.open(place, "best").sample(1).shape == own.sample(1).shape
    shutil.copy(foreign, weights)
    with pytest.raises(NaqshError, match="is not the file that training wrote there"):
        run.open(place).sample(1)
    shutil.copy(foreign, place / "best.safetensors")
    with pytest.raises(NaqshError, match=r"method\.latent 7, the run with 64: it is of another"):
        run.open(place, "best").sample(1)
    # A run that went on with an edited recipe says so, and its best weights may be of before.
    with (place / "diagnosis.jsonl").open("a") as file:
        file.write(json.dumps({"step": 4, "rule": "changed", "metric": "method.latent"}) + "\n")
    assert run.open(place, "best").sample(1).shape == (1, 1, 16, 16)
