"""What a training run records while it goes on: losses, stages, notes, and the line that ends it.

The first rank writes, all ranks call. Every record says where the run was: step, epoch, images
seen, and seconds of training over all sessions.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from naqsh.core.errors import NaqshError
from naqsh.core.world import World
from naqsh.io.files import append_line, require_there
from naqsh.io.foreign import read_lines
from naqsh.runs import records
from naqsh.runs.checkpoint import State
from naqsh.runs.folder import RunFolder
from naqsh.training import message, resuming
from naqsh.training.astray import Watch
from naqsh.training.diagnosis import Diagnosis, Said
from naqsh.training.log import Display
from naqsh.training.tracking import Sink


class Journal:
    """The records of one run.

    Args:
        folder: where the run lies; only the leading rank writes.
        world: this process among its ranks.
        display: progress on the terminal, which notes are said on too.
        sink: where the logged numbers are copied to.
        total: steps of the whole run.
        images: in an epoch.
        per_step: images seen in a step.
        state: the run's; its seconds are counted here.
    """

    def __init__(
        self,
        folder: RunFolder,
        world: World,
        display: Display,
        sink: Sink | None,
        total: int,
        images: int,
        per_step: int,
        state: State,
    ) -> None:
        self.folder, self.world, self.display, self.sink = folder, world, display, sink
        self.total, self.images, self.per_step = total, images, per_step
        self.diagnosis, self.watch = Diagnosis(), Watch()
        self.begin(state)

    def begin(self, state: State) -> None:
        """Count steps and time on from this state, and from now."""
        self.state = state
        self._seconds_before, self._began = state.seconds, time.monotonic()
        self._logged = (state.step, self._began)

    @property
    def epoch(self) -> float:
        """How often each image was seen until now, on average."""
        return self.state.step * self.per_step / self.images

    def now(self) -> dict[str, Any]:
        """Where the run is, which every record says; the state's seconds are brought up to it."""
        self.state.seconds = self._seconds_before + time.monotonic() - self._began
        return {
            "step": self.state.step,
            "epoch": self.epoch,
            "seen": self.state.step * self.per_step,
            "seconds": self.state.seconds,
        }

    def lead(self, work: Callable[[], None]) -> None:
        """Write to the folder on the first rank, unless it is gone; all ranks hear of an error.

        Whether this is called must not depend on the rank: the others wait for it.
        """

        def checked() -> None:
            require_there(self.folder.path)
            work()

        self.world.leading(checked)

    def log(self, means: dict[str, float]) -> None:
        """The mean losses and gradients since the last record, and what looks wrong in them."""
        now = time.monotonic()
        steps, seconds = self.state.step - self._logged[0], now - self._logged[1]
        self._logged = (self.state.step, now)
        speed = steps * self.per_step / max(seconds, 1e-9)
        losses = {name: value for name, value in means.items() if ".gradient/" not in name}
        gradients = {
            name.replace(".gradient/", "."): value
            for name, value in means.items()
            if ".gradient/" in name
        }
        record = records.Record(**self.now(), speed=speed, losses=losses, gradients=gradients)
        self._write(record, lambda: self.diagnosis.read(losses))
        if self.sink:
            self.sink.log(self.state.step, losses | {"speed": speed})
        self.display.update(self.state.step, self.epoch, speed, losses)

    def validated(self, losses: dict[str, float]) -> None:
        """The losses on the held-out images."""
        record = records.Record(**self.now(), losses=losses)
        self._write(record, lambda: self.diagnosis.held_out(losses))

    def _write(self, record: records.Record, notes: Callable[[], Sequence[Said]]) -> None:
        """Add numbers, and what the diagnosis says of them; the first rank alone has it whole."""

        def written() -> None:
            append_line(self.folder.metrics, records.plain(record))
            self._note(notes())

        self.lead(written)

    def shown(self, show: Callable[[], dict[str, Any]]) -> None:
        """A stage, drawn on the first rank, and what looks wrong in what it shows."""

        def written() -> None:
            record = self.now() | show()
            append_line(self.folder.stages, records.plain(records.Stage(**record)))
            said = self.watch.read(record, self.state.step == self.total)
            self._note([*said, *message.read(record)])

        self.lead(written)

    def note_new(self, notes: Sequence[Said]) -> None:
        """Say and write those of the notes that are not written for this step."""

        def written() -> None:
            there = [(r["step"], r.get("words")) for r in read_lines(self.folder.diagnosis)]
            self._note([said for said in notes if (self.state.step, said.words) not in there])

        self.lead(written)

    def _note(self, notes: Sequence[Said]) -> None:
        """Say and write notes; on the first rank alone."""
        for said in notes:
            self.display.say(f"note at step {self.state.step}: {said.words}")
            note = records.Note(**self.now(), **vars(said))
            append_line(self.folder.diagnosis, records.plain(note))

    def failed(self, error: NaqshError, tried: str) -> NaqshError:
        """The error with what is left and what may help, noted for the report too."""
        steps = self.folder.steps()
        good = f"the last good checkpoint is of step {steps[-1]}" if steps else "none is saved yet"
        words = f"{error}; {good}. {tried}"
        with contextlib.suppress(NaqshError, OSError):  # a full disk is not what is to be said
            note = records.plain(records.Note(**self.now(), words=words))
            self.lead(lambda: append_line(self.folder.diagnosis, note))
        return NaqshError(words)

    def forget(self, step: int) -> None:
        """Drop what was recorded after `step`; the rules hear the rest, on the first rank."""
        numbers, shown = resuming.forget(self.folder, step)
        self.diagnosis.replay(numbers)
        for record in shown:
            self.watch.read(record, record["step"] == self.total)
