r"""Cross-attention: features of an image look at the tokens of what the image is of.

A transformer block is three residuals, each behind a layer normalisation LN,

.. math:: y = x + \mathrm{self}(\mathrm{LN}\, x), \qquad
   z = y + \mathrm{cross}(\mathrm{LN}\, y, c), \qquad
   \mathrm{out} = z + W_2\bigl(a \odot \mathrm{gelu}(b)\bigr), \quad (a, b) = W_1\, \mathrm{LN}\, z

with attention :math:`\mathrm{softmax}(q k^\top / \sqrt d)\, v`, whose queries come from positions
and, in the cross-attention, keys and values from the tokens c. Around it are a group normalisation
and two linear maps over positions; the last begins at zero, so that at first all of it is the
identity.

The released code takes a missing c for the features themselves, and is then a plain transformer
that nobody asked for. Here it is an error.

References:
    High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al., 2022),
    arXiv:2112.10752, section 3.3 and appendix E.2.1.
    Attention Is All You Need (Vaswani et al., 2017), arXiv:1706.03762.
    GLU Variants Improve Transformer (Shazeer, 2020), arXiv:2002.05202: GEGLU.
"""

from torch import Tensor, nn
from torch.nn.functional import gelu

from naqsh.networks.attend import attend
from naqsh.networks.unet_blocks import group_norm, initialise

WIDER = 4
"""Hidden units of the last part over its width."""


class Attention(nn.Module):
    """Attention of rows on the rows of another table, or on themselves.

    Args:
        width: numbers in a row.
        context: numbers in a row of the other table.
        heads: parts of the width that attend each for itself; they divide it.
    """

    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} attention heads do not divide {width} channels")
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(context, width, bias=False)
        self.value = nn.Linear(context, width, bias=False)
        self.projection = nn.Linear(width, width)

    def forward(self, rows: Tensor, context: Tensor) -> Tensor:
        """Rows (N, L, width) and another table (N, M, context) to (N, L, width)."""
        query, key, value = (
            layer(table).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, table in (
                (self.query, rows),
                (self.key, context),
                (self.value, context),
            )
        )
        out: Tensor = self.projection(attend(query, key, value).transpose(1, 2).flatten(2))
        return out


class Gated(nn.Module):
    """Two linear maps, between them one half times the GELU of the other (GEGLU)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(width, 2 * WIDER * width)
        self.leave = nn.Linear(WIDER * width, width)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (N, L, width) to rows of that shape."""
        passed, gate = self.enter(rows).chunk(2, dim=-1)
        out: Tensor = self.leave(passed * gelu(gate))
        return out


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention and a gated layer, each added to what came in.

    Args:
        width: numbers in a row.
        context: numbers in a token.
        heads: of both attentions.
    """

    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.itself = Attention(width, width, heads)
        self.cross = Attention(width, context, heads)
        self.gated = Gated(width)

    def forward(self, rows: Tensor, tokens: Tensor) -> Tensor:
        """Rows (N, L, width) and tokens (N, M, context) to rows (N, L, width)."""
        seen = self.norm1(rows)
        rows = rows + self.itself(seen, seen)
        rows = rows + self.cross(self.norm2(rows), tokens)
        out: Tensor = rows + self.gated(self.norm3(rows))
        return out


class CrossAttention(nn.Module):
    """A transformer block over the positions of an image.

    Args:
        channels: in and out.
        context: numbers in a token.
        heads: of both attentions; they divide the channels.
    """

    def __init__(self, channels: int, context: int, heads: int = 1) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.enter = nn.Linear(channels, channels)
        self.block = TransformerBlock(channels, context, heads)
        self.projection = nn.Linear(channels, channels)
        initialise(self.enter)
        initialise(self.projection, zero=True)

    def forward(self, x: Tensor, tokens: Tensor | None) -> Tensor:
        """Features (N, C, H, W) and tokens (N, M, context) to features (N, C, H, W).

        Raises:
            ValueError: no tokens.
        """
        if tokens is None:
            raise ValueError(
                "cross-attention needs what an image is of, a label or a caption, and was told none"
            )
        # With channels last in memory this is a view: positions are rows of a matrix.
        rows = self.norm(x).permute(0, 2, 3, 1).flatten(1, 2)
        mixed = self.projection(self.block(self.enter(rows), tokens))
        out: Tensor = x + mixed.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
        return out
