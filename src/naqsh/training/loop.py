"""The one training loop: phases in, a run folder out.

A step runs every phase of the method in order. Its randomness is a function of (seed, step, phase,
repeat) and its pictures are a function of (seed, position), so the loop's whole state is the
method, the optimisers, the average and one number, the step. That is why a run that was killed goes
on to the same weights to the bit.
"""

import contextlib
import gc
import math
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from naqsh.core.abilities import DrawsLabels, Validates
from naqsh.core.errors import Interrupted, NaqshError
from naqsh.core.method import Method, Phase
from naqsh.core.noise import derive
from naqsh.core.precision import autocast, autocast_dtype
from naqsh.core.world import World, synchronise_batch_norm
from naqsh.data import DataSet
from naqsh.io.files import append_line, require_there
from naqsh.io.foreign import read_lines
from naqsh.recipes import recipe as recipe_module
from naqsh.recipes.recipe import Recipe
from naqsh.runs import checkpoint, moments
from naqsh.runs.folder import RunFolder
from naqsh.training import changes, resuming, stages
from naqsh.training.advice import advice
from naqsh.training.astray import Watch
from naqsh.training.diagnosis import TOTAL, Diagnosis, Said
from naqsh.training.ema import Average
from naqsh.training.log import Display, NotFinite, Pending, check_weights
from naqsh.training.optim import lr_factor
from naqsh.training.rows import Batches
from naqsh.training.signals import Signals
from naqsh.training.tracking import Sink

LOG_EVERY = 50
"""Steps between two records."""

ASK_EVERY = 5
"""Steps between two looks at whether a signal came to another rank, on an accelerator."""

CHECKPOINT_SECONDS = 60.0
"""Training time between two checkpoints, besides those at the stages and the end."""


class Trainer:
    """One run from its last checkpoint, or from the beginning, to its end.

    Args:
        recipe: what to train.
        method: as the recipe builds it, equal on every rank.
        data: the training pictures.
        folder: where the run lies; only the leading rank writes.
        world: this process among its ranks.
        display_quiet: show no progress.
        sink: where the logged numbers are copied to.
        notes: what to note where the run goes on from a checkpoint.
    """

    def __init__(
        self,
        recipe: Recipe,
        method: Method,
        data: DataSet,
        folder: RunFolder,
        world: World,
        display_quiet: bool = False,
        sink: Sink | None = None,
        notes: Sequence[Said] = (),
    ) -> None:
        # The C library gives large blocks back at once and faults them in anew at each step, until
        # a freed block of just under 32 MiB has taught it to keep them (mallopt(3)): 4 % of a step.
        torch.empty(31 << 20, dtype=torch.uint8)
        training = recipe.training
        self.recipe, self.training, self.folder, self.world = recipe, training, folder, world
        self.method = method.to(world.device)
        if isinstance(method, DrawsLabels) and data.counts:
            method.count_labels(data.counts)
        world.broadcast(self.method)
        if world.size > 1:
            synchronise_batch_norm(self.method)
        self.average = Average(self.method, training.ema) if training.ema else None
        self.phases = self.method.phases()
        self.trained = [phase.parameters() for phase in self.phases]
        self.parameters = list(self.method.parameters())
        self.optimizers = {
            phase.name: phase.optimizer.build(parameters)
            for phase, parameters in zip(self.phases, self.trained, strict=True)
        }
        self.data, self.held_out = data, None
        if training.validation:  # from every method: others judge one without a loss by them
            self.data, held_out = data.hold_out(training.validation, training.seed)
            self.held_out = held_out if isinstance(method, Validates) else None
        repeats = max(phase.repeats for phase in self.phases)
        self.batches = Batches(recipe, self.data, method.value_range, repeats, world)
        self.dtype = autocast_dtype(training.precision, world.device)
        self.plan = stages.plan(training, len(self.data), self.batches.per_step)
        self.state = checkpoint.State()
        self.pending, self.diagnosis, self.watch = Pending(), Diagnosis(), Watch()
        self.display = Display(self.plan.total, display_quiet or not world.leads)
        self.sink, self.notes = sink, notes
        self._begun: dict[str, str] = {}
        self._stop: Tensor | None = None
        self.signals = Signals(self.display.say, 2.0 if world.size > 1 else 0.0)

    @property
    def epoch(self) -> float:
        """How often each picture was seen until now, on average."""
        return self.state.step * self.batches.per_step / len(self.data)

    def run(self) -> None:
        """Train to the end.

        Raises:
            Interrupted: SIGTERM or Ctrl-C came; the state is saved.
            NaqshError: a loss is not finite; the last good checkpoint stands.
        """
        self.restore()
        self.display.start(self.recipe.name, self.state.step)
        self._saved_at = self._resumed_at = time.monotonic()
        self._seconds_before = self.state.seconds
        self._logged = (self.state.step, time.monotonic())
        self._note_changes()
        # PyTorch's objects stay; scanning them at each collection costs a few percent of a step.
        gc.freeze()
        try:
            with self.signals:
                while self.state.step < self.plan.total:
                    self._advance()
        finally:
            gc.unfreeze()
            self.display.stop()
            if self.sink:
                self.sink.close()

    def _advance(self) -> None:
        """One step and what is due after it."""
        self.step()
        step = self.state.step
        due = step % LOG_EVERY == 0 or step == self.plan.total
        if due:
            self._log()
        # The end counts too: where rates fall to 0, the last steps are the best.
        if self.held_out is not None and (self.plan.ends_epoch(step) or step == self.plan.total):
            self._validate(self.held_out)
        if step in self.plan.stages:
            self._check()
            self._show()
        elapsed = time.monotonic() - self._saved_at
        stop = self._told_to_stop()
        late = due and self.world.any(elapsed > CHECKPOINT_SECONDS)
        if step in self.plan.stages or late or stop:
            self.save()
        if stop and step < self.plan.total:
            raise Interrupted(self.signals.number or signal.SIGTERM, step)

    def _told_to_stop(self) -> bool:
        """Whether a signal came, to any rank; ranks may only leave the loop together.

        It comes along with the gradients. An accelerator is asked now and then: the host would have
        to wait for it.
        """
        if self.world.size == 1:
            return self.signals.number is not None
        if self.world.device.type != "cpu" and self.state.step % ASK_EVERY:
            return False
        return self._stop is not None and bool(self._stop > 0)

    def step(self) -> None:
        """One training step: every phase, each as often as it says."""
        step = self.state.step
        self.method.train()
        # Explicit streams serve all randomness of ours; this one is for layers like dropout.
        torch.manual_seed(derive(self.training.seed, "torch", step, self.world.rank))
        factor = lr_factor(self.training, step, self.plan.total)
        for phase, parameters in zip(self.phases, self.trained, strict=True):
            if step % phase.every:
                continue
            optimizer = self.optimizers[phase.name]
            for group in optimizer.param_groups:
                group["lr"] = phase.optimizer.lr * factor
            for parameter in self.parameters:
                parameter.requires_grad = False
            for parameter in parameters:
                parameter.requires_grad = True
            for repeat in range(phase.repeats):
                self._update(phase, parameters, optimizer, step, repeat)
        if self.average:
            self.average.update(step)
        self.state.step += 1

    def _update(
        self,
        phase: Phase,
        parameters: Sequence[nn.Parameter],
        optimizer: torch.optim.Optimizer,
        step: int,
        repeat: int,
    ) -> None:
        parts = self.training.accumulate
        surveyed = self._surveyed(phase, step, repeat)
        for part in range(parts):
            batch = self.batches.take(phase.name, step, repeat, part)
            with autocast(self.dtype, self.world.device):
                losses = phase.loss(replace(batch, surveyed=surveyed), step)
            (losses["total"] / parts).backward()
            self.pending.add(step, phase.name, losses)
        told = self.signals.number is not None
        self._stop = self.world.reduce_gradients(parameters, told)
        if self.training.clip_norm:
            norm = nn.utils.clip_grad_norm_(parameters, self.training.clip_norm, foreach=True)
            self.pending.add(step, phase.name, {"clipped_norm": norm})
        if (step + 1) % LOG_EVERY == 0 and repeat == phase.repeats - 1:
            self.pending.add(step, phase.name, stages.gradient_norms(phase))
        optimizer.step()
        optimizer.zero_grad()
        if phase.after:
            phase.after()

    def _surveyed(self, phase: Phase, step: int, repeat: int) -> Tensor | None:
        """What a loss needs of the whole batch, where it sees one part of it at a time."""
        parts = self.training.accumulate
        if phase.survey is None or parts == 1:
            return None
        found = []
        with torch.no_grad(), autocast(self.dtype, self.world.device):
            for part in range(parts):
                found.append(phase.survey(self.batches.take(phase.name, step, repeat, part)))
        return self.world.mean(torch.stack(found).mean(0))

    def _log(self) -> None:
        """Read the losses of the interval, write one record, say what looks wrong."""
        self._check()
        means = self.pending.take(self.world)
        now = time.monotonic()
        steps, seconds = self.state.step - self._logged[0], now - self._logged[1]
        self._logged = (self.state.step, now)
        speed = steps * self.batches.per_step / max(seconds, 1e-9)
        losses = {name: value for name, value in means.items() if ".gradient/" not in name}
        gradients = {
            name.replace(".gradient/", "."): value
            for name, value in means.items()
            if ".gradient/" in name
        }
        record = self._record() | {"speed": speed, "losses": losses, "gradients": gradients}
        self._write(self.folder.metrics, record, lambda: self.diagnosis.read(losses))
        if self.sink:
            self.sink.log(self.state.step, losses | {"speed": speed})
        self.display.update(self.state.step, self.epoch, speed, losses)

    def _record(self) -> dict[str, float]:
        self.state.seconds = self._seconds_before + time.monotonic() - self._resumed_at
        return {
            "step": self.state.step,
            "epoch": self.epoch,
            "seen": self.state.step * self.batches.per_step,
            "seconds": self.state.seconds,
        }

    def _lead(self, work: Callable[[], None]) -> None:
        """Write to the folder on the first rank, unless it is gone; all ranks hear of an error.

        Whether this is called must not depend on the rank: the others wait for it.
        """

        def checked() -> None:
            require_there(self.folder.path)
            work()

        self.world.leading(checked)

    def _write(
        self, path: Path, record: dict[str, Any], notes: Callable[[], Sequence[Said]]
    ) -> None:
        """Add a record, and what the diagnosis, which only the first rank has whole, says of it."""

        def written() -> None:
            append_line(path, record)
            self._diagnose(notes())

        self._lead(written)

    def _diagnose(self, notes: Sequence[Said]) -> None:
        """Say and write notes; on the first rank alone."""
        for said in notes:
            self.display.say(f"note at step {self.state.step}: {said.words}")
            append_line(self.folder.diagnosis, self._record() | asdict(said))

    def _check(self) -> None:
        """Stop at the first loss that is not finite, before it reaches a checkpoint."""
        found: NaqshError | None = None
        try:
            self.pending.check()
            check_weights(self.method, self.state.step)
        except NotFinite as error:
            found = error
        if self.world.any(found is not None):
            raise self._explained(found or NaqshError("a loss is not finite on another rank"))

    def _explained(self, error: NaqshError) -> NaqshError:
        """The error with what is left and what may help, noted for the report too."""
        steps = self.folder.steps()
        good = f"the last good checkpoint is of step {steps[-1]}" if steps else "none is saved yet"
        tried = advice(error, self.training, self.phases, self.dtype, self.data)
        words = f"{error}; {good}. {tried}"
        with contextlib.suppress(NaqshError, OSError):  # a full disk is not what is to be said
            note = self._record() | {"words": words}
            self._lead(lambda: append_line(self.folder.diagnosis, note))
        return NaqshError(words)

    def _show(self) -> None:
        """The grid and the weights' histograms of a stage, and whether its samples are images."""
        caption = f"{self.recipe.name}, epoch {self.epoch:.3g}, step {self.state.step}"
        show = partial(
            stages.show,
            self.average.method if self.average else self.method,
            self.phases,
            self.data,
            self.folder,
            self.state.step,
            caption,
            self.training.seed,
            self.world.device,
        )

        def lead() -> None:
            record = self._record() | show()
            append_line(self.folder.stages, record)
            self._diagnose(self.watch.read(record, self.state.step == self.plan.total))

        self._lead(lead)

    def _validate(self, held_out: DataSet) -> None:
        """Score the held-out pictures and remember the best step."""
        method = self.average.method if self.average else self.method
        seed = self.training.seed
        losses = stages.validate(method, held_out, self.batches.local, seed, self.world.device)
        losses = self.world.gathered(losses)[0]  # other machines round otherwise
        for name, value in losses.items():
            if not math.isfinite(value):
                phase, _, term = name.partition(".")
                raise self._explained(NotFinite(self.state.step, phase, term, value))
        total = losses[TOTAL]
        if self.state.best is None or total < self.state.best[0]:
            self.state.best = (total, self.state.step)
            write = partial(checkpoint.save_best, self.folder, self.state.step)
            self._lead(lambda: write(method, self._header()))
        record = self._record() | {"losses": losses}
        self._write(self.folder.metrics, record, lambda: self.diagnosis.validated(total))

    def _header(self) -> dict[str, str]:
        return checkpoint.header(self.recipe.to_yaml(), self.data.layout, self.data.counts)

    def save(self) -> None:
        """Write a checkpoint, unless a loss or a weight is not finite."""
        self._check()
        self._record()
        self.state.pending = dict(self.pending.settle(self.world))
        write = partial(checkpoint.save, self.folder, self.state, self.method)
        average = self.average.method if self.average else None
        self._lead(lambda: write(average, self.optimizers, self._header()))
        self._saved_at = time.monotonic()

    def restore(self) -> None:
        """Go back to the last whole checkpoint, if there is one, and forget records after it.

        The first rank reads it; the others, which may not see its folder, are given all of it.
        """
        average = self.average.method if self.average else None
        found: list[tuple[checkpoint.State, dict[str, str]]] = []
        self.world.leading(
            lambda: found.append(
                resuming.newest(
                    self.folder, self.method, average, self.optimizers, self.display.say
                )
            )
        )
        self.state, self._begun = self.world.gathered(found)[0][0]
        if self.world.size > 1 and self.state.step:
            self.world.broadcast(self.method)
            if average is not None:
                self.world.broadcast(average)
            moments.share(self.optimizers, self.world)
        self.pending.sums = dict(self.state.pending)
        self.world.leading(self._hear_again)

    def _hear_again(self) -> None:
        """Drop what was recorded after the checkpoint; the rules hear the rest, which was told."""
        numbers, shown = resuming.forget(self.folder, self.state.step)
        self.diagnosis.replay(numbers)
        for record in shown:
            self.watch.read(record, record["step"] == self.plan.total)

    def _note_changes(self) -> None:
        """Note what is another than it was for the weights that the run goes on from."""
        if not self.state.step:
            return
        before = recipe_module.from_yaml(self._begun["recipe"])

        def total(recipe: Recipe) -> int:
            per_step = self.batches.per_step // self.training.batch * recipe.training.batch
            return stages.plan(recipe.training, len(self.data), per_step).total

        changed = changes.of_recipe(before, self.recipe, self.state.step, total)

        def note() -> None:
            noted = [(r["step"], r.get("words")) for r in read_lines(self.folder.diagnosis)]
            new = [s for s in [*changed, *self.notes] if (self.state.step, s.words) not in noted]
            self._diagnose(new)

        self._lead(note)
