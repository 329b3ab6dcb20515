"""An autoencoder of digits and diffusion of its latents: the lesson's experiment."""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout, Parent
from naqsh.data import digits
from naqsh.methods import autoencoder
from naqsh.methods import latent_diffusion as latents
from naqsh.studies.segmentation.updates import updates


@functools.cache
def images(split: str = "train") -> Tensor:
    """scikit-learn's digits as published, (N, 1, 8, 8) in [-1, 1]."""
    return torch.from_numpy(digits.read(split)[0]).float() / 127.5 - 1


@dataclass(frozen=True)
class Trained:
    """An autoencoder of 8x8 digits, and diffusion of its latents that is told labels."""

    autoencoder: autoencoder.Autoencoder
    diffusion: latents.LatentDiffusion


SPEC = autoencoder.Spec(latent=2, width=16, multipliers=(1, 2))


LAYOUT = Layout((1, 8, 8), tuple("0123456789"))


@functools.cache
def trained() -> Trained:
    """Naqsh's two methods, one after the other, as the trainer would: the first stays as it is."""
    labels = torch.from_numpy(digits.read("train")[1])

    def learn(method: autoencoder.Autoencoder | latents.LatentDiffusion, steps: int) -> None:
        (phase,) = method.phases()
        chosen = Noise(0, steps).integers(len(labels), 32)
        for step in updates(method, steps, 6e-3):
            rows = chosen[step]
            batch = Batch(images()[rows], labels[rows], Noise(step + 1, 32))
            phase.loss(batch, step)["total"].backward()

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first = SPEC.build(LAYOUT)
        parent = Parent("first", sha256="0" * 64, method=SPEC, layout=LAYOUT)
        spec = latents.Spec(autoencoder=parent, conditional=True, tokens=4, width=24)
        second = spec.build(LAYOUT)
    learn(first, 120)
    second.autoencoder.module.load_state_dict(first.state_dict())
    second.look_first([images()])
    learn(second, 180)
    return Trained(first.requires_grad_(False), second.requires_grad_(False))


COUNT = 200


@functools.cache
def decoded() -> dict[str, Tensor]:
    """Images in [0, 1], (COUNT, 1, 8, 8), of latents from several sources; labels go round."""
    first, second = trained().autoencoder, trained().diffusion
    z = Noise(3, COUNT).normal(*first.space)
    codes = first.encode(images()).flatten(1).double()
    mean, factor = codes.mean(0), torch.linalg.cholesky(torch.cov(codes.T))
    alike = (mean + z.flatten(1).double() @ factor.T).float().view_as(z)
    labels = torch.arange(COUNT) % 10
    return {
        "real": images("test")[:COUNT].add(1).div(2),
        "again": first.reconstruct(images("test")[:COUNT]),
        "prior": first.decode(z),
        "channels": second.visible(z),
        "normal": first.decode(alike),
        "diffusion": second.denoise(Noise(5, COUNT), labels, None, "float32"),
        "guided": second.denoise(Noise(5, COUNT), labels, None, "float32", guidance=2.0),
    }


def information() -> tuple[float, float]:
    """Of the trained latents: the mean KL, and what of it the dependence of numbers costs.

    The latter is that of a normal distribution with their covariance, in nats an image.
    """
    mean, log_variance = trained().autoencoder.posterior(images())
    assert log_variance is not None
    kl = (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1).mean() / 2
    covariance = torch.cov(mean.flatten(1).double().T)
    covariance += log_variance.exp().double().flatten(1).mean(0).diag()
    dependence = covariance.diagonal().log().sum() - torch.linalg.slogdet(covariance).logabsdet
    return float(kl), float(dependence / 2)
