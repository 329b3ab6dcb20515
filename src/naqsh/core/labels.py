"""The labels of a conditional model: a batch's in training, drawn in sampling."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from naqsh.core.batch import Batch
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise


class Labels(nn.Module):
    """What labels a network is given.

    Args:
        classes: how many there are; 0 for a network that takes no labels.
    """

    ends: Tensor | None

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        # Share of the labels up to each; lies in the header of weights, which may be of before.
        self.register_buffer("ends", None, persistent=False)

    def count(self, counts: Sequence[int], device: torch.device) -> None:
        """From now on labels are drawn as often as they occur in `counts`, one for each class."""
        ends = torch.tensor(counts, dtype=torch.float64).cumsum(0)
        self.ends = (ends / ends[-1]).to(device)

    def of(self, batch: Batch) -> Tensor | None:
        """The labels of a batch, shape (N,); None for a network that takes none."""
        if not self.classes:
            return None
        assert batch.labels is not None, "Spec.build refuses images without labels"
        return batch.labels

    def draw(self, noise: Noise, label: int | None) -> Tensor | None:
        """The labels to draw images of, shape (N,).

        Args:
            noise: of N images.
            label: of all of them; None draws one for each.

        Raises:
            NaqshError: there is no such label.
        """
        if not self.classes:
            if label is not None:
                raise NaqshError("this model knows no labels; train with --method.conditional true")
            return None
        if label is None:
            if self.ends is None:
                return noise.integers(self.classes)
            return torch.searchsorted(self.ends, noise.uniform().double(), right=True)
        if not 0 <= label < self.classes:
            raise NaqshError(f"label must lie in 0 to {self.classes - 1}, got {label}")
        return torch.full((len(noise),), label, device=noise.device)
