r"""Samplers: ways from noise to images that any denoiser can be put under.

A sampler is a frozen dataclass. Its fields are all that it can be set to, and of no other sampler;
called, it draws::

    Heun(18, churn=40.0)(denoiser, noise, shape)     # x at time 0, shape (N, C, H, W)
    Heun(18).evaluations                             # 35 evaluations of the network an image
    SAMPLERS["heun"](18)                             # the same by the name that a user types

What they share, their arguments among it, is in :mod:`naqsh.diffusion.samplers.sampler`; the module
of each describes its step from t to s, with :math:`\hat x_0`, :math:`\hat\epsilon` predicted at t.
"""

from typing import Literal

from naqsh.diffusion.samplers.ancestral import Ancestral
from naqsh.diffusion.samplers.ddim import Ddim
from naqsh.diffusion.samplers.dpm import DpmSolver
from naqsh.diffusion.samplers.euler import Euler
from naqsh.diffusion.samplers.heun import Heun
from naqsh.diffusion.samplers.langevin import Langevin, PredictorCorrector
from naqsh.diffusion.samplers.sampler import Callback, Sampler

__all__ = [
    "SAMPLERS",
    "Ancestral",
    "Callback",
    "Ddim",
    "DpmSolver",
    "Euler",
    "Heun",
    "Langevin",
    "PredictorCorrector",
    "Sampler",
    "SamplerName",
]

SamplerName = Literal[
    "ancestral", "ddim", "euler", "heun", "dpm-solver++", "langevin", "predictor-corrector"
]

SAMPLERS: dict[SamplerName, type[Sampler]] = {
    "ancestral": Ancestral,
    "ddim": Ddim,
    "euler": Euler,
    "heun": Heun,
    "dpm-solver++": DpmSolver,
    "langevin": Langevin,
    "predictor-corrector": PredictorCorrector,
}
"""Every sampler by the name that users type."""
