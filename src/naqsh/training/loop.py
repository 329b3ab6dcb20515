"""The one training loop: phases in, a run folder out.

A step runs every phase of the method in order. Its randomness is a function of (seed, step, phase,
repeat) and its pictures are a function of (seed, position), so the loop's whole state is the
method, the optimisers, the average and one number, the step. That is why a run that was killed goes
on to the same weights to the bit.
"""

import gc
import math
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn

from naqsh.core import DrawsLabels, Method, Phase, Validates
from naqsh.data import DataSet
from naqsh.errors import Interrupted, NaqshError
from naqsh.noise import derive
from naqsh.precision import autocast, autocast_dtype
from naqsh.recipe import Recipe
from naqsh.runfolder import RunFolder, append_line, read_until, rewrite_lines
from naqsh.training import checkpoint, stages
from naqsh.training.batches import Batches
from naqsh.training.diagnosis import Diagnosis
from naqsh.training.distributed import World, synchronise_batch_norm
from naqsh.training.ema import Average
from naqsh.training.log import Display, NotFinite, Pending, check_weights
from naqsh.training.optim import lr_factor
from naqsh.training.signals import Signals
from naqsh.training.tracking import Sink

LOG_EVERY = 50
"""Steps between two records."""

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
        self.pending, self.diagnosis = Pending(), Diagnosis()
        self.display = Display(self.plan.total, display_quiet or not world.leads)
        self.sink = sink
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
        stop = self.signals.number is not None
        if self.world.size > 1:
            # Ranks may only leave the loop together; they agree where they wait anyway.
            stop = due and self.world.any(stop)
        late = due and self.world.any(elapsed > CHECKPOINT_SECONDS)
        if step in self.plan.stages or late or stop:
            self.save()
        if stop and step < self.plan.total:
            raise Interrupted(self.signals.number or signal.SIGTERM, step)

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
        self.world.reduce_gradients(parameters)
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
        if self.world.leads:
            gradients = {
                name.replace(".gradient/", "."): value
                for name, value in means.items()
                if ".gradient/" in name
            }
            append_line(
                self.folder.metrics,
                self._record() | {"speed": speed, "losses": losses, "gradients": gradients},
            )
            if self.sink:
                self.sink.log(self.state.step, losses | {"speed": speed})
        for said in self.diagnosis.read(losses):
            self._diagnose(said.words, asdict(said))
        self.display.update(self.state.step, self.epoch, speed, losses)

    def _record(self) -> dict[str, float]:
        self.state.seconds = self._seconds_before + time.monotonic() - self._resumed_at
        return {
            "step": self.state.step,
            "epoch": self.epoch,
            "seen": self.state.step * self.batches.per_step,
            "seconds": self.state.seconds,
        }

    def _diagnose(self, words: str, made_of: dict[str, Any] | None = None) -> None:
        self.display.say(f"note at step {self.state.step}: {words}")
        if self.world.leads:
            append_line(self.folder.diagnosis, self._record() | {"words": words} | (made_of or {}))

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
        words = f"{error}; {good}. Try a lower learning rate, clip_norm or precision float32."
        self._diagnose(words)
        return NaqshError(words)

    def _show(self) -> None:
        """The grid and the weights' histograms of a stage."""
        if not self.world.leads:
            return
        caption = f"{self.recipe.name}, epoch {self.epoch:.3g}, step {self.state.step}"
        record = stages.show(
            self.average.method if self.average else self.method,
            self.phases,
            self.data,
            self.folder,
            self.state.step,
            caption,
            self.training.seed,
            self.world.device,
        )
        append_line(self.folder.stages, self._record() | record)

    def _validate(self, held_out: DataSet) -> None:
        """Score the held-out pictures and remember the best step."""
        method = self.average.method if self.average else self.method
        seed = self.training.seed
        losses = stages.validate(method, held_out, self.batches.local, seed, self.world.device)
        for name, value in losses.items():
            if not math.isfinite(value):
                phase, _, term = name.partition(".")
                raise self._explained(NotFinite(self.state.step, phase, term, value))
        total = losses["validation.total"]
        if self.state.best is None or total < self.state.best[0]:
            self.state.best = (total, self.state.step)
            if self.world.leads:
                checkpoint.save_best(self.folder, self.state.step, method, self._header())
        if self.world.leads:
            append_line(self.folder.metrics, self._record() | {"losses": losses})
        least = self.state.best[0]
        for said in self.diagnosis.read(
            {"validation.gap": (total - least) / max(abs(least), 1e-3)}
        ):
            self._diagnose(said.words, asdict(said))

    def _header(self) -> dict[str, str]:
        return checkpoint.header(
            self.recipe.to_yaml(), self.method.shape, self.data.classes, self.data.counts
        )

    def save(self) -> None:
        """Write a checkpoint, unless a loss or a weight is not finite."""
        self._check()
        self._record()
        if self.world.leads:
            checkpoint.save(
                self.folder,
                self.state,
                self.method,
                self.average.method if self.average else None,
                self.optimizers,
                self._header(),
            )
        self._saved_at = time.monotonic()

    def restore(self) -> None:
        """Go back to the last whole checkpoint, if there is one, and forget records after it."""
        average = self.average.method if self.average else None
        for step in reversed(self.folder.steps()):
            try:
                self.state = checkpoint.restore(
                    self.folder, step, self.method, average, self.optimizers
                )
                break
            except NaqshError as error:
                self.display.say(f"{error}; going back to the checkpoint before it")
        else:
            if self.folder.steps():
                raise NaqshError(f"no checkpoint in {self.folder.checkpoints} can be read")
        if self.world.leads:
            checkpoint.sweep(self.folder)
            for path in (self.folder.metrics, self.folder.diagnosis, self.folder.stages):
                rewrite_lines(path, read_until(path, self.state.step))
