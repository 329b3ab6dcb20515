import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REAL = os.environ.get("NAQSH_DATA_HOME")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a cache of its own and no data home."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NAQSH_CACHE", str(folder))
    monkeypatch.delenv("NAQSH_DATA_HOME", raising=False)
    return folder


@pytest.fixture
def real_home() -> Path:
    """The folder with real data, where the caller has one."""
    if not REAL:
        pytest.skip("real data: set NAQSH_DATA_HOME to a folder that holds it")
    return Path(REAL)


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., Path]:
    """Writes one random image and gives its path."""

    def write(
        name: str, size: tuple[int, int] = (8, 8), mode: str = "RGB", seed: int = 0, **how: object
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).convert(mode).save(path, **how)
        return path

    return write
