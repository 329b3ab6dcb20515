"""What a method can do beside learning: protocols that studies and reports ask for.

A method has an ability when it has the protocol's methods; nothing is registered or inherited.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from naqsh.core.batch import Batch
from naqsh.core.method import Losses
from naqsh.core.noise import Noise
from naqsh.core.progress import Count


@runtime_checkable
class Samples(Protocol):
    """A method that makes images from noise alone.

    What its `sample` takes beside the noise, with type hints and a description in the ``Args`` of
    its docstring, are options of sampling.
    """

    @property
    def sampling_network(self) -> nn.Module:
        """The network whose evaluations are counted as the cost of an image."""
        ...

    def sample(self, noise: Noise) -> Tensor:
        """One image for each of the noise's streams: float32 in [0, 1], shape (N, C, H, W)."""
        ...


class Sampler(Protocol):
    """One way to draw a method's images: a frozen dataclass that a method's `sample` takes.

    Its fields, each described in its docstring, are all that a user may set of it.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def steps(self) -> int:
        """How many steps it takes; a field."""
        ...

    @property
    def evaluations(self) -> int:
        """How often the sampling network is run for an image."""
        ...


@runtime_checkable
class HasSamplers(Protocol):
    """A method whose `sample` takes a `sampler`, one of several."""

    @property
    def samplers(self) -> Mapping[str, Sampler]:
        """Each by the name that users type, as it is set unless it is said otherwise."""
        ...

    @property
    def default_sampler(self) -> str:
        """The name of the one that draws unless another is asked for."""
        ...


@runtime_checkable
class Translates(Protocol):
    """A method that turns images of one domain into images of another.

    Domain A is that of a batch's `images`, B that of its `second`. A method with this ability need
    not make images from noise.
    """

    @property
    def directions(self) -> tuple[str, ...]:
        """The domains that it translates to, ``A`` or ``B``, the usual one first."""
        ...

    @property
    def multiple(self) -> int:
        """What both sides of an image must divide by: callers pad to it and crop back."""
        ...

    @property
    def least(self) -> int:
        """The least side of an image, in pixels."""
        ...

    def translate(self, images: Tensor, to: str) -> Tensor:
        """Images of the one domain as images of the other.

        Args:
            images: float32 in the method's value range with shape (N, C, H, W); H and W are
                multiples of `multiple` and at least `least`, and need not be those of training.
            to: one of `directions`.

        Returns:
            float32 in [0, 1] with shape (N, C', H, W).
        """
        ...


@runtime_checkable
class DrawsLabels(Protocol):
    """A method whose samples are of labels that it draws, as often as training had them."""

    def count_labels(self, counts: Sequence[int]) -> None:
        """Called before training, and when weights are opened, with how often each label occurs."""
        ...


@runtime_checkable
class FollowsCaptions(Protocol):
    """A method that makes images of what captions say.

    Its `sample` draws the captions from those that it keeps, as captions' embeddings, with its
    weights. What `sample` takes beside the noise, `follow` takes beside noise and captions.
    """

    def keep_captions(self, captions: Tensor) -> None:
        """Called before training with embeddings, float32 (N, d), from which `sample` draws."""
        ...

    def follow(self, noise: Noise, captions: Tensor) -> tuple[Tensor, ...]:
        """Images of captions, one for each of the noise's streams, of every stage of the method.

        Args:
            noise: of N images; the same noise under another caption differs by the caption alone.
            captions: embeddings, float32 with shape (N, d).

        Returns:
            float32 in [0, 1] with shape (N, C, H, W); the last stage's are the result, those of
            stages before it may be smaller.
        """
        ...


@runtime_checkable
class ComparesFeatures(Protocol):
    """A method that compares images by the features of a network that images are measured by."""

    @property
    def features_wanted(self) -> str:
        """The name of these features among those that images are measured by, or ``none``."""
        ...

    def take_features(self, weights: Mapping[str, Tensor]) -> None:
        """Called before training with the weights of that network, where features are wanted."""
        ...


@runtime_checkable
class LooksFirst(Protocol):
    """A method that keeps statistics of the training images, taken before its first step."""

    def look_first(self, images: Iterable[Tensor]) -> None:
        """Take them.

        Args:
            images: parts of the training images, each float32 in the method's value range with
                shape (N, C, H, W), on its device.
        """
        ...


@runtime_checkable
class LearnsLatents(Protocol):
    """A method that sees images only through a frozen part of it.

    Training may compute that once for each image, and then gives it along (`Batch.latents`).
    """

    def frozen_latents(self, images: Tensor) -> Tensor:
        """What the frozen part makes of each image by itself, without chance, at any step alike.

        Args:
            images: float32 in the method's value range with shape (N, C, H, W).

        Returns:
            float32 with shape (N, C', H', W').
        """
        ...


@runtime_checkable
class Shows(Protocol):
    """A method with more to see than samples, such as reconstructions or film strips."""

    def show(self, batch: Batch) -> dict[str, tuple[Tensor, int]]:
        """Images for the report, by name: float32 in [0, 1] (N, C, H, W), and how many in a row.

        Args:
            batch: ten real images with noise of their own.
        """
        ...


@runtime_checkable
class Validates(Protocol):
    """A method of which held-out images tell something."""

    def validation(self, batch: Batch) -> Losses:
        """Named scalars, averaged over the batch.

        The best checkpoint has the least ``total``; where there is none, none is the best.
        """
        ...


@runtime_checkable
class Encodes(Protocol):
    """A method with a code for every image, and an image for every code."""

    def encode(self, images: Tensor) -> Tensor:
        """Images in the method's value range to codes with shape (N, ...), without chance."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """Codes to images: float32 in [0, 1] with shape (N, C, H, W)."""
        ...


@runtime_checkable
class Reconstructs(Protocol):
    """A method that can say how it sees a given image."""

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images in the method's value range to float32 in [0, 1] with shape (N, C, H, W)."""
        ...


LogProbKind = Literal["exact", "lower bound", "estimate"]
"""What a figure of log-likelihood is; figures of different kinds must not be ranked."""


@runtime_checkable
class HasLogProb(Protocol):
    """A method that says how likely an image is.

    Attributes:
        log_prob_kind: what `log_prob` gives: the likelihood itself, a number that is never above
            it but by chance, or an estimate that may err to either side.
    """

    log_prob_kind: LogProbKind

    def log_prob(self, images: Tensor, noise: Noise) -> Tensor:
        """The log-likelihood of each image in nats, shape (N,).

        Args:
            images: in the method's value range with shape (N, C, H, W). A density is with respect
                to these values.
            noise: of these N images; not drawn from where the likelihood is exact.
        """
        ...


class BoundParts(NamedTuple):
    """Minus a lower bound of the log2-probability of N images, part by part, float64.

    Attributes:
        times: from which a step goes back, rising, shape (S,), on the CPU.
        terms: of each image and time in bits a number, shape (N, S); the first is the step into
            the image.
        prior: what the start of sampling costs in bits a number, shape (N,).
        errors: mean squared error of the noise that the network sees, no weights, shape (N, S).
    """

    times: Tensor
    terms: Tensor
    prior: Tensor
    errors: Tensor

    @property
    def total(self) -> Tensor:
        """At least minus log2 of each image's probability in bits a number, shape (N,)."""
        return self.terms.sum(1) + self.prior


@runtime_checkable
class Bounds(Protocol):
    """A method whose lower bound of the log-likelihood is a sum over times."""

    def bound(self, images: Tensor, noise: Noise, progress: Count | None = None) -> BoundParts:
        """Every term of the bound; one evaluation of the network a time.

        Args:
            images: of 256 levels in the method's value range with shape (N, C, H, W).
            noise: of these N images.
            progress: called after each time.
        """
        ...


@runtime_checkable
class HasFlowLogProb(Protocol):
    """A method that also estimates likelihood along an equation from images to noise."""

    def flow_log_prob(self, images: Tensor, noise: Noise, progress: Count | None = None) -> Tensor:
        """An estimate of each image's log-probability in nats, shape (N,).

        Args:
            images: of 256 levels in the method's value range with shape (N, C, H, W).
            noise: of these N images.
            progress: called after each step.
        """
        ...


@runtime_checkable
class Localises(Protocol):
    """A method that says which part of an image makes it unlikely."""

    def surprise(self, images: Tensor, noise: Noise) -> Tensor:
        """Nats of each pixel, shape (N, H, W); over an image they sum to its -`log_prob`.

        Args:
            images: in the method's value range with shape (N, C, H, W).
            noise: as for `log_prob`; the same noise gives the same image's parts.
        """
        ...
