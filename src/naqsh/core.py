"""The words that methods and the trainer share: batch, losses, phase, method and capabilities."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from naqsh.noise import Noise
from naqsh.spec import Optimizer, Shape

Losses = dict[str, Tensor]
"""Named scalars, averaged over the batch. ``total`` is minimised; the rest is logged beside it.

What is no average over images but a ratio of two is given as both, with shape (2,): averaged over
ranks, parts and steps, they are divided when a record is written, and left out where that is by 0.
"""


@dataclass(frozen=True)
class Batch:
    """What one phase sees in one step.

    Attributes:
        images: float32 in the method's value range with shape (N, C, H, W).
        labels: int64 with shape (N,), or None where the data set has none.
        noise: the random numbers of these N pictures in this step and phase.
        surveyed: what the phase's `survey` found, averaged over all parts and ranks of a batch of
            which this is one part; None where the batch has one part.
    """

    images: Tensor
    labels: Tensor | None
    noise: Noise
    surveyed: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Phase:
    """One part of a training step: what is trained, by which loss, how often.

    A step takes as many fresh batches as the largest `repeats` of its phases; the i-th repeat of
    every phase sees the i-th of them.

    Attributes:
        name: what the phase is called in curves, for example ``critic``.
        modules: what it trains; every other parameter is frozen meanwhile.
        loss: (batch, step) to named scalars, averaged over the batch.
        optimizer: whose state the trainer keeps, one per phase.
        repeats: how often the phase runs in one step.
        every: the phase runs in every `every`-th step.
        after: called after each update, to clip weights or step a controller.
        survey: for a loss that is no mean over images, but a function of means: the means that it
            needs, of one part of a batch. Where a batch is cut into parts it is called with each of
            them, without gradient, before the first loss.
    """

    name: str
    modules: Sequence[nn.Module]
    loss: Callable[[Batch, int], Losses]
    optimizer: Optimizer
    repeats: int = 1
    every: int = 1
    after: Callable[[], None] | None = None
    survey: Callable[[Batch], Tensor] | None = None

    def parameters(self) -> list[nn.Parameter]:
        """What the phase trains, each parameter once."""
        found = {id(p): p for module in self.modules for p in module.parameters()}
        return list(found.values())


LogProbOf = Literal["density", "levels", "black and white"]
"""Of what a log-likelihood is: a density of pixels that are real numbers in the value range, a
probability of pixels of 256 levels, or one of pixels that are black or white."""


class Method(nn.Module):
    """Networks with an objective. All it remembers between steps is in its ``state_dict``.

    Attributes:
        shape: (C, H, W) of its pictures.
        value_range: what pictures are mapped to before a method sees them.
        log_prob_of: of what its `log_prob` is, if it has one.
    """

    value_range: tuple[float, float] = (-1.0, 1.0)
    log_prob_of: LogProbOf = "density"

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    @property
    def level_width(self) -> float:
        """How far apart neighbouring ones of 256 levels lie in what a density is of.

        Levels reach from one end of the value range to the other, so that there are 255 steps. A
        method whose density is of other numbers, as of dequantised ones, says its own.
        """
        low, high = self.value_range
        return (high - low) / 255

    @abstractmethod
    def phases(self) -> list[Phase]:
        """How the method learns: the phases of one step, in order."""


@runtime_checkable
class Samples(Protocol):
    """A method that makes pictures from noise alone."""

    @property
    def sampling_network(self) -> nn.Module:
        """The network whose evaluations are counted as the cost of a picture."""
        ...

    def sample(self, noise: Noise) -> Tensor:
        """One picture for each of the noise's streams: float32 in [0, 1], shape (N, C, H, W)."""
        ...


@runtime_checkable
class DrawsLabels(Protocol):
    """A method whose samples are of labels that it draws, as often as training had them."""

    def count_labels(self, counts: Sequence[int]) -> None:
        """Told before training, and when weights are opened, how often each label occurs."""
        ...


@runtime_checkable
class Shows(Protocol):
    """A method with more to see than samples, such as reconstructions or film strips."""

    def show(self, images: Tensor, noise: Noise) -> dict[str, tuple[Tensor, int]]:
        """Pictures for the report, by name: float32 in [0, 1] (N, C, H, W), and how many in a row.

        Args:
            images: ten real pictures in the method's value range with shape (10, C, H, W).
            noise: of ten pictures.
        """
        ...


@runtime_checkable
class Validates(Protocol):
    """A method whose loss on held-out pictures says something."""

    def validation(self, batch: Batch) -> Losses:
        """Named scalars, averaged over the batch; the best checkpoint has the least ``total``."""
        ...


@runtime_checkable
class Encodes(Protocol):
    """A method with a code for every picture, and a picture for every code."""

    def encode(self, images: Tensor) -> Tensor:
        """Pictures in the method's value range to codes with shape (N, ...), without chance."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """Codes to pictures: float32 in [0, 1] with shape (N, C, H, W)."""
        ...


@runtime_checkable
class Reconstructs(Protocol):
    """A method that can say how it sees a given picture."""

    def reconstruct(self, images: Tensor) -> Tensor:
        """Pictures in the method's value range to float32 in [0, 1] with shape (N, C, H, W)."""
        ...


LogProbKind = Literal["exact", "lower bound", "estimate"]
"""What a figure of log-likelihood is; figures of different kinds must not be ranked."""


@runtime_checkable
class HasLogProb(Protocol):
    """A method that says how likely a picture is.

    Attributes:
        log_prob_kind: what `log_prob` gives: the likelihood itself, a number that is never above
            it but by chance, or an estimate that may err to either side.
    """

    log_prob_kind: LogProbKind

    def log_prob(self, images: Tensor, noise: Noise) -> Tensor:
        """The log-likelihood of each picture in nats, shape (N,).

        Args:
            images: in the method's value range with shape (N, C, H, W). A density is with respect
                to these values.
            noise: of these N pictures; not drawn from where the likelihood is exact.
        """
        ...


Told = Callable[[int, int], None]
"""Told how much of a long computation is done, and of how much."""


class BoundParts(NamedTuple):
    """Minus a lower bound of the log2-probability of N pictures, part by part, float64.

    Attributes:
        times: from which a step goes back, rising, shape (S,), on the CPU.
        terms: of each picture and time in bits a number, shape (N, S); the first is the step into
            the picture.
        prior: what the start of sampling costs in bits a number, shape (N,).
        errors: mean squared error of the noise that the network sees, no weights, shape (N, S).
    """

    times: Tensor
    terms: Tensor
    prior: Tensor
    errors: Tensor


@runtime_checkable
class Bounds(Protocol):
    """A method whose lower bound of the log-likelihood is a sum over times."""

    def bound(self, images: Tensor, noise: Noise, told: Told | None = None) -> BoundParts:
        """Every term of the bound; one evaluation of the network a time.

        Args:
            images: of 256 levels in the method's value range with shape (N, C, H, W).
            noise: of these N pictures.
            told: called after each time.
        """
        ...


@runtime_checkable
class HasFlowLogProb(Protocol):
    """A method that also estimates likelihood along an equation from pictures to noise."""

    def flow_log_prob(self, images: Tensor, noise: Noise, told: Told | None = None) -> Tensor:
        """An estimate of each picture's log-probability in nats, shape (N,).

        Args:
            images: of 256 levels in the method's value range with shape (N, C, H, W).
            noise: of these N pictures.
            told: called after each step.
        """
        ...


@runtime_checkable
class Localises(Protocol):
    """A method that says which part of a picture makes it unlikely."""

    def surprise(self, images: Tensor, noise: Noise) -> Tensor:
        """Nats of each pixel, shape (N, H, W); over a picture they sum to its -`log_prob`.

        Args:
            images: in the method's value range with shape (N, C, H, W).
            noise: as for `log_prob`; the same noise gives the same picture's parts.
        """
        ...
