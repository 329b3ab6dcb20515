"""A run folder from before the files of a checkpoint had digests: it opens, resumes and reports.

``old_run`` is of maf-digits at 4x4 pixels with two blocks of 8 units, six steps in batches of 16,
with averaged weights and a tenth held out. Its optimisers' state is a pickle.
"""

import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import naqsh
from naqsh import api
from naqsh.core.errors import NaqshError
from naqsh.io.foreign import read_lines
from naqsh.runs.folder import RunFolder

OLD = Path(__file__).parent / "old_run"


@pytest.fixture
def old(tmp_path):
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def resume(folder: Path, steps: int = 8):
    return api.train(
        str(folder / "recipe.yaml"), out=folder, overrides={"training.steps": steps}, device="cpu"
    )


def test_it_opens_samples_and_reports(old):
    opened = naqsh.open(old)
    assert opened.step == 6
    average = load_file(old / "checkpoints" / "00000006" / "average.safetensors")
    assert all(torch.equal(value, average[n]) for n, value in opened.method.state_dict().items())
    images = opened.sample(5)
    assert images.shape == (5, 1, 4, 4)
    assert images.std() > 0.1
    assert naqsh.open(old, "best").step == 6
    page = opened.report()
    assert "maf-digits" in page.read_text()


def test_it_resumes_with_what_its_optimisers_kept(old, tmp_path):
    before = torch.load(OLD / "checkpoints" / "00000006" / "optimizers.pt", weights_only=True)
    kept = before["flow"]["state"][0]
    assert kept["step"] == 6
    resume(old)
    place = RunFolder(old).checkpoint(8)
    after = load_file(place / "optimizers.safetensors")
    assert after["flow/0/step"] == 8
    # Two more steps, not a mean begun anew: 0.9 of it is left after each.
    assert (after["flow/0/exp_avg"] - 0.81 * kept["exp_avg"]).norm() < after[
        "flow/0/exp_avg"
    ].norm()
    assert not list(place.glob("*.pt"))
    assert [record["step"] for record in read_lines(old / "metrics.jsonl")][-1] == 8


class Trap:
    """Makes a folder if anything unpickles it."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def kept(change):
    """A change of what is kept of the first parameter."""
    return lambda plain: change(plain["flow"]["state"][0])


def put(key: str, value):
    return kept(lambda state: state.update({key: value(state[key]) if callable(value) else value}))


SPOILT = {
    "too small": put("exp_avg", torch.zeros(1)),
    "too large": put("exp_avg_sq", lambda t: torch.zeros(*t.shape, 2)),
    "a view of one number": put("exp_avg", lambda t: torch.zeros(1).expand(t.shape)),
    "sparse": put("exp_avg", lambda t: t.to_sparse()),
    "of halves": put("exp_avg", lambda t: t.half()),
    "of whole numbers": put("exp_avg", lambda t: t.long()),
    "complex": put("exp_avg", lambda t: t + 0j),
    "on no device": put("exp_avg", lambda t: t.to("meta")),
    "a parameter": put("exp_avg", lambda t: torch.nn.Parameter(t)),
    "a number": put("exp_avg", 0.0),
    "a text": put("exp_avg", "x"),
    "not finite": put("exp_avg", lambda t: t * torch.inf),
    "a count below 0": put("step", torch.tensor(-1.0)),
    "a count that is a list": put("step", torch.zeros(3)),
    "a key less": kept(lambda state: state.pop("exp_avg_sq")),
    "a parameter less": lambda plain: plain["flow"]["state"].pop(3),
    "a parameter more": lambda plain: plain["flow"]["state"].update({99: {}}),
    "another phase": lambda plain: plain.update(other=plain.pop("flow")),
    "no state": lambda plain: plain["flow"].pop("state"),
    "a state that is a list": lambda plain: plain["flow"].update(state=[]),
}


@pytest.mark.parametrize("case", SPOILT)
def test_optimisers_that_do_not_fit_are_refused(case, old, capsys):
    path = old / "checkpoints" / "00000006" / "optimizers.pt"
    plain = torch.load(path, weights_only=True)
    SPOILT[case](plain)
    torch.save(plain, path)
    if case == "a view of one number":  # it reads as dense zeros, of the right shape
        resume(old)
        return
    shutil.rmtree(old / "checkpoints" / "00000004")
    with pytest.raises(NaqshError, match=r"no checkpoint in .* can be read"):
        resume(old)
    said = capsys.readouterr().err
    assert "optimizers.pt is damaged" in said


@pytest.mark.parametrize(
    "groups",
    [
        {"lr": 1e30},
        {"amsgrad": True},
        {"capturable": True},
        {"differentiable": True},
        {"maximize": True},
        {"betas": (2.0, -1.0)},
        {"params": [7]},
        {"fused": False, "foreach": True, "weight_decay": "x"},
    ],
    ids=lambda groups: next(iter(groups)),
)
def test_no_hyperparameter_is_taken_from_the_file(groups, old, tmp_path):
    other = Path(shutil.copytree(old, tmp_path / "other"))
    path = other / "checkpoints" / "00000006" / "optimizers.pt"
    plain = torch.load(path, weights_only=True)
    plain["flow"]["param_groups"][0].update(groups)
    torch.save(plain, path)
    ends = []
    for folder in (old, other):
        resume(folder)
        ends.append(load_file(RunFolder(folder).checkpoint(8) / "weights.safetensors"))
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_a_pickle_that_runs_something_does_not(old, tmp_path, capsys):
    for step, save in ((4, pickle.dump), (6, torch.save)):
        with (old / "checkpoints" / f"{step:08d}" / "optimizers.pt").open("wb") as file:
            save({"flow": Trap(tmp_path / "trap")}, file)
    with pytest.raises(NaqshError, match=r"no checkpoint in .* can be read"):
        resume(old)
    assert "optimizers.pt is damaged or not ours" in capsys.readouterr().err
    assert not (tmp_path / "trap").exists()
