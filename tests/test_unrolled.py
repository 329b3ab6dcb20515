"""Updates through the optimiser: PyTorch's own steps, finite differences, two other libraries."""

import copy
import importlib

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from naqsh.adversarial.unrolled import unrolled, with_weights
from naqsh.core.optimizers import SGD, Adam, Optimizer, RMSprop

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": SGD(lr=0.3),
    "momentum": SGD(lr=0.2, momentum=0.7, weight_decay=0.1),
    "adam": Adam(lr=0.02, betas=(0.5, 0.9), weight_decay=0.3),
    "adam without momentum": Adam(lr=0.02, betas=(0.0, 0.9)),
    "rmsprop": RMSprop(lr=0.02, alpha=0.8),
}


class Game:
    """A critic of two numbers, in double precision; fakes move with a parameter of three."""

    def __init__(self, optimizer: Optimizer, warm: int = 3) -> None:
        torch.manual_seed(0)
        self.critic = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1)).double()
        self.real = torch.randn(6, 2, dtype=torch.float64)
        self.noise = torch.randn(6, 2, dtype=torch.float64)
        self.optimizer = optimizer
        self.live = optimizer.build(self.critic.parameters())
        start = torch.tensor([0.4, -0.2, 1.3], dtype=torch.float64)
        for _ in range(warm):  # its averages are no longer 0
            self.loss(start).backward()
            self.live.step()
            self.live.zero_grad()

    def fakes(self, place: Tensor) -> Tensor:
        return self.noise * place[2] + place[:2]

    def loss(self, place: Tensor) -> Tensor:
        real, fake = self.critic(self.real), self.critic(self.fakes(place))
        return softplus(-real).mean() + softplus(fake).mean()

    def against(self, place: Tensor, steps: int) -> Tensor:
        """The generator's loss against the critic some steps ahead."""
        weights = unrolled(self.critic, lambda: self.loss(place), steps, self.optimizer, self.live)
        fake = with_weights(self.critic, weights, lambda: self.critic(self.fakes(place)))
        return softplus(-fake).mean()


PLACE = torch.tensor([0.3, -0.6, 0.8], dtype=torch.float64)


@pytest.mark.parametrize("warm", [0, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_steps_are_pytorchs(name: str, warm: int) -> None:
    """As the optimiser itself takes them, from where it is; neither is changed by looking ahead."""
    game = Game(OPTIMIZERS[name], warm)
    before = copy.deepcopy((game.critic.state_dict(), game.live.state_dict()))
    ahead = unrolled(game.critic, lambda: game.loss(PLACE), 4, game.optimizer, game.live)
    weights, remembered = game.critic.state_dict(), game.live.state_dict()
    assert all(torch.equal(before[0][key], weights[key]) for key in weights)
    for number, kept in before[1]["state"].items():
        assert all(torch.equal(kept[key], remembered["state"][number][key]) for key in kept)
    for _ in range(4):
        game.loss(PLACE).backward()
        game.live.step()
        game.live.zero_grad()
    for key, value in game.critic.named_parameters():
        # Adam's step is a float32 number: bias corrections have its rounding, 6e-8 of a movement.
        torch.testing.assert_close(ahead[key], value, rtol=0, atol=1e-8)
        assert not torch.equal(value, before[0][key])


def test_without_an_optimiser_averages_begin_at_0() -> None:
    game = Game(OPTIMIZERS["adam"], warm=0)
    ahead = [
        unrolled(game.critic, lambda: game.loss(PLACE), 2, game.optimizer, live)
        for live in (game.live, None)
    ]
    assert all(torch.equal(ahead[0][key], ahead[1][key]) for key in ahead[0])


def test_the_learning_rate_is_that_of_the_optimiser_now() -> None:
    game = Game(OPTIMIZERS["sgd"])
    game.live.param_groups[0]["lr"] = 0.0
    ahead = unrolled(game.critic, lambda: game.loss(PLACE), 2, game.optimizer, game.live)
    assert all(torch.equal(ahead[key], value) for key, value in game.critic.named_parameters())


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_gradient_is_that_of_finite_differences(name: str, steps: int) -> None:
    """Central differences of h = 1e-5 err by about h^2 and eps / h, 1e-10 each.

    The first order alone, by steps that are forgotten, is another gradient by far more.
    """
    game = Game(OPTIMIZERS[name])
    place = PLACE.clone().requires_grad_()
    (found,) = torch.autograd.grad(game.against(place, steps), place)
    h, expected = 1e-5, torch.empty_like(PLACE)
    for axis in range(3):
        shift = torch.zeros_like(PLACE)
        shift[axis] = h
        above, below = (game.against(PLACE + sign * shift, steps).detach() for sign in (1, -1))
        expected[axis] = (above - below) / (2 * h)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
    weights = unrolled(game.critic, lambda: game.loss(PLACE), steps, game.optimizer, game.live)
    still = {key: value.detach() for key, value in weights.items()}
    loss = with_weights(game.critic, still, lambda: game.critic(game.fakes(place)))
    (first,) = torch.autograd.grad(softplus(-loss).mean(), place)
    assert float((first - expected).norm()) > 1e-3 * float(expected.norm())


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_weights_that_no_image_reaches_leave_gradients_finite(name: str) -> None:
    """The square root of a mean of zeros has no finite derivative of its own."""
    game = Game(OPTIMIZERS[name], warm=0)
    with torch.no_grad():
        game.critic[2].weight[:, 2] = 0  # then the third row before it has no gradient
    place = PLACE.clone().requires_grad_()
    (found,) = torch.autograd.grad(game.against(place, 1), place)
    assert found.isfinite().all()


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_the_gradient_is_that_of_torchopt(name: str) -> None:
    if importlib.util.find_spec("torchopt") is None:
        pytest.skip("torchopt is not installed: extra parity")
    torchopt = importlib.import_module("torchopt")
    ours: Optimizer = Adam(0.02, (0.5, 0.9)) if name == "adam" else SGD(lr=0.3)
    game = Game(ours, warm=0)
    place, theirs = (PLACE.clone().requires_grad_() for _ in "ab")
    (found,) = torch.autograd.grad(game.against(place, 3), place)
    meta = {
        "sgd": lambda: torchopt.MetaSGD(game.critic, lr=0.3),
        "adam": lambda: torchopt.MetaAdam(game.critic, lr=0.02, betas=(0.5, 0.9)),
    }[name]()
    for _ in range(3):
        meta.step(game.loss(theirs))
    total = softplus(-game.critic(game.fakes(theirs))).mean()
    (expected,) = torch.autograd.grad(total, theirs)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["momentum", "adam", "rmsprop"])
def test_the_gradient_is_that_of_higher_from_the_same_averages(name: str) -> None:
    if importlib.util.find_spec("higher") is None:
        pytest.skip("higher is not installed: extra parity")
    higher = importlib.import_module("higher")
    game = Game(
        {
            # Its weight decay is not Adam's of ours, its momentum not Nesterov's.
            "momentum": SGD(lr=0.2, momentum=0.7),
            "adam": Adam(0.02, (0.5, 0.9)),
            "rmsprop": RMSprop(lr=0.02, alpha=0.8),
        }[name]
    )
    place, theirs = (PLACE.clone().requires_grad_() for _ in "ab")
    (found,) = torch.autograd.grad(game.against(place, 3), place)
    plain = {"momentum": torch.optim.SGD, "adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}
    options = {"momentum": {"momentum": 0.7, "nesterov": True}, "adam": {"betas": (0.5, 0.9)}}
    options["rmsprop"] = {"alpha": 0.8}
    optimizer = plain[name](game.critic.parameters(), lr=game.optimizer.lr, **options[name])
    optimizer.load_state_dict(
        game.live.state_dict() | {"param_groups": optimizer.state_dict()["param_groups"]}
    )
    with higher.innerloop_ctx(game.critic, optimizer, track_higher_grads=True) as (critic, steps):

        def loss() -> Tensor:
            return softplus(-critic(game.real)).mean() + softplus(critic(game.fakes(theirs))).mean()

        for _ in range(3):
            steps.step(loss())
        total = softplus(-critic(game.fakes(theirs))).mean()
        (expected,) = torch.autograd.grad(total, theirs)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
