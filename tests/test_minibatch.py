"""Minibatch discrimination against a double loop."""

import torch

from naqsh.networks.minibatch import NUMBERS, Minibatch


def layer(features: int = 7, kernels: int = 3) -> Minibatch:
    torch.manual_seed(0)
    return Minibatch(features, kernels).double()


def test_it_is_the_double_loop() -> None:
    ours = layer()
    features = torch.randn(6, 7, dtype=torch.float64)
    with torch.no_grad():
        found = ours(features)
    tensor = ours.weight.detach().view(3, NUMBERS, 7)
    assert found.shape == (6, 10)
    assert torch.equal(found[:, :7], features)
    for i in range(6):
        for b in range(3):
            near = 0.0
            for j in range(6):
                if j != i:
                    apart = sum(
                        abs(float(tensor[b, c] @ features[i] - tensor[b, c] @ features[j]))
                        for c in range(NUMBERS)
                    )
                    near += 2.718281828459045**-apart
            torch.testing.assert_close(float(found[i, 7 + b]), near, rtol=1e-12, atol=0)


def test_equal_images_are_as_near_as_can_be_and_one_alone_has_none() -> None:
    ours = layer().float()
    found = ours(torch.ones(5, 7))[:, 7:]
    torch.testing.assert_close(found, torch.full((5, 3), 4.0))
    assert torch.equal(ours(torch.ones(1, 7))[:, 7:], torch.zeros(1, 3))


def test_a_collapsed_batch_is_drawn_apart() -> None:
    """The gradient of what is near reaches both the features and the tensor."""
    ours = layer().float()
    features = torch.randn(4, 7).requires_grad_()
    ours(features)[:, 7:].sum().backward()
    assert features.grad is not None
    assert ours.weight.grad is not None
    assert float(features.grad.norm()) > 0
    assert float(ours.weight.grad.norm()) > 0


def test_rows_begin_where_the_exponential_has_a_slope() -> None:
    """Mean distance of rows of 1,000 independent features of mean square 1: 5 sqrt(2/5) 0.798."""
    torch.manual_seed(1)
    ours = Minibatch(200, 40)
    rows = (torch.randn(100, 200) @ ours.weight.T).unflatten(1, (40, NUMBERS))
    apart = (rows[:50] - rows[50:]).abs().sum(-1).mean()
    torch.testing.assert_close(float(apart.detach()), 2.52, rtol=0.05, atol=0)


def test_nearly_equal_images_are_told_apart_under_autocast() -> None:
    """Rows that differ by 0.002 of about 0.4; bfloat16 keeps 8 bits, or 0.0015 of it."""
    ours = layer().float()
    features = torch.ones(2, 7)
    features[1, 0] += 0.002
    with torch.autocast("cpu", torch.bfloat16):
        found = ours(features)[:, 7:]
    torch.testing.assert_close(found, ours(features)[:, 7:], rtol=1e-6, atol=0)
