"""Put a trained classifier's weights into the package: `python tools/ship_classifier.py RUN`.

Measures it on the test part of its data set, which training never saw, and writes
src/naqsh/metrics/weights/SET.safetensors with the command that trained it and that accuracy.
"""

import sys
from pathlib import Path

import torch

import naqsh
from naqsh.methods.classifier import Classifier
from naqsh.metrics.classifier import ClassifierFeatures, Origin, save_classifier
from naqsh.runs.origin import load as load_data

WEIGHTS = Path(__file__).parent.parent / "src" / "naqsh" / "metrics" / "weights"


def accuracy(run: naqsh.Run) -> float:
    """The share of test images that a run names rightly."""
    assert isinstance(run.method, Classifier)
    features = ClassifierFeatures(run.method.network, run.recipe.data.name)
    test = load_data(run.recipe, "test")
    assert test.labels is not None
    right = 0
    for start in range(0, len(test), 500):
        images = torch.from_numpy(test.images[start : start + 500].copy())
        named = features.probabilities(images).argmax(1).numpy()
        right += int((named == test.labels[start : start + 500]).sum())
    return right / len(test)


def main() -> int:
    """Measure and ship."""
    run = naqsh.open(sys.argv[1])
    assert isinstance(run.method, Classifier)
    name = run.recipe.data.name
    epochs = run.recipe.training.epochs
    origin = Origin(f"naqsh train {run.recipe.name} --epochs {epochs:g}", accuracy(run))
    path = WEIGHTS / f"{name}.safetensors"
    save_classifier(run.method.network, path, origin)
    print(f"{path.name}: {origin.test_accuracy:.2%} of test, {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
