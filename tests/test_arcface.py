"""What ArcFace promises: the paper's loss, finite everywhere, over all classes or a sample."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from herbzoo_plugins.heads.arcface import ArcFace, margins_by_count
from herbzoo_plugins.heads.class_sample import sample_classes
from herbzoo_plugins.heads.margin_loss import margin_cross_entropy, widen
from torch.nn import functional as F

from herbzoo.interfaces import LabelFacts

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def written_out_arcface(head, embeddings, labels, margins):
    """The formula of the paper, one angle at a time."""
    total = 0.0
    for embedding, label, margin in zip(embeddings, labels, margins, strict=True):
        scores = []
        for index, vector in enumerate(head.weight):
            cosine = torch.dot(embedding, vector) / (embedding.norm() * vector.norm())
            angle = math.acos(cosine.item()) + (margin if index == label else 0.0)
            scores.append(head.scale * math.cos(angle))
        total += math.log(sum(math.exp(s) for s in scores)) - scores[label]
    return total / len(labels)


def by_autograd(embeddings, vectors, labels, margins, scale, centres):
    """The same loss of stock operations, whose gradients torch derives."""
    cosines = F.normalize(embeddings, dim=-1) @ F.normalize(vectors, dim=-1).T
    cosines = cosines.view(len(embeddings), -1, centres).amax(dim=-1)
    target = cosines.gather(1, labels[:, None])
    margin = margins[:, None]
    widened = torch.where(
        target > -torch.cos(margin),
        torch.cos(torch.acos(target) + margin),
        target - margin * torch.sin(margin),
    )
    return F.cross_entropy(scale * cosines.scatter(1, labels[:, None], widened), labels)


def test_it_equals_the_formula_of_the_paper():
    torch.manual_seed(1)
    head = ArcFace(16, 5, scale=8.0, margin=0.4, margin_warmup_steps=0)
    embeddings, labels = torch.randn(7, 16), torch.arange(7) % 5
    expected = written_out_arcface(head, embeddings, labels, [0.4] * 7)
    assert head.loss(embeddings, labels).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("centres", [1, 3])
def test_its_gradients_are_those_of_stock_operations(centres):
    torch.manual_seed(0)
    embeddings = torch.randn(6, 4, dtype=torch.double, requires_grad=True)
    vectors = torch.randn(11 * centres, 4, dtype=torch.double)
    vectors[3 * centres : 4 * centres] -= 5 * embeddings.detach()[5]
    vectors.requires_grad_()
    labels = torch.tensor([0, 3, 4, 10, 7, 3])
    margins = torch.tensor([0.0, 0.2, 0.3, 1.5, 1.5, 1.5], dtype=torch.double)
    directions = F.normalize(embeddings, dim=-1)
    cosines = (directions @ F.normalize(vectors, dim=-1).T).view(6, 11, centres).amax(-1)
    beyond = cosines[range(6), labels] < -torch.cos(margins)
    assert beyond.any() and not beyond.all(), "both branches of the margin are there"
    loss = margin_cross_entropy(directions, vectors, labels, margins, 16.0, centres)
    expected = by_autograd(embeddings, vectors, labels, margins, 16.0, centres)
    torch.testing.assert_close(loss, expected)
    found = torch.autograd.grad(loss, (embeddings, vectors), retain_graph=True)
    again = torch.autograd.grad(3 * loss, (embeddings, vectors))
    wanted = torch.autograd.grad(expected, (embeddings, vectors))
    for one, twice, other in zip(found, again, wanted, strict=True):
        torch.testing.assert_close(one, other)
        torch.testing.assert_close(twice, 3 * other)


def test_scores_know_no_margin():
    head = ArcFace(16, 5, scale=8.0, margin=0.4, margin_warmup_steps=0)
    embeddings = torch.randn(3, 16)
    expected = 8.0 * F.cosine_similarity(embeddings[:, None], head.weight[None], dim=-1)
    torch.testing.assert_close(head.logits(embeddings), expected)


@pytest.mark.parametrize("rate", [1.0, 0.8])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_it_is_finite_where_the_cosine_is_one_or_minus_one(sign, dtype, rate):
    head = ArcFace(16, 5, scale=64.0, margin=0.5, margin_warmup_steps=0, sample_rate=rate)
    embeddings = (sign * head.weight.detach() * 100).to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=dtype, enabled=dtype is not torch.float32):
        loss = head.loss(embeddings, torch.arange(5))
        loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(embeddings.grad).all()
    assert torch.isfinite(head.weight.grad.to_dense()).all()


@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_autocast_changes_nothing_but_the_rounding_of_the_embeddings(dtype):
    torch.manual_seed(0)
    head = ArcFace(16, 50, scale=64.0, margin_warmup_steps=0)
    rounded, labels = torch.randn(8, 16).to(dtype), torch.arange(8)
    with torch.autocast("cpu", dtype=dtype):
        inside = head.loss(rounded, labels)
        inside.backward()
        logits = head.logits(rounded)
    gradient, head.weight.grad = head.weight.grad, None
    outside = head.loss(rounded.float(), labels)
    outside.backward()
    assert inside.dtype == logits.dtype == gradient.dtype == torch.float32
    assert torch.equal(inside, outside) and torch.equal(gradient, head.weight.grad)
    assert torch.equal(logits, head.logits(rounded.float()))


def test_the_loss_never_falls_as_the_true_angle_widens():
    cosines = torch.cos(torch.linspace(0.0, math.pi, 500))
    for margin in (0.1, 0.5, 1.5):
        widened, slopes = widen(cosines, torch.tensor(margin))
        assert all(after <= before + 1e-6 for before, after in pairwise(widened.tolist()))
        assert slopes.isfinite().all() and (slopes >= 0).all()


def test_the_margin_warms_up_with_training_steps_and_the_steps_are_saved():
    head = ArcFace(4, 3, margin=0.4, margin_warmup_steps=4)
    labels = torch.tensor([0, 1])
    margins = []
    for _ in range(6):
        margins.append(head.current_margins(labels).tolist())
        head.loss(torch.randn(2, 4), labels)
    assert [both[0] for both in margins] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.4])
    head.eval()
    head.loss(torch.randn(2, 4), labels)
    assert head.state_dict()["steps"] == 6, "evaluation is no training step"


def test_of_several_centres_the_nearest_counts():
    head = ArcFace(2, 2, scale=1.0, sub_centers=2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]))
    scores = head.logits(torch.tensor([[0.0, 3.0], [-2.0, 0.0]]))
    torch.testing.assert_close(scores, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))


# -- margins by class frequency -------------------------------------------------------------------


def test_the_margin_follows_the_count_to_the_power_of_minus_a_quarter_between_its_bounds():
    counts = torch.tensor([1, 16, 81, 625])
    margins = margins_by_count(counts, 0.2, 0.5)
    a = 0.3 / (1 - 1 / 5)
    expected = [0.2 + a * (1 / root - 1 / 5) for root in (1, 2, 3, 5)]
    assert margins.tolist() == pytest.approx(expected)
    assert margins_by_count(torch.tensor([7, 7, 7]), 0.2, 0.5).tolist() == pytest.approx([0.2] * 3)


def test_margins_come_with_the_labels_are_used_and_are_saved():
    torch.manual_seed(1)
    options = {"scale": 8.0, "margin": 0.2, "rare_margin": 0.6, "margin_warmup_steps": 0}
    head = ArcFace(16, 3, **options)
    head.prepare(LabelFacts(["a", "b", "c"], counts=[625, 0, 16]))
    assert head.margins[0].item() == pytest.approx(0.2)
    assert head.margins[1].item() == pytest.approx(0.6), "no image counts as one"
    loaded = ArcFace(16, 3, **options)
    loaded.load_state_dict(head.state_dict())
    loaded.prepare(LabelFacts(["a", "b", "c"]))  # nothing known of the counts
    embeddings, labels = torch.randn(4, 16), torch.tensor([1, 0, 2, 1])
    expected = written_out_arcface(head, embeddings, labels, head.margins[labels].tolist())
    assert loaded.loss(embeddings, labels).item() == pytest.approx(expected, rel=1e-5)


def test_another_number_of_classes_starts_anew():
    head = ArcFace(4, 3, rare_margin=0.5, prototypes=True, sub_centers=2)
    head.loss(torch.randn(2, 4), torch.tensor([0, 1]))
    head.prepare(LabelFacts(["a", "b"], counts=[9, 1]))
    assert head.logits(torch.randn(5, 4)).shape == (5, 2)
    assert head.steps == 0 and head.margins.shape == (2,) and head.prototypes.shape == (2, 4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"margin": 2.0},
        {"rare_margin": 0.1},
        {"rare_margin": 1.6},
        {"sample_rate": 0.0},
        {"sample_rate": 1.5},
        {"sub_centers": 0},
        {"scale": 0.0},
    ],
    ids=str,
)
def test_it_refuses_options_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ArcFace(4, 3, **wrong)


# -- a sample of the classes ----------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.05, 0.35, 0.99, 1.0])
def test_a_sample_holds_the_classes_present_and_a_share_of_the_others_each_once(share):
    for draw in range(30):
        present = torch.randperm(200)[: draw % 9 + 1].sort().values
        chosen = sample_classes(present, 200, share, draw)
        assert len(chosen) == max(round(share * 200), len(present))
        assert (chosen.diff() > 0).all() and chosen[0] >= 0 and chosen[-1] < 200
        assert torch.isin(present, chosen).all()
        assert torch.equal(chosen, sample_classes(present, 200, share, draw))


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_every_other_class_is_drawn_as_often(share):
    present, draws = torch.tensor([3, 50, 51, 99]), 3000
    seen = torch.zeros(100)
    for draw in range(draws):
        seen[sample_classes(present, 100, share, draw)] += 1
    others = torch.ones(100, dtype=torch.bool).index_fill(0, present, False)
    expected = draws * (100 * share - 4) / 96
    assert (seen[present] == draws).all()
    assert (seen[others] - expected).abs().max() < 5 * math.sqrt(expected)


@pytest.mark.parametrize("centres", [1, 2])
def test_a_sampled_loss_is_the_loss_over_the_sample_and_touches_its_rows_alone(centres):
    head = ArcFace(8, 40, sample_rate=0.25, sub_centers=centres, margin_warmup_steps=0)
    embeddings, labels = torch.randn(5, 8), torch.tensor([39, 7, 7, 0, 21])
    given = labels.clone()
    chosen = sample_classes(labels.unique(), 40, 0.25, 0)
    loss = head.train().loss(embeddings, labels)
    loss.backward()
    assert torch.equal(labels, given)
    rows = head.weight.detach().view(40, centres, 8)[chosen].flatten(0, 1).requires_grad_()
    columns = torch.tensor([chosen.tolist().index(label) for label in labels])
    margins = torch.full((5,), head.margin)
    expected = by_autograd(embeddings, rows, columns, margins, head.scale, centres)
    expected.backward()
    torch.testing.assert_close(loss, expected)
    assert head.weight.grad.is_sparse
    dense = head.weight.grad.to_dense().view(40, centres, 8)
    torch.testing.assert_close(dense[chosen].flatten(0, 1), rows.grad, rtol=1e-4, atol=1e-3)
    left = torch.ones(40, dtype=torch.bool).index_fill(0, chosen, False)
    assert not dense[left].any()


def test_the_sample_changes_from_step_to_step_and_a_resumed_run_goes_on_with_it():
    head = ArcFace(8, 100, sample_rate=0.1)
    batch = torch.randn(2, 8), torch.tensor([1, 2])

    def touched(one):
        one.weight.grad = None
        one.loss(*batch).backward()
        return one.weight.grad.coalesce().indices()[0]

    first = touched(head)
    resumed = ArcFace(8, 100, sample_rate=0.1)
    resumed.load_state_dict(head.state_dict())
    second = touched(head)
    assert not torch.equal(first, second)
    assert torch.equal(second, touched(resumed))


def test_evaluation_and_inference_are_over_all_classes():
    whole = ArcFace(8, 100, margin_warmup_steps=0).eval()
    sampled = ArcFace(8, 100, sample_rate=0.1, margin_warmup_steps=0).eval()
    sampled.load_state_dict(whole.state_dict())
    embeddings, labels = torch.randn(4, 8), torch.tensor([3, 99, 0, 50])
    assert torch.equal(sampled.logits(embeddings), whole.logits(embeddings))
    assert torch.equal(sampled.loss(embeddings, labels), whole.loss(embeddings, labels))


def test_only_a_sampling_head_names_sparse_parameters():
    assert ArcFace(4, 3).sparse_parameters() == []
    assert ArcFace(4, 3, sample_rate=0.5).sparse_parameters() == ["weight"]
