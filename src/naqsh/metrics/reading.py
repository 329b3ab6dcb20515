"""The reader of rendered scenes: what it reads of an image is compared with its caption.

The reader is a small network trained on scenes of its own seed, of all pairs of a colour and a
shape, with noise and blur (`tools/train_reader.py`); its weights come with the package. It is
neither a discriminator nor a text encoder of any model that it judges.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from naqsh.core.errors import NaqshError
from naqsh.metrics.features import network_fingerprint
from naqsh.networks.reader import SIDE, Reader

WEIGHTS = Path(__file__).parent / "weights" / "shapes.safetensors"

Scores = NDArray[np.float32]


class ReaderFeatures:
    """What the reader makes of an image before it decides, a feature extractor.

    Args:
        device: where to compute.
    """

    name = "shapes"

    def __init__(self, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self._reader = load().to(self._device)
        self.dimension = 2 * self._reader.width
        self.fingerprint = network_fingerprint(self._reader, "Reader", "[-1, 1], antialiased")

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Features of uint8 images (N, 1 or 3, H, W) of any size, float32 (N, d)."""
        seen = images.to(self._device).float().expand(-1, 3, -1, -1) / 127.5 - 1
        if seen.shape[2:] != (SIDE, SIDE):
            seen = interpolate(
                seen, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False
            )
        features: Tensor = self._reader.trunk(seen)
        return features


def save(reader: Reader, path: Path, about: Mapping[str, str]) -> None:
    """Write a reader's weights as float16, with what they are of and `about` in the header."""
    from safetensors.torch import save_file

    small = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in reader.state_dict().items()
    }
    built = {"factors": json.dumps(reader.factors), "width": json.dumps(reader.width)}
    save_file(small, path, metadata={**about, **built})


def load(path: Path = WEIGHTS) -> Reader:
    """The reader that comes with the package, in evaluation mode.

    Raises:
        NaqshError: its weights are not there, or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        reader = Reader(json.loads(header["factors"]), json.loads(header["width"]))
        reader.load_state_dict(tensors)
    except (SafetensorError, OSError, LookupError, ValueError, RuntimeError, TypeError) as error:
        why = " ".join(str(error).split())
        raise NaqshError(f"{path}, the reader of shapes, cannot be read ({why})") from error
    return reader.eval()


@torch.inference_mode()
def scores(reader: Reader, images: NDArray[np.uint8], batch: int = 200) -> dict[str, Scores]:
    """What the reader thinks of images: the log-probability of each value of each factor.

    Args:
        reader: see :func:`load`.
        images: uint8 with shape (N, 3, 32, 32).
        batch: images at a time.

    Returns:
        float32 with shape (N, values), by the factor's name.
    """
    if images.shape[1:] != (3, SIDE, SIDE):
        raise ValueError(f"need images of shape (3, {SIDE}, {SIDE}), got {images.shape[1:]}")
    parts = []
    for start in range(0, len(images), batch):
        seen = torch.from_numpy(np.array(images[start : start + batch]))
        found: dict[str, Tensor] = reader(seen.float() / 127.5 - 1)
        parts.append({name: score.log_softmax(1).numpy() for name, score in found.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in reader.factors}
