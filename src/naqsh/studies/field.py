r"""The score that a model of points has learnt, drawn beside the exact one.

At three levels of noise a row: the exact score of the noisy points, the learnt one, and what the
learnt one has too much. Below the arrows lies the exact density, with chains of Langevin dynamics
that begin at the same places with the same noise under both. Beside the drawing stands the error,

.. math:: \frac{E_{x_t} \lVert s(x_t) - s^\star(x_t) \rVert^2}{E_{x_t} \lVert s^\star(x_t)
   \rVert^2},

over noisy training points. Of a ring or grid the exact score is that of the Gaussians from which it
was drawn; of other sets it is that of the training points themselves, under noise.

The run keeps what was found in ``field.json``, and a drawing of each level, for its report.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.core.machine import Machine
from naqsh.core.noise import Noise, derive
from naqsh.data import DataSet
from naqsh.diffusion.denoiser import Denoises
from naqsh.diffusion.method import Denoising
from naqsh.diffusion.mixture import Mixture
from naqsh.diffusion.process import q_sample
from naqsh.diffusion.samplers.langevin import plain
from naqsh.diffusion.schedule import Schedule
from naqsh.io import field, outputs
from naqsh.io.files import make_folder, write_bytes
from naqsh.io.png import to_png
from naqsh.runs import kept, records
from naqsh.runs.results import Result
from naqsh.runs.trained import Trained
from naqsh.studies.beforehand import require_counts

KERNELS = 2000
"""Training points, at most, whose exact score is taken where no mixture is known."""

ARROWS, CELLS, CHAINS, STEPS = 17, 75, 10, 40
"""Arrows along a side, cells of the density along it, chains, and steps of each."""

SIZE = 0.1
"""A step of the chains over the square of the noise."""

BATCH = 200
"""Points that meet all Gaussians of an exact score at once."""

Field = Callable[[Tensor], Tensor]


def study(
    run: Trained,
    path: Path,
    n: int = 2000,
    machine: Machine = Machine(),
    *,
    data: str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Draw a run's score at three levels of noise; ``field.json`` in its folder grows.

    Args:
        run: of a diffusion model or score network of points.
        path: of the PNG.
        n: noisy training points over which the errors are means.
        machine: where the network is evaluated, and on which noise.
        data: where the run's data set is now, if it has moved.
        overwrite: replace a file that Naqsh did not write.

    Returns:
        ``levels``, each with ``sigma`` and ``error``; ``exact`` says of what the exact score is;
        ``picture`` is the file.

    Raises:
        NaqshError: a method without a score in the plane, or n that does not fit.
    """
    method, place = run.method, torch.device(machine.device)
    if not isinstance(method, Denoising) or not run.layout.extent:
        raise NaqshError(
            f"{run.recipe.name} has no score in the plane to draw; ncsn-ring and ddpm-ring have one"
        )
    require_counts(n=n, batch=machine.batch)
    outputs.require_name(path, "grid")
    outputs.require_file(path, overwrite)
    real, note, _ = run.images("train", data, machine.data_home)
    if real.mixture is None:  # what is exact is so of the points that it is asked about
        real = real.some(KERNELS, 0)
    if n > len(real):
        raise NaqshError(f"n {n}: there are {len(real):,} training points")
    method.to(place).eval()
    schedule = method.spec.schedule
    exact, told = exact_of(real, schedule)
    least, most = (math.log(ratio) for ratio in schedule.extent)
    rows, levels = [], []
    for i, part in enumerate((0.85, 0.5, 0.15)):
        t = float(schedule.time(-2 * (least + part * (most - least))))
        alpha, sigma = (float(number) for number in schedule(t))
        truth, learnt = (_field(d, t, sigma, place) for d in (exact, method.denoiser))
        noise = Noise(derive(machine.seed, "field", str(i)), n)
        points = 2 * torch.from_numpy(real.some(n, machine.seed).images) - 1
        x = q_sample(points, t, noise.normal(2, 1, 1), schedule)
        expected = truth(x)
        error = float((learnt(x) - expected).square().sum() / expected.square().sum())
        levels.append({"time": t, "alpha": alpha, "sigma": sigma, "error": error})
        rows.append(_row(exact, t, truth, learnt, (sigma, error), machine.seed))
        machine.progress("field", i + 1, 3)
    drawing = field.sheet(rows, 1.0)
    caption = (
        f"{run.recipe.name}, step {run.step:,}: scores of noisy points; exact is that of {told}"
    )
    make_folder(path.absolute().parent)
    write_bytes(path, to_png(drawing, caption))
    of = records.FieldOf(
        n, run.step, machine.seed, f"{real.name} train", real.fingerprint, run.weights
    )
    _keep(run, of, levels, rows, None if real.mixture else len(real))
    return {"n": n, "exact": told, "levels": levels, "picture": str(path), "note": note}


def _keep(
    run: Trained,
    about: records.FieldOf,
    levels: Sequence[dict[str, float]],
    rows: Sequence[Sequence[field.Panel]],
    kernels: int | None,
) -> None:
    """Write what was found into the run's folder, and a drawing of each level without words."""
    of = records.plain(about)
    kept_levels, digest = list[records.Level](), Result(of, {}).digest
    for number, (level, row) in enumerate(zip(levels, rows, strict=True), 1):
        name = f"field-{digest}-{number}.png"
        drawing = field.sheet([[replace(panel, title="") for panel in row]], 1.0)
        write_bytes(run.folder.path / name, to_png(drawing))
        kept_levels.append(records.Level(**level, picture=name))
    found = records.Field(tuple(kept_levels), kernels)
    kept.fields(run.folder).keep([Result(of, records.plain(found))])


def exact_of(real: DataSet, schedule: Schedule) -> tuple[Mixture, str]:
    """The exact denoiser of a set of points in [-1, 1], and of what it is."""
    if real.mixture is not None:
        means = [(x / real.extent, y / real.extent) for x, y in real.mixture.means]
        width = real.mixture.sigma / real.extent
        return Mixture(schedule, means, [width] * len(means)), "the Gaussians of the set"
    points = (2.0 * real.images.reshape(-1, 2) - 1).tolist()
    return Mixture(schedule, points, [0.0] * len(points)), f"{len(points):,} training points"


def table(found: dict[str, Any]) -> str:
    """What was found, as lines."""
    lines = [f"scores of {found['n']:,} noisy points against those of {found['exact']}"]
    lines += [
        f"  sigma {level['sigma']:<8.3g}relative squared error {level['error']:.3g}"
        for level in found["levels"]
    ]
    lines.append(f"drawn in {found['picture']}")
    return "\n".join([*lines, *([f"note: {found['note']}"] if found["note"] else [])])


def _field(denoiser: Denoises, t: float, sigma: float, place: torch.device) -> Field:
    """The score at a time as a function of points (N, 2, 1, 1), in parts."""

    @torch.no_grad()
    def score(x: Tensor) -> Tensor:
        parts = [denoiser(part, t).score(sigma) for part in x.to(place).split(BATCH)]
        return torch.cat(parts).cpu()

    return score


def _row(
    exact: Mixture, t: float, truth: Field, learnt: Field, told: tuple[float, float], seed: int
) -> list[field.Panel]:
    """The exact field, the learnt one and their difference at one time."""
    sigma, error = told
    places, density = _lattice(ARROWS), _density(exact, t)
    expected, found = truth(places), learnt(places)
    longest = float(_flat(expected).norm(dim=1).max())
    start = 2 * Noise(derive(seed, "chains"), CHAINS).uniform(2, 1, 1) - 1

    def panel(title: str, arrows: Tensor, score: Field | None) -> field.Panel:
        states = [start]
        if score is not None:
            noise = Noise(derive(seed, "steps"), CHAINS)
            states += plain(score, start, noise, SIZE * sigma**2, STEPS)
        paths = torch.stack([_flat(x) for x in states], 1) if score else torch.empty(0, 1, 2)
        return field.Panel(
            title, density, _flat(places).numpy(), _lengths(arrows, longest), paths.numpy()
        )

    return [
        panel(f"σ = {sigma:.3g}: exact", expected, truth),
        panel("learnt", found, learnt),
        panel(f"learnt − exact, error {error:.2g}", found - expected, None),
    ]


def _lengths(arrows: Tensor, longest: float) -> NDArray[Any]:
    """Arrows for the drawing: the longest exact one spans a cell, lengths go by their root."""
    flat = _flat(arrows)
    lengths = flat.norm(dim=1, keepdim=True).clamp(min=1e-12)
    drawn: Tensor = flat / lengths * (lengths / longest).clamp(max=4).sqrt() * 2 / ARROWS
    return drawn.numpy()


def _density(exact: Mixture, t: float) -> NDArray[Any]:
    """The exact density over its maximum, to the power of a third, first row above."""
    logs = [exact.log_density(part, t) for part in _lattice(CELLS).split(BATCH)]
    logs_of_all = torch.cat(logs).view(CELLS, CELLS)
    drawn: NDArray[Any] = ((logs_of_all - logs_of_all.max()) / 3).exp().numpy()
    return drawn


def _lattice(count: int) -> Tensor:
    """The middles of count x count cells of [-1, 1]^2, rows from above: (count^2, 2, 1, 1)."""
    middles = (2 * torch.arange(count) + 1) / count - 1
    y, x = torch.meshgrid(middles.flip(0), middles, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)[:, :, None, None]


def _flat(x: Tensor) -> Tensor:
    return x.flatten(1)
