"""The controller: what its three rules do, that it stays finite, and that it holds a set point."""

import math
from collections.abc import Callable

import pytest
import torch

from naqsh.core.batch import Batch
from naqsh.core.noise import Noise
from naqsh.core.spec import Layout
from naqsh.methods.controlvae import Controller, ControlVAE, Spec
from naqsh.recipes import by_name
from small import tiny, tiny_data, trainer

SHAPE = (1, 16, 16)


def controller(anti_windup: str = "directional", **changes: float) -> Controller:
    """As for dSprites: Kp 0.01, Ki 0.001, beta from 1 on."""
    numbers = {"kp": 0.01, "ki": 0.001, "low": 1.0, "high": math.inf} | changes
    return Controller(**numbers, anti_windup=anti_windup)  # type: ignore[arg-type]


def answer(one: Controller, error: float) -> float:
    """One step: the output for an error, and the state moved by it."""
    output = float(one(torch.tensor(error, dtype=torch.float64)))
    one.advance()
    return output


def steps_until(one: Controller, error: float, above: float, most: int) -> int | None:
    """How many steps of a constant error leave the output at `above` or below."""
    for step in range(most):
        if answer(one, error) > above:
            return step
    return None


@pytest.mark.parametrize(
    ("anti_windup", "steps"), [("directional", 49), ("paper", 18_049), ("released", None)]
)
def test_recovery_from_a_long_wait_below_the_set_point(anti_windup: str, steps: int | None) -> None:
    # Set point 18: 10,000 steps at KL 0 (a collapsed posterior), then KL 28.
    one = controller(anti_windup)
    for _ in range(10_000):
        beta = answer(one, 18.0)
    assert beta == pytest.approx(1, abs=1e-6)
    # None is for ever: the next test shows that this rule's state no longer changes.
    most = 2000 if steps is None else 2 * steps
    assert steps_until(one, -10.0, above=1.5, most=most) == steps


def test_the_released_rule_is_stuck_for_good() -> None:
    one = controller("released")
    answer(one, 18.0)
    stuck = one.integral.clone()
    for error in (-10.0, -1000.0, 5.0, -1e6):
        answer(one, error)
        assert torch.equal(one.integral, stuck)
    assert float(stuck) == pytest.approx(-0.018)
    # P alone reaches Kp, less than what I is below zero by.
    assert answer(one, -1e6) == 1


def test_the_output_is_the_papers_formula() -> None:
    one = controller(ki=0.002, low=0.5)
    integral = 0.0
    for error in (-3.0, 1.0, -0.2, 0.4, -7.0):
        integral -= 0.002 * error
        expected = 0.5 + 0.01 / (1 + math.exp(error)) + integral
        assert answer(one, error) == pytest.approx(max(0.5, expected), rel=1e-12)
        assert float(one.integral) == pytest.approx(integral, rel=1e-12)
        assert float(one.previous) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("anti_windup", ["directional", "paper", "released"])
@pytest.mark.parametrize("high", [math.inf, 10.0])
def test_nothing_overflows_at_an_error_of_a_million(anti_windup: str, high: float) -> None:
    one = controller(anti_windup, high=high)
    for error in (1e6, -1e6, 1e6, -1e6, -1e6):
        output = answer(one, error)
        assert math.isfinite(output)
        assert 1 <= output <= high
        assert all(tensor.isfinite() for tensor in one.state_dict().values())


def test_the_integral_is_held_at_either_bound_and_let_go_inwards() -> None:
    one = controller(high=2.0)
    for _ in range(5000):
        assert answer(one, -10.0) <= 2
    assert answer(one, -10.0) == pytest.approx(1.99 + 0.01, abs=0.01)
    assert float(one.integral) <= 1
    assert steps_until(one, 10.0, above=10.0, most=10) is None
    # Ten steps inwards have moved it by ten times Ki e, at once.
    assert float(one.integral) == pytest.approx(1 - 10 * 0.01, abs=0.011)


@pytest.mark.parametrize("anti_windup", ["directional", "paper", "released"])
def test_saturated_says_that_a_bound_is_pushed_against(anti_windup: str) -> None:
    one = controller(anti_windup, high=2.0)
    assert one.saturated(torch.tensor(18.0)) == 1  # below the set point, and beta at its least
    assert one.saturated(torch.tensor(-1.0)) == 0  # beta may rise
    one.integral.fill_(1.5)
    assert one.saturated(torch.tensor(-1.0)) == 1  # above the set point, and beta at its largest
    assert one.saturated(torch.tensor(1.0)) == 0  # beta is cut, and about to come back
    assert one._error is None  # asking is not stepping


@pytest.mark.parametrize("set_point", [8.0, 14.0])
@pytest.mark.parametrize("lag", [1, 200])
def test_the_loop_settles_at_the_set_point(set_point: float, lag: int) -> None:
    """A plant whose KL falls with beta, as a VAE's does, and follows it over `lag` steps."""

    def settled(beta: float) -> float:
        return 24 / (1 + 0.3 * beta)

    one = controller(ki=0.005)
    kl, seen = 0.0, []
    for _ in range(6000):
        beta = answer(one, set_point - kl)
        kl += (settled(beta) - kl) / lag
        seen.append(kl)
    assert max(abs(kl - set_point) for kl in seen[-600:]) < 0.03 * set_point
    assert beta == pytest.approx((24 / set_point - 1) / 0.3, rel=0.05)


def test_parts_of_a_step_move_the_state_once() -> None:
    whole, parts = controller(), controller()
    for error in (-3.0, -1.0):
        answer(whole, error)
        for _ in range(3):
            parts(torch.tensor(error))
        parts.advance()
    assert torch.equal(whole.integral, parts.integral)
    assert torch.equal(whole.previous, parts.previous)


def test_the_set_point_rises_in_steps() -> None:
    spec = Spec(kl=1.0, kl_start=0.5, kl_step=0.2, kl_every=10)
    told = [spec.set_point(step) for step in (0, 9, 10, 19, 20, 29, 30, 10_000)]
    assert told == pytest.approx([0.5, 0.5, 0.7, 0.7, 0.9, 0.9, 1.0, 1.0])
    assert Spec(kl=0.3).set_point(0) == 0.3


def batch() -> Batch:
    return Batch((Noise(4, 6).uniform(*SHAPE) > 0.7).float(), None, Noise(1, 6))


def test_beta_answers_the_kl_of_the_same_step() -> None:
    torch.manual_seed(0)
    spec = Spec(kl=1.0, kl_start=1.0)
    one: ControlVAE = spec.build(Layout(SHAPE))
    losses = {name: float(value.detach()) for name, value in one.losses(batch(), 0).items()}
    error = 1 - losses["kl"]
    assert error < -0.1
    assert losses["set_point"] == 1
    assert losses["beta"] == pytest.approx(1 + 0.01 / (1 + math.exp(error)) - 0.001 * error)
    total = losses["reconstruction"] + losses["beta"] * losses["kl"]
    assert losses["total"] == pytest.approx(total, rel=1e-5)
    assert float(one.controller.integral) == 0  # it moves when the step is taken
    after = one.phases()[0].after
    assert after is not None
    after()
    assert float(one.controller.integral) == pytest.approx(-0.001 * error, rel=1e-5)


def test_beta_takes_no_part_in_the_gradient() -> None:
    torch.manual_seed(0)
    one: ControlVAE = Spec(ki=10.0).build(Layout(SHAPE))
    kl = torch.tensor([3.0, 20.0], requires_grad=True)
    penalty, logged = one.weighted(kl, kl.detach(), 0)
    penalty.backward()
    assert kl.grad is not None
    assert kl.grad.tolist() == [float(logged["beta"])] * 2


def test_a_checkpoint_holds_the_controller(tmp_path: object) -> None:
    recipe = tiny(by_name("controlvae-dsprites"), method__kl_start=0.0)
    one = trainer(recipe, tiny_data(1), tmp_path)  # type: ignore[arg-type]
    one.run()
    again = trainer(recipe, tiny_data(1), tmp_path)  # type: ignore[arg-type]
    again.restore()
    for name in ("integral", "previous"):
        held = getattr(again.method.controller, name)
        assert held.dtype == torch.float64
        assert torch.equal(held, getattr(one.method.controller, name))
        assert float(held) != float(getattr(recipe.method.build(Layout(SHAPE)).controller, name))


REFUSED: list[tuple[dict[str, float], str]] = [
    ({"kl": -1.0}, "kl"),
    ({"ki": -0.1}, "ki"),
    ({"kl_every": 0}, "kl_every"),
    ({"beta_max": 0.5}, "beta_max"),
    ({"latent": 0}, "latent"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED)
def test_impossible_numbers_are_refused(change: dict[str, float], words: str) -> None:
    build: Callable[..., Spec] = Spec
    with pytest.raises(ValueError, match=words):
        build(**change)
