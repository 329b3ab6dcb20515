"""Times drawn by importance: how often, and that losses keep their mean."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from naqsh.core.errors import NaqshError
from naqsh.core.noise import Noise
from naqsh.diffusion.denoiser import Denoiser
from naqsh.diffusion.parameterisation import Parameterisation, form
from naqsh.diffusion.schedule import EDM, AnySchedule, Cosine, FlowMatching, Linear
from naqsh.diffusion.weighting import CELLS, Weighting, Weights

DRAWN = 400_000
"""Places on the line from 0 to 1; what is drawn at them is off by at most a place at each end of
each of 1,000 cells."""


class Even(Noise):
    """Places of one distance on the line from 0 to 1, in place of random ones."""

    def uniform(self, *shape: int) -> Tensor:
        assert not shape
        return (torch.arange(self.count, dtype=torch.float64) + 0.5) / self.count


def weights(
    schedule: AnySchedule, kind: Weighting = "min-snr", by: Parameterisation = "v"
) -> Weights:
    return Weights(kind, schedule, by, 0.5, 5.0)


@pytest.mark.parametrize("schedule", [Cosine(), Linear(40, 0.01, 0.3)])
def test_levels_are_drawn_as_often_as_they_weigh(schedule: AnySchedule) -> None:
    t, factor = weights(schedule).draw(Even(0, DRAWN))
    assert t.dtype == torch.int64
    levels = schedule.levels
    assert levels is not None
    snr = schedule.log_snr(torch.arange(1, levels + 1)).exp().numpy()
    # The squared error of x0 is that of v times sigma squared, which is 1 / (1 + SNR).
    w = np.minimum(snr, 5) / (1 + snr)
    shares = np.bincount(t, minlength=levels + 1)[1:] / DRAWN
    np.testing.assert_allclose(shares, w / w.sum(), atol=2 / DRAWN)
    np.testing.assert_allclose(factor.numpy() * w[t - 1], w.mean(), rtol=1e-9)


@pytest.mark.parametrize(
    "schedule",
    [
        Cosine(),
        Linear(40, 0.01, 0.3),
        FlowMatching(),
        FlowMatching("normal", 3.0),
        EDM(mean=0.0, deviation=0.8),
    ],
)
@pytest.mark.parametrize("kind", ["min-snr", "noise"])
def test_the_mean_of_losses_is_that_over_the_schedules_own_times(
    schedule: AnySchedule, kind: Weighting
) -> None:
    of, by = weights(schedule, kind, "velocity"), "velocity"

    def error(t: Tensor) -> Tensor:
        """Of a network that is worst in the middle."""
        return (1 + schedule.log_snr(t).square()).reciprocal()

    def weighted(t: Tensor) -> Tensor:
        return error(t) * of(t, form(by, *schedule(t)))

    own = schedule.quantile(Even(0, DRAWN).uniform())
    t, factor = of.draw(Even(0, DRAWN))
    expected = weighted(own).mean()
    assert schedule.levels or len(t.unique()) > 10 * CELLS, "all times of a cell are drawn"
    assert abs(weighted(t).mean() / expected - 1) > 0.05, "the factors matter"
    # A place too many or too few in each cell.
    tolerance = 2 * CELLS / DRAWN
    torch.testing.assert_close((weighted(t) * factor).mean(), expected, rtol=tolerance, atol=0)


def test_gradients_vary_less() -> None:
    """Of a loss that is the same at all times before it is weighted, they do not vary at all."""
    of, noise = weights(Cosine()), Noise(0, 1000)
    t, factor = of.draw(noise)
    by_importance = factor * of(t, form("v", *Cosine()(t)))
    even = Cosine().draw(Noise(0, 1000))
    plain = of(even, form("v", *Cosine()(even)))
    assert by_importance.std() < 1e-9 < 0.1 < plain.std()
    # The mean is that of the cosine schedule's weights, by their formula.
    snr = Cosine().log_snr(torch.arange(1, 1001)).exp()
    torch.testing.assert_close(by_importance.mean(), (snr.clamp(max=5) / (1 + snr)).mean())


class Nothing(nn.Module):
    """A network that always gives 0."""

    def forward(self, x: Tensor, condition: Tensor, labels: Tensor | None) -> Tensor:
        return torch.zeros_like(x)


def test_a_denoisers_losses_are_corrected() -> None:
    denoiser = Denoiser(
        Nothing(), Cosine(), parameterisation="v", weighting="min-snr", importance=True
    )
    images = Noise(1, 6).normal(1, 4, 4)
    losses, t = denoiser.loss(images, Noise(2, 6))
    noise = Noise(2, 6)
    expected_t, factor = denoiser.weights.draw(noise)
    assert torch.equal(t, expected_t)
    torch.testing.assert_close(losses, denoiser.loss_at(images, t, noise) * factor.float())
    part, part_t = denoiser.loss(images[2:4], Noise(2, 2, first=2))
    assert torch.equal(part_t, t[2:4])
    torch.testing.assert_close(part, losses[2:4])


@pytest.mark.parametrize(
    "change",
    [
        {"weighting": "simple"},
        {"weighting": "vlb"},
        {"variance": "learned"},
        {"parameterisation": "score"},
    ],
)
def test_what_has_no_weights_to_draw_by_is_refused(change: dict[str, str]) -> None:
    settings = {"parameterisation": "v", "weighting": "min-snr", "importance": True, **change}
    with pytest.raises(NaqshError, match="importance draws times by their weights"):
        Denoiser(Nothing(), Linear(), **settings)  # type: ignore[arg-type]
