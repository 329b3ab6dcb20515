"""What was measured, as plain values: metrics make them, records keep them, reports read them.

Nothing here needs PyTorch.
"""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Caution:
    """What a reader must know to trust a number that has few images behind it.

    Attributes:
        kind: names a text.
        images: the real or the generated images, whichever are fewer.
        dimensions: of the features, where there are more than images.
    """

    kind: str
    pictures: int
    dimensions: int | None = None


@dataclass(frozen=True)
class Likelihood:
    """How likely a model finds images it was not trained on.

    Attributes:
        nats: log-likelihood of an image, the mean over n of them.
        nats_error: standard error of `nats`.
        bits: the negative log-likelihood in bits a dimension.
        bits_error: standard error of `bits`.
        kind: whether it is ``exact``, a ``lower bound`` or an ``estimate``.
        of: a ``density``, or a probability of ``levels`` or of ``black and white``.
        n: images behind it.
        reference: which images in words, for example ``"mnist test"``.
    """

    nats: float
    nats_error: float
    bits: float
    bits_error: float
    kind: str
    of: str
    n: int
    reference: str

    def __str__(self) -> str:
        unit = "bits a pixel, black and white" if self.of == "black and white" else "bits/dim"
        return (
            f"{self.bits:.4g} \N{PLUS-MINUS SIGN} {1.96 * self.bits_error:.2g} {unit} "
            f"({self.kind}; {self.n:,} of {self.reference})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Speed:
    """The cost of sampling.

    Attributes:
        pictures_per_second: all n images over the time from call to finished images.
        evaluations_per_picture: forward passes of the network per image; a batch with each
            image twice (guidance) counts as two. Zero where sampling goes around `forward`.
        parameters: numbers in the network, trained or not.
        peak_memory: bytes; on a CUDA device the largest sum of tensors, on the processor the
            largest resident memory of the process, None where the system does not tell
            (it is read from Linux's ``/proc``).
        n: images drawn.
        device: type of device, with its name where it has one.
    """

    pictures_per_second: float
    evaluations_per_picture: float
    parameters: int
    peak_memory: int | None
    n: int
    device: str

    def __str__(self) -> str:
        memory = "" if self.peak_memory is None else f", peak {self.peak_memory / 2**20:,.0f} MiB"
        return (
            f"{self.pictures_per_second:,.3g} images/s, "
            f"{self.evaluations_per_picture:g} network evaluations an image, "
            f"{self.parameters:,} parameters{memory}, on {self.device}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)
