"""Embeddings of sentences by a model of sentence-transformers that the user has in a folder.

The model was trained elsewhere and stays where it is: hundreds of megabytes do not go into a run.
What goes there are the folder's path, the digest of all that it holds, and how its embeddings are
brought to the numbers asked for: by the principal components of the training captions, centred and
scaled. The folder is looked for when the first sentence is encoded; where it is not, a run still
opens, and samples without typed captions.

Nothing is downloaded, and no code in the folder runs: its modules have to be those of the package,
and its weights safetensors.

References:
    Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks (Reimers and Gurevych, 2019),
    arXiv:1908.10084.
"""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naqsh.captions.encoder import State
from naqsh.core.errors import NaqshError
from naqsh.core.printable import short
from naqsh.io import places

KIND = "sentence-transformers"

BATCH = 64
"""Sentences at a time."""

SENTENCES = 10_000
"""Different training captions, at most, that components are taken of."""

_LEAST = 1e-6

Floats = NDArray[np.float32]


class Pretrained:
    """A fitted one; see :class:`naqsh.captions.encoder.TextEncoder`.

    Args:
        folder: of the model.
        sha256: the digest of its files, as :func:`digest` has it.
        components: shape (numbers of the model, size).
        mean: of each dimension over the training captions, shape (size,).
        scale: the deviation of each, likewise.
    """

    kind = KIND

    def __init__(
        self, folder: str, sha256: str, components: Floats, mean: Floats, scale: Floats
    ) -> None:
        if components.ndim != 2 or mean.shape != components.shape[1:] or mean.shape != scale.shape:
            raise ValueError("its components, mean and deviation do not belong together")
        if (scale <= 0).any():
            raise ValueError("a deviation is not above 0")
        self.size = components.shape[1]
        self._folder, self._sha256 = folder, sha256
        self._components, self._mean, self._scale = components, mean, scale
        self._loaded: Any = None

    @property
    def _model(self) -> Any:
        """The model, once it is known to be the one that was fitted."""
        if self._loaded is None:
            self._loaded = load(Path(self._folder), self._sha256)
        return self._loaded

    def encode(self, texts: Sequence[str]) -> Floats:
        """The embeddings of sentences, shape (N, size).

        Raises:
            NaqshError: the package or the folder is not there, or the folder holds another model.
        """
        if not len(texts):
            return np.zeros((0, self.size), np.float32)
        found = embedded(self._model, texts)
        if found.shape[1] != len(self._components):
            raise NaqshError(
                f"{self._folder} gives {found.shape[1]} numbers of a sentence and not "
                f"{len(self._components)}: it is another model"
            )
        encoded: Floats = (found @ self._components - self._mean) / self._scale
        return encoded.astype(np.float32)

    def unknown(self, text: str) -> tuple[str, ...]:
        """None: it was trained on other sentences, and reads pieces of words."""
        return ()

    def state(self) -> State:
        """What :func:`restore` makes an equal one of."""
        arrays = {"components": self._components, "mean": self._mean, "scale": self._scale}
        return State(arrays, {"folder": self._folder, "model_sha256": self._sha256})


def digest(folder: Path) -> str:
    """SHA-256 of the names and contents of a folder's files, but hidden ones; hex digits."""
    total = hashlib.sha256()
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not any(part[0] == "." for part in path.relative_to(folder).parts)
    )
    for name in names:
        with (folder / name).open("rb") as file:
            total.update(f"{name}\n{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def load(folder: Path, sha256: str | None = None) -> Any:
    """The model in a folder, on the CPU.

    Args:
        folder: as sentence-transformers saves one.
        sha256: that the folder must have.

    Raises:
        NaqshError: the folder or the package is not there, or the folder holds another model, or
            none that can be read.
    """
    if not folder.is_dir():
        where = "there is no folder" if not folder.exists() else "this is no folder"
        said = f"captions are encoded by the model in {folder}, and {where}; bring it back there"
        if not sha256:
            said = f"data.text_model {folder}: {where}; name one of a sentence-transformers model"
        raise NaqshError(said)
    if sha256 and digest(folder) != sha256:
        raise NaqshError(
            f"{folder} holds another model than captions were encoded by: its digest is not "
            f"{sha256[:12]}…; bring that one back"
        )
    # Models are named by folders here, so nothing is ever to be asked of a server.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise NaqshError(
            "data.text sentence-transformers needs that package: pip install 'naqsh[sentences]'"
        ) from error
    with contextlib.suppress(ImportError):
        from transformers.utils import logging

        logging.disable_progress_bar()  # of reading weights
    try:
        return SentenceTransformer(
            str(folder),
            device="cpu",
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        ).eval()
    except Exception as error:  # whatever a library of many formats may raise
        raise NaqshError(
            f"{folder} has no model that sentence-transformers can read as it is "
            f"({short(' '.join(str(error).split()))})"
        ) from error


def embedded(model: Any, texts: Sequence[str]) -> Floats:
    """What a model makes of sentences, shape (N, numbers of the model)."""
    made = model.encode(list(texts), batch_size=BATCH, show_progress_bar=False)
    return np.asarray(made, np.float32)


def fit(
    size: int, texts: Sequence[Sequence[str]], images: object = None, *, folder: str = ""
) -> Pretrained:
    """An encoder of `size` dimensions by the model in a folder.

    Raises:
        NaqshError: as :func:`load`, or there are too few different captions or numbers of the model
            for so many dimensions.
    """
    if not folder:
        raise NaqshError(
            "data.text sentence-transformers needs a model: name its folder as data.text_model"
        )
    place = places.expanded(folder).absolute()
    model = load(place)
    different = list(dict.fromkeys(text for several in texts for text in several))
    rows = embedded(model, different[:: len(different) // SENTENCES + 1]).astype(np.float64)
    most = min(rows.shape)
    if size > most:
        raise NaqshError(
            f"data.text_size {size} is too much: {place} gives {rows.shape[1]} numbers of a "
            f"sentence, and there are {len(rows)} different captions; take at most {most}"
        )
    centre = rows.mean(axis=0)
    _, _, directions = np.linalg.svd(rows - centre, full_matrices=False)
    components = directions[:size].T
    # The sign of a direction is nobody's: the largest weight is made positive.
    largest = np.abs(components).argmax(axis=0)
    components = components * np.sign(components[largest, np.arange(size)])
    scale = ((rows - centre) @ components).std(axis=0)
    return Pretrained(
        str(place),
        digest(place),
        np.ascontiguousarray(components, np.float32),
        np.asarray(centre @ components, np.float32),
        np.where(scale < _LEAST, 1, scale).astype(np.float32),
    )


def restore(state: State) -> Pretrained:
    """The encoder that a state describes; raises ValueError, TypeError or LookupError."""
    folder, sha256 = state.plain["folder"], state.plain["model_sha256"]
    if not isinstance(folder, str) or not isinstance(sha256, str):
        raise TypeError("its folder or digest is no text")
    arrays = dict(state.arrays)
    if any(array.dtype != np.float32 for array in arrays.values()):
        raise ValueError("its numbers are not float32")
    return Pretrained(folder, sha256, *(arrays[name] for name in ("components", "mean", "scale")))
