"""Protocols by name: which rows they measure, in which groups, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from tiny import coloured_leaves, save_run, tiny_model

from herbzoo.data.readers import open_collection
from herbzoo.data.records import FIELD, HERBARIUM
from herbzoo.errors import DataError, HerbzooError
from herbzoo.evaluation.intervals import intervals
from herbzoo.evaluation.open_set import separation
from herbzoo.evaluation.protocols import PROTOCOLS, Trial, protocol
from herbzoo.inference import Identifier


@pytest.fixture(scope="module")
def identifier(tmp_path_factory):
    torch.manual_seed(0)
    return Identifier.from_pretrained(
        save_run(tmp_path_factory.mktemp("run"), *tiny_model()), "cpu"
    )


@pytest.fixture(scope="module")
def leaves(tmp_path_factory):
    """30 images of three species, ten each: in turn sheets and photos, from two herbaria."""
    folder = coloured_leaves(tmp_path_factory.mktemp("data") / "leaves", images_a_species=10)
    collection = open_collection(folder)
    number = np.arange(len(collection))
    collection.frame["basisOfRecord"] = np.where(number % 2, FIELD, HERBARIUM)
    collection.frame["institutionCode"] = np.where(number % 4 < 2, "NY", "K")
    return collection


def trial(identifier, rows, train, **options) -> Trial:
    return Trial(identifier, rows, train, workers=0, **options)


def halves(leaves) -> tuple[np.ndarray, np.ndarray]:
    first = np.arange(len(leaves)) % 10 < 5
    return first, ~first


def test_every_protocol_is_known_by_its_name_and_no_other():
    assert set(PROTOCOLS) == {
        *("standard", "cross_domain", "leave_one_institution_out", "zero_shot"),
        *("open_set", "retrieval"),
    }
    with pytest.raises(HerbzooError, match=r"no protocol 'cross'.*standard, cross_domain"):
        protocol("cross")


def test_the_standard_protocol_has_intervals_around_its_figures(identifier, leaves):
    _, rest = halves(leaves)
    verdict = protocol("standard")(
        trial(identifier, leaves.select(rest), leaves, group_by=["basisOfRecord"])
    )
    metrics = verdict.metrics
    assert (metrics["protocol"], metrics["n"]) == ("standard", 15)
    for name in ("top1", "top5", "mrr", "macro_f1", "balanced_accuracy", "genus_top1"):
        found = metrics["intervals"][name]
        assert found["value"] == pytest.approx(metrics["overall"][name])
        assert found["low"] <= found["value"] <= found["high"]
    mean = metrics["intervals"]["harmonic_mean.basisOfRecord"]["value"]
    assert mean == pytest.approx(metrics["harmonic_mean"]["basisOfRecord"])
    assert verdict.evaluated.embeddings is None
    kept = protocol("standard")(trial(identifier, leaves.select(rest), leaves, embeddings=True))
    assert kept.evaluated.embeddings.shape == (15, 16)


def test_cross_domain_asks_field_photos_and_parts_species_by_those_in_training(identifier, leaves):
    first, rest = halves(leaves)
    train = leaves.select(first)
    unpaired = (train.frame["scientificName"] == "Acer rubrum") & (
        train.frame["basisOfRecord"] == FIELD
    )
    train = train.select(~unpaired.to_numpy())
    metrics = protocol("cross_domain")(trial(identifier, leaves.select(rest), train)).metrics
    photos = leaves.select(rest).frame["basisOfRecord"] == FIELD
    assert metrics["n"] == photos.sum()
    groups = metrics["groups"]["pairs"]
    acers = (leaves.select(rest).frame["scientificName"] == "Acer rubrum") & photos
    assert groups["without"]["n"] == acers.sum()
    assert groups["with"]["n"] + groups["without"]["n"] == metrics["n"]
    assert "pairs" in metrics["harmonic_mean"]
    only_sheets = leaves.select((leaves.frame["basisOfRecord"] == HERBARIUM).to_numpy())
    with pytest.raises(DataError, match="field photo"):
        protocol("cross_domain")(trial(identifier, only_sheets, train))
    with pytest.raises(DataError, match="needs to know the training rows"):
        protocol("cross_domain")(trial(identifier, leaves, leaves.select([])))


def test_only_institutions_that_training_had_none_of_are_measured(identifier, leaves):
    york = leaves.select((leaves.frame["institutionCode"] == "NY").to_numpy())
    measure = protocol("leave_one_institution_out")
    metrics = measure(trial(identifier, leaves, york)).metrics
    assert list(metrics["groups"]["institutionCode"]) == ["K"]
    assert metrics["n"] + metrics["rows_of_training_institutions"] == len(leaves)
    with pytest.raises(DataError, match="--by institution"):
        measure(trial(identifier, york, leaves))


def test_zero_shot_names_unseen_species_among_themselves_and_among_all(identifier, leaves):
    seen = leaves.select((leaves.frame["scientificName"] == "Acer rubrum").to_numpy())
    verdict = protocol("zero_shot")(trial(identifier, leaves, seen))
    metrics = verdict.metrics
    assert metrics["groups"]["zero_shot"]["seen"]["n"] == 10
    assert metrics["groups"]["zero_shot"]["unseen"]["n"] == 20
    among = metrics["unseen_among_unseen"]
    assert among["n"] == 20
    assert among["top1"] >= metrics["groups"]["zero_shot"]["unseen"]["top1"]
    unseen = [i for i, t in enumerate(identifier.taxonomy.taxa) if t.genus == "Quercus"]
    (batch,) = identifier.scored(leaves, 64, 0)
    rows = (leaves.frame["genus"] == "Quercus").to_numpy()
    best = np.array(unseen)[batch.logits.numpy()[rows][:, unseen].argmax(axis=1)]
    expected = [identifier.taxonomy.index[name] for name in leaves.frame["scientificName"][rows]]
    assert among["top1"] == pytest.approx(np.mean(best == expected))
    with pytest.raises(DataError, match="a head that reads names"):
        protocol("zero_shot")(trial(identifier, leaves, leaves))


def test_open_set_tells_known_from_unknown_rows(identifier, leaves):
    strange = leaves.select(np.arange(len(leaves)))
    strange.frame.loc[strange.frame["scientificName"] == "Quercus alba", "scientificName"] = "X y"
    found = protocol("open_set")(trial(identifier, strange, leaves)).metrics["open_set"]
    assert (found["known"], found["unknown"]) == (20, 10)
    (batch,) = identifier.scored(strange, 64, 0)
    known = (strange.frame["scientificName"] != "X y").to_numpy()
    expected = roc_auc_score(known, batch.logits.amax(dim=1).numpy())
    assert found["scores"]["max_logit"]["auroc"] == pytest.approx(expected)
    assert set(found["scores"]) == {"max_probability", "max_logit", "energy", "margin"}
    with pytest.raises(DataError, match="all 30 rows are of known species"):
        protocol("open_set")(trial(identifier, leaves, leaves))


def test_separation_is_perfect_where_scores_are_apart():
    assert separation(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == {"auroc": 1.0, "fpr95": 0.0}
    assert separation(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == {"auroc": 0.0, "fpr95": 1.0}
    rng = np.random.default_rng(0)
    found = separation(rng.random(2000), rng.random(2000))
    assert found["auroc"] == pytest.approx(0.5, abs=0.03)
    assert found["fpr95"] == pytest.approx(0.95, abs=0.03)


def test_retrieval_finds_sheets_of_training_by_photos(identifier, leaves):
    first, rest = halves(leaves)
    verdict = protocol("retrieval")(trial(identifier, leaves.select(rest), leaves.select(first)))
    found = verdict.metrics["retrieval"]
    photos = (leaves.select(rest).frame["basisOfRecord"] == FIELD).sum()
    sheets = (leaves.select(first).frame["basisOfRecord"] == HERBARIUM).sum()
    assert (found["queries"], found["gallery"]) == (photos, sheets)
    assert 0 <= found["recall_at_1"] <= found["recall_at_5"] <= found["recall_at_10"] <= 1
    assert len(verdict.gallery) == sheets
    with pytest.raises(DataError, match="needs both"):
        no_photo = leaves.select((leaves.frame["basisOfRecord"] == HERBARIUM).to_numpy())
        protocol("retrieval")(trial(identifier, no_photo, leaves))


def test_intervals_draw_gatherings_together(identifier, leaves):
    alone = protocol("standard")(trial(identifier, leaves, leaves)).evaluated
    frame = alone.collection.frame
    frame["occurrenceID"] = ["one" if n < 15 else "two" for n in range(len(frame))]
    together = intervals(alone, {})
    frame["occurrenceID"] = ""
    apart = intervals(alone, {})
    assert together["top1"]["value"] == apart["top1"]["value"]

    def width(found):
        return found["mrr"]["high"] - found["mrr"]["low"]

    assert width(together) != width(apart)
