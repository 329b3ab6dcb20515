"""Latent diffusion: what its latents are, what it stands on, and what it cannot do."""

import shutil
from dataclasses import replace

import pytest
import torch

import naqsh
from learning import captions_of
from naqsh.core import abilities
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout, Parent
from naqsh.diffusion import editing
from naqsh.methods import autoencoder, latent_diffusion, stackgan
from naqsh.recipes.recipe import Data, Recipe, Training
from naqsh.training.building import build
from naqsh.training.rows import fixed, look_first
from small import CPU, state, tiny_data, trainer

AUTOENCODER = autoencoder.Spec(latent=2, width=4, multipliers=(1, 2))
DISCS = tiny_data(1)
TINY = {"training.batch": 8, "training.steps": 4}


def on(layout=DISCS.layout, method=AUTOENCODER):
    """A parent as training completes it."""
    return Parent("first", sha256="0" * 64, method=method, layout=layout)


def spec(**changes):
    return latent_diffusion.Spec(autoencoder=on(), width=8, **changes)


def method(**changes):
    torch.manual_seed(0)
    return spec(**changes).build(DISCS.layout).eval()


def batch(made, rows=range(24), data=DISCS):
    return fixed(data, rows, made.value_range, Noise(3, len(rows)))


def test_latents_have_mean_0_and_deviation_1_in_each_channel():
    made = method()
    before = made.clean(batch(made))
    assert before.shape == (24, 2, 8, 8)
    look_first(made, DISCS, CPU)
    after = made.clean(batch(made))
    rows = after.transpose(0, 1).flatten(1)
    torch.testing.assert_close(rows.mean(1), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(rows.std(1, correction=0), torch.ones(2), rtol=1e-4, atol=0)
    # each channel by its own: theirs has one deviation for all
    assert made.deviation[0] != made.deviation[1]
    torch.testing.assert_close(made.visible(after), made._parent.reconstruct(batch(made).images))


def test_a_channel_that_never_changes_is_left_as_it_is():
    made = method()
    with torch.no_grad():
        made._parent.encoder.last.weight[0].zero_()
        made._parent.encoder.last.bias[0] = 0.5
    look_first(made, DISCS, CPU)
    assert made.deviation[0] == 1
    torch.testing.assert_close(made.clean(batch(made))[:, 0], torch.zeros(24, 8, 8))


def test_statistics_are_taken_of_what_is_trained_on_and_before_the_first_step(tmp_path):
    training = Training(steps=2, batch=8, validation=0.25)
    recipe = Recipe("tiny", Data("digits"), spec(), training)
    one = trainer(recipe, DISCS, tmp_path)
    assert one.held_out is not None
    alone = build(recipe, DISCS.layout)
    look_first(alone, one.data, CPU)
    assert torch.equal(one.method.mean, alone.mean)
    look_first(alone, DISCS, CPU)
    assert not torch.equal(one.method.mean, alone.mean)
    kept = state(one.method)
    one.run()
    assert torch.equal(one.method.mean, kept["mean"])
    assert torch.equal(one.method.deviation, kept["deviation"])
    for name, value in kept.items():
        if name.startswith("autoencoder."):
            assert torch.equal(one.method.state_dict()[name], value), name


def test_what_it_can_do_and_what_it_must_not():
    made = method()
    for able in (
        abilities.Samples,
        abilities.HasSamplers,
        abilities.Shows,
        abilities.Validates,
        abilities.LooksFirst,
    ):
        assert isinstance(made, able), able
    for unable in (
        abilities.HasLogProb,
        abilities.Bounds,
        abilities.HasFlowLogProb,
        abilities.FollowsCaptions,
    ):
        assert not isinstance(made, unable), unable
    # samplers must not cut latents to [-1, 1]
    assert not any(sampler.clip for sampler in made.samplers.values())


@pytest.mark.parametrize("told", [True, "captions"])
def test_conditions_are_hidden_at_the_stated_rate(told, monkeypatch):
    data = DISCS.with_columns(captions=captions_of(DISCS))
    made = spec(conditional=told, label_dropout=0.2).build(data.layout).train()
    seen = []

    def loss(images, noise, labels):
        seen.append(labels)
        return torch.zeros(len(images)), torch.ones(len(images), dtype=torch.int64)

    monkeypatch.setattr(made.denoiser, "loss", loss)
    one = batch(made, range(24), data)
    for seed in range(100):
        made.losses(replace(one, noise=Noise(seed, 24)), 0)
    made.validation(replace(one, noise=Noise(0, 24)))
    null = torch.as_tensor(made.null)
    hidden = [(labels == null).reshape(24, -1).all(1) for labels in seen]
    share = torch.stack(hidden[:-1]).double().mean()
    assert abs(share - 0.2) < 4 * (0.2 * 0.8 / 2400) ** 0.5  # four standard errors
    assert not hidden[-1].any()  # held-out images hide nothing


def test_captions_are_followed():
    data = DISCS.with_columns(captions=captions_of(DISCS))
    made = spec(conditional="captions", steps=2).build(data.layout).eval()
    assert isinstance(made, abilities.FollowsCaptions)
    captions = torch.from_numpy(data.captions[:2, 0])
    with torch.no_grad():
        for parameter in made.denoiser.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        (one,) = made.follow(Noise(0, 2), captions)
        (other,) = made.follow(Noise(0, 2), captions.flip(0))
        (more,) = made.follow(Noise(0, 2), captions, guidance=3.0)
    assert one.shape == (2, 1, 16, 16)
    assert not torch.equal(one, other)
    assert not torch.equal(one, more)


@pytest.mark.parametrize(
    ("changes", "layout", "said"),
    [
        ({"autoencoder": Parent()}, DISCS.layout, "none is named"),
        (
            {"autoencoder": on(method=stackgan.Spec())},
            DISCS.layout,
            "a run of stackgan; latent diffusion stands on one of autoencoder",
        ),
        ({}, Layout((1, 32, 32)), "of images 1x16x16, and these are 1x32x32; give data.size"),
        ({"conditional": True}, Layout((1, 16, 16)), "needs labels"),
        ({"conditional": "captions"}, Layout((1, 16, 16)), "needs captions"),
        ({"weighting": "vlb"}, DISCS.layout, "latents have no levels"),
        ({"variance": "learned"}, DISCS.layout, "latents have no levels"),
        ({"tokens": -1}, DISCS.layout, "tokens must be at least 0"),
        ({"multipliers": (1, 2, 2, 2, 2)}, DISCS.layout, "need sides that divide by 16, got 8x8"),
    ],
)
def test_what_does_not_fit_is_said(changes, layout, said):
    with pytest.raises(ValueError, match=said):
        replace(spec(), **changes).build(layout)


@pytest.mark.usefixtures("small_grids")
def test_a_run_needs_its_autoencoder_at_the_beginning_alone(alone):
    small = {"method.width": 4}
    with pytest.raises(NaqshError, match=r"--method\.autoencoder\.run"):
        naqsh.train("ldm-digits", out="x", device="cpu", quiet=True)
    with pytest.raises(NaqshError, match=r"ldm-digits stands on another run; give it"):
        naqsh.compare("digits", recipes=("ldm-digits", "ddpm-digits"), minutes=1, quiet=True)
    first = naqsh.train("autoencoder-digits", out="first", overrides=TINY | small, quiet=True)
    numbers = TINY | {"method.width": 8, "method.autoencoder.run": "first"}
    run = naqsh.train("ldm-digits", out="second", overrides=numbers, device="cpu", quiet=True)
    own = run.method.state_dict()
    for name, value in first.method.state_dict().items():
        assert torch.equal(own[f"autoencoder.module.{name}"], value), name
    assert (own["deviation"] != 1).all()
    shutil.rmtree("first")
    opened = naqsh.open("second")
    assert opened.sample(2, label=3, guidance=2.0, sampler="heun", steps=2).shape == (2, 1, 16, 16)
    with pytest.raises(NaqshError, match="no likelihood"):
        opened.evaluate(["likelihood"])
    longer = numbers | {"training.steps": 6}
    assert naqsh.train("ldm-digits", out="second", overrides=longer, quiet=True).step == 6


def test_images_are_edited_through_latents_and_known_pixels_stay():
    made = method(steps=3)
    look_first(made, DISCS, CPU)
    images = batch(made, range(2)).images
    unknown = torch.zeros(2, 16, 16, dtype=torch.bool)
    unknown[:, 5:9, 5:9] = True
    with torch.no_grad():
        filled = editing.fill(made, images, unknown, Noise(0, 2))
        varied = editing.vary(made, images, Noise(0, 2), 0.5)
        blended = editing.blend(made, images[0], images[1], 3, steps=4)
    given = (images + 1) / 2
    assert torch.equal(filled[:, 0][~unknown], given[:, 0][~unknown])
    assert not torch.equal(filled, given)
    assert varied.shape == given.shape
    assert blended.shape == (3, 1, 16, 16)
    # Its ends are what the decoder makes of the images' latents, but for DDIM's error.
    ends = made._parent.reconstruct(images)
    assert (blended[[0, -1]] - ends).abs().mean() < (blended[1] - ends).abs().mean()
