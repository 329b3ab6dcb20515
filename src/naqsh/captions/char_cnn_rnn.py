"""A network of characters, trained so that captions and their images have embeddings that agree.

Batches hold images of different scenes and a caption of each; a caption's product with its own
image is to be larger by 1 than with any other, and an image's likewise. The image's network is left
behind. What embeddings are for the method is then centred and scaled over the training captions.

It reads characters, so a word that it never saw is not nothing to it, only untried; characters that
were in no training caption are nothing. The published one has a width of 1 and learns from the
features of a network that knew a million photographs; this one has images of 32x32 alone and is
narrower, so that it is trained in minutes.

References:
    Learning Deep Representations of Fine-Grained Visual Descriptions (Reed et al., 2016),
    arXiv:1605.05395.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh.captions import sentences
from naqsh.captions.encoder import State
from naqsh.core.errors import NaqshError
from naqsh.io.progress import progress
from naqsh.networks.char_cnn_rnn import LENGTH, CharCnnRnn, ImageSide, joint_loss

STEPS, BATCH, WIDTH = 2000, 40, 0.25
"""How long it is trained, on how many images a step, at which width."""

LETTERS = 120
"""Characters that are told apart, the most frequent ones."""

_LEAST = 1e-6

Floats = NDArray[np.float32]


class CharEncoder:
    """A fitted one; see :class:`naqsh.captions.encoder.TextEncoder`.

    Args:
        network: trained.
        letters: the characters that it reads.
        words: those of the training captions.
        mean: of each dimension over them, shape (size,).
        scale: the deviation of each, likewise.
    """

    kind = "char-cnn-rnn"

    def __init__(
        self, network: CharCnnRnn, letters: str, words: Sequence[str], mean: Floats, scale: Floats
    ) -> None:
        self.size = network.size
        if mean.shape != (self.size,) or scale.shape != (self.size,) or (scale <= 0).any():
            raise ValueError("its mean or deviation is not one of each dimension")
        self._network = network.eval()
        self._letters, self._words, self._mean, self._scale = letters, list(words), mean, scale

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Floats:
        """The embeddings of sentences, shape (N, size)."""
        parts = [np.zeros((0, self.size), np.float32)]
        for start in range(0, len(texts), 256):
            read = characters(texts[start : start + 256], self._letters)
            parts.append((self._network(read).numpy() - self._mean) / self._scale)
        return np.concatenate(parts).astype(np.float32)

    def unknown(self, text: str) -> tuple[str, ...]:
        """The words of a sentence that are in no training caption."""
        return sentences.unknown(text, self._words)

    def state(self) -> State:
        """What :func:`restore` makes an equal one of."""
        arrays: dict[str, NDArray[Any]] = {"mean": self._mean, "scale": self._scale}
        for name, tensor in self._network.state_dict().items():
            arrays[f"network.{name}"] = tensor.numpy()
        plain = {"letters": self._letters, "words": self._words, "width": self._network.width}
        return State(arrays, plain)


def characters(texts: Sequence[str], letters: str) -> Tensor:
    """Sentences as numbers of characters, from 1 on; 0 for others and past the end; (N, 201)."""
    number = {letter: k for k, letter in enumerate(letters, start=1)}
    read = np.zeros((len(texts), LENGTH), np.int64)
    for row, text in zip(read, texts, strict=True):
        plain = " ".join(sentences.words(text))[:LENGTH]
        row[: len(plain)] = [number.get(letter, 0) for letter in plain]
    return torch.from_numpy(read)


def fit(
    size: int,
    texts: Sequence[Sequence[str]],
    images: Callable[[], NDArray[np.uint8]],
    *,
    steps: int = STEPS,
    width: float = WIDTH,
) -> CharEncoder:
    """An encoder of `size` dimensions, trained on captions and their images.

    Args:
        size: numbers in an embedding.
        texts: captions of each image.
        images: gives them, uint8 with shape (N, 3, 32, 32).
        steps: how long it is trained.
        width: factor of the network's channels.

    Raises:
        NaqshError: there are fewer than two images.
    """
    if len(texts) < 2:
        raise NaqshError("data.text char-cnn-rnn learns from at least 2 images with captions")
    plain = [" ".join(sentences.words(text)) for several in texts for text in several]
    counts = Counter("".join(plain))
    letters = "".join(sorted(letter for letter, _ in counts.most_common(LETTERS)))
    words = sorted({word for text in plain for word in text.split(" ")})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, other = CharCnnRnn(len(letters), size, width), ImageSide(size)
    _train(network, other, texts, images(), letters, steps)
    found = CharEncoder(
        network, letters, words, np.zeros(size, np.float32), np.ones(size, np.float32)
    )
    some = list(dict.fromkeys(plain))
    rows = found.encode(some[:: len(some) // 10_000 + 1])
    scale = rows.std(axis=0)
    return CharEncoder(
        network,
        letters,
        words,
        rows.mean(axis=0),
        np.where(scale < _LEAST, 1, scale).astype(np.float32),
    )


def _train(
    network: CharCnnRnn,
    other: ImageSide,
    texts: Sequence[Sequence[str]],
    images: NDArray[np.uint8],
    letters: str,
    steps: int,
) -> None:
    read = characters([text for several in texts for text in several], letters).numpy()
    starts = np.cumsum([0, *map(len, texts)])
    rng = np.random.Generator(np.random.Philox(0))
    parameters = [*network.parameters(), *other.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    with progress("training char-cnn-rnn", steps, "steps") as advance:
        for _ in range(steps):
            rows = rng.choice(len(texts), min(BATCH, len(texts)), replace=False)
            which = starts[rows] + rng.integers(0, starts[rows + 1] - starts[rows])
            seen = torch.from_numpy(images[rows]).float() / 127.5 - 1
            loss = joint_loss(other(seen), network(torch.from_numpy(read[which])))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            advance(1)


def restore(state: State) -> CharEncoder:
    """The encoder that a state describes; raises ValueError, TypeError or LookupError."""
    plain: Mapping[str, Any] = state.plain
    letters, words, width = plain["letters"], plain["words"], plain["width"]
    if not isinstance(letters, str) or not all(isinstance(word, str) for word in words):
        raise TypeError("its letters or words are no texts")
    if not 0 < width <= 4 or not 0 < len(letters) <= LETTERS:
        raise ValueError(f"{len(letters)} letters at width {width}")
    arrays = dict(state.arrays)
    mean, scale = arrays.pop("mean"), arrays.pop("scale")
    with torch.device("meta"):
        network = CharCnnRnn(len(letters), len(mean), float(width))
    due = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for name in due.keys() | arrays.keys():
        if arrays[name].shape != tuple(due[name].shape) or arrays[name].dtype != np.float32:
            raise ValueError(f"{name} has shape {arrays[name].shape}")
    tensors = {
        name: torch.from_numpy(arrays[f"network.{name}"].copy()) for name in network.state_dict()
    }
    network.load_state_dict(tensors, assign=True)
    return CharEncoder(network, letters, words, mean, scale)
