"""Draw Langevin dynamics, plain and annealed, on two modes of weights 0.8 and 0.2.

Writes docs/images/langevin.png. Above, plain chains from all over the plane: each falls into the
mode that it is near, whatever the modes weigh. Below, the same chains annealed, after the steps at
four levels of noise: they change sides while the noise is large, and settle by weight. The score is
the exact one, so what goes wrong above is nothing that a network could have learnt better.

    python tools/draw_langevin.py

Reference: Generative Modeling by Estimating Gradients of the Data Distribution (Song and Ermon,
2019), arXiv:1907.05600, section 3.2.2 and figure 3.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from naqsh.core.noise import Noise
from naqsh.diffusion.mixture import Mixture
from naqsh.diffusion.samplers.langevin import Langevin, plain
from naqsh.diffusion.schedule import Geometric
from naqsh.io.field import Panel, sheet
from naqsh.io.png import to_png

OUT = Path(__file__).resolve().parents[1] / "docs" / "images" / "langevin.png"
EXTENT, COUNT, DRAWN, INNER, SIZE = 9.0, 2000, 250, 60, 0.1
LEVELS = Geometric(20.0, 0.5, 20)


def main() -> None:
    """Draw both rows."""
    exact = Mixture(LEVELS, [(5.0, 5.0), (-5.0, -5.0)], [1.0, 1.0], [0.8, 0.2])
    sigma = float(LEVELS(1.0)[1])

    def score(x: Tensor) -> Tensor:
        return exact(x, 1.0).score(sigma)

    noise = Noise(3, COUNT)
    start = 16 * noise.uniform(2, 1, 1) - 8
    states = [start, *plain(score, start, noise, SIZE, INNER * LEVELS.levels)]
    above = [panel(exact, 1.0, states[n], f"plain, {n} steps") for n in (0, 20, 100, 1200)]
    reached: list[Tensor] = []

    def keep(index: int, time: float, x: Tensor, x0: Tensor) -> None:
        reached.append(x)

    annealed = Langevin(LEVELS.levels, inner=INNER, size=SIZE, denoise=False)
    annealed(exact, Noise(2, COUNT), (2, 1, 1), callback=keep)
    below = []
    for i in (0, 8, 13, 19):
        t = float(LEVELS.levels - i)
        below.append(panel(exact, t, reached[i], f"annealed, σ = {float(LEVELS(t)[1]):.2g}"))
    caption = (
        "weights 0.8 above and 0.2 below; in each title the share of 2,000 chains that is above"
    )
    OUT.write_bytes(to_png(sheet([above, below], EXTENT), caption))


def panel(exact: Mixture, t: float, x: Tensor, title: str) -> Panel:
    """Chains as dots over the density at time t."""
    middles = (2 * torch.arange(75) + 1) / 75 - 1
    down, right = torch.meshgrid(-middles, middles, indexing="ij")
    lattice = EXTENT * torch.stack([right.flatten(), down.flatten()], 1)[:, :, None, None]
    logs = exact.log_density(lattice, t).view(75, 75)
    density = ((logs - logs.max()) / 2).exp().numpy()
    dots = x[:DRAWN].flatten(1).numpy()
    none = np.empty((0, 2))
    share = float((x.sum(1) > 0).float().mean())
    return Panel(f"{title}: {share:.2f}", density, none, none, np.stack([dots, dots], 1))


if __name__ == "__main__":
    main()
