"""Losses on their way from the device to ``metrics.jsonl``, and progress on the terminal."""

import math
import time
from collections.abc import Callable
from typing import Self, TextIO

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text
from torch import Tensor, nn

from naqsh.core.errors import NaqshError
from naqsh.core.printable import shown
from naqsh.core.world import World
from naqsh.io.terminal import stderr
from naqsh.io.texts import readable_time

Sums = dict[str, tuple[float, int]]
"""Of each number, the sum over the steps since the last record, and how many there were."""


BY = "/by"
"""Ends the name of what a number is divided by where a term is a ratio."""


def apart(name: str, value: Tensor) -> dict[str, Tensor]:
    """A term by its name; a ratio's two parts by two."""
    return {name: value[0], name + BY: value[1]} if value.dim() else {name: value}


def divided(means: dict[str, float]) -> dict[str, float]:
    """Ratios instead of their two parts; none where one would be by 0."""
    found = {}
    for name, value in means.items():
        by = 0.0 if name.endswith(BY) else means.get(name + BY, 1.0)
        if by:
            found[name] = value / by
    return found


class Pending:
    """Losses of the steps since the last record; they stay on the device until they are read.

    A checkpoint may fall between two records. What was read then is kept as sums, one number after
    the other in double precision, so that a record's means are the same to the bit whether and
    wherever the run was interrupted.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}
        self._steps: dict[str, list[int]] = {}
        self.sums: Sums = {}

    def add(self, step: int, phase: str, losses: dict[str, Tensor]) -> None:
        """Note a phase's losses in a step, without waiting for them."""
        for term, value in losses.items():
            for name, part in apart(f"{phase}.{term}", value.detach()).items():
                self._values.setdefault(name, []).append(part)
                self._steps.setdefault(name, []).append(step)

    def check(self) -> None:
        """Raise a NaqshError naming the first step, phase and term that is not finite, if any."""
        for name, several in self._values.items():
            values = torch.stack(several).float()
            if not bool(values.isfinite().all()):
                first = int(values.isfinite().logical_not().nonzero()[0])
                phase, _, term = name.partition(".")
                term = term.removesuffix(BY)
                raise NotFinite(self._steps[name][first] + 1, phase, term, float(values[first]))

    def settle(self, world: World) -> Sums:
        """Read what is pending, averaged over the ranks, into the sums, and give them."""
        if self._values:
            flat = torch.cat([torch.stack(several).float() for several in self._values.values()])
            numbers = iter(world.mean(flat).tolist())
            for name, several in self._values.items():
                total, count = self.sums.get(name, (0.0, 0))
                for _ in several:
                    total += next(numbers)
                self.sums[name] = total, count + len(several)
        self._values, self._steps = {}, {}
        return self.sums

    def take(self, world: World) -> dict[str, float]:
        """The mean of each number over steps and ranks; begins anew."""
        means = {name: total / count for name, (total, count) in self.settle(world).items()}
        self.sums = {}
        return divided(means)


class NotFinite(NaqshError):
    """A loss or a weight that is not a number or infinite; says where it was first seen.

    Attributes:
        step: of training, from 1.
        phase: of the step.
        weight: whether it is a weight.
    """

    def __init__(
        self, step: int, phase: str, term: str, value: float, weight: bool = False
    ) -> None:
        super().__init__(f"{term} of phase {phase} is {value} in step {step}")
        self.step, self.phase, self.weight = step, phase, weight


def check_weights(method: nn.Module, step: int) -> None:
    """Raise NotFinite for a weight that is not; the loss would only tell in the next step."""
    state = method.state_dict().items()
    named = {n: t for n, t in state if t.is_floating_point() and t.numel()}  # a pool may be empty
    largest = torch.stack(torch._foreach_norm(list(named.values()), math.inf))
    for name, value in zip(named, largest.tolist(), strict=True):
        if not math.isfinite(value):
            phase, _, term = name.partition(".")
            raise NotFinite(step, phase, term, value, weight=True)


class Words(ProgressColumn):
    """A column of plain words, which is the first to be cut where the terminal is narrow.

    Names may hold what rich takes for markup, or control characters.
    """

    def __init__(self, words: Callable[[Task], str]) -> None:
        super().__init__()
        self._words = words

    def render(self, task: Task) -> Text:
        """One line, its end cut where there is no room."""
        return Text(shown(self._words(task)), no_wrap=True, overflow="ellipsis")


def _bar(shown_to: TextIO | None, *further: ProgressColumn) -> Progress:
    """A live bar whose count and time left stay whole in 80 columns; nothing without a terminal."""
    return Progress(
        Words(lambda task: task.description),
        BarColumn(bar_width=12),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(elapsed_when_finished=True, table_column=Column(no_wrap=True)),
        *further,
        console=Console(file=shown_to) if shown_to else Console(quiet=True),
        disable=not (shown_to and shown_to.isatty()),
    )


class Display:
    """Progress with losses, speed and time left: a live bar on a terminal, else plain lines.

    What cannot be written (whoever read it has left, the disk of a log is full) silences the
    display and never stops the training.

    Args:
        total: steps of the whole run.
        quiet: show nothing.
    """

    INTERVAL = 10.0
    """Seconds between two plain lines."""

    def __init__(self, total: int, quiet: bool) -> None:
        self.total, self.quiet = total, quiet
        self._stream = None if quiet else stderr()
        self._began, self._first, self._last = time.monotonic(), 0, -math.inf
        numbers = Words(lambda task: str(task.fields["numbers"]))
        self._progress = _bar(self._stream, numbers)

    def start(self, title: str, step: int) -> None:
        """Begin at `step`, which is above 0 for a resumed run."""
        self._began, self._first = time.monotonic(), step
        self._task = self._progress.add_task(title, total=self.total, completed=step, numbers="")
        self._progress.start()

    def update(self, step: int, epoch: float, speed: float, losses: dict[str, float]) -> None:
        """Show a logged interval: losses, and images per second."""
        totals = [
            f"{name.partition('.')[0]} {v:.4g}" for name, v in losses.items() if "total" in name
        ]
        numbers = f"epoch {epoch:.2f}  {'  '.join(totals)}  {speed:,.0f} images/s"
        if not self._progress.disable:
            self._progress.update(self._task, completed=step, numbers=numbers)
            return
        now = time.monotonic()
        if now - self._last >= self.INTERVAL or step >= self.total:
            self._last = now
            left = (now - self._began) / max(1, step - self._first) * (self.total - step)
            self.say(f"step {step}/{self.total}  {numbers}  {readable_time(left)} left")

    def say(self, line: str) -> None:
        """One plain line, above the bar where there is one."""
        if not self._progress.disable:
            self._progress.console.print(shown(line), highlight=False, markup=False)
        elif self._stream:
            print(shown(line), file=self._stream, flush=True)

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()


class Counter:
    """Progress of something counted, such as images drawn: a live bar, or nothing in a pipe."""

    def __init__(self) -> None:
        self._progress = _bar(stderr())
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, what: str, done: int, total: int) -> None:
        """`done` of `total` of a thing."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done)
