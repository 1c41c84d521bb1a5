"""The CosFace head against herbzoo's contract and against its paper."""

from __future__ import annotations

import torch
from herbzoo_cosface import CosFace

from herbzoo.conformance import assert_conforms


def test_it_keeps_the_contract():
    """By its registered name, and by its class with other options."""
    assert_conforms("heads", "cosface")
    assert_conforms("heads", CosFace, scale=16.0, margin=0.0)


def test_the_margin_raises_the_loss_and_leaves_the_scores_alone():
    """Inference never meets the margin."""
    torch.manual_seed(0)
    embeddings, labels = torch.randn(8, 4), torch.arange(8) % 3
    plain, strict = CosFace(4, 3, margin=0.0), CosFace(4, 3, margin=0.35)
    strict.load_state_dict(plain.state_dict())
    assert torch.equal(plain.logits(embeddings), strict.logits(embeddings))
    assert strict.loss(embeddings, labels) > plain.loss(embeddings, labels)


def test_the_loss_is_the_papers():
    """Equation 4, written out for a batch of one."""
    head = CosFace(2, 2, scale=10.0, margin=0.2)
    head.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    true, other = torch.tensor(0.6), torch.tensor(0.8)
    expected = -torch.log(
        torch.exp(10 * (true - 0.2)) / (torch.exp(10 * (true - 0.2)) + torch.exp(10 * other))
    )
    assert torch.isclose(head.loss(torch.tensor([[3.0, 4.0]]), torch.tensor([0])), expected)
