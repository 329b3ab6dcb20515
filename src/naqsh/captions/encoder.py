"""What a text encoder is, and where it lies: fitted once, then a file that needs nothing beside it.

A file is safetensors: arrays, and in its header what JSON can hold. It is read without running
anything that is in it.
"""

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from naqsh.captions.sentences import checked
from naqsh.core.errors import NaqshError, one_of
from naqsh.core.printable import short
from naqsh.io import headers
from naqsh.io.files import whole_file
from naqsh.io.values import MISFIT, from_json

MODULES = {
    "tfidf": "tfidf",
    "tfidf-words": "tfidf_words",
    "char-cnn-rnn": "char_cnn_rnn",
    "sentence-transformers": "pretrained",
}
"""The module of each kind of encoder; each has ``fit`` and ``restore``."""

LARGEST = 4096
"""Numbers in an embedding."""

_HEADER = "encoder"
_DIGEST = "sha256"


class State(NamedTuple):
    """What an encoder learnt: arrays by name, and what JSON can hold."""

    arrays: Mapping[str, NDArray[Any]]
    plain: Mapping[str, Any]


class TextEncoder(Protocol):
    """From sentences to embeddings, each dimension of mean 0 and deviation 1 over what it learnt.

    Attributes:
        kind: its name in `MODULES`.
        size: numbers in an embedding.
    """

    kind: str
    size: int

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The embeddings of sentences, shape (N, size)."""
        ...

    def unknown(self, text: str) -> tuple[str, ...]:
        """The words of a sentence that say nothing to it: it never saw them."""
        ...

    def state(self) -> State:
        """What its module's ``restore`` makes an equal one of."""
        ...


def fit(
    kind: str,
    size: int,
    texts: Sequence[Sequence[str]],
    images: Callable[[], NDArray[np.uint8]],
    model: str = "",
) -> TextEncoder:
    """An encoder fitted on the captions of training images.

    Args:
        kind: out of `MODULES`.
        size: numbers in an embedding.
        texts: the captions of each image.
        images: gives the images themselves, uint8 (N, 3, 32, 32), to those that learn from them.
        model: the folder of a model that was trained before, for the kind that takes one.

    Raises:
        NaqshError: there is no such kind, the model cannot be had, or the captions are too few or
            too alike for `size`.
    """
    if not 1 <= size <= LARGEST:
        raise NaqshError(f"data.text_size must be 1 to {LARGEST:,}, got {size}")
    more = {"folder": model} if model else {}
    made: TextEncoder = _module(kind).fit(size, texts, images, **more)
    return made


def typed(encoder: TextEncoder, captions: Sequence[str]) -> tuple[NDArray[np.float32], list[str]]:
    """The embeddings of captions that a user typed, and what has to be said of them.

    Returns:
        float32 with shape (N, size), and one sentence for each caption with unknown words.

    Raises:
        NaqshError: a caption cannot be one; see :func:`naqsh.captions.sentences.checked`.
    """
    texts = [checked(caption) for caption in captions]
    said = []
    for text in texts:
        if strange := encoder.unknown(text):
            words = ", ".join(map(short, strange[:5])) + (", …" if len(strange) > 5 else "")
            what = (
                "is in no training caption and says"
                if len(strange) == 1
                else ("are in no training caption and say")
            )
            said.append(f"{short(text)}: {words} {what} nothing")
    return encoder.encode(texts), said


def digest(encoder: TextEncoder) -> str:
    """SHA-256 of all that an encoder is, in hex digits."""
    return _digest(encoder.state(), encoder.kind)


def write(path: Path, encoder: TextEncoder) -> None:
    """Write an encoder to a file, whole or not at all."""
    from safetensors.numpy import save_file

    state = encoder.state()
    header = {
        _HEADER: json.dumps({"kind": encoder.kind, **state.plain}),
        _DIGEST: _digest(state, encoder.kind),
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in state.arrays.items()}
    with whole_file(path) as new:
        new.touch()
        mode = new.stat().st_mode  # the library makes a file that only its owner may read
        save_file(arrays, new, metadata=header)
        new.chmod(mode & 0o777)


def read(path: Path) -> TextEncoder:
    """The encoder in a file.

    Raises:
        NaqshError: the file is missing, damaged or of another kind.
    """
    with headers.opened(path) as file:
        texts: dict[str, str] = file.metadata() or {}
        if _HEADER not in texts:
            raise NaqshError(f"{path} holds no text encoder")
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    try:
        plain = from_json(texts[_HEADER])
        kind = plain.pop("kind")
        state = State(arrays, plain)
        if _digest(state, kind) != texts.get(_DIGEST):
            raise ValueError("its content does not have the digest it was given")
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("it has numbers that are not finite")
        made: TextEncoder = _module(kind).restore(state)
    except (*MISFIT, NaqshError) as error:
        raise NaqshError(f"{path} is damaged: {error}") from error
    return made


def _digest(state: State, kind: str) -> str:
    total = hashlib.sha256(json.dumps([kind, dict(state.plain)], sort_keys=True).encode())
    for name, array in sorted(state.arrays.items()):
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _module(kind: str) -> Any:
    if kind not in MODULES:
        raise one_of("data.text", kind, MODULES)
    return importlib.import_module(f"naqsh.captions.{MODULES[kind]}")
