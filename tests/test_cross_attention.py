"""Cross-attention against diffusers' transformer block, and in the U-Net."""

import pytest
import torch
from torch import nn

from naqsh.networks.attend import SHORT, attend
from naqsh.networks.attention import CrossAttention, TransformerBlock
from naqsh.networks.unet import UNet
from naqsh.networks.unet_blocks import SelfAttention

WIDTH, CONTEXT, HEADS = 12, 5, 3


def random_weights(module):
    """The module with no weight at zero, where it begins as the identity."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.double()


def pairs(ours, theirs):
    """Our layers of a block, and diffusers' at the same place."""
    for own, other in ((ours.itself, theirs.attn1), (ours.cross, theirs.attn2)):
        yield from ((own.query, other.to_q), (own.key, other.to_k), (own.value, other.to_v))
        yield own.projection, other.to_out[0]
    yield from ((getattr(ours, f"norm{n}"), getattr(theirs, f"norm{n}")) for n in (1, 2, 3))
    yield ours.gated.enter, theirs.ff.net[0].proj
    yield ours.gated.leave, theirs.ff.net[2]


def load(ours, theirs):
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    for own, other in pairs(ours, theirs):
        own.load_state_dict(other.state_dict())


def test_the_block_is_diffusers():
    attention = pytest.importorskip("diffusers.models.attention")
    theirs = random_weights(
        attention.BasicTransformerBlock(
            WIDTH, HEADS, WIDTH // HEADS, cross_attention_dim=CONTEXT, activation_fn="geglu"
        )
    )
    ours = TransformerBlock(WIDTH, CONTEXT, HEADS).double()
    load(ours, theirs)
    rows = torch.randn(2, 7, WIDTH, dtype=torch.float64)
    tokens = torch.randn(2, 4, CONTEXT, dtype=torch.float64)
    torch.testing.assert_close(ours(rows, tokens), theirs(rows, encoder_hidden_states=tokens))


@pytest.mark.filterwarnings("ignore:.*Transformer2DModelOutput:FutureWarning")
def test_what_is_around_the_block_is_diffusers():
    models = pytest.importorskip("diffusers.models.transformers.transformer_2d")
    theirs = random_weights(
        models.Transformer2DModel(
            num_attention_heads=HEADS,
            attention_head_dim=WIDTH // HEADS,
            in_channels=WIDTH,
            norm_num_groups=3,  # as our rule has it of 12 channels
            cross_attention_dim=CONTEXT,
            activation_fn="geglu",
            use_linear_projection=True,
        )
    )
    ours = CrossAttention(WIDTH, CONTEXT, HEADS).double()
    load(ours.block, theirs.transformer_blocks[0])
    for own, other in ((ours.norm, theirs.norm), (ours.enter, theirs.proj_in)):
        own.load_state_dict(other.state_dict())
    ours.projection.load_state_dict(theirs.proj_out.state_dict())
    x = torch.randn(2, WIDTH, 3, 5, dtype=torch.float64)
    tokens = torch.randn(2, 4, CONTEXT, dtype=torch.float64)
    made = theirs(x, encoder_hidden_states=tokens).sample
    torch.testing.assert_close(ours(x, tokens), made)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("rows", [7, SHORT + 1])
def test_attention_in_bfloat16_is_that_of_double_precision(causal, rows):
    torch.manual_seed(0)
    queries = rows if causal else 5  # cross-attention has fewer of the one or of the other
    counts = (queries, rows, rows)
    query, key, value = (torch.randn(2, 3, count, 12).bfloat16() for count in counts)
    scores = query.double() @ key.double().transpose(-1, -2) / 12**0.5
    if causal:
        scores = scores + torch.full((rows, rows), -torch.inf).triu(1)
    exact = scores.softmax(-1) @ value.double()
    # Scores below 8 are rounded to 2^-6, weights to a few hundredths of themselves.
    given = attend(query, key, value, causal=causal).double()
    torch.testing.assert_close(given, exact, rtol=0.05, atol=0.05)
    wide = attend(query.double(), key.double(), value.double(), causal=causal)
    torch.testing.assert_close(wide, exact)


def test_it_begins_as_the_identity_and_never_goes_without_tokens():
    fresh = CrossAttention(8, 4)
    x = torch.randn(2, 8, 3, 3)
    assert torch.equal(fresh(x, torch.randn(2, 1, 4)), x)
    with pytest.raises(ValueError, match="needs what an image is of"):
        fresh(x, None)
    with pytest.raises(ValueError, match="3 attention heads do not divide 8"):
        CrossAttention(8, 4, heads=3)


def network(**changes):
    torch.manual_seed(0)
    given = {"width": 8, "multipliers": (1, 2), "attention": (4,), "classes": 3, "tokens": 2}
    return random_weights(UNet((2, 8, 8), **(given | changes))).float()


def test_every_attention_of_a_network_told_by_tokens_looks_at_them():
    told = network()
    kinds = [type(part) for part in told.modules()]
    assert kinds.count(CrossAttention) == 1 + 1 + 2  # down, middle, up
    assert SelfAttention not in kinds
    x, time = torch.randn(3, 2, 8, 8), torch.full((3,), 5.0)
    labels = torch.tensor([0, 1, told.null])
    made = told(x, time, labels)
    other = told(x, time, torch.tensor([0, 2, told.null]))
    assert torch.equal(made[[0, 2]], other[[0, 2]])
    assert not torch.equal(made[1], other[1])
    with pytest.raises(ValueError, match="was told none"):
        told(x, time)


def test_labels_reach_a_network_by_tokens_alone():
    told = network()
    for part in told.modules():
        if isinstance(part, CrossAttention):
            nn.init.zeros_(part.block.cross.value.weight)
    x, time = torch.randn(2, 2, 8, 8), torch.full((2,), 5.0)
    assert torch.equal(told(x, time, torch.tensor([0, 1])), told(x, time, torch.tensor([2, 2])))


def test_captions_become_tokens():
    told = network(classes=0, captions=6, tokens=4)
    x, time = torch.randn(2, 2, 8, 8), torch.full((2,), 5.0)
    captions = torch.randn(2, 6, requires_grad=True)
    told(x, time, captions)[0].sum().backward()
    assert captions.grad[0].norm() > 0
    assert captions.grad[1].norm() == 0
    assert told.null.shape == (6,)


def test_a_network_that_is_told_nothing_has_plain_attention():
    plain = network(classes=0)
    assert not any(isinstance(part, CrossAttention) for part in plain.modules())
