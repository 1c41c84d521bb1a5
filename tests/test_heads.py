"""What the heads of learned class vectors promise beyond the conformance kit."""

from __future__ import annotations

import pytest
import torch
from herbzoo_plugins.heads.arcface import ArcFace
from herbzoo_plugins.heads.softmax import Softmax, effective_number_weights
from torch.nn import functional as F

from herbzoo.interfaces import LabelFacts

NAMES = LabelFacts(names=["Quercus alba", "Quercus rubra", "Acer rubrum", "Pinus strobus"])


def test_label_smoothing_is_that_of_torch():
    head = Softmax(8, 5, label_smoothing=0.2)
    embeddings, labels = torch.randn(6, 8), torch.arange(6) % 5
    expected = F.cross_entropy(head.logits(embeddings), labels, label_smoothing=0.2)
    torch.testing.assert_close(head.loss(embeddings, labels), expected)


def test_saved_runs_of_before_hold_what_default_options_ask_for():
    assert Softmax(4, 3).state_dict().keys() == {"classifier.weight", "classifier.bias"}
    assert ArcFace(4, 3).state_dict().keys() == {"weight", "steps"}


def test_logit_adjustment_adds_the_log_of_each_share_in_the_loss_alone():
    head = Softmax(8, 4, label_smoothing=0.0, logit_adjustment=1.5)
    plain = Softmax(8, 4, label_smoothing=0.0)
    plain.classifier.load_state_dict(head.classifier.state_dict())
    head.prepare(LabelFacts(NAMES.names, counts=[1, 2, 3, 4]))
    embeddings, labels = torch.randn(6, 8), torch.arange(6) % 4
    torch.testing.assert_close(head.logits(embeddings), plain.logits(embeddings))
    adjusted = plain.logits(embeddings) + 1.5 * torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    torch.testing.assert_close(head.loss(embeddings, labels), F.cross_entropy(adjusted, labels))


def test_class_weights_follow_the_effective_number_of_images():
    counts = torch.tensor([1.0, 10.0, 100.0])
    beta = 0.9
    numbers = torch.tensor([sum(beta**k for k in range(int(n))) for n in counts])
    weights = effective_number_weights(counts, beta)
    torch.testing.assert_close(weights / weights[0], numbers[0] / numbers)
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1.0)


def test_a_batch_of_one_rare_class_weighs_more_than_one_of_a_common_class():
    head = Softmax(8, 4, class_weighting=0.99)
    head.prepare(LabelFacts(NAMES.names, counts=[1, 100, 100, 100]))
    plain = Softmax(8, 4)
    plain.classifier.load_state_dict(head.classifier.state_dict())
    embeddings = torch.randn(3, 8)
    for label in (0, 1):
        labels = torch.full((3,), label)
        weighted = head.loss(embeddings, labels) / plain.loss(embeddings, labels)
        assert weighted.item() == pytest.approx(head.class_weights[label].item(), rel=1e-5)
    assert head.class_weights[0] > 10 * head.class_weights[1]


def test_what_softmax_knows_of_the_counts_is_saved_and_survives_unknown_counts():
    options = {"logit_adjustment": 1.0, "class_weighting": 0.9}
    head = Softmax(8, 4, **options)
    assert not head.log_shares.any(), "until it is told, all are equally common"
    head.prepare(LabelFacts(NAMES.names, counts=[0, 2, 3, 4]))
    assert head.log_shares.isfinite().all()
    loaded = Softmax(8, 4, **options)
    loaded.load_state_dict(head.state_dict())
    loaded.prepare(LabelFacts(NAMES.names))
    assert torch.equal(loaded.log_shares, head.log_shares)
    loaded.prepare(LabelFacts(["Acer rubrum", "Quercus alba"], counts=[5, 5]))
    assert loaded.logits(torch.randn(2, 8)).shape == (2, 2)
    assert loaded.log_shares.shape == loaded.class_weights.shape == (2,)


def test_cosine_scores_do_not_depend_on_any_length():
    head = Softmax(8, 4, cosine=True, scale=5.0)
    embeddings = torch.randn(3, 8)
    expected = 5 * F.cosine_similarity(embeddings[:, None], head.classifier.weight[None], dim=-1)
    torch.testing.assert_close(head.logits(7 * embeddings), expected)
    assert head.classifier.bias is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"label_smoothing": 1.0},
        {"logit_adjustment": -1.0},
        {"class_weighting": 1.0},
        {"scale": 0.0},
    ],
    ids=str,
)
def test_softmax_refuses_options_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Softmax(4, 3, **wrong)
