r"""Average velocities: one evaluation of a network takes an image over an interval of time.

On flow matching's line from image to noise, :math:`z_t = (1 - t)\, x + t\, \epsilon`, the velocity
at a place is :math:`v(z_t, t) = E[\epsilon - x \mid z_t]`. Its mean over the way from r to t is

.. math:: u(z_t, r, t) = \frac{1}{t - r} \int_r^t v(z_\tau, \tau)\, d\tau, \qquad
   z_r = z_t - (t - r)\, u(z_t, r, t),

and :math:`u(z, t, t) = v(z, t)`. The derivative of :math:`(t - r)\, u` along the way is v, hence
the mean flow identity, which needs no integral:

.. math:: u(z_t, r, t) = v(z_t, t) - (t - r)\, \frac{d u}{d t}, \qquad
   \frac{d u}{d t} = v\, \partial_z u + \partial_t u.

The total derivative is a product of the network's Jacobian and one vector, (v, 0, 1): forward mode
gives it in the same pass as u, for about twice the work.

References:
    Mean Flows for One-step Generative Modeling (Geng et al., 2025), arXiv:2505.13447, equations 3,
    6, 8 and 12.
"""

import warnings
from functools import cache

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from naqsh.diffusion.denoiser import Denoiser


class Averaging(Denoiser):
    """A denoiser under flow matching whose network also knows velocities averaged over an interval.

    Called as any denoiser it sees what the velocity at one time, u(z, t, t), says.
    Its network takes times as :class:`naqsh.networks.interval.IntervalEmbedding` does.
    """

    def average(
        self, x_t: Tensor, t: Tensor | float, s: Tensor | float, labels: Tensor | None = None
    ) -> Tensor:
        """The average velocity on the way from time s to t.

        Args:
            x_t: images at time t with shape (N, C, H, W).
            t: from 0 to 1, one for all or shape (N,).
            s: from 0 to t, likewise.
            labels: passed on to the network.

        Returns:
            shape and dtype of `x_t`.
        """
        pair = [
            time.to(x_t) if isinstance(time, Tensor) else x_t.new_full((len(x_t),), time)
            for time in (t, t - s)
        ]
        output: Tensor = self.network(x_t, 1000 * torch.stack(pair, 1), labels)
        return output.to(x_t.dtype)

    def with_slope(
        self, x_t: Tensor, t: Tensor, s: Tensor, velocity: Tensor, labels: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The average velocity and its total derivative by t along the way.

        Args:
            x_t: images at time t with shape (N, C, H, W).
            t: shape (N,), of the dtype of `x_t`.
            s: likewise; it stands still.
            velocity: of the images at time t, shape of `x_t`.
            labels: passed on to the network.

        Returns:
            both with the shape of `x_t`; the derivative without a gradient of its own.
        """

        def average(x: Tensor, time: Tensor) -> Tensor:
            return self.average(x, time, s, labels)

        _prepare()
        # The fused kernels of attention have no forward derivative.
        with sdpa_kernel(SDPBackend.MATH):
            found = torch.func.jvp(average, (x_t, t), (velocity, torch.ones_like(t)))
        return found[0], found[1].detach()


@cache
def _prepare() -> None:
    """Have PyTorch load what forward mode needs, of which it warns itself that it is old."""
    one = torch.ones((), device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.func.jvp(torch.sin, (one,), (one,))
