r"""The variational bound of a trained model by time: where its bits lie.

Over n held-out images, each part with the standard error of its mean:

.. math:: -\log_2 p(x_0) / D \le L_T + \sum_{t > 1} L_{t-1} + L_0.

:math:`L_T` is what the start of sampling costs and has no parameters, :math:`L_{t-1}` the step from
time t, :math:`L_0` the step into the image (Ho et al., 2020, arXiv:2006.11239, equation 5). The
error of the noise that the network sees, without the bound's weights, stands beside it: its mean
over the times is their :math:`L_{simple}` (equation 14).
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from naqsh.core.abilities import BoundParts, Bounds, HasFlowLogProb
from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.noise import Noise, derive
from naqsh.runs import kept, records
from naqsh.runs.results import Result
from naqsh.runs.trained import Trained
from naqsh.studies.beforehand import require_counts
from naqsh.training.rows import seen


def study(
    run: Trained,
    n: int = 16,
    machine: Machine = Machine(),
    *,
    reference: Literal["train", "test"] = "test",
    likelihood: bool = False,
    data: str | None = None,
) -> dict[str, Any]:
    """Take a run's bound apart and add that to ``bound.json`` in its folder.

    What was found before under other conditions stays there (`naqsh.runs.results`).

    Args:
        run: what is measured.
        n: images; the network is evaluated once a time for each batch of them.
        machine: where the network is evaluated, on which choice of images and which noise.
        reference: of which part of the data.
        likelihood: also take the estimate by the probability-flow equation.
        data: where the run's data set is now, if it has moved.

    Returns:
        what was found, and what it is of. Numbers are bits per dimension, each with its standard
        error over images: ``prior`` is L_T, ``steps`` the sum of the L_t, ``last`` L_0,
        ``total`` the bound, ``flow`` the estimate. ``terms`` and ``errors`` go by ``times``.

    Raises:
        NaqshError: a method without such a bound, or n that does not fit.
    """
    method, place = run.method, torch.device(machine.device)
    seed, batch, progress = machine.seed, machine.batch, machine.progress
    if not isinstance(method, Bounds):
        raise NaqshError(
            f"{run.recipe.name} has no bound by time; diffusion models have, such as ddpm-mnist"
        )
    if likelihood and not isinstance(method, HasFlowLogProb):
        raise NaqshError(f"{run.recipe.name} has no probability-flow equation; no --likelihood")
    require_counts(n=n, batch=machine.batch)
    store = kept.bounds(run.folder)
    store.read()  # a damaged file is refused before the work
    real, note, _ = run.images(reference, data, machine.data_home)
    if not 2 <= n <= len(real):
        raise NaqshError(f"n {n}: a standard error needs 2 to {len(real):,} images")
    chosen = real.some(n, seed)
    method.to(place)
    parts: list[BoundParts] = []
    flows: list[Tensor] = []
    for first in range(0, n, batch):
        images = seen(chosen.images[first : first + batch], method.value_range, place)
        several = f" of images {first + 1} to {first + len(images)}" if n > batch else ""
        noise = Noise(derive(seed, "bound"), len(images), first, place)
        with torch.no_grad():
            parts.append(method.bound(images, noise, partial(progress, f"bound{several}")))
        if likelihood and isinstance(method, HasFlowLogProb):
            noise = Noise(derive(seed, "flow"), len(images), first, place)
            nats = method.flow_log_prob(images, noise, partial(progress, f"likelihood{several}"))
            flows.append(-nats.double().cpu() / images[0].numel() / math.log(2))
    of = records.plain(
        records.BoundOf(
            n=n,
            reference=f"{real.name} {reference}",
            step=run.step,
            seed=seed,
            reference_fingerprint=real.fingerprint,
            weights=run.weights,
        )
    )
    flow = replace(_mean(torch.cat(flows)), kind="estimate") if flows else None
    # A bound with the flow's estimate is not lost to the same bound without it.
    for before in store.find(**of) if not flows else []:
        flow = records.read(records.Bound, before.found, str(store.path)).flow
    result = Result(of, records.plain(_bound(parts, flow)))
    store.keep([result])
    return {**result.of, **result.found, "note": note}


def _bound(parts: list[BoundParts], flow: records.Mean | None) -> records.Bound:
    """The parts of all batches as means over images."""
    terms = torch.cat([part.terms for part in parts]).cpu()
    errors = torch.cat([part.errors for part in parts]).cpu()
    prior = torch.cat([part.prior for part in parts]).cpu()
    return records.Bound(
        kind="lower bound",
        prior=_mean(prior),
        steps=_mean(terms[:, 1:].sum(1)),
        last=_mean(terms[:, 0]),
        total=_mean(terms.sum(1) + prior),
        times=tuple(parts[0].times.tolist()),
        terms=tuple(terms.mean(0).tolist()),
        errors=tuple(errors.mean(0).tolist()),
        flow=flow,
    )


def _mean(bits: Tensor) -> records.Mean:
    """A mean over images with its standard error."""
    return records.Mean(float(bits.mean()), float(bits.std()) / len(bits) ** 0.5)


def table(found: Mapping[str, Any]) -> str:
    """A study as lines."""
    names = {"prior": "L_T", "steps": "sum of L_t", "last": "L_0", "total": "total"}
    lines = [
        f"{found['n']:,} images of {found['reference']}, {len(found['times']):,} times; "
        "bits per dimension of minus the log-likelihood, ± standard error"
    ]
    kinds = {"total": f"  ({found['kind']})", "flow": "  (estimate)"}
    for name in (*names, *(["flow"] if found["flow"] else [])):
        part = found[name]
        lines.append(
            f"  {names.get(name, 'flow'):<12}{part['value']:>10.4g} ± {part['error']:.2g}"
            f"{kinds.get(name, '')}"
        )
    if found["note"]:
        lines.append(f"note: {found['note']}")
    return "\n".join(lines)
