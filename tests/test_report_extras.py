"""What a report shows beyond the rows that are measured: training sheets, and attention."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import coloured_leaves, save_run, tiny_model

from herbzoo.data.readers import open_collection
from herbzoo.data.records import FIELD, HERBARIUM
from herbzoo.data.zones import Zone
from herbzoo.errors import RunError
from herbzoo.evaluation import attention
from herbzoo.evaluation.attention import looked
from herbzoo.evaluation.figures.look import NothingToDraw
from herbzoo.evaluation.gallery import drawn_evenly, training_sheets
from herbzoo.evaluation.protocols import Trial
from herbzoo.explanations.explainer import Explainer
from herbzoo.inference import Identifier


@pytest.fixture(scope="module")
def identifier(tmp_path_factory):
    torch.manual_seed(0)
    return Identifier.from_pretrained(
        save_run(tmp_path_factory.mktemp("run"), *tiny_model()), "cpu"
    )


@pytest.fixture(scope="module")
def leaves(tmp_path_factory):
    """30 images of three species; of each the even ones are sheets."""
    collection = open_collection(
        coloured_leaves(tmp_path_factory.mktemp("data") / "leaves", images_a_species=10)
    )
    number = np.arange(len(collection))
    collection.frame["basisOfRecord"] = np.where(number % 2, FIELD, HERBARIUM)
    return collection


class Told:
    """A progress that remembers."""

    def __init__(self):
        self.bars = []

    @contextmanager
    def __call__(self, doing, images):
        bar = [doing, images, 0]
        self.bars.append(bar)

        def advance(done):
            bar[2] += done

        yield advance


def trial(identifier, rows, train=None, **options) -> Trial:
    return Trial(identifier, rows, train, workers=0, **options)


def test_training_sheets_are_embedded_and_photos_are_not_among_them(identifier, leaves):
    told = Told()
    found = training_sheets(trial(identifier, leaves, leaves, progress=told))
    assert set(found.collection.frame["basisOfRecord"]) == {HERBARIUM}
    assert found.embeddings.shape == (15, 16)
    assert told.bars == [["looking up sheets", 15, 15]]


def test_every_species_gives_a_sheet_before_any_gives_a_second(leaves):
    for seed in range(3):
        drawn = drawn_evenly(leaves, 7, seed).frame["scientificName"].value_counts()
        assert sorted(drawn) == [2, 2, 3]
    rows = [drawn_evenly(leaves, 7, seed).frame["image"].tolist() for seed in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]
    assert len(drawn_evenly(leaves, 100)) == 30


def test_it_says_why_there_are_no_sheets(identifier, leaves):
    photos = leaves.select((leaves.frame["basisOfRecord"] == FIELD).to_numpy())
    for train, why in ((None, "not known which"), (photos, "no training row is a herbarium")):
        with pytest.raises(NothingToDraw, match=why):
            training_sheets(trial(identifier, leaves, train))
    blocks = SimpleNamespace(blocks=None, open=None)
    with pytest.raises(NothingToDraw, match="protocol retrieval"):
        training_sheets(trial(identifier, leaves, replace(leaves, images=blocks)))


def test_attention_is_averaged_over_sheets_and_shown_of_right_and_wrong(
    identifier, leaves, tmp_path, monkeypatch
):
    evaluated = trial(identifier, leaves).run(leaves)
    told, asked = Told(), []

    def left_half(image, domain):
        asked.append(domain)
        width, height = image.size
        return [Zone("label", (0, 0, width // 2, height), 1.0)] if domain == HERBARIUM else []

    monkeypatch.setattr(attention, "find_zones", left_half)
    (tmp_path / "looked_9.png").write_text("of an earlier evaluation")
    found = looked(identifier, evaluated, tmp_path, told, workers=0)
    assert found.shares["sheets"] == 12 <= asked.count(HERBARIUM)
    assert found.shares["area"]["label"] == pytest.approx(0.5)
    assert sum(found.shares["attention"].values()) == pytest.approx(1)
    assert told.bars[0][1] == told.bars[0][2] <= 16
    assert {path for path, _ in found.figures} == set(tmp_path.iterdir())
    said = [caption for _, caption in found.figures]
    right = int(evaluated.outcomes.right.sum())
    assert sum("named right" in one for one in said) == min(2, right)
    assert sum("taken for" in one for one in said) == min(2, 30 - right)


def test_photos_have_no_zones_to_average_over(identifier, leaves, tmp_path):
    photos = leaves.select((leaves.frame["basisOfRecord"] == FIELD).to_numpy())
    evaluated = trial(identifier, photos).run(photos)
    found = looked(identifier, evaluated, tmp_path, Told(), workers=0)
    assert found.shares == {}
    assert found.figures


def test_a_model_that_cannot_be_explained_is_no_reason_to_fail(
    identifier, leaves, tmp_path, monkeypatch
):
    def broken(*_):
        raise RunError("the model's gradients are not numbers")

    monkeypatch.setattr(Explainer, "attribution", broken)
    evaluated = trial(identifier, leaves).run(leaves)
    with pytest.raises(NothingToDraw, match="gradients are not numbers"):
        looked(identifier, evaluated, tmp_path, Told(), workers=0)
