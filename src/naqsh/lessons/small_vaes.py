"""ControlVAEs of digits under several set points: the experiment of the lesson on the VAE."""

import functools
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.methods import controlvae
from naqsh.metrics import frechet_distance_features


@dataclass(frozen=True)
class Trained:
    """What is kept of a training: curves by step, and images, (N, 64) in [0, 1]."""

    kl: list[float]
    reconstruction: list[float]
    beta: list[float]
    samples: Tensor
    reconstructed: Tensor


STEPS, BATCH = 600, 64


@functools.cache
def digits() -> Tensor:
    """The 1,797 digits of 8x8 pixels that scikit-learn brings, (N, 1, 8, 8) in [0, 1]."""
    return torch.from_numpy(load_digits().images).float()[:, None] / 16


@functools.cache
def trained(kl: float) -> Trained:
    """A ControlVAE of Naqsh's on the digits whose set point is `kl`."""
    spec = controlvae.Spec(kl=kl, kl_start=kl, kp=0.01, ki=0.004, beta_min=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = spec.build(Layout((1, 8, 8)))
        # Of convolutions 8x8 pixels have little use.
        method.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 20)
        )
        method.decoder = nn.Sequential(
            nn.Linear(10, 128), nn.ReLU(), nn.Linear(128, 64), nn.Unflatten(1, (1, 8, 8))
        )
    (phase,) = method.phases()
    optimizer = torch.optim.Adam(phase.parameters(), lr=2e-3)
    images = digits()
    curves: dict[str, list[float]] = {"kl": [], "reconstruction": [], "beta": []}
    for step, chosen in enumerate(Noise(0, STEPS).integers(len(images), BATCH)):
        losses = phase.loss(Batch(images[chosen], None, Noise(step, BATCH)), step)
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        method.controller.advance()
        for name, curve in curves.items():
            curve.append(float(losses[name].detach()))
    with torch.no_grad():
        method.eval()
        samples = method.sample(Noise(9, 1000))
        again = method.reconstruct(images[:1000])
    return Trained(**curves, samples=samples.flatten(1), reconstructed=again.flatten(1))


def distances(kl: float) -> tuple[float, float]:
    """Frechet distance on pixels of samples and of reconstructions from the digits."""
    run, real = trained(kl), digits().flatten(1)
    return (
        frechet_distance_features(run.samples, real),
        frechet_distance_features(run.reconstructed, real),
    )


RUNS = {"low": 4.0, "middle": 12.0, "high": 30.0}
