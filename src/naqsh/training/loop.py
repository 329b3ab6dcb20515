"""The one training loop: phases in, a run folder out.

Here is what is due when: `updates` has a step's arithmetic, `journal` the records. A step is a
function of the seed and its number, so the loop's whole state is the method, the optimisers, the
average and one number, the step. That is why a run that was killed goes on to the same weights to
the bit, on the same machine with as many ranks and threads.
"""

import gc
import math
import signal
import time
from collections.abc import Sequence
from functools import partial

from naqsh.core.abilities import DrawsLabels, FollowsCaptions, Validates
from naqsh.core.errors import Interrupted, NaqshError
from naqsh.core.memory import keep_freed
from naqsh.core.method import Method
from naqsh.core.world import World, synchronise_batch_norm
from naqsh.data import DataSet
from naqsh.recipes import recipe as recipe_module
from naqsh.recipes.recipe import Recipe
from naqsh.runs import checkpoint, moments
from naqsh.runs.folder import RunFolder
from naqsh.training import changes, latents, resuming, stages
from naqsh.training.advice import advice
from naqsh.training.diagnosis import DISTANCE, TOTAL, Said
from naqsh.training.ema import Average
from naqsh.training.journal import Journal
from naqsh.training.log import Display, NotFinite, Pending, check_weights
from naqsh.training.quality import Quality
from naqsh.training.rows import Batches, look_first, various_captions
from naqsh.training.signals import Signals
from naqsh.training.tracking import Sink
from naqsh.training.updates import Updates

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
        data: the training images.
        folder: where the run lies; only the leading rank writes.
        world: this process among its ranks.
        display_quiet: show no progress.
        sink: where the logged numbers are copied to.
        notes: what to note where the run goes on from a checkpoint.
        shown: the images that a stage shows what becomes of; the training images by default.
        shows: whether stages show anything; a trial of its speed need not.
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
        shown: DataSet | None = None,
        shows: bool = True,
    ) -> None:
        keep_freed()
        training = recipe.training
        self.recipe, self.training, self.folder, self.world = recipe, training, folder, world
        self.method = method.to(world.device)
        if isinstance(method, DrawsLabels) and data.counts:
            method.count_labels(data.counts)
        asked = data if shown is None else shown
        if isinstance(method, FollowsCaptions) and asked.captions is not None:
            method.keep_captions(various_captions(asked))
        self.data, self.held_out = data, None
        if training.validation:  # from every method: one without a loss is judged by its samples
            self.data, self.held_out = data.hold_out(training.validation, training.seed)
        world.leading(self._look_first)
        world.broadcast(self.method)
        if world.size > 1:
            synchronise_batch_norm(self.method)
        self.average = Average(self.method, training.ema) if training.ema else None
        self.phases = self.method.phases()
        self.shown, self.shows = self.data if shown is None else shown, shows
        repeats = max(phase.repeats for phase in self.phases)
        self.batches = Batches(recipe, self.data, method.value_range, repeats, world)
        self.plan = stages.plan(training, self.data.epoch, self.batches.per_step)
        judges = self.data if self.held_out is None else self.held_out
        self.quality = Quality(recipe, self.method, self.plan, judges, world.device)
        self.state = checkpoint.State()
        self.display = Display(self.plan.total, display_quiet or not world.leads)
        images, per_step = self.data.epoch, self.batches.per_step
        self.journal = Journal(
            folder, world, self.display, sink, self.plan.total, images, per_step, self.state
        )
        self.sink, self.notes = sink, notes
        self._begun: dict[str, str] = {}
        self.signals = Signals(self.display.say, 2.0 if world.size > 1 else 0.0)
        self.pending = Pending()
        self.updates = Updates(
            training, self.method, self.phases, self.batches, self.pending, world, self.signals.came
        )
        self.optimizers = self.updates.optimizers

    def _look_first(self) -> None:
        """Show images to the method; what a run that goes on found in them lies in its checkpoints.

        On the first rank: the others need not have the run's folder.
        """
        if not self.folder.steps():
            look_first(self.method, self.data, self.world.device)

    def run(self) -> None:
        """Train to the end.

        Raises:
            Interrupted: SIGTERM or Ctrl-C came; the state is saved.
            NaqshError: a loss is not finite; the last good checkpoint stands.
        """
        self.restore()
        self.encode_once()
        self.display.start(self.recipe.name, self.state.step)
        self._saved_at = time.monotonic()
        self.journal.begin(self.state)
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

    def encode_once(self) -> None:
        """Compute once what a frozen part makes of the images, where that pays; it is training."""
        if self.state.step >= self.plan.total:
            return
        began, batches = time.monotonic(), self.batches
        seen = self.plan.total * batches.per_step
        numbers = self.updates.dtype, self.world.device
        kept = latents.kept(self.recipe, self.method, self.data, seen, batches.part, *numbers)
        if kept is not None:
            batches.keep(kept)
        self.state.seconds += time.monotonic() - began

    def _advance(self) -> None:
        """One step and what is due after it."""
        self.step()
        step = self.state.step
        due = step % LOG_EVERY == 0 or step == self.plan.total
        if due:
            self._check()
            self.journal.log(self.pending.take(self.world))
        # The end counts too: where rates fall to 0, the last steps are the best.
        ends = self.plan.ends_epoch(step) or step == self.plan.total
        if ends and self.held_out is not None and isinstance(self.method, Validates):
            self._validate(self.held_out)
        if step in self.quality.steps:
            self._measure()
        if step in self.plan.stages:
            self._check()
            if self.shows:
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
            return self.signals.came()
        if self.world.device.type != "cpu" and self.state.step % ASK_EVERY:
            return False
        return self.updates.stop is not None and bool(self.updates.stop > 0)

    def step(self) -> None:
        """One training step: every phase, each as often as it says."""
        step = self.state.step
        self.updates.take(step, self.plan, measured=(step + 1) % LOG_EVERY == 0)
        if self.average:
            self.average.update(step)
        self.state.step += 1

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
        """The error with what is left and what may help."""
        tried = advice(error, self.training, self.phases, self.updates.dtype, self.data)
        return self.journal.failed(error, tried)

    def _show(self) -> None:
        """The grid and the weights' histograms of a stage, and whether its samples are images."""
        caption = f"{self.recipe.name}, epoch {self.journal.epoch:.3g}, step {self.state.step}"
        show = partial(
            stages.show,
            self.average.method if self.average else self.method,
            self.phases,
            self.data,
            self.shown,
            self.folder,
            self.state.step,
            caption,
            self.training.seed,
            self.world.device,
        )

        self.journal.shown(show)

    def _validate(self, held_out: DataSet) -> None:
        """Score the held-out images and remember the best step, where they tell it."""
        method = self.average.method if self.average else self.method
        seed = self.training.seed
        losses = stages.validate(method, held_out, self.batches.local, seed, self.world.device)
        losses = self.world.gathered(losses)[0]  # other machines round otherwise
        for name, value in losses.items():
            if not math.isfinite(value):
                phase, _, term = name.partition(".")
                raise self._explained(NotFinite(self.state.step, phase, term, value))
        if TOTAL in losses and not self.quality.steps:
            self._keep_best(losses[TOTAL])
        self.journal.validated(losses)

    def _measure(self) -> None:
        """Measure samples; by held-out images, remember the best step."""
        self._check()
        method = self.average.method if self.average else self.method
        found: list[float] = []
        self.world.leading(lambda: found.append(self.quality.measure(method)))
        distance = self.world.gathered(found)[0][0]
        if self.held_out is not None:
            self._keep_best(distance)
        self.journal.validated({DISTANCE: distance})

    def _keep_best(self, value: float) -> None:
        """Keep the weights of this step if `value` is the least until now."""
        if self.state.best is not None and value >= self.state.best[0]:
            return
        self.state.best = (value, self.state.step)
        method = self.average.method if self.average else self.method
        write = partial(checkpoint.save_best, self.folder, self.state.step)
        self.journal.lead(lambda: write(method, self._header()))

    def _header(self) -> dict[str, str]:
        return checkpoint.header(self.recipe.to_yaml(), self.data.layout, self.data.counts)

    def save(self) -> None:
        """Write a checkpoint, unless a loss or a weight is not finite."""
        self._check()
        self.journal.now()  # the state's seconds
        self.state.pending = dict(self.pending.settle(self.world))
        write = partial(checkpoint.save, self.folder, self.state, self.method)
        average = self.average.method if self.average else None
        self.journal.lead(lambda: write(average, self.optimizers, self._header()))
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
        self.world.leading(lambda: self.journal.forget(self.state.step))

    def _note_changes(self) -> None:
        """Note what is another than it was for the weights that the run goes on from."""
        if not self.state.step:
            return
        before = recipe_module.from_yaml(self._begun["recipe"])

        def plan(recipe: Recipe) -> stages.Plan:
            per_step = self.batches.per_step // self.training.batch * recipe.training.batch
            return stages.plan(recipe.training, self.data.epoch, per_step)

        changed = changes.of_recipe(before, self.recipe, self.state.step, plan)

        self.journal.note_new([*changed, *self.notes])
