r"""Autoregressive maps of an image's patches, by a causal transformer.

An image is cut into T square patches of F numbers, row by row, and patch i is scaled and shifted
by what a transformer (:mod:`naqsh.networks.transformer`) makes of the patches before it:

.. math:: z_i = (x_i - \mu_i(x_{<i})) \odot e^{-\alpha_i(x_{<i})}, \qquad
   \log |\det \partial z_i / \partial x_i| = -\sum_f \alpha_{if},

with bounded log-scales (:mod:`naqsh.flows.affine`). Within a patch nothing depends on the rest of
it: that is left to the next map, which goes from the last patch to the first.

From x to z it is one pass, from z to x T steps of one token each. There guidance may exaggerate by
w what lies between what is asked and something poorer, of both parameters,

.. math:: \tilde\mu_i = \mu^-_i + w\, (\mu_i - \mu^-_i), \qquad
   \tilde\alpha_i = \alpha^-_i + w\, (\alpha_i - \alpha^-_i),

and the map then is another one of the same kind. Poorer is the network without the label, or, where
there is none, with attention at a higher temperature, which sees the patches before less clearly.

References:
    Normalizing Flows are Capable Generative Models (Zhai et al., 2024), arXiv:2412.06329,
    equations 6 to 8; section 3.5: guidance with labels and without. There the first patch is left
    as it is.
    Masked Autoregressive Flow for Density Estimation (Papamakarios et al., 2017), arXiv:1705.07057.
"""

import torch
from torch import Tensor

from naqsh.core.spec import Shape
from naqsh.flows.affine import Affine
from naqsh.flows.bijection import Bijection
from naqsh.networks.transformer import CausalTransformer

HEAT = 2.0
"""The temperature of the poorer attention; how it was chosen: docs/experiments.md."""


class Patches(Bijection):
    """An autoregressive map of patches.

    Args:
        shape: (C, H, W) of the images.
        patch: side of a patch; divides both sides of the image.
        width: numbers of a token inside its transformer.
        layers: of its transformer.
        heads: of each attention.
        affine: the map of one number.
        reverse: whether the last patch comes first.
        classes: labels that it may be conditioned on; 0 for none.

    Raises:
        ValueError: sizes that do not fit, with what would.
    """

    def __init__(
        self,
        shape: Shape,
        patch: int,
        width: int,
        layers: int,
        heads: int,
        affine: Affine,
        reverse: bool = False,
        classes: int = 0,
    ) -> None:
        super().__init__()
        channels, height, side = shape
        if height % patch or side % patch or height * side == patch**2:
            raise ValueError(
                f"an image of {height}x{side} is cut into at least two patches whose side divides "
                f"both of its own; {patch} does not"
            )
        self.grid = channels, height // patch, patch, side // patch, patch
        features = channels * patch**2
        tokens = height * side // patch**2
        self.network = CausalTransformer(
            tokens, features, 2 * features, width, layers, heads, classes
        )
        self.affine, self.reverse = affine, reverse

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z and the logarithms of the Jacobian's factors, each (N, D), in one pass.

        Args:
            x: shape (N, D).
            labels: int64 with shape (N,), or None for no class.
        """
        tokens = self.cut(x)
        parameters = self.network(tokens, labels)
        z, log_det = self.affine.forward(tokens, parameters.unflatten(-1, (-1, 2)))
        return self.join(z), self.join(log_det)

    @torch.no_grad()
    def inverse(
        self, z: Tensor, labels: Tensor | None = None, guidance: float = 1.0, naive: bool = False
    ) -> Tensor:
        """The x with ``forward(x)[0] == z``, shape (N, D), patch by patch; without a gradient.

        Args:
            z: shape (N, D).
            labels: int64 with shape (N,), or None for no class.
            guidance: w, how far the label's part is exaggerated, or without one that of clear
                attention; above or below 1 it is another map's x.
            naive: by one pass of the whole network a patch, instead of one token's.
        """
        asked, heat, copies = labels, None, 1 if guidance == 1 else 2
        if guidance != 1 and labels is not None:
            asked = torch.cat([labels, torch.full_like(labels, self.network.classes)])
        elif guidance != 1:
            heat = z.new_tensor([1.0, HEAT]).repeat_interleave(len(z))
        z = self.cut(z)
        x, past = torch.zeros_like(z), self.network.past()
        for place in range(z.shape[1]):
            if naive:
                told = self.network(x.repeat(copies, 1, 1), asked, heat)[:, place]
            else:
                before = x[:, place - 1].repeat(copies, 1)
                told = self.network.step(before, place, past, asked, heat)
            if copies == 2:
                clear, poor = told.chunk(2)
                told = torch.lerp(poor, clear, guidance)
            shift, raw = told.unflatten(-1, (-1, 2)).unbind(-1)
            x[:, place] = self.affine.inverse(z[:, place], shift, raw)
        return self.join(x)

    def cut(self, x: Tensor) -> Tensor:
        """Vectors (N, D) to patches (N, T, F) in the order of the map."""
        tokens = x.view(-1, *self.grid).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        return tokens.flip(1) if self.reverse else tokens

    def join(self, tokens: Tensor) -> Tensor:
        """Patches (N, T, F) in the order of the map to vectors (N, D)."""
        tokens = tokens.flip(1) if self.reverse else tokens
        channels, rows, patch, columns, _ = self.grid
        cells = tokens.view(-1, rows, columns, channels, patch, patch)
        return cells.permute(0, 3, 1, 4, 2, 5).flatten(1)
