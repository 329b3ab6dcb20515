"""What one phase of a training step sees."""

from dataclasses import dataclass

from torch import Tensor

from naqsh.core.noise import Noise


@dataclass(frozen=True)
class Batch:
    """What one phase sees in one step.

    Attributes:
        images: float32 in the method's value range with shape (N, C, H, W).
        labels: int64 with shape (N,), or None where the data set has none.
        noise: the random numbers of these N images in this step and phase.
        captions: float32 with shape (N, d), one caption's embedding of each image, or None.
        mismatched: float32 with shape (N, d), a caption of another image (of another class where
            there are classes), or None.
        second: images of the second domain, float32 in the method's value range with shape
            (N, C', H', W'): each one's partner in a set of pairs, else drawn independently of the
            first; or None.
        surveyed: what the phase's `survey` found, averaged over all parts and ranks of a batch of
            which this is one part; None where the batch has one part.
        latents: float32 with shape (N, ...), what the method's `frozen_latents` gives for `images`,
            where that was computed once; or None.
    """

    images: Tensor
    labels: Tensor | None
    noise: Noise
    captions: Tensor | None = None
    mismatched: Tensor | None = None
    second: Tensor | None = None
    surveyed: Tensor | None = None
    latents: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)
