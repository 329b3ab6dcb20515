"""Every sampler by the name that a user types, and what a picture costs with it.

::

    SAMPLERS["ddim"](denoiser, noise, shape, steps=50)
    evaluations("heun", 18)     # 35
"""

from typing import Protocol

from torch import Tensor

from naqsh.core.errors import NaqshError, one_of
from naqsh.core.noise import Noise
from naqsh.core.spec import Shape
from naqsh.diffusion.denoiser import Denoises
from naqsh.diffusion.samplers import Callback, ancestral, ddim
from naqsh.diffusion.schedule import Spacing
from naqsh.diffusion.solvers import dpm_solver_pp_2m, euler, heun


class Sampler(Protocol):
    """The one shape of all samplers, see :mod:`naqsh.diffusion.samplers`."""

    def __call__(
        self,
        denoiser: Denoises,
        noise: Noise,
        shape: Shape,
        *,
        steps: int,
        spacing: Spacing | None = None,
        labels: Tensor | None = None,
        clip: bool = False,
        start: Tensor | None = None,
        callback: Callback | None = None,
    ) -> Tensor:
        """Pictures with shape (N, C, H, W), one for each stream of the noise."""
        ...


SAMPLERS: dict[str, Sampler] = {
    "ancestral": ancestral,
    "ddim": ddim,
    "euler": euler,
    "heun": heun,
    "dpm-solver++": dpm_solver_pp_2m,
}


def evaluations(name: str, steps: int) -> int:
    """How often a sampler of so many steps runs the network for a picture.

    Raises:
        NaqshError: no such sampler, or no step.
    """
    if name not in SAMPLERS:
        raise one_of("sampler", name, SAMPLERS)
    if steps < 1:
        raise NaqshError(f"need at least 1 sampling step, got {steps}")
    return 2 * steps - 1 if name == "heun" else steps
