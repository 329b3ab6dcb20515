"""Fixtures that several test modules share."""

import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side; before PyTorch is imported

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from naqsh.api import Run

# A shell that starts the tests in the background has Ctrl-C ignored; some of them press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples each time, and no clock: a test that passed passes again.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

TINY = {"training.batch": 16, "training.steps": 4}
"""Changes that make a run of a second out of a recipe on the digits."""


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A test with its own working folder and cache, no data home, no other ranks."""
    for name in ("NAQSH_DATA_HOME", "WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NAQSH_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run of gan-digits; copy it before changing it."""
    from naqsh import api

    folder = tmp_path_factory.mktemp("finished") / "gan-digits"
    api.train("gan-digits", out=folder, overrides=TINY, device="cpu", quiet=True)
    return folder


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of discs in MVTec's layout; copy it before changing it."""
    from inspection import write_discs

    return write_discs(tmp_path_factory.mktemp("data") / "discs")


@pytest.fixture(scope="session")
def trained_on_discs(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a VAE of good discs; :func:`run_on_discs` is a copy of it."""
    from inspection import VAE
    from naqsh import api

    folder = tmp_path_factory.mktemp("runs") / "vae"
    changes = VAE | {"data.name": str(discs)}
    api.train("vae-digits", out=folder, overrides=changes, device="cpu", quiet=True)
    return folder


@pytest.fixture
def short_flows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows on features of 20 steps, for what does not depend on how well they fit."""
    from naqsh.studies.detection.density import FlowOnFeatures

    monkeypatch.setattr(FlowOnFeatures.__init__, "__defaults__", (None, 20))


@pytest.fixture
def small_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages of a training show 16 images, for what does not depend on how many these are."""
    from naqsh.training import stages

    monkeypatch.setattr(stages, "GRID", 16)


@pytest.fixture
def run_on_discs(trained_on_discs: Path, alone: Path) -> "Run":
    """The run of :func:`trained_on_discs` in ``vae``, where a test may write."""
    from naqsh import api

    shutil.copytree(trained_on_discs, alone / "vae")
    return api.open(alone / "vae")
