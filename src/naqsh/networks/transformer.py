r"""A causal transformer: numbers for each token of a row from the tokens before it.

Every layer is attention and an MLP, each behind layer normalisation and added to what came in,

.. math:: h \leftarrow h + W\, \mathrm{attend}(\mathrm{LN}(h)), \qquad
   h \leftarrow h + \mathrm{MLP}(\mathrm{LN}(h)).

The row is moved on by one token, so that what comes out for token i has seen tokens 0 to i - 1, and
for the first of all only where it stands and the label. The last layer begins at zero.

One token after the other it costs what one pass costs: keys and values of tokens that have been
seen are kept (:class:`Past`).

References:
    Attention Is All You Need (Vaswani et al., 2017), arXiv:1706.03762.
    On Layer Normalization in the Transformer Architecture (Xiong et al., 2020), arXiv:2002.04745:
    normalisation before each part.
"""

import torch
from torch import Tensor, nn

from naqsh.networks.attend import attend


class Past:
    """The keys and values of one layer's attention at the tokens that it has seen.

    Args:
        tokens: the most that it will see.
    """

    def __init__(self, tokens: int) -> None:
        self.tokens, self.seen = tokens, 0
        self.kept: Tensor | None = None

    def with_next(self, pair: Tensor) -> Tensor:
        """All keys and values by now, (2, N, heads, seen, d), with those of one more token."""
        if self.kept is None:
            self.kept = pair.new_empty(*pair.shape[:3], self.tokens, pair.shape[-1])
        self.kept[:, :, :, self.seen] = pair[:, :, :, 0]
        self.seen += 1
        return self.kept[:, :, :, : self.seen]


class Layer(nn.Module):
    """Attention to tokens before and to itself, and an MLP.

    Args:
        width: numbers of a token, in and out.
        heads: parts of them that attend each for itself; they divide the width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} attention heads do not divide a width of {width}")
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, h: Tensor, past: Past | None = None, heat: Tensor | None = None) -> Tensor:
        """Tokens (N, T, width) to tokens; with a `past`, the one that follows it, T = 1.

        Args:
            h: tokens.
            past: what has been seen of the tokens before it.
            heat: temperature of each row's attention, shape (N,); None is 1.
        """
        count, tokens, width = h.shape
        qkv = self.qkv(self.norm1(h)).view(count, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, pair = qkv[0], qkv[1:]
        if past is not None:
            pair = past.with_next(pair)
        if heat is not None:
            query = query / heat.view(-1, 1, 1, 1)
        mixed = attend(query, pair[0], pair[1], causal=past is None)
        h = h + self.mix(mixed.transpose(1, 2).reshape(count, tokens, width))
        out: Tensor = h + self.mlp(self.norm2(h))
        return out


class CausalTransformer(nn.Module):
    """The network of :mod:`naqsh.networks.transformer`.

    Args:
        tokens: T, how many there are.
        features: numbers of a token.
        outputs: numbers that are given for each token.
        width: numbers of a token inside.
        layers: how many.
        heads: of each attention.
        classes: labels that it may be conditioned on; 0 for none. Label `classes` means "none".
    """

    def __init__(
        self,
        tokens: int,
        features: int,
        outputs: int,
        width: int,
        layers: int,
        heads: int,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.tokens, self.classes = tokens, classes
        self.first = nn.Linear(features, width)
        self.places = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.label = nn.Embedding(classes + 1, width) if classes else None
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(
        self, x: Tensor, labels: Tensor | None = None, heat: Tensor | None = None
    ) -> Tensor:
        """What is said of each token by those before it.

        Args:
            x: tokens with shape (N, T, features).
            labels: int64 with shape (N,), `classes` for no class; None where no row has one.
            heat: what each row's products of queries and keys are divided by, shape (N,): above 1
                attention is nearer to the mean of what was seen. None is 1.

        Returns:
            shape (N, T, outputs).
        """
        before = nn.functional.pad(self.first(x[:, :-1]), (0, 0, 1, 0))
        h = before + self._told(len(x), self.places, labels)
        for layer in self.layers:
            h = layer(h, heat=heat)
        out: Tensor = self.last(self.norm(h))
        return out

    def past(self) -> list[Past]:
        """Where :meth:`step` keeps what it has seen; for one row of tokens."""
        return [Past(self.tokens) for _ in self.layers]

    def step(
        self,
        before: Tensor,
        place: int,
        past: list[Past],
        labels: Tensor | None = None,
        heat: Tensor | None = None,
    ) -> Tensor:
        """What is said of the token at `place`, after the same for all places before it.

        Args:
            before: the token before it with shape (N, features); of the first, anything.
            place: from 0.
            past: see :meth:`past`.
            labels: as in :meth:`forward`.
            heat: as in :meth:`forward`.

        Returns:
            shape (N, outputs).
        """
        h = self._told(len(before), self.places[place : place + 1], labels)
        if place:
            h = h + self.first(before)[:, None]
        for layer, seen in zip(self.layers, past, strict=True):
            h = layer(h, seen, heat)
        out: Tensor = self.last(self.norm(h))[:, 0]
        return out

    def _told(self, count: int, places: Tensor, labels: Tensor | None) -> Tensor:
        """What `count` rows are told of places and of their labels, (N or 1, T, width)."""
        if self.label is None:
            return places.expand(count, -1, -1)
        if labels is None:
            labels = torch.full((count,), self.classes, device=places.device)
        told: Tensor = places + self.label(labels)[:, None]
        return told
