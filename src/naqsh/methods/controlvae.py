r"""ControlVAE: a VAE whose KL weight is set in every step so that the KL keeps to a set point.

A non-linear PI controller acts on the error :math:`e = \mathrm{KL}^* - \mathrm{KL}` of this step,
the KL summed over latents and averaged over the batch:

.. math:: P = \frac{K_p}{1 + \exp e}, \qquad I \leftarrow I - K_i\, e, \qquad
   \beta = \operatorname{clip}(\beta_{\min} + P + I,\; \beta_{\min},\; \beta_{\max}).

While beta is at a bound the integral must be held, or it winds up: it goes on summing errors that
beta cannot answer, and has to unwind when the error turns. Three rules:

=========== ===================================================================================
directional hold where this step's beta is out of bounds and the error drives it further out
paper       algorithm 1: hold where the last beta is out of bounds. It is the clipped beta, which
            never is, so the integral always moves
released    the dSprites code: hold while the last beta, not clipped, is below its minimum. Held
            there it can recover by P alone, that is, by at most Kp
=========== ===================================================================================

The set point may rise in steps, from `kl_start` by `kl_step` every `kl_every` training steps.

The batch is that of all ranks and accumulated parts: beta is one for all of them.

References:
    ControlVAE: Controllable Variational Autoencoder (Shao et al., 2020), arXiv:2004.05988,
    equations 5 to 8 and algorithm 1; https://github.com/shj1987/ControlVAE-ICML2020
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from naqsh.core.method import Losses, Phase
from naqsh.core.spec import Layout, Shape
from naqsh.methods.vae import VAE, Common

AntiWindup = Literal["directional", "paper", "released"]


@dataclass(frozen=True)
class Spec(Common):
    """Hyperparameters of a ControlVAE.

    Attributes:
        kl: the set point, in nats an image.
        kl_start: the set point of the first steps, if it is below `kl`.
        kl_step: by how much the set point rises.
        kl_every: after how many training steps it does so.
        kp: the proportional term's factor.
        ki: the integral term's factor.
        beta_min: least weight of the KL.
        beta_max: largest weight of the KL; None sets no bound.
        anti_windup: when the integral is held.
    """

    kl: float = 8.0
    kl_start: float = 0.5
    kl_step: float = 0.15
    kl_every: int = 5000
    kp: float = 0.01
    ki: float = 0.001
    beta_min: float = 1.0
    beta_max: float | None = None
    anti_windup: AntiWindup = "directional"

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.kl, self.kl_start, self.kl_step, self.kp, self.ki, self.beta_min) < 0:
            raise ValueError("kl, kl_start, kl_step, kp, ki and beta_min must be at least 0")
        if self.kl_every < 1:
            raise ValueError(f"kl_every must be at least 1, got {self.kl_every}")
        if self.beta_max is not None and self.beta_max <= self.beta_min:
            raise ValueError(f"beta_max {self.beta_max} must be above beta_min {self.beta_min}")

    def set_point(self, step: int) -> float:
        """The KL aimed at in training step `step`, from 0."""
        return min(self.kl, self.kl_start + self.kl_step * (step // self.kl_every))

    def build(self, layout: Layout) -> "ControlVAE":
        """The method with fresh networks; labels are not used."""
        return ControlVAE(self, layout.shape)


class Controller(nn.Module):
    """The PI controller. Its state are two buffers; nothing is read back from the device.

    Args:
        kp: factor of the proportional term.
        ki: factor of the integral term.
        low: least output.
        high: largest output.
        anti_windup: when the integral is held.

    Attributes:
        integral: I, the sum of -ki times the errors that counted.
        previous: the last output before it was clipped.
    """

    integral: Tensor
    previous: Tensor

    def __init__(
        self, kp: float, ki: float, low: float, high: float, anti_windup: AntiWindup
    ) -> None:
        super().__init__()
        self.kp, self.ki, self.low, self.high = kp, ki, low, high
        self.anti_windup = anti_windup
        # In single precision a large integral would swallow the small steps near the set point.
        self.register_buffer("integral", torch.zeros((), dtype=torch.float64))
        self.register_buffer("previous", torch.full((), low, dtype=torch.float64))
        self._error: Tensor | None = None

    def forward(self, error: Tensor) -> Tensor:
        """The output for this error: a float64 scalar in [low, high], without gradient.

        Args:
            error: set point minus measured value, a scalar; noted for :meth:`advance`.
        """
        self._error = error.detach().double()
        return self._law(self._error)[0].clamp(self.low, self.high)

    def saturated(self, error: Tensor) -> Tensor:
        """1 where the output is at a bound and this error drives it further out, else 0."""
        error = error.detach().double()
        moved = self.integral - self.ki * error
        return self._driven_out(self.low + self._proportional(error) + moved, error).double()

    @torch.no_grad()
    def advance(self) -> None:
        """Move the state by the last error, the same for all parts of a batch and on all ranks."""
        assert self._error is not None, "it answers before it moves"
        output, integral = self._law(self._error)
        self._error = None
        self.previous.copy_(output)
        self.integral.copy_(integral)

    def _law(self, error: Tensor) -> tuple[Tensor, Tensor]:
        """The output before it is clipped, and the integral that it is made with."""
        proportional = self._proportional(error)
        moved = self.integral - self.ki * error
        if self.anti_windup == "directional":
            held = self._driven_out(self.low + proportional + moved, error)
        elif self.anti_windup == "released":
            held = self.previous < self.low
        else:
            clipped = self.previous.clamp(self.low, self.high)
            held = (clipped < self.low) | (clipped > self.high)
        integral = torch.where(held, self.integral, moved)
        return self.low + proportional + integral, integral

    def _proportional(self, error: Tensor) -> Tensor:
        # The same as kp / (1 + exp(error)), which overflows for errors above 709.
        return self.kp * torch.sigmoid(-error)

    def _driven_out(self, wanted: Tensor, error: Tensor) -> Tensor:
        """Whether an output is out of bounds and its error drives it further out."""
        return ((wanted < self.low) & (error > 0)) | ((wanted > self.high) & (error < 0))


class ControlVAE(VAE):
    """A VAE whose KL's weight is a controller's output."""

    def __init__(self, spec: Spec, shape: Shape) -> None:
        super().__init__(spec, shape)
        self.set_point = spec.set_point
        high = math.inf if spec.beta_max is None else spec.beta_max
        self.controller = Controller(spec.kp, spec.ki, spec.beta_min, high, spec.anti_windup)

    def phases(self) -> list[Phase]:
        """The VAE's one phase; the controller moves after each update."""
        after = self.controller.advance
        return [Phase("vae", [self], self.losses, self.optimizer, after=after, survey=self.survey)]

    def weighted(self, kl: Tensor, whole: Tensor, step: int) -> tuple[Tensor, Losses]:
        """beta times the KL, beta being the answer to this very batch's KL."""
        total = kl.sum()
        set_point = total.new_full((), self.set_point(step))
        error = set_point - whole.sum()
        beta: Tensor = self.controller(error).to(total)
        saturated = self.controller.saturated(error).to(total)
        return beta * total, {"beta": beta, "set_point": set_point, "saturated": saturated}
