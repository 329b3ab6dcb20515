"""Losses that are functions of a batch's means: those of the whole batch, however it is shared out.

The ranks' part of this lies in tests/test_distributed.py.
"""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.methods import vae
from naqsh.recipes import by_name
from naqsh.recipes.recipe import Recipe
from small import tiny, tiny_data, trainer

SGD = {"method.optimizer.kind": "sgd", "method.optimizer.lr": 1e-4, "training.precision": "float32"}
LIKE = {
    "free bits": ("vae-digits", {"method.free_bits": 0.2}),
    "free bits, drawn": ("vae-iaf-digits", {"method.free_bits": 0.2}),
    "drawn, none free": ("vae-iaf-digits", {}),
    "controller": ("controlvae-dsprites", {"method.kp": 1.0, "method.ki": 0.05}),
}


def recipe(name: str, **changes: object) -> Recipe:
    base, numbers = LIKE[name]
    return tiny(by_name(base), **changes).override(SGD | {"method.latent": 6} | numbers)


def trained(name: str, folder: Path, **changes: object) -> tuple[Tensor, Tensor]:
    """The weights after six steps, and how they moved."""
    one = trainer(recipe(name, **changes), tiny_data(1), folder)
    before = torch.cat([p.detach().flatten().clone() for p in one.method.parameters()])
    one.run()
    after = torch.cat([p.detach().flatten() for p in one.method.parameters()])
    return after, after - before


@pytest.mark.parametrize("name", LIKE)
@pytest.mark.parametrize("parts", [2, 4])
def test_parts_train_as_the_whole_batch(name: str, parts: int, tmp_path: Path) -> None:
    """Float32 sums in another order are a few 1e-5 of the movement; parts by themselves, 1e-2."""
    whole, moved = trained(name, tmp_path / "whole")
    cut, _ = trained(name, tmp_path / "cut", training__accumulate=parts)
    assert float((cut - whole).norm()) < 2e-4 * float(moved.norm())


@pytest.mark.parametrize("posterior", ["diagonal", "iaf"])
@pytest.mark.parametrize("parts", [1, 4])
def test_the_gradient_is_that_of_the_definition(posterior: str, parts: int) -> None:
    """d/dw of beta * sum_j max(free_bits, mean KL_j), the mean over all of the batch."""
    count, free = 16, 0.2
    torch.manual_seed(0)
    spec = vae.Spec(latent=8, beta=2.0, free_bits=free, posterior=posterior)  # type: ignore[arg-type]
    one = spec.build(Layout((1, 16, 16)))
    images = (Noise(4, count).uniform(1, 16, 16) > 0.7).float()
    noise = Noise(1, count)
    means = one._draw(one.posterior(images), noise).kl.mean(0)
    assert 0 < int((means < free).sum()) < 8
    (2.0 * torch.clamp(means, min=free).sum()).backward()
    expected = [p.grad.clone() for p in one.encoder.parameters() if p.grad is not None]
    one.zero_grad()
    size = count // parts
    cut = [
        Batch(images[first : first + size], None, Noise(1, size, first))
        for first in range(0, count, size)
    ]
    surveyed = None
    if parts > 1:
        with torch.no_grad():
            surveyed = torch.stack([one.survey(part) for part in cut]).mean(0)
        own = [
            one.survey(Batch(part.images, None, Noise(1, size, part.noise.first))) for part in cut
        ]
        sides = torch.stack(own) < free
        assert bool((sides.any(0) & ~sides.all(0)).any()), "parts alone would say otherwise"
    for part in cut:
        fresh = Batch(part.images, None, Noise(1, size, part.noise.first), surveyed=surveyed)
        losses = one.losses(fresh, 0)
        ((losses["total"] - losses["reconstruction"]) / parts).backward()
    found = [p.grad for p in one.encoder.parameters() if p.grad is not None]
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6 * float(theirs.abs().max()))


def test_without_free_bits_the_loss_is_minus_the_bound() -> None:
    """A drawn KL may be below 0, and counts as it is."""
    torch.manual_seed(0)
    one = vae.Spec(latent=8, posterior="iaf").build(Layout((1, 16, 16)))
    images = (Noise(4, 4).uniform(1, 16, 16) > 0.7).float()
    losses = one.losses(Batch(images, None, Noise(1, 4)), 0)
    drawn = one._draw(one.posterior(images), Noise(1, 4))
    assert float(drawn.kl.detach().mean(0).min()) < 0
    bound = one.log_prob(images, Noise(1, 4)).mean()
    torch.testing.assert_close(losses["total"], -bound, rtol=1e-6, atol=0)
