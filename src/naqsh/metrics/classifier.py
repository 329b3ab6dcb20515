"""Features of a small classifier trained on the very kind of images that are measured.

Weights travel in one safetensors file whose metadata says how to build the network, which command
made it and how good it is; nothing beside the file is needed.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.metrics.features import network_fingerprint
from naqsh.networks.classifier import SmallClassifier

_SHIPPED = Path(__file__).parent / "weights"
SHIPPED = ("digits", "mnist")
"""Names of the classifiers whose weights come with the package."""


class ClassifierFeatures:
    """Penultimate activations of a classifier, a feature extractor.

    Args:
        network: a trained classifier; it is put into evaluation mode.
        name: what people call these features, for example ``"mnist"`` or ``"classifier:RUN"``.
        device: where to compute.
    """

    def __init__(self, network: SmallClassifier, name: str, device: str = "cpu") -> None:
        self.name = name
        self.fingerprint = network_fingerprint(network, "SmallClassifier", "[-1, 1]")
        self.dimension = network.dimension
        self._device = torch.device(device)
        self._network = network.eval().to(self._device)

    @property
    def network(self) -> SmallClassifier:
        """The classifier, in evaluation mode."""
        return self._network

    def __call__(self, images: Tensor) -> Tensor:
        """Features of uint8 images (N, C, H, W) of the network's own shape, float32 (N, d)."""
        return self._network.features(self._input(images))

    def probabilities(self, images: Tensor) -> Tensor:
        """Class probabilities of uint8 images (N, C, H, W), float32 (N, classes)."""
        return self._network.probabilities(self._input(images))

    def _input(self, images: Tensor) -> Tensor:
        if tuple(images.shape[1:]) != self._network.shape:
            given, wanted = ("x".join(map(str, s)) for s in (images.shape[1:], self._network.shape))
            raise NaqshError(
                f"features {self.name!r} are of {wanted} images, got {given}; "
                "take --features pixels or inception"
            )
        return images.to(self._device).float() / 127.5 - 1


@dataclass(frozen=True)
class Origin:
    """Where the weights of a classifier come from.

    Attributes:
        command: what made them.
        test_accuracy: share of test images that they name rightly, in [0, 1].
    """

    command: str
    test_accuracy: float


def save_classifier(network: SmallClassifier, path: Path, origin: Origin) -> None:
    """Write a classifier and its origin into one safetensors file."""
    from safetensors.torch import save_file

    architecture = {"shape": network.shape, "classes": network.classes, "width": network.width}
    metadata = {
        "network": "SmallClassifier",
        "architecture": json.dumps(architecture),
        "command": origin.command,
        "test_accuracy": f"{origin.test_accuracy:.4f}",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, path, metadata=metadata)


def load_classifier(path: Path) -> tuple[SmallClassifier, Origin]:
    """Read what :func:`save_classifier` wrote.

    Raises:
        NaqshError: no such file, or not a classifier of ours.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise NaqshError(f"no classifier weights at {path}; train one: classifier-mnist") from None
    except (SafetensorError, OSError) as error:
        raise NaqshError(f"{path} is not a readable safetensors file: {error}") from error
    if metadata.get("network") != "SmallClassifier":
        raise NaqshError(f"{path} holds no classifier of ours; give a file of save_classifier")
    try:
        architecture = json.loads(metadata["architecture"])
        network = SmallClassifier(
            tuple(architecture["shape"]), architecture["classes"], architecture["width"]
        )
        network.load_state_dict(tensors)
        origin = Origin(metadata["command"], float(metadata["test_accuracy"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise NaqshError(f"{path} does not fit the network it names: {reason}") from error
    return network.eval(), origin


def shipped(name: str, device: str = "cpu") -> ClassifierFeatures:
    """The extractor of a classifier that comes with the package, one of :data:`SHIPPED`."""
    path = _SHIPPED / f"{name}.safetensors"
    if not path.is_file():
        raise NaqshError(
            f"this installation lacks the weights of features {name!r}; reinstall naqsh, or take "
            "--features pixels, inception or classifier:RUN"
        )
    return ClassifierFeatures(load_classifier(path)[0], name, device)
