import pytest
import torch

from naqsh.core.optimizers import SGD, Adam, RMSprop
from naqsh.core.spec import Layout, MethodSpec
from naqsh.methods import gan

CASES = {
    "adam": (
        Adam(0.01, (0.5, 0.9)),
        lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.5, 0.9)),
    ),
    "adam with decoupled decay": (
        Adam(0.01, (0.0, 0.9), weight_decay=0.1),
        lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.0, 0.9), weight_decay=0.1),
    ),
    "rmsprop": (RMSprop(0.01, 0.9), lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9)),
    "sgd": (SGD(0.05), lambda p: torch.optim.SGD(p, lr=0.05)),
    "sgd with momentum and decay": (
        SGD(0.05, 0.9, 0.01),
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    ),
}


def weights():
    generator = torch.Generator().manual_seed(0)
    shapes = [(5, 3), (7,), (2, 2, 2)]
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("case", CASES)
def test_steps_equal_those_of_the_reference(case):
    spec, reference = CASES[case]
    ours, theirs, start = weights(), weights(), weights()
    mine, other = spec.build(ours), reference(theirs)
    for _ in range(5):
        for parameters, optimizer in ((ours, mine), (theirs, other)):
            optimizer.zero_grad()
            sum((p**3 - p).sum() for p in parameters).backward()
            optimizer.step()
    for a, b, before in zip(ours, theirs, start, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
        assert not torch.allclose(a, before, atol=1e-3)


def test_decay_pulls_weights_that_have_no_gradient_to_zero():
    # Decoupled: the factor is 1 - lr * decay, whatever Adam's moments are.
    (weight,) = parameters = [torch.ones(3, requires_grad=True)]
    optimizer = Adam(0.1, weight_decay=0.5).build(parameters)
    weight.grad = torch.zeros(3)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.full((3,), 0.95))


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (lambda: Adam(0), "lr must be above 0"),
        (lambda: Adam(-1e-4), "lr must be above 0"),
        (lambda: Adam(betas=(0.5, 1.0)), "betas must lie"),
        (lambda: Adam(betas=(-0.1, 0.9)), "betas must lie"),
        (lambda: Adam(weight_decay=-1), "weight_decay must be at least 0"),
        (lambda: RMSprop(0), "lr must be above 0"),
        (lambda: RMSprop(alpha=1.0), "alpha must lie"),
        (lambda: SGD(-0.1), "lr must be above 0"),
        (lambda: SGD(momentum=-0.1), "momentum must be at least 0"),
        (lambda: SGD(weight_decay=-0.1), "weight_decay must be at least 0"),
    ],
)
def test_numbers_that_cannot_be_are_refused(build, line):
    with pytest.raises(ValueError, match=line):
        build()


def test_a_spec_is_called_by_its_module():
    assert gan.Spec().kind == "gan"
    with pytest.raises(NotImplementedError):
        MethodSpec().build(Layout((1, 8, 8)))
