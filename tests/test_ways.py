"""Ways between latents, by their ends and their middle."""

import pytest
import torch

from naqsh.core.ways import ways


@pytest.mark.parametrize("shape", [(3,), (2, 4, 4)])
def test_ways_go_straight_from_one_end_of_a_batch_to_the_other(shape: tuple[int, ...]) -> None:
    codes = torch.arange(5.0).view(5, *(1,) * len(shape)) ** 2 * torch.ones(shape)
    made = ways(codes).view(2, 5, *shape)
    assert torch.equal(made[:, 0], codes[:2])
    assert torch.equal(made[:, -1], codes[[4, 3]])
    assert torch.equal(made[:, 2], (codes[:2] + codes[[4, 3]]) / 2)
    steps = made.diff(dim=1)
    assert torch.equal(steps, steps[:, :1].expand_as(steps))
