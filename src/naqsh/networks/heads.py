r"""Critics whose last features are seen, and what stands on them beside a score.

A critic ends in a linear layer that makes a score of features. Kernels of minibatch discrimination
(:mod:`naqsh.networks.minibatch`) may be added to these, and a second linear layer may tell K ways
in which an image was made. With `joined` the two are one softmax of K + 1 classes, the last of
which is a real image. Its logits are the K and the score :math:`s`, and the log-odds of a real one,

.. math:: d = s - \log \textstyle\sum_k e^{l_k}, \qquad \log p_{K+1} = \log \sigma(d),

are given in the place of the score.

Where a critic is told an image's label c, its score has one more term, the features' product with
an embedding of the label: :math:`s = w^\top f + b + e_c^\top f` (the projection discriminator).

References:
    cGANs with Projection Discriminator (Miyato and Koyama, 2018), arXiv:1802.05637, equation 3.
"""

from collections import OrderedDict
from typing import NamedTuple

from torch import Tensor, nn

from naqsh.networks.minibatch import Minibatch


class Judged(NamedTuple):
    """What a critic says of N images.

    Attributes:
        scores: logits of being real, float32 with shape (N,).
        features: that its last layer sees, shape (N, F); None where they are not shown.
        ways: logits of how each was made, float32 with shape (N, K); None where it tells none.
    """

    scores: Tensor
    features: Tensor | None = None
    ways: Tensor | None = None

    @property
    def shown(self) -> Tensor:
        """The features, of a critic that shows them."""
        assert self.features is not None
        return self.features

    def chunk(self) -> tuple["Judged", "Judged"]:
        """What is said of the first half of the images, and of the second."""
        parts = [(None, None) if part is None else part.chunk(2) for part in self]
        first, second = zip(*parts, strict=True)
        return Judged(*first), Judged(*second)


class Headed(nn.Module):
    """A critic whose features are seen: `features` is to be written, `score` to be set.

    Attributes:
        score: features with shape (N, F) to (N, 1).
        kernels: adds to the features what `score` and `ways` see beside them, or does nothing.
        ways: the same features to (N, K), or None.
        joined: whether the ways and a real image are one softmax.
        table: a label's embedding, of as many numbers as there are features, or None.
    """

    score: nn.Linear
    ways: nn.Linear | None
    table: nn.Embedding | None

    def __init__(self) -> None:
        super().__init__()
        self.joined = False
        self.kernels: Minibatch | None = None
        self.ways = None
        self.table = None

    def features(self, images: Tensor) -> Tensor:
        """Images in [-1, 1] with shape (N, C, H, W) to what the last layer sees, shape (N, F)."""
        raise NotImplementedError

    def judged(self, images: Tensor, labels: Tensor | None = None) -> Judged:
        """All that is said of images in [-1, 1] with shape (N, C, H, W).

        Args:
            images: in the order of `labels`.
            labels: int64 with shape (N,), of a critic that has a table of them.
        """
        features = seen = self.features(images)
        if self.kernels is not None:
            seen = self.kernels(features)
        scores = self.score(seen).squeeze(1).float()
        if self.table is not None:
            scores = scores + (self.table(labels) * features).sum(1)
        ways = None if self.ways is None else self.ways(seen).float()
        if ways is not None and self.joined:
            scores = scores - ways.logsumexp(1)
        return Judged(scores, features, ways)

    def forward(self, images: Tensor) -> Tensor:
        """Images in [-1, 1] with shape (N, C, H, W) to logits of being real, shape (N,)."""
        return self.judged(images).scores


class Critic(Headed):
    """Another critic, whose features are seen.

    Args:
        layers: it; its last linear layer makes the score.
    """

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        names = [name for name, layer in layers.named_children() if isinstance(layer, nn.Linear)]
        before = OrderedDict(layers.named_children())
        last = list(before).index(names[-1])
        head = before[names[-1]]
        assert isinstance(head, nn.Linear)
        self.body = nn.Sequential(OrderedDict(list(before.items())[:last]))
        self.score = head

    def features(self, images: Tensor) -> Tensor:
        """What the last linear layer sees."""
        features: Tensor = self.body(images)
        return features


def headed(
    critic: nn.Module, kernels: int = 0, ways: int = 0, joined: bool = False, classes: int = 0
) -> Headed:
    """A critic with its features seen, and with what is to stand on them.

    Args:
        critic: a sequence of layers, or one whose features are seen already; changed in place.
        kernels: of minibatch discrimination.
        ways: how many the second head tells; 0 leaves it out.
        joined: whether they and a real image are one softmax.
        classes: how many labels it is told; 0 for none.
    """
    if not isinstance(critic, Headed):
        assert isinstance(critic, nn.Sequential)
        critic = Critic(critic)
    width = critic.score.in_features
    if kernels:
        critic.kernels = Minibatch(width, kernels)
        critic.score = nn.Linear(width + kernels, 1)
    if ways:
        critic.ways, critic.joined = nn.Linear(width + kernels, ways), joined
    if classes:
        critic.table = nn.Embedding(classes, width)
        nn.init.xavier_uniform_(critic.table.weight)
    return critic


def judged(critic: nn.Module, images: Tensor, labels: Tensor | None = None) -> Judged:
    """All that a critic says of images in [-1, 1] with shape (N, C, H, W), of these labels."""
    if isinstance(critic, Headed):
        return critic.judged(images, labels)
    return Judged(critic(images).float())
