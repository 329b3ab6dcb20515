"""Several draws of one run, all measured alike: by the same features, images and numbers."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh import metrics
from naqsh.core.abilities import Samples
from naqsh.core.machine import Machine
from naqsh.data.dataset import Split
from naqsh.metrics import FeatureExtractor, Speed
from naqsh.runs import records
from naqsh.runs.trained import Trained
from naqsh.studies.beforehand import require_fit
from naqsh.studies.evaluation import draw
from naqsh.studies.measure import extractor, features_for

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Alike:
    """What all draws of one study share.

    Attributes:
        run: what is drawn from.
        asked: metrics that each draw is measured by.
        measured_by: features.
        real: of the reference, as features.
        shared: all that the results are of, by the names in a file of results.
        note: what must be known of the real images, if anything.
    """

    run: Trained
    asked: Sequence[str]
    measured_by: FeatureExtractor
    real: Tensor
    shared: Mapping[str, Any]
    note: str | None

    def draw(
        self, options: Mapping[str, Any], machine: Machine
    ) -> tuple[Speed, tuple[records.Measure, ...], float]:
        """One draw under options of sampling: its speed, its measures, and how long both took."""
        assert isinstance(self.run.method, Samples)
        drawn: list[Pixels] = []

        def sample(count: int) -> Tensor:
            drawn.append(draw(self.run, count, machine, options))
            return torch.from_numpy(drawn[-1])

        begun, network = time.monotonic(), self.run.method.sampling_network
        speed = metrics.sampling_speed(sample, network, self.shared["n"], warm_up=0)
        measures = metrics.measure(
            self.asked,
            self.real,
            metrics.extract(self.measured_by, drawn[-1], batch=machine.batch),
            **metrics.described(self.measured_by),
            reference=self.shared["reference"],
            reference_fingerprint=self.shared["reference_fingerprint"],
            seed=self.shared["seed"],
        )
        kept = tuple(records.read(records.Measure, m.to_dict()) for m in measures)
        return speed, kept, time.monotonic() - begun


def alike(
    run: Trained,
    asked: Sequence[str],
    sampling: Mapping[str, Any],
    machine: Machine,
    *,
    features: str | None,
    n: int,
    reference: Split,
    data: str | None,
) -> Alike:
    """What draws of `n` images of a run are measured by.

    Args:
        run: what is drawn from.
        asked: metrics, ``frechet`` among them.
        sampling: options that all draws share.
        machine: where images are drawn and measured, and of which seed they are.
        features: by which features; by default those of the run's data set.
        n: images of each draw.
        reference: the split of the run's data that is the real images.
        data: where the run's data set is now, if it has moved.

    Raises:
        NaqshError: features that do not fit, images that are not found, or too few of them.
    """
    measured_by = extractor(features or features_for(run.recipe.data.name), machine.device)
    require_fit(measured_by, run.method.shape)
    real, note, _ = run.images(reference, data, machine.data_home)
    called_real = f"{real.name} {reference}"
    require_fit(measured_by, real.shape, run.method.shape)
    metrics.require_enough(asked, len(real), n, called_real)
    shared = {
        "step": run.step,
        "n": n,
        "seed": machine.seed,
        "features": measured_by.name,
        "fingerprint": measured_by.fingerprint,
        "reference": called_real,
        "reference_fingerprint": real.fingerprint,
        "sampling": dict(sampling),
        "weights": run.weights,
    }
    known = metrics.extract(measured_by, real.images, batch=machine.batch, cache=True)
    return Alike(run, asked, measured_by, known, shared, note)
