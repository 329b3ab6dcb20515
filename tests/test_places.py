import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from naqsh.core.errors import NaqshError
from naqsh.io import places


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No variable of ours or the system's says where caches are; the home is `tmp_path`."""
    for name in ("NAQSH_CACHE", "NAQSH_DATA_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def homeless(bare: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user whose number no account has; the temporary folder is `bare`."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    monkeypatch.setattr(tempfile, "tempdir", str(bare))
    places._temporary.cache_clear()
    yield bare
    places._temporary.cache_clear()


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "~/.cache/naqsh"),
        ("linux", {"XDG_CACHE_HOME": "~/xdg"}, "~/xdg/naqsh"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "~/.cache/naqsh"),
        ("linux", {"XDG_CACHE_HOME": ""}, "~/.cache/naqsh"),
        ("darwin", {}, "~/Library/Caches/naqsh"),
        ("win32", {}, "~/AppData/Local/naqsh"),
        ("win32", {"LOCALAPPDATA": "~/local"}, "~/local/naqsh"),
        ("linux", {"NAQSH_CACHE": "~/own", "XDG_CACHE_HOME": "~/xdg"}, "~/own"),
        ("linux", {"NAQSH_CACHE": ""}, "~/.cache/naqsh"),
    ],
)
def test_place_of_the_cache(bare, monkeypatch, platform, variables, expected):
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in variables.items():
        value = value if name == "NAQSH_CACHE" else value.replace("~", str(bare))
        monkeypatch.setenv(name, value)
    assert places.cache() == Path(expected.replace("~", str(bare)))


@pytest.mark.skipif(os.name == "nt", reason="accounts on Windows have a home")
def test_without_a_home_the_cache_is_temporary_and_said_once(homeless, capsys):
    expected = homeless / f"naqsh-cache-{os.getuid()}"
    assert places.cache() == places.cache() == expected
    assert expected.stat().st_mode & 0o777 == 0o700
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "set NAQSH_CACHE" in told


@pytest.mark.skipif(os.name == "nt", reason="accounts on Windows have a home")
@pytest.mark.parametrize("how", ["open", "link", "file"])
def test_a_temporary_folder_that_others_laid_there_is_not_taken(homeless, how):
    folder = homeless / f"naqsh-cache-{os.getuid()}"
    if how == "open":
        folder.mkdir()
        folder.chmod(0o777)
    elif how == "link":
        folder.symlink_to(homeless)
    else:
        folder.touch()
    with pytest.raises(NaqshError, match=r"no home folder, and .*set NAQSH_CACHE"):
        places.cache()


def test_a_home_nobody_knows():
    with pytest.raises(NaqshError, match="~nosuchuser stands for is not known"):
        places.expanded("~nosuchuser/x")


HOMELESS = """
import pwd, sys, tempfile
pwd.getpwuid = lambda number: {}[number]
tempfile.tempdir = sys.argv[1]
from naqsh.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="accounts on Windows have a home")
@pytest.mark.parametrize(
    "words",
    [
        "train gan-digits --steps 1 --out r",
        "measure fid digits:test digits:train --features digits",
        "measure fid a.npy a.npy --features pixels",
        "measure fid digits:test digits:train --features inception",
    ],
)
def test_commands_work_without_a_home(tmp_path, words):
    import numpy as np

    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 256, (9, 8, 8), np.uint8))
    hidden = ("HOME", "NAQSH_CACHE", "XDG_CACHE_HOME", "NAQSH_DATA_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    done = subprocess.run(
        [sys.executable, "-c", HOMELESS, str(tmp_path), *words.split()],
        cwd=tmp_path,
        env=environment | {"https_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == (2 if "inception" in words else 0), done.stderr
    cached = words.startswith("measure")
    assert ("NAQSH_CACHE" in done.stderr) == cached  # never needed where nothing is cached
