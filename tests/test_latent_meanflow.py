"""MeanFlow of latents: that it is MeanFlow, on what latent diffusion makes of images."""

from dataclasses import replace

import pytest
import torch

import naqsh
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout, Parent
from naqsh.methods import autoencoder, gan, latent_meanflow, meanflow
from naqsh.training.rows import fixed, look_first
from small import CPU, tiny_data

AUTOENCODER = autoencoder.Spec(latent=2, width=4, multipliers=(1, 2))
DISCS = tiny_data(1)
NUMBERS = {"width": 8, "multipliers": (1, 2), "conditional": True, "guidance": 2.0}


def on(method=AUTOENCODER):
    """A parent as training completes it."""
    return Parent("first", sha256="0" * 64, method=method, layout=DISCS.layout)


def method():
    """One that has seen its images, with weights away from the zeros that the end begins with."""
    torch.manual_seed(0)
    made = latent_meanflow.Spec(autoencoder=on(), **NUMBERS).build(DISCS.layout)
    look_first(made, DISCS, CPU)
    with torch.no_grad():
        for weight in made.denoiser.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return made


def of_latents(made):
    """MeanFlow itself, of images that are as large as the latents, by the same network."""
    layout = Layout(made.space, DISCS.layout.classes)
    plain = meanflow.Spec(**NUMBERS).build(layout)
    plain.denoiser.load_state_dict(made.denoiser.state_dict())
    return plain


def test_it_learns_latents_as_meanflow_learns_images():
    made = method()
    plain = of_latents(made)
    batch = fixed(DISCS, range(24), made.value_range, Noise(3, 24))
    latents = made.clean(batch)
    assert latents.shape == (24, 2, 8, 8)
    assert made.spec.width == 8
    rows = latents.transpose(0, 1).flatten(1)
    torch.testing.assert_close(rows.mean(1), torch.zeros(2), rtol=0, atol=1e-5)
    ours = made.losses(replace(batch, noise=Noise(3, 24)), 0)
    theirs = plain.losses(replace(batch, images=latents, noise=Noise(3, 24)), 0)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name])
    ours["total"].backward()
    frozen = [p.grad for name, p in made.named_parameters() if name.startswith("autoencoder")]
    assert frozen
    assert all(grad is None for grad in frozen)


def test_a_sample_is_the_decoder_of_a_jump():
    made = method().eval()
    labels = torch.arange(6) % 2
    run = of_latents(made).samplers["jump"]
    latents = run(made.denoiser, Noise(1, 6), made.space, labels=labels)
    with torch.no_grad():
        expected = made._parent.decode(latents * made.deviation + made.mean)
        given = made.denoise(Noise(1, 6), labels, None, "float32")
    torch.testing.assert_close(given, expected)
    # not cut to [-1, 1], as images would be
    assert latents.abs().max() > 1


def test_what_it_cannot_stand_on():
    with pytest.raises(ValueError, match="none is named"):
        latent_meanflow.Spec(**NUMBERS).build(DISCS.layout)
    with pytest.raises(ValueError, match="a run of gan"):
        latent_meanflow.Spec(autoencoder=on(gan.Spec()), **NUMBERS).build(DISCS.layout)


@pytest.mark.usefixtures("small_grids")
def test_it_trains_on_a_run_and_goes_on(alone):
    tiny = {"training.batch": 8, "training.steps": 4}
    small = {"method.width": 4, "method.multipliers": (1, 2), "method.latent": 2}
    naqsh.train("autoencoder-digits", out="first", overrides=tiny | small, quiet=True)
    small = {"method.width": 8, "method.autoencoder.run": "first"}
    recipe = "meanflow-latent-digits"
    run = naqsh.train(recipe, out="second", overrides=tiny | small, quiet=True)
    assert run.sample(3, label=1).shape == (3, 1, 16, 16)
    longer = tiny | small | {"training.steps": 6}
    assert naqsh.train(recipe, out="second", overrides=longer, quiet=True).step == 6
