"""Class vectors of a text head are computed once, and never stale."""

from __future__ import annotations

import torch
from herbzoo_plugins.heads.clip_text import ClipText
from tiny import TEXT_CONFIG


@torch.no_grad()
def test_class_vectors_that_are_kept_are_never_stale():
    head = ClipText(8, 3, text_config=TEXT_CONFIG).eval()
    embeddings = torch.randn(4, 8)

    def expected() -> torch.Tensor:
        return head.scale() * head.cosines(embeddings, head.text_features)

    first = head.logits(embeddings)
    assert head.kept.of((head.text_features,), lambda: torch.ones(1)).shape == (1,)
    head.logits(embeddings)
    vectors = head.kept._result
    torch.testing.assert_close(head.logits(embeddings), first)
    assert head.kept._result is vectors, "computed once"
    changes = [
        lambda: head.text_features.mul_(-1).add_(0.1),
        lambda: head.projection.weight.normal_(),
        lambda: head.load_state_dict(ClipText(8, 3, text_config=TEXT_CONFIG).state_dict()),
        lambda: head.fit_means(torch.randn(3, 8), torch.arange(3)),
        lambda: setattr(head, "text_features", torch.randn_like(head.text_features)),
        lambda: setattr(head.projection, "weight", torch.nn.Parameter(torch.randn(8, 16))),
    ]
    for change in changes:
        change()
        torch.testing.assert_close(head.logits(embeddings), expected())
