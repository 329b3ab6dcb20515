"""Every family on one data set under one budget: trained, measured alike, and laid side by side.

The budget is time or images seen, the same for every recipe. Time is turned into a number of
steps before a recipe is trained, by a short trial of its speed on this machine: so a comparison
that is stopped resumes as it began, and each of its runs can be trained again from its recipe.
Where the trial fell on a busy moment, the training itself shows it, and is made anew with as many
steps as it should have had.

What a comparison did stands in ``comparison.json`` of its folder; the runs are folders beside it.
"""

import contextlib
import functools
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from naqsh import metrics, report
from naqsh.core.errors import Interrupted, NaqshError
from naqsh.core.machine import Machine
from naqsh.core.printable import shown
from naqsh.core.progress import silent
from naqsh.core.world import join
from naqsh.io import aside
from naqsh.io.files import make_folder, write_text
from naqsh.metrics.registry import get
from naqsh.report.words import Words
from naqsh.runs import kept, records, translating
from naqsh.runs.folder import RunFolder
from naqsh.runs.records import Entry, Plan
from naqsh.runs.results import Result
from naqsh.runs.trained import Trained, open_trained
from naqsh.studies import evaluation, ready, translation
from naqsh.studies.comparison import budget, checks
from naqsh.studies.comparison import plan as planning
from naqsh.studies.comparison.plan import Member
from naqsh.studies.measure import extractor
from naqsh.training.launch import train
from naqsh.training.log import Counter


@dataclass(frozen=True)
class Compared:
    """What a comparison left.

    Attributes:
        page: the report's file.
        failed: the runs that it does not show, with the reason.
        cautions: what must be known to read its figures, a sentence or two each, in English.
    """

    page: Path
    failed: list[Entry]
    cautions: list[str]


def compare(
    plan: Plan,
    out: Path | str = "runs/compare",
    *,
    device: str = "auto",
    data_home: Path | str | None = None,
    language: str = "en",
    quiet: bool = False,
) -> Compared:
    """Train what is not trained, measure what is not measured, and write the report.

    A run that fails is reported and does not stop the others; the same call tries it again.

    Args:
        plan: what is compared, and under which budget.
        out: the comparison's folder; an unfinished one of the same plan resumes.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        data_home: where data sets are looked for first.
        language: of the report.
        quiet: show no progress.

    Raises:
        NaqshError: the plan cannot be, which is said before the first step; the folder holds
            another one; or every run failed.
        naqsh.core.errors.Interrupted: a signal came; the same call resumes.
    """
    Words(language)  # one that is not known is told now
    work = _Work(plan, Path(out), device, Path(data_home) if data_home else None, quiet)
    make_folder(work.folder)
    with RunFolder(work.folder).locked():
        work.begin()
        for number, member in enumerate(work.members):
            if member.entry.state == "planned":
                work.say(f"{member.entry.folder} ({number + 1} of {len(work.members)})")
                work.advance(number)
        failed = [m.entry for m in work.members if m.entry.state == "failed"]
        for entry in failed:
            work.say(f"{entry.folder} failed: {entry.error}")
        if len(failed) == len(work.members):
            raise NaqshError(f"every run failed; the first: {failed[0].name}: {failed[0].error}")
        page = work.folder / "report.html"
        report.write_comparison(work.folder, page, language, taken=plan.runs)
        cautions = report.cautions(work.folder, plan.runs)
    return Compared(page, failed, cautions)


class _Work:
    """A comparison that goes on."""

    def __init__(
        self, plan: Plan, folder: Path, device: str, home: Path | None, quiet: bool
    ) -> None:
        self.plan, self.folder = plan, folder
        self.device, self.home, self.quiet = device, home, quiet
        self.members: list[Member] = []
        self.floor: records.Floor | None = None

    def say(self, line: str) -> None:
        """A line about how it goes on."""
        if not self.quiet:
            ready.say(line)

    def begin(self) -> None:
        """Settle the plan and learn how far it is."""
        kept_plan = planning.read(self.folder, self.plan)
        plan, there = kept_plan or (self.plan, {})
        wanted = planning.members(plan, self.folder)
        self.plan, members, self.floor = checks.settle(
            plan, wanted, self.device, self.home, ready.say
        )
        self.members = [_as_left(member, there) for member in members]
        self.save()

    def save(self) -> None:
        """Write how far it is."""
        entries = [member.entry for member in self.members]
        planning.write(self.folder, self.plan, entries, self.floor)

    def advance(self, number: int) -> None:
        """Bring one entry to its end, or to where it fails."""
        member = self.members[number]
        try:
            if not member.run:
                self._train(number)
            found = self._measure(self.members[number])
            self._note(number, state="done", evaluation=found)
        except (Interrupted, BrokenPipeError):  # whoever reads of the progress has left
            raise
        except Exception as error:  # whatever it is, the other runs are to be had
            name = member.entry.folder if not member.run else member.entry.name
            write_text(self.folder / f"{name}.error.txt", traceback.format_exc())
            words = shown(" ".join(str(error).split())) or type(error).__name__
            if not isinstance(error, NaqshError):
                words = f"{type(error).__name__}: {words}"
            self._note(number, state="failed", error=words)

    def _note(self, number: int, **changes: Any) -> None:
        member = self.members[number]
        self.members[number] = replace(member, entry=replace(member.entry, **changes))
        self.save()

    def _train(self, number: int) -> None:
        """Train a run, anew where many more steps than its trial had said fit in its time."""
        member = self.members[number]
        recipe, out = member.recipe, self.folder / member.entry.folder
        minutes = member.entry.minutes
        beside = [member for member in self.members if member.entry.minutes == minutes]
        own = sum(not member.run for member in beside)
        pictures, share = self.plan.pictures, (minutes or self.plan.budgets[0]) * 60 / own
        # Every seed and variant of a recipe is trained for as long as the first one.
        others = (m.entry.steps for m in beside if m is not member and m.base == member.base)
        shared = next(filter(None, others), None)
        steps = member.entry.steps or shared
        if steps is None:
            steps = budget.steps(recipe, pictures, share, self.device, self.home, out)
        while steps is not None:
            self._note(number, steps=steps)
            train(
                recipe,
                out=out,
                overrides={"training.steps": steps},
                device=self.device,
                data_home=self.home,
                quiet=self.quiet,
            )
            if pictures is not None or shared is not None:
                return
            steps = budget.more_steps(RunFolder(out), share)
            if steps is not None:
                self.say(f"{out.name} was faster than its trial: anew with {steps:,} steps")
                with aside.folder(out) as place:  # gone at once, also where this is killed
                    out.rename(place / out.name)

    def _measure(self, member: Member) -> dict[str, Any]:
        """Measure a run, unless it is measured so already; what its measures are of."""
        trained = _opened(Path(member.run) if member.run else self.folder / member.entry.folder)
        if not (there := self._measured(trained, member)):
            with join(self.device) as world, contextlib.ExitStack() as stack:
                machine = Machine(
                    str(world.device),
                    seed=member.entry.seed,
                    data_home=self.home,
                    progress=silent if self.quiet else stack.enter_context(Counter()).update,
                )
                self._taken(trained, machine)
            there = self._measured(trained, member)
        return {name: value for name, value in there[-1].of.items() if name != "metric"}

    def _taken(self, trained: Trained, machine: Machine) -> None:
        """Take all measures of a run, which keeps them."""
        features, n = self.plan.features, self.plan.n or planning.N
        if translating.alone(trained.method):
            translation.study(trained, machine=machine, features=features, n=n)
            return
        reference = self.plan.reference
        evaluation.evaluate(trained, machine=machine, features=features, n=n, reference=reference)

    def _measured(self, run: Trained, member: Member) -> list[Result]:
        """The results of a run that was measured as all are to be; none where it was not.

        A taken run is taken as it is: with whichever weights and samples it was measured.
        """
        if translating.alone(run.method):
            of = {"features": self.plan.features, "weights": run.weights, "step": run.step}
            return kept.translations(run.folder).find(**of, seed=member.entry.seed)
        wanted: dict[str, Any] = {"n": self.plan.n, "features": self.plan.features, "sampling": {}}
        if self.floor:
            first = self.floor.measures[0]
            wanted |= {
                name: getattr(first, name) for name in ("fingerprint", "reference_fingerprint")
            }
        if not member.run:
            wanted |= {"seed": member.entry.seed, "weights": run.weights}
        steps = {"last": open_trained(run.folder.path).step, run.weights: run.step}
        found = [
            result
            for result in kept.evaluations(run.folder).find(**wanted)
            if steps.get(result.of["weights"]) == result.of["step"]
        ]
        for result in reversed(found):
            own = {name: result.of[name] for name in ("seed", "weights", "step")}
            alike = [other for other in found if other.fits(**own)]
            known = [get(str(other.of["metric"])) for other in alike]
            if {measure.metric for measure in known if measure} >= self._needed:
                return alike
        return []

    @functools.cached_property
    def _needed(self) -> set[str]:
        """The metrics that each run is measured by."""
        by = metrics.described(extractor(self.plan.features or ""))
        return set(metrics.applying(["all"], **by))


def _as_left(member: Member, there: dict[str, Entry]) -> Member:
    """A member as far as it was brought before; what failed is tried once more."""
    before = there.get(member.entry.folder)
    if before is None:
        return member
    entry = replace(member.entry, steps=before.steps)
    if before.state == "done":
        entry = replace(entry, state="done", evaluation=before.evaluation)
    return replace(member, entry=entry)


def _opened(folder: Path) -> Trained:
    """A run with its best weights, where images were held out to tell: time may be too much."""
    run = open_trained(folder)
    return open_trained(folder, "best") if run.folder.best.exists() else run
