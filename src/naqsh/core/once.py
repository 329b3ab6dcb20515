"""What one phase of a step computed, kept for a later phase of the same step."""

from torch import Tensor

from naqsh.core.batch import Batch


class OnceAStep:
    """Images that one phase made of a batch, and another phase of the same step looks at again.

    A step's phases see the same batches, part by part, so a part is known by its step, its place in
    the batch and its length. Nothing here outlives a step: a run resumes between steps.
    """

    def __init__(self) -> None:
        self._step = -1
        self._kept: dict[tuple[int, int], tuple[Tensor, ...]] = {}

    def keep(self, batch: Batch, step: int, *images: Tensor) -> None:
        """Keep what was made of a part of a batch, without its graph."""
        if step != self._step:
            self._step, self._kept = step, {}
        self._kept[batch.noise.first, len(batch)] = tuple(image.detach() for image in images)

    def take(self, batch: Batch, step: int) -> tuple[Tensor, ...] | None:
        """What was kept of that part in that step, once; None where there is nothing."""
        if step != self._step:
            return None
        return self._kept.pop((batch.noise.first, len(batch)), None)
