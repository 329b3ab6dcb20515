import errno
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from naqsh import api
from naqsh import api as run
from naqsh.core.errors import NaqshError
from naqsh.core.spec import Layout
from naqsh.io.foreign import read_lines
from naqsh.runs import checkpoint, loading, origin, tensors
from naqsh.runs import folder as runfolder
from naqsh.runs.folder import RunFolder
from naqsh.training import building
from running import differences, everything

pytestmark = pytest.mark.usefixtures("small_grids")

TINY = {"training.batch": 16, "training.steps": 4}  # as the run `finished` was trained
LONGER = TINY | {"training.steps": 6}


def go_on(folder: Path, **changes) -> None:
    api.train("gan-digits", out=folder, overrides=LONGER | changes, device="cpu")


@pytest.fixture(scope="module")
def longer(finished, tmp_path_factory):
    """What the finished run becomes when it is trained two steps further."""
    folder = tmp_path_factory.mktemp("longer") / "run"
    shutil.copytree(finished, folder)
    api.train("gan-digits", out=folder, overrides=LONGER, device="cpu", quiet=True)
    return everything(folder)


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of the finished run, with checkpoints of steps 3 and 4."""
    place = tmp_path / "run"
    shutil.copytree(finished, place)
    assert RunFolder(place).steps() == [3, 4]
    return place


def half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def text(name: str, words: str):
    return lambda place, trap: (place / name).write_text(words)


def changed(name: str, change, resign: bool = True):
    """Spoil a file of tensors; `resign` makes its digests fit again, as an attacker would."""

    def spoil(place: Path, trap: Path) -> None:
        path = place / name
        with safe_open(path, "pt") as file:
            header = file.metadata()
        found = load_file(path)
        change(found)
        tensors.save(path, found, header) if resign else save_file(found, path, metadata=header)
        if resign:
            state = json.loads((place / "state.json").read_text())
            state["sha256"][name] = hashlib.sha256(path.read_bytes()).hexdigest()
            (place / "state.json").write_text(json.dumps(state))

    return spoil


def fewer_phases(found: dict) -> None:
    for name in [name for name in found if name.startswith("generator")]:
        del found[name]


def first(change):
    """A change of the first tensor of a kind that a file has."""

    def spoil(found: dict) -> None:
        name = next(name for name, value in found.items() if value.numel() > 4)
        found[name] = change(found[name])

    return spoil


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "weights cut short": (
        lambda place, trap: half(place / "weights.safetensors"),
        r"weights\.safetensors is damaged",
    ),
    "weights empty": (text("weights.safetensors", ""), r"weights\.safetensors is damaged"),
    "weights missing": (
        lambda place, trap: (place / "weights.safetensors").unlink(),
        r"weights\.safetensors is missing",
    ),
    "weights of other networks": (
        changed("weights.safetensors", first(lambda value: torch.zeros(3))),
        r"holds other networks than its recipe: .* is F32 \[3\], not float32",
    ),
    "weights of other numbers": (
        changed("weights.safetensors", first(torch.Tensor.half)),
        r"holds other networks than its recipe: .* is F16 ",
    ),
    "weights with one more": (
        changed("weights.safetensors", lambda found: found.update(x=torch.zeros(1))),
        r"holds other networks than its recipe: it has 'x'",
    ),
    "weights with one less": (
        changed("weights.safetensors", lambda found: found.popitem()),
        r"holds other networks than its recipe: it lacks ",
    ),
    "a bit of the weights": (
        lambda place, trap: flip(place / "weights.safetensors"),
        r"weights\.safetensors is damaged: it has changed",
    ),
    "a bit of the optimisers": (
        lambda place, trap: flip(place / "optimizers.safetensors"),
        r"optimizers\.safetensors is damaged: it has changed",
    ),
    "optimisers cut short": (
        lambda place, trap: half(place / "optimizers.safetensors"),
        r"optimizers\.safetensors is damaged",
    ),
    "optimisers missing": (
        lambda place, trap: (place / "optimizers.safetensors").unlink(),
        r"optimizers\.safetensors is missing",
    ),
    "optimisers of other phases": (
        changed("optimizers.safetensors", fewer_phases),
        r"optimizers\.safetensors holds other",
    ),
    "optimisers too small": (
        changed("optimizers.safetensors", first(lambda value: torch.zeros(1))),
        r"optimizers\.safetensors holds other",
    ),
    "optimisers that are no numbers": (
        changed("optimizers.safetensors", first(lambda value: value * torch.nan)),
        r"optimizers\.safetensors is damaged: .* cannot be",
    ),
    "optimisers of a step below 0": (
        changed("optimizers.safetensors", lambda f: f["critic/0/step"].fill_(-1)),
        r"optimizers\.safetensors is damaged: 'critic/0/step' cannot be",
    ),
    "state garbage": (text("state.json", "\0\0"), r"state\.json is damaged"),
    "state a list": (text("state.json", "[]"), r"state\.json is damaged"),
    "state of an empty best": (
        text("state.json", '{"step": 4, "seconds": 1.0, "best": []}'),
        r"state\.json is damaged",
    ),
    "state that is endless": (
        text("state.json", '{"step": 4, "seconds": Infinity, "best": null}'),
        r"state\.json is damaged",
    ),
    "state of another shape": (text("state.json", '{"step": 4}'), r"state\.json is damaged"),
    "state of nonsense": (
        text("state.json", '{"step": 4, "seconds": "x", "best": [1]}'),
        r"state\.json is damaged",
    ),
    "state of another step": (
        text("state.json", '{"step": 3, "seconds": 1.0, "best": null}'),
        r"state\.json is of step 3",
    ),
    "empty": (
        lambda place, trap: [path.unlink() for path in place.iterdir()],
        r"state\.json is missing",
    ),
}


@pytest.fixture(scope="module")
def parts(finished):
    """A method and its optimisers, to restore into."""
    recipe = run.open(finished).recipe
    method = building.build(recipe, Layout((1, 16, 16), tuple("0123456789")))
    return method, {p.name: p.optimizer.build(p.modules[0].parameters()) for p in method.phases()}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_told_in_one_line(case, folder, tmp_path, parts):
    spoil, line = DAMAGE[case]
    method, optimizers = parts
    trap = tmp_path / "trap"
    assert checkpoint.restore(RunFolder(folder), 4, method, None, optimizers)[0].step == 4
    spoil(folder / "checkpoints" / "00000004", trap)
    with pytest.raises(NaqshError, match=line) as caught:
        checkpoint.restore(RunFolder(folder), 4, method, None, optimizers)
    assert "\n" not in str(caught.value)
    assert not trap.exists()


@pytest.mark.parametrize(
    "case",
    ["weights cut short", "optimisers of other phases", "state garbage", "optimisers too small"],
)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(case, folder, tmp_path, capsys, longer):
    spoil, line = DAMAGE[case]
    trap = tmp_path / "trap"
    spoil(folder / "checkpoints" / "00000004", trap)
    go_on(folder)
    assert not trap.exists()
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "going back" in line]
    assert re.search(line, said)
    assert said.endswith("going back to the checkpoint before it")
    assert differences(everything(folder), longer) == set()
    assert RunFolder(folder).steps() == [4, 6]  # written anew, at this run's own stages
    assert [record["step"] for record in read_lines(folder / "metrics.jsonl")] == [6]


def test_when_none_can_be_read_nothing_is_touched(folder, tmp_path):
    for step in (3, 4):
        half(RunFolder(folder).checkpoint(step) / "weights.safetensors")
    before = sorted((p, p.read_bytes()) for p in folder.rglob("*.jsonl"))
    with pytest.raises(NaqshError, match=r"^no checkpoint in .*checkpoints can be read$"):
        go_on(folder)
    assert sorted((p, p.read_bytes()) for p in folder.rglob("*.jsonl")) == before
    assert RunFolder(folder).steps() == [3, 4]


def test_an_average_that_is_missing_counts_as_damage(tmp_path, capsys):
    folder = tmp_path / "run"
    averaged = {"training.ema": 0.9}
    api.train("gan-digits", out=folder, overrides=TINY | averaged, device="cpu", quiet=True)
    (folder / "checkpoints" / "00000004" / "average.safetensors").unlink()
    go_on(folder, **averaged)
    assert "average.safetensors is missing" in capsys.readouterr().err
    average = load_file(folder / "checkpoints" / "00000006" / "average.safetensors")
    weights = load_file(folder / "checkpoints" / "00000006" / "weights.safetensors")
    assert average.keys() == weights.keys()
    assert any(not torch.equal(average[name], weights[name]) for name in average)
    # What a run samples with are the averages.
    method = run.open(folder).method.state_dict()
    assert all(torch.equal(method[name], average[name]) for name in average)


def test_leftovers_of_a_kill_are_swept(folder):
    parts = [
        folder / ".run.json.77.part",
        folder / "grids" / ".00000006.png.77.part",
        folder / "checkpoints" / ".00000005.77.part" / "weights.safetensors",
    ]
    for part in parts:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(b"half")
    notes = folder / ".notes"
    notes.write_text("mine")
    go_on(folder)
    assert not list(folder.rglob("*.part"))
    assert notes.read_text() == "mine"


def test_a_full_disk_leaves_the_checkpoints_before(folder, monkeypatch):
    before = everything(folder)
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 3:  # recipe, run and networks still found room
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(runfolder.os, "fsync", full)
    with pytest.raises((NaqshError, OSError), match="No space left on device"):
        go_on(folder)
    monkeypatch.undo()
    assert RunFolder(folder).steps() == [3, 4]
    assert not list(folder.rglob("*.part"))
    assert differences(everything(folder), before) == set()


def test_a_full_disk_while_saving_is_one_line(folder, tmp_path, monkeypatch):
    trainer = pytest.importorskip("contract").trainer
    recipe = run.open(folder).recipe
    pictures = origin.load(recipe, "train")
    here = trainer(recipe, pictures, folder)
    here.restore()
    here._saved_at = 0.0
    here._logged = (4, 0.0)
    here.step()
    full = OSError(errno.ENOSPC, "No space left on device")
    for library, name in ((tensors, "save_file"), (runfolder.os, "fsync")):
        with monkeypatch.context() as patch:
            patch.setattr(library, name, lambda *_, **__: (_ for _ in ()).throw(full))
            line = r"^cannot write the checkpoint of step 5 in .*: \[Errno 28\] No space.*stands"
            with pytest.raises(NaqshError, match=line):
                here.save()
        assert RunFolder(folder).steps() == [3, 4]
    here.save()
    assert RunFolder(folder).steps() == [4, 5]


def test_old_checkpoints_go_and_the_best_stays(tmp_path):
    folder = RunFolder(tmp_path)
    method = torch.nn.Linear(2, 2)
    optimizers = {"only": torch.optim.SGD(method.parameters(), lr=0.1)}

    def save(step, best=None):
        checkpoint.save(folder, checkpoint.State(step, 1.5, best), method, None, optimizers, {})

    checkpoint.save_best(folder, 20, method, {})
    for step in (10, 20, 30):
        save(step)
    assert folder.steps() == [20, 30]
    save(40, best=(0.25, 20))
    save(50, best=(0.25, 20))
    assert folder.steps() == [40, 50]
    assert folder.best.exists()
    state = checkpoint.restore(folder, 50, method, None, optimizers)[0]
    assert (state.step, state.seconds, state.best) == (50, 1.5, (0.25, 20))
    # After 60 could not be read, the run went on from 50 and came to 55: two that can, are kept.
    save(60)
    save(55)
    assert folder.steps() == [50, 55]


def test_the_best_weights_can_be_opened(tmp_path):
    changes = LONGER | {"training.validation": 0.1, "training.epochs": 3.0, "training.steps": None}
    trained = api.train("vae-digits", out=tmp_path, overrides=changes, device="cpu", quiet=True)
    best, last = run.open(tmp_path, "best"), run.open(tmp_path)
    state = runfolder.read_json(tmp_path / "checkpoints" / f"{last.step:08d}" / "state.json")
    assert best.step == state["best"][1]
    assert trained.best_validation() == state["best"][0]
    assert best.sample(2).shape == last.sample(2).shape
    assert not list(tmp_path.glob(".*.part"))


def test_a_run_without_best_weights_says_so(folder):
    with pytest.raises(NaqshError, match="has no best weights: no images were held out"):
        run.open(folder, "best")
    with pytest.raises(NaqshError, match="best"):
        run.open(folder, "bset")


def test_best_weights_that_cannot_be_written_leave_what_stood(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    method = torch.nn.Linear(2, 2)
    checkpoint.save_best(folder, 20, method, {})
    before = folder.best.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "sync", full)
    with pytest.raises(NaqshError, match=r"cannot write the best weights, of step 30, in .* Make"):
        checkpoint.save_best(folder, 30, method, {})
    assert folder.best.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["best.safetensors"]


def test_the_weights_file_needs_nothing_beside_itself(folder, tmp_path):
    alone = tmp_path / "alone.safetensors"
    shutil.copy(folder / "checkpoints" / "00000004" / "weights.safetensors", alone)
    method = loading.load(alone)[0]
    assert not method.training
    expected = run.open(folder).method.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in method.state_dict().items())


def test_every_file_of_a_run_says_what_it_is(folder):
    about = json.loads((folder / "run.json").read_text())
    recipe = run.open(folder).recipe
    assert about["recipe"] == recipe.fingerprint()
    assert about["data"]["name"] == "digits"
    assert about["data"]["shape"] == [1, 16, 16]
    assert about["environment"]["ranks"] == 1
    assert about["parameters"] == sum(p.numel() for p in run.open(folder).method.parameters())
    state = json.loads((folder / "checkpoints" / "00000004" / "state.json").read_text())
    assert state["step"] == 4
    assert state["seconds"] > 0


@pytest.mark.skipif(os.name == "nt", reason="there is no umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o007, 0o660), (0o077, 0o600)])
def test_files_have_the_mode_that_the_umask_asks_for(umask, mode, tmp_path):
    method = torch.nn.Linear(2, 2)
    optimizers = {"only": torch.optim.SGD(method.parameters(), lr=0.1)}
    before = os.umask(umask)
    try:
        checkpoint.save(
            RunFolder(tmp_path), checkpoint.State(7), method, method, optimizers, {"a": "b"}
        )
        checkpoint.save_best(RunFolder(tmp_path), 7, method, {})
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".json"}
    assert {path.stat().st_mode & 0o777 for path in files} == {mode}


def test_a_digest_is_of_all_that_a_file_says():
    state = {"a": torch.arange(6.0).view(2, 3), "b": torch.zeros((), dtype=torch.bfloat16)}
    header = {"step": "3", "recipe": "x"}
    whole = tensors.digest(state, header)
    assert tensors.digest(dict(reversed(state.items())), header | {"sha256": "?"}) == whole
    others = [
        (state, header | {"step": "4"}),
        (state, {"step": "3", "recipex": ""}),
        (state | {"a": torch.arange(6.0).view(3, 2)}, header),
        (state | {"a": state["a"] + 1e-6}, header),
        (state | {"b": torch.zeros((), dtype=torch.float16)}, header),
        ({"a": state["a"], "c": state["b"]}, header),
        ({"a": state["a"]}, header),
    ]
    assert whole not in {tensors.digest(*other) for other in others}
