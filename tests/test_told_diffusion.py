"""Diffusion models and VAEs that are told captions: what the networks see, guidance, and runs."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import naqsh
from learning import at_rate, captions_of
from naqsh.cli import main
from naqsh.core.abilities import DrawsLabels, FollowsCaptions, Samples
from naqsh.core.batch import Batch
from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout, MethodSpec
from naqsh.data import CATALOG
from naqsh.diffusion.schedule import Cosine
from naqsh.methods import cvae, diffusion, ncsn, vae
from naqsh.methods.diffusion import CaptionedDiffusion
from naqsh.networks.conditional import Told
from naqsh.networks.unet import UNet
from naqsh.recipes import by_name
from small import tiny, tiny_data, trainer

SIZE = 6
LAYOUT = Layout((1, 8, 8), ("dark", "bright", "neither"), caption=SIZE)
SMALL = diffusion.Spec(
    Cosine(),
    parameterisation="v",
    width=4,
    multipliers=(1, 2),
    conditional="captions",
    label_dropout=0.25,
    steps=3,
)


def awake(network: torch.nn.Module) -> None:
    """Give what begins at zero some weights: else nothing that a network is told comes through."""
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3)


def captioned(**changes: object) -> CaptionedDiffusion:
    torch.manual_seed(0)
    made = dataclasses.replace(SMALL, **changes).build(LAYOUT)  # type: ignore[arg-type]
    assert isinstance(made, CaptionedDiffusion)
    awake(made)
    return made.eval()


def told(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, SIZE, generator=torch.Generator().manual_seed(seed))


def test_a_caption_adds_a_vector_to_time_as_a_label_does() -> None:
    """A U-Net that is told labels gives the same where its table has the captions' vectors."""
    torch.manual_seed(0)
    one = UNet((1, 8, 8), 4, (1, 2), captions=SIZE)
    awake(one)
    other = UNet((1, 8, 8), 4, (1, 2), classes=2)
    other.load_state_dict(
        {name: value for name, value in one.state_dict().items() if name[:6] != "label."},
        strict=False,
    )
    captions = told(2)
    assert isinstance(one.label, Told)
    assert isinstance(other.label, torch.nn.Embedding)
    vectors = one.label(torch.cat([captions, one.label.null[None]])).detach()
    other.label.weight.data.copy_(vectors)
    x, time = torch.randn(2, 1, 8, 8), torch.tensor([10.0, 700.0])
    torch.testing.assert_close(one(x, time, captions), other(x, time, torch.tensor([0, 1])))
    torch.testing.assert_close(one(x, time), other(x, time))
    assert not torch.allclose(one(x, time, captions), one(x, time, captions.flip(0)))


def test_captions_are_hidden_as_often_as_asked_for() -> None:
    one, count, found = captioned().train(), 400, list[Tensor]()
    one.sampling_network.register_forward_pre_hook(lambda _, inputs: found.append(inputs[2]))
    captions = told(count)
    losses = one.losses(Batch(torch.zeros(count, 1, 8, 8), None, Noise(3, count), captions), 0)
    hidden = (found[0] == one.null).all(1)
    torch.testing.assert_close(found[0][~hidden], captions[~hidden])
    # Four standard deviations of a binomial.
    assert abs(int(hidden.sum()) - 100) < 4 * math.sqrt(400 * 0.25 * 0.75)
    losses["total"].backward()
    assert isinstance(one.null, Tensor)
    assert one.null.grad is not None
    assert bool(one.null.grad.abs().sum() > 0)
    found.clear()
    one.validation(Batch(torch.zeros(4, 1, 8, 8), None, Noise(3, 4), captions[:4]))
    assert torch.equal(found[0], captions[:4])


def test_captions_are_hidden_in_training_alone() -> None:
    torch.manual_seed(0)
    one = cvae.Spec(latent=3, conditional="captions", label_dropout=0.5).build(LAYOUT)
    assert isinstance(one, cvae.Captioned)
    torch.nn.init.normal_(one.embed.null)  # type: ignore[arg-type]
    captions = told(200)
    batch = Batch(torch.rand(200, 1, 8, 8), None, Noise(2, 200), captions)
    assert torch.equal(one.told(batch, training=False), captions)
    hidden = (one.told(batch, training=True) == one.embed.null).all(1)
    # Four standard deviations of a binomial.
    assert abs(int(hidden.sum()) - 100) < 4 * math.sqrt(200 * 0.25)


def test_guidance_goes_from_no_caption_past_the_caption() -> None:
    one, captions = captioned(), told(3)
    (twice,) = one.follow(Noise(5, 3), captions, guidance=2.0)
    (plain,) = one.follow(Noise(5, 3), captions)
    assert not torch.allclose(twice, plain)
    x, t = torch.randn(3, 1, 8, 8), 300.0
    with torch.no_grad():
        known, unknown = one.denoiser(x, t, captions), one.denoiser(x, t)
        none = one.null.expand(3, -1)  # type: ignore[union-attr]
        torch.testing.assert_close(unknown.x0, one.denoiser(x, t, none).x0)
        guided = naqsh.diffusion.guidance.Guided(one.denoiser, 2.5, one.null)(x, t, captions)
        expected = unknown.epsilon + 2.5 * (known.epsilon - unknown.epsilon)
    torch.testing.assert_close(guided.epsilon, expected, rtol=1e-4, atol=1e-5)
    # At scale 0 the caption is nothing.
    (first,) = one.follow(Noise(5, 3), captions, guidance=0.0)
    (other,) = one.follow(Noise(5, 3), captions.flip(0), guidance=0.0)
    torch.testing.assert_close(first, other)


@pytest.mark.parametrize(
    "spec",
    [
        SMALL,
        cvae.Spec(conditional="captions", latent=3),
        ncsn.Spec(
            conditional="captions", width=4, multipliers=(1, 2), inner=1, steps=2, blind=True
        ),
    ],
    ids=["diffusion", "cvae", "ncsn, blind"],
)
def test_samples_are_of_the_captions_that_are_kept(spec: MethodSpec) -> None:
    torch.manual_seed(0)
    one = spec.build(LAYOUT).eval()
    assert isinstance(one, FollowsCaptions)
    assert isinstance(one, Samples)
    assert not isinstance(one, DrawsLabels) or isinstance(spec, diffusion.Spec)
    awake(one)
    caption = told(1)
    one.keep_captions(caption)
    with torch.no_grad():
        drawn = one.sample(Noise(1, 4))
        other = one.follow(Noise(1, 4), told(1, seed=1).expand(4, -1))[-1]
    assert drawn.shape == (4, 1, 8, 8)
    assert not torch.allclose(drawn, other)
    # Which caption is drawn first, so the same noise comes after it.
    noise = Noise(1, 4)
    noise.uniform()
    with torch.no_grad():
        torch.testing.assert_close(drawn, one.follow(noise, caption.expand(4, -1))[-1])


def test_a_conditional_vae_whose_vector_is_zero_is_a_vae() -> None:
    torch.manual_seed(0)
    plain = vae.Spec(latent=3, likelihood="gaussian").build(LAYOUT)
    spec = cvae.Spec(latent=3, likelihood="gaussian", conditional="captions", label_dropout=0.0)
    one = spec.build(LAYOUT)
    assert isinstance(one, cvae.Captioned)
    weights = {n: v for n, v in plain.state_dict().items() if n != "decoder.linear.weight"}
    one.load_state_dict(weights, strict=False)
    assert isinstance(one.embed, Told)
    for parameter in one.embed.parameters():
        torch.nn.init.zeros_(parameter)
    wide, narrow = one.decoder.linear.weight, plain.decoder.linear.weight  # type: ignore[attr-defined]
    wide.data[:, :3] = narrow.data
    batch = Batch(torch.rand(5, 1, 8, 8), None, Noise(2, 5), told(5))
    expected = plain.losses(dataclasses.replace(batch, noise=Noise(2, 5)), 0)
    torch.testing.assert_close(dict(one.losses(batch, 0)), dict(expected))
    torch.testing.assert_close(
        one.log_prob(batch.images, Noise(4, 5)), plain.log_prob(batch.images, Noise(4, 5))
    )


def test_the_numbers_of_the_encoder_are_linear_in_image_and_vector_side_by_side() -> None:
    """Adding a layer of the vector is one layer of both, as if they were put side by side."""
    torch.manual_seed(0)
    one = cvae.Spec(latent=3, conditional="captions").build(LAYOUT)
    assert isinstance(one, cvae.Captioned)
    images, captions = torch.rand(2, 1, 8, 8), told(2)
    heads = one.encoder[-1]
    assert isinstance(heads, torch.nn.Linear)
    both = torch.cat([one.encoder[:-1](images), one.embed(captions)], 1)
    weight = torch.cat([heads.weight, one.beside.weight], 1)
    posterior = one.posterior(images, captions)
    expected = both @ weight.T + heads.bias
    torch.testing.assert_close(torch.cat([posterior.mean, posterior.log_variance], 1), expected)


def test_a_vae_that_is_told_labels_draws_the_one_that_is_asked_for() -> None:
    torch.manual_seed(0)
    one = cvae.Spec(latent=3).build(LAYOUT).eval()
    assert isinstance(one, cvae.Labelled)
    one.count_labels([0, 4, 0])
    assert not isinstance(one, FollowsCaptions)
    torch.testing.assert_close(one.sample(Noise(1, 3), label=1)[0], one.sample(Noise(1, 1), 1)[0])
    assert not torch.allclose(one.sample(Noise(1, 3), label=1), one.sample(Noise(1, 3), label=2))
    with pytest.raises(NaqshError, match="0 to 2, got 3"):
        one.sample(Noise(1, 3), label=3)


@pytest.mark.parametrize("name", ["vae-shapes", "ddpm-shapes"])
def test_captions_decide_what_is_drawn_once_it_has_learnt(name: str, tmp_path: Path) -> None:
    """Dark and bright discs: of 64 samples the means lie apart as those of the data, by half."""
    data = tiny_data(1)
    data = data.with_columns(captions=captions_of(data))
    given = {"training.steps": 300, "training.schedule": "constant", "training.batch": 24}
    given |= {"training.ema": None, "training.validation": 0.0}
    recipe = at_rate(tiny(by_name(name)), 5e-3).override(given)
    if isinstance(recipe.method, diffusion.Spec):
        recipe = recipe.override({"method.width": 8})
    one = trainer(recipe, data, tmp_path)
    for _ in range(100):
        one.step()
    assert isinstance(one.method, FollowsCaptions)
    assert data.captions is not None
    means = []
    for row in (0, 1):
        caption = torch.from_numpy(data.captions[row, 0]).expand(64, -1)
        with torch.no_grad():
            made = one.method.eval().follow(Noise(1, 64), caption)[-1]
        means.append(float(made.mean()))
    real = [float(data.images[row::2].mean() / 255) for row in (0, 1)]
    assert means[1] - means[0] > (real[1] - real[0]) / 2


def test_what_cannot_be_is_refused() -> None:
    bare = Layout((1, 8, 8))
    for spec in (SMALL, cvae.Spec(conditional="captions")):
        with pytest.raises(ValueError, match="it needs captions, and these images have none"):
            spec.build(bare)
    with pytest.raises(ValueError, match="needs labels"):
        cvae.Spec().build(bare)
    with pytest.raises(ValueError, match="label_dropout"):
        cvae.Spec(label_dropout=1.0)
    with pytest.raises(NaqshError, match="captions"):
        by_name("ddpm-mnist").override({"method.conditional": "caption"})
    with pytest.raises(NaqshError, match=r"method\.conditional"):
        by_name("ddpm-mnist").override({"method.conditional": 1})


def test_conditional_reads_true_false_and_captions() -> None:
    recipe = by_name("ddpm-mnist")
    for text, value in (("true", True), ("False", False), ("captions", "captions")):
        one = recipe.override({"method.conditional": naqsh.io.codec.Text(text)})
        assert one.method.conditional == value  # type: ignore[attr-defined]
        assert naqsh.recipes.recipe.from_yaml(one.to_yaml()) == one


def test_a_held_out_image_by_itself_has_no_other_caption() -> None:
    data = tiny_data(1, 1)
    one = data.with_columns(captions=np.zeros((1, 2, 3), np.float32))
    batch = naqsh.training.rows.fixed(one, [0], (0, 1), Noise(0, 1))
    assert batch.captions is not None
    assert batch.mismatched is None


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> "naqsh.Run":
    """A tiny diffusion model of a few scenes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CATALOG, "shapes", dataclasses.replace(CATALOG["shapes"], train=60, test=120))
        overrides: dict[str, object] = {"data.size": 16, "data.text_size": 8, "training.steps": 2}
        overrides |= {"training.batch": 8, "method.width": 4, "method.multipliers": (1, 2)}
        overrides |= {"method.steps": 2, "training.precision": "float32"}
        place = tmp_path_factory.mktemp("told") / "run"
        yield naqsh.train("ddpm-shapes", out=place, overrides=overrides, device="cpu", quiet=True)


def test_a_run_draws_typed_captions_with_options(
    run: "naqsh.Run", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    captions = ["a small red circle", "یک ستاره آبی"]
    plain = run.sample_captions(captions, 2)
    assert plain.shape == (2, 2, 3, 16, 16)
    assert not torch.equal(plain, run.sample_captions(captions, 2, sampler="ddim", guidance=3.0))
    place = str(run.folder.path)
    drawn = ["sample", place, "--caption", captions[0], "--n", "2", "--out"]
    assert main([*drawn, str(tmp_path / "1.png")]) == 0
    assert main([*drawn, str(tmp_path / "2.png"), "--guidance", "4", "--steps", "3"]) == 0
    first, second = ((tmp_path / f"{n}.png").read_bytes() for n in (1, 2))
    assert first != second
    capsys.readouterr()
    assert main([*drawn, str(tmp_path / "3.png"), "--label", "1"]) == 2
    assert "label" in capsys.readouterr().err


def test_what_is_measured_of_captions_is_drawn_with_the_options(run: "naqsh.Run") -> None:
    found = [
        run.evaluate("captions", n=60, sampling=how).followed
        for how in ({}, {}, {"guidance": 8.0, "steps": 3})
    ]
    assert found[0] is not None
    assert found[0] == found[1]
    assert found[0].n == 60
    assert {r.of["metric"] for r in naqsh.runs.kept.evaluations(run.folder).read()} >= {"captions"}
    with pytest.raises(NaqshError, match="sampling option"):
        run.evaluate("captions", n=60, sampling={"label": 3})


def test_stages_of_a_run_show_captions(run: "naqsh.Run") -> None:
    page = naqsh.report.open([str(run.folder.path)])
    assert {"captions_test", "captions_changed"} <= set(page.figures)
