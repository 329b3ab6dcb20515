"""A seed is any whole number, for every verb and function: no generator sees it as it was typed."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import naqsh
from naqsh import cli, data, metrics
from naqsh.core.noise import Noise
from naqsh.core.seeds import derive
from naqsh.data.holdout import held_out
from naqsh.studies.detection import choice

pytestmark = pytest.mark.usefixtures("small_grids")

SEEDS = [-1, -(10**20), 2**32, 2**64 - 1, 10**20]

# --- no seed reaches a generator as it is ---------------------------------------------------------

TAKERS = {
    *("manual_seed", "manual_seed_all", "default_rng", "Philox", "PCG64", "RandomState"),
    *("SeedSequence", "TPESampler", "RandomSampler", "Random", "seed"),
}
"""Calls that take a seed of a limited range, and ``random_state`` of scikit-learn's."""

KNOWN = {"data/loader.py"}
"""Where SeedSequence, which takes any size, is given a seed's sign apart."""

FIXED = "lessons/"
"""Where nobody types a seed: those of lessons are constants of their modules."""


def raw(source: str) -> Iterator[int]:
    """The lines that give a generator a seed which is neither a constant nor derived."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else name
        states = [word.value for word in node.keywords if word.arg == "random_state"]
        given = states if name not in TAKERS else [*node.args, *(k.value for k in node.keywords)]
        for value in given:
            calls = [n for n in ast.walk(value) if isinstance(n, ast.Call)]
            derived = any(isinstance(c.func, ast.Name) and c.func.id == "derive" for c in calls)
            if not derived and not isinstance(value, ast.Constant):
                yield node.lineno


def test_no_generator_is_given_a_seed_as_it_was_typed() -> None:
    root = Path(naqsh.__file__).parent
    found = [
        f"{path.relative_to(root).as_posix()}:{line}"
        for path in sorted(root.rglob("*.py"))
        if path.relative_to(root).as_posix() not in KNOWN
        and not path.relative_to(root).as_posix().startswith(FIXED)
        for line in raw(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_search_for_raw_seeds_finds_them() -> None:
    text = "torch.manual_seed({0}); np.random.Philox({0}); PCA(random_state={0}); x.seed({0})"
    assert len(list(raw(text.format("seed")))) == 4
    assert len(list(raw(text.format("self.seed + 1")))) == 4
    assert list(raw(text.format('derive(seed, "x")'))) == []
    assert list(raw(text.format("0"))) == []


# --- functions ------------------------------------------------------------------------------------


def images(count: int = 12) -> data.DataSet:
    pixels = (Noise(0, count).uniform(1, 8, 8) * 255).to(torch.uint8).numpy()
    return data.DataSet.of("some", pixels)


def table(seed: int) -> torch.Tensor:
    return Noise(seed, 30).normal(3)


FUNCTIONS: dict[str, Callable[[int], object]] = {
    "hold_out": lambda seed: images().hold_out(0.5, seed)[1].images,
    "some": lambda seed: images().some(5, seed).images,
    "held_out": lambda seed: held_out(images(), "test", 0.5, seed).images,
    "loader": lambda seed: data.Loader(images().images, None, seed=seed, flip=True).take(5, 30)[0],
    "noise": lambda seed: Noise(seed, 3).normal(4),
    "bootstrap": lambda seed: metrics.frechet_bootstrap(table(0), table(1), 3, seed),
    "fid infinity": lambda seed: metrics.frechet_infinity(table(0), table(1), seed),
    "pasted": lambda seed: choice.pasted(images().images, seed),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_any_seed(name: str) -> None:
    function = FUNCTIONS[name]
    for seed in SEEDS:
        first, again = (np.asarray(function(seed)) for _ in range(2))
        assert np.array_equal(first, again)
    if name != "noise":  # which is a cipher of 64 bits
        different = {np.asarray(function(seed)).tobytes() for seed in (*SEEDS, 0, 1)}
        assert len(different) == len(SEEDS) + 2


def test_derived_seeds_fit_every_generator() -> None:
    for seed in SEEDS:
        assert 0 <= derive(seed, "x") < 2**63
    assert derive(1, "x") != derive(-1, "x") != derive(1, "y")


# --- verbs ----------------------------------------------------------------------------------------

TINY = ["--device", "cpu", "--steps", "2", "--training.batch", "4", "--quiet"]
UNET = ["--method.width", "4", "--method.multipliers", "1,2", "--method.steps", "2"]
UNET += ["--method.schedule.steps", "10"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs by a GAN and by a diffusion model, trained with a negative seed and an enormous one."""
    folder = tmp_path_factory.mktemp("runs")
    gan = ["train", "gan-digits", "--seed", "-1", "--out", str(folder / "gan")]
    vae = ["train", "vae-digits", "--seed", "-1", "--out", str(folder / "vae")]
    ddpm = ["train", "ddpm-digits", "--seed", str(10**20), "--out", str(folder / "ddpm")]
    for words in (gan, vae, [*ddpm, *UNET]):
        assert cli.main([*words, *TINY]) == 0
    return folder


FEW = ["--n", "8", "--features", "pixels"]
VERBS = {
    "sample": ["sample", "gan", "--n", "4"],
    "evaluate": ["evaluate", "vae", *FEW],
    "samplers": ["samplers", "ddpm", "--steps", "2", *FEW],
    "bound": ["bound", "ddpm", "--n", "4"],
    "detect": ["detect", "vae", "digits", "--n", "6"],
    "measure": [
        "measure",
        "fid",
        "digits:test",
        "digits:train",
        "--n",
        "9",
        "--features",
        "pixels",
    ],
    "compare": ["compare", "--recipes", "gan-digits", "--images", "64", "--out", "c", *FEW],
    "tune": ["tune", "gan-digits", "--trials", "1", "--epochs", "0.01", "--out", "t"],
}


@pytest.mark.parametrize("seed", ["-1", str(10**20)])
@pytest.mark.parametrize("verb", VERBS)
def test_verbs_take_any_seed(
    verb: str, seed: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if verb == "tune":
        pytest.importorskip("optuna")
    monkeypatch.chdir(runs)
    words = list(VERBS[verb])
    if "--out" in words:
        words[words.index("--out") + 1] += seed
    assert cli.main([*words, "--seed", seed]) == 0


@pytest.mark.parametrize("name", ["gan", "vae", "ddpm"])
def test_runs_of_any_seed_open_and_are_told(name: str, runs: Path) -> None:
    run = naqsh.open(runs / name)
    assert run.sample(2, seed=-5).shape == (2, 1, 16, 16)
    assert cli.main(["report", str(runs / name)]) == 0
