"""The scorers that a run has, what they make of images, and which of them decides."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from naqsh.core.abilities import Encodes, HasLogProb, Reconstructs
from naqsh.core.errors import NaqshError, one_of
from naqsh.core.machine import Machine
from naqsh.runs.trained import Trained
from naqsh.studies.detection import caution
from naqsh.studies.detection.baselines import Neighbour, Residual
from naqsh.studies.detection.density import FlowOnFeatures, GaussianOnFeatures
from naqsh.studies.detection.examined import Examined
from naqsh.studies.detection.images import Normal
from naqsh.studies.detection.maps import feature_maps
from naqsh.studies.detection.scores import (
    Likelihood,
    Pixels,
    Reconstruction,
    Scorer,
    Scores,
    joined,
)

AUTO = "auto"
"""Asks for the score that held-out normal images find better (:mod:`.choice`)."""

ORDER = (
    "flow-on-features",
    "gaussian-on-features",
    "likelihood",
    caution.CORRECTED,
    "reconstruction",
    "pca",
    "neighbour",
    "complexity",
)
"""How scorers are listed, and which of them decides where none is asked for."""


def scorers(run: Trained, features: str | None, draws: int, machine: Machine) -> list[Scorer]:
    """The scorers that a run's method has, those on features if any are named, and the baselines.

    Raises:
        NaqshError: only the baselines would be there, or the features cannot be had.
    """
    device, seed = torch.device(machine.device), machine.seed
    method = run.method.to(device)
    found: list[Scorer] = []
    if isinstance(method, HasLogProb):
        found.append(Likelihood(method, draws, seed, device))
    if isinstance(method, Reconstructs | Encodes):
        found.append(Reconstruction(method, device))
    if features:
        maps = feature_maps(features, device)
        flow = FlowOnFeatures(maps, seed, partial(machine.progress, "flow on features"))
        flow.require_fit(method.shape)  # before other scores take their time
        found.append(flow)
        found.append(GaussianOnFeatures(maps, seed))
    if not found:
        raise NaqshError(
            f"{run.recipe.name} cannot score images: its method has neither log_prob nor "
            "reconstruct, as VAEs and flows have; or give --features"
        )
    return [*found, Residual(), Neighbour(), caution.Complexity()]


def deciding(asked: str | None, names: list[str]) -> str:
    """The name of the score that decides: the one that is asked for, else the first in the order.

    Args:
        asked: its name; ``auto`` begins with the first.
        names: of the scorers that there are.

    Raises:
        NaqshError: there is no such score.
    """
    if "likelihood" in names:
        names = [*names, caution.CORRECTED]
    if asked in (None, AUTO):
        return min(names, key=ORDER.index)
    if asked not in names:
        raise one_of("score", asked, [*names, AUTO])
    return asked


def rank(decides: str, beside: str | None, name: str) -> tuple[bool, bool, int]:
    """Where a score stands in a list: what decides, what decides beside it, and the others."""
    return name != decides, name != beside, ORDER.index(name)


def scored(
    scorer: Scorer,
    examined: Examined,
    reference: Normal,
    machine: Machine,
    with_maps: bool,
) -> tuple[Scores, Scores]:
    """Scores of the images examined and of the normal ones held out."""
    batch = machine.batch
    scorer.fit(reference.fitted)
    total = len(examined) + len(reference.held_out)

    def scores(images: Pixels, before: int, keep: bool) -> Scores:
        parts = []
        for start in range(0, len(images), batch):
            part = scorer.score(np.asarray(images[start : start + batch]), start)
            parts.append(part if keep else Scores(part.values, None))
            machine.progress(scorer.name, before + min(start + batch, len(images)), total)
        return joined(parts)

    held = scores(reference.held_out, 0, False)
    return scores(examined.images, len(reference.held_out), with_maps), held


def fitted(name: str, scorers: Sequence[Scorer]) -> Scorer:
    """The scorer of a name; the corrected likelihood is made of another."""
    if name != caution.CORRECTED:
        return next(scorer for scorer in scorers if scorer.name == name)
    own = next(scorer for scorer in scorers if isinstance(scorer, Likelihood))
    return caution.Corrected(own.method, own.draws, own.seed, own.device)
