"""Features of real images, kept in the user's cache folder under a hash of their origin."""

import contextlib
import hashlib
import io
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naqsh.io import aside, places

_DIGEST = hashlib.sha256().digest_size


def place(name: str, extractor: str, pictures: str) -> Path:
    """Where the features of these images (fingerprints) by this extractor belong."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    return places.cache() / "features" / f"{safe}-{extractor}-{pictures}.npy"


def load(path: Path, rows: int) -> NDArray[np.float32] | None:
    """The features at `path`, or None where there are none that can be used."""
    try:
        content = path.read_bytes()
        if hashlib.sha256(content[:-_DIGEST]).digest() != content[-_DIGEST:]:
            return None  # cut short by a full disk, or changed since: computed anew
        values = np.load(io.BytesIO(content), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = values.dtype == np.float32 and values.ndim == 2 and len(values) == rows
    return values if whole else None


def save(path: Path, values: NDArray[np.float32]) -> None:
    """Write aside and rename, so that a reader never meets half a file; a SHA-256 ends it.

    A cache that cannot be written is no reason to lose an hour of features: the result is simply
    not kept.
    """
    content = io.BytesIO()
    np.save(content, values, allow_pickle=False)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.folder(path) as folder:
            new = folder / path.name
            with new.open("wb") as file:
                file.write(content.getbuffer())
                file.write(hashlib.sha256(content.getbuffer()).digest())
            new.replace(path)
