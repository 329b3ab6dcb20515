"""The plain GAN and what is tried against its failures, on points whose modes can be counted.

What is done is written after each remedy on each set, so that a study which was stopped goes on
where it was.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from naqsh import data as sets
from naqsh import report
from naqsh.core.errors import NaqshError, one_of
from naqsh.core.printable import short
from naqsh.core.progress import Progress, silent
from naqsh.data.points import Coordinates, coordinates
from naqsh.io.files import make_folder, write_json
from naqsh.io.foreign import read_json
from naqsh.report.words import Words
from naqsh.runs import records
from naqsh.runs.folder import RunFolder
from naqsh.runs.records import Density, Failures, Trial, Tried
from naqsh.runs.records.failures import FILE
from naqsh.studies import ready
from naqsh.studies.failures import dirac, vanishing
from naqsh.studies.failures.courses import courses
from naqsh.studies.failures.remedies import ALONE, REMEDIES, Job, changed, recipes
from naqsh.studies.failures.side_by_side import SideBySide
from naqsh.studies.failures.workers import each
from naqsh.training.log import NotFinite

DATA = ("ring", "grid")
SHOWN, LATE = (0.05, 0.2, 0.5, 0.8, 1.0), (0.8, 0.85, 0.9, 0.95, 1.0)
SAMPLES = 2500
"""As in VEEGAN's and PacGAN's experiments."""


def trial(
    data: Sequence[str] = DATA,
    only: Sequence[str] = (),
    seeds: int = 5,
    seed: int = 0,
    steps: int = 1000,
) -> Trial:
    """What is to be done.

    Args:
        data: sets of points whose modes are known.
        only: the remedies, the plain GAN beside them; all where none is named.
        seeds: trainings of each.
        seed: of the first; the others follow.
        steps: of each training.

    Raises:
        NaqshError: an unknown name, or a number that does not fit.
    """
    for what, named, known in (("data", data, DATA), ("remedy", only, REMEDIES)):
        for name in named:
            if name not in known:
                raise one_of(what, name, known)
    if seeds < 1 or steps < 20:
        raise NaqshError(f"need seeds from 1 and steps from 20 on, got {seeds} and {steps}")
    chosen = tuple(name for name in REMEDIES if not only or name in ("plain", *only))
    ordered = tuple(name for name in DATA if name in data)
    fractions = tuple(sorted({*SHOWN, *LATE}))
    return Trial(
        ordered, chosen, tuple(range(seed, seed + seeds)), steps, SAMPLES, fractions, SHOWN, LATE
    )


def study(
    wanted: Trial,
    out: Path | str = "runs/failures",
    *,
    language: str = "en",
    workers: int = 1,
    progress: Progress = silent,
    quiet: bool = False,
) -> Path:
    """Do what is not done yet and write the page; ``failures.json`` in the folder grows.

    Args:
        wanted: what is to be done; one that was stopped goes on.
        out: the folder.
        language: of the page.
        workers: processes that share the remedies.
        progress: told how much is done.
        quiet: say nothing of each remedy.

    Returns:
        the page.

    Raises:
        NaqshError: the folder holds another study or other files, or the file is damaged.
    """
    Words(language)  # one that is not known is told now
    if workers < 1:
        raise NaqshError(f"workers must be at least 1, got {workers}")
    folder = Path(out)
    make_folder(folder)
    with RunFolder(folder).locked():
        work = _Work(folder, _there(folder, wanted), quiet)
        work.finish(workers, progress)
        page = folder / "report.html"
        report.write(folder, page, language)
    return page


def _there(folder: Path, wanted: Trial) -> Failures:
    """What the folder holds of such a study."""
    file = folder / FILE
    if not file.exists():
        if any(path.name[0] != "." for path in folder.iterdir()):
            raise NaqshError(f"{folder} holds other files; give an empty or new --out")
        return Failures(wanted)
    there = records.Failures.of(read_json(file), file)
    before = records.plain(there.trial)
    for key, value in records.plain(wanted).items():
        if key not in ("data", "remedies") and before[key] != value:
            raise NaqshError(
                f"{folder} holds a study with {key} {short(before[key])}, not {short(value)}; "
                "give another --out to start a new one"
            )
    # Further sets and remedies add to it, and what is there stays.
    data = tuple(name for name in DATA if name in (*there.trial.data, *wanted.data))
    both = (*there.trial.remedies, *wanted.remedies)
    remedies = tuple(name for name in REMEDIES if name in both)
    return replace(there, trial=replace(wanted, data=data, remedies=remedies))


class _Work:
    """A study that goes on."""

    def __init__(self, folder: Path, there: Failures, quiet: bool) -> None:
        self.folder, self.found, self.quiet = folder, there, quiet

    def finish(self, workers: int, progress: Progress) -> None:
        """Whatever is not done."""
        trial = self.found.trial
        if not self.found.circles:
            self._keep(replace(self.found, circles=tuple(map(dirac.play, dirac.GAMES))))
        if not self.found.vanishing:
            asked: list[Job] = [(trial, vanishing.DATA, name) for name in vanishing.OBJECTIVES]
            measured = each(vanishing.measured, asked, workers, partial(progress, "gradients"))
            whole = sorted(measured, key=lambda of: vanishing.OBJECTIVES.index(of.name))
            self._keep(replace(self.found, vanishing=tuple(whole)))
        pairs = [(data, remedy) for data in trial.data for remedy in trial.remedies]
        done = {
            (t.data, t.remedy)
            for t in self.found.tried
            if not t.error and t.changes == changed(t.data, t.remedy)
        }
        jobs: list[Job] = [(trial, *pair) for pair in pairs if pair not in done]

        for tried in each(tried_of, jobs, workers, partial(progress, "remedies")):
            pair = (tried.data, tried.remedy)
            others = [t for t in self.found.tried if (t.data, t.remedy) != pair]
            ordered = sorted([*others, tried], key=lambda t: pairs.index((t.data, t.remedy)))
            self._keep(replace(self.found, tried=tuple(ordered)))
            if not self.quiet:
                ready.say(told(tried))

    def _keep(self, found: Failures) -> None:
        self.found = found
        write_json(self.folder / FILE, records.plain(found))


def tried_of(job: Job, tell: Callable[[float], None]) -> Tried:
    """One remedy on one set, by all seeds; told which part is done."""
    trial, data, remedy = job
    points = sets.load(data)
    chosen = recipes(data, remedy, trial.seeds, trial.steps)
    groups = [[recipe] for recipe in chosen] if remedy in ALONE else [chosen]
    seen: dict[float, list[Coordinates]] = {fraction: [] for fraction in trial.fractions}
    begun, error = time.monotonic(), None
    try:
        for n, group in enumerate(groups):
            training = SideBySide(group, points)
            for fraction in trial.fractions:
                training.advance(round(fraction * trial.steps))
                drawn = training.samples(trial.n)
                seen[fraction] += [coordinates(of, points.extent) for of in drawn]
                tell((n + fraction) / len(groups))
    except NotFinite as infinite:
        error, seen = str(infinite), {}
    assert points.mixture is not None
    return Tried(
        data,
        remedy,
        changed(data, remedy),
        time.monotonic() - begun,
        len(groups) == 1,
        tuple(courses(seen, trial, points.mixture)) if seen else (),
        tuple(Density.of(seen[f][0], points.extent).packed() for f in trial.shown if seen),
        points.extent,
        points.mixture.means,
        error,
    )


def told(tried: Tried) -> str:
    """What became of a remedy, in a line."""
    what = f"{tried.data}, {tried.remedy}"
    if tried.error:
        return f"{what} failed: {tried.error}"
    modes = statistics.fmean(course.modes[-1] for course in tried.courses)
    good = statistics.fmean(course.good[-1] for course in tried.courses)
    return f"{what}: {modes:.3g} modes, {100 * good:.1f} % good ({tried.seconds:.0f} s)"
