"""The losses between images and names, and the regression, against written-out references."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from herbzoo_plugins.heads.name_losses import names_to_images, numbered, rank_loss
from herbzoo_plugins.heads.text_regression import regress


def batch(seed: int, images: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    logits = 5 * torch.randn(images, classes, generator=draw, dtype=torch.double)
    return logits, torch.randint(classes, (images,), generator=draw)


def names_to_images_in_loops(logits: list[list[float]], labels: list[int], names: list[int]):
    """Of each name: the mean surprise at its images, among all images of the batch."""
    total = 0.0
    for column, name in enumerate(names):
        everything = sum(math.exp(row[column]) for row in logits)
        own = [row[column] for row, label in zip(logits, labels, strict=True) if label == name]
        total += sum(-math.log(math.exp(score) / everything) for score in own) / len(own)
    return total / len(names)


def rank_loss_in_loops(logits: list[list[float]], labels: list[int], groups: list[int]):
    """Of each image: the surprise at its group, whose probability its classes share."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        everything = own = 0.0
        for score, group in zip(row, groups, strict=True):
            everything += math.exp(score)
            own += math.exp(score) if group == groups[label] else 0.0
        total -= math.log(own / everything)
    return total / len(labels)


SIZES = [(1, 1), (1, 5), (6, 2), (8, 20), (40, 7)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("images", "classes"), SIZES)
def test_names_to_images_equals_the_written_out_loss(seed, images, classes):
    logits, labels = batch(seed, images, classes)
    present = labels.unique()
    found = names_to_images(logits[:, present], labels, present)
    expected = names_to_images_in_loops(
        logits[:, present].tolist(), labels.tolist(), present.tolist()
    )
    assert found.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("images", "classes"), SIZES)
def test_the_loss_on_a_rank_equals_the_written_out_loss(seed, images, classes):
    logits, labels = batch(seed, images, classes)
    groups = torch.randint(3, (classes,), generator=torch.Generator().manual_seed(seed))
    expected = rank_loss_in_loops(logits.tolist(), labels.tolist(), groups.tolist())
    assert rank_loss(logits, labels, groups).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("images", [1, 6])
def test_one_species_in_the_batch_gives_finite_losses_and_gradients(images):
    logits = (100 * torch.randn(images, 4)).requires_grad_()
    labels, groups = torch.full((images,), 2), torch.tensor([0, 1, 1, 1])
    present = labels.unique()
    both = names_to_images(logits[:, present], labels, present), rank_loss(logits, labels, groups)
    sum(both).backward()
    assert all(loss.isfinite() for loss in both) and logits.grad.isfinite().all()


def test_one_image_is_no_surprise_to_its_name():
    logits = torch.randn(1, 1, requires_grad=True)
    loss = names_to_images(logits, torch.tensor([3]), torch.tensor([3]))
    loss.backward()
    assert loss.item() == 0.0 and logits.grad.item() == 0.0


def test_where_all_classes_share_a_group_there_is_nothing_to_learn_of_it():
    logits, labels = batch(0, 5, 4)
    assert rank_loss(logits, labels, torch.zeros(4)).item() == pytest.approx(0.0, abs=1e-12)


def test_taxa_are_numbered_by_the_name_they_share_and_alone_without_one():
    groups = numbered(["Quercus", "", "Acer", "Quercus", ""], 5).tolist()
    assert groups[0] == groups[3]
    assert len(set(groups)) == 4
    assert len(set(numbered((), 5).tolist())) == 5


@pytest.mark.parametrize(("rows", "texts", "images"), [(30, 8, 5), (6, 20, 9)])
@pytest.mark.parametrize("ridge", [0.01, 0.3, 5.0])
def test_the_regression_is_that_of_scikit_learn(rows, texts, images, ridge):
    from sklearn.linear_model import Ridge

    draw = np.random.default_rng(rows)
    known, means = draw.normal(1, 2, (rows, texts)), draw.normal(-3, 1, (rows, images))
    spread = ((known - known.mean(axis=0)) ** 2).sum(axis=1).mean()
    expected = Ridge(alpha=ridge * spread).fit(known, means)
    weight, bias = regress(torch.from_numpy(known), torch.from_numpy(means), ridge)
    np.testing.assert_allclose(weight.numpy(), expected.coef_, atol=1e-6)
    np.testing.assert_allclose(bias.numpy(), expected.intercept_, atol=1e-6)


def test_a_single_taxon_is_regressed_to_its_mean():
    weight, bias = regress(torch.randn(1, 4), torch.ones(1, 3), 0.3)
    assert not weight.any() and torch.equal(bias, torch.ones(3, dtype=torch.double))
