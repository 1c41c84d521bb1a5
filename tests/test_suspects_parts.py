from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from curation_samples import flora_features, with_column
from scipy.special import log_softmax
from sklearn.metrics import log_loss
from tiny import collection_of

from herbzoo.curation.confident import confident_issues
from herbzoo.curation.fold_view import ABSENT, LOOKED_AT, OF_EACH, FoldView
from herbzoo.curation.folds import gathering_folds
from herbzoo.curation.judging import Judging
from herbzoo.curation.named_rows import UNNAMED, named_rows
from herbzoo.curation.pooling import Pool
from herbzoo.curation.slips import RARE, Slips, name_likelihoods
from herbzoo.errors import DataError
from herbzoo.taxonomy import Taxon, Taxonomy


def names_of(*names: str, **columns: list[str]):
    frame = pd.DataFrame(
        {"image": [f"{n}.jpg" for n in range(len(names))], "scientificName": names}
    )
    return named_rows(collection_of(frame.assign(**columns)))


@pytest.mark.parametrize(
    ("written", "species", "genus"),
    [
        ("Quercus robur subsp. brutia (Ten.) O.Schwarz", "Quercus robur", "Quercus"),
        ("QUERCUS ROBUR", "Quercus robur", "Quercus"),
        ("Rosa × damascena Mill.", "Rosa × damascena", "Rosa"),
        ("Salix alba × Salix fragilis", "Salix alba × Salix fragilis", "Salix"),
        ("Quercus cf. robur", "Quercus robur", "Quercus"),
        ("Quercus sp.", "", "Quercus"),
        ("class 17", "class 17", ""),
    ],
)
def test_names_are_judged_as_species(written, species, genus):
    names = names_of(written, "Zea mays")
    found = names.species[0]
    assert (names.taxa[found].scientificName if found != UNNAMED else "") == species
    assert (names.genera[names.genus[0]] if names.genus[0] != UNNAMED else "") == genus


def test_doubt_is_read_from_the_name_or_from_its_column():
    names = names_of(
        "Acer cf. rubrum",
        "Acer rubrum",
        "Acer rubrum",
        "Acer rubrum agg.",
        "Acer rubrum?",
        identificationQualifier=["", "aff. rubrum", "", "", ""],
    )
    assert names.qualifier == ("cf", "aff. rubrum", "", "", "?")


def test_families_are_completed_from_other_rows_and_then_from_the_model():
    frame = pd.DataFrame(
        {
            "image": list("abc"),
            "scientificName": ["Rosa alba", "Rosa canina", "Quercus robur"],
            "family": ["Rosaceae", "", ""],
        }
    )
    known = Taxonomy((Taxon("Quercus ilex", genus="Quercus", family="Fagaceae"),))
    names = named_rows(collection_of(frame), known)
    assert [names.families[place] for place in names.family] == ["Rosaceae", "Rosaceae", "Fagaceae"]


def test_a_collection_without_names_has_nothing_to_doubt():
    with pytest.raises(DataError, match="has no names in scientificName"):
        names_of("", "")


def test_folds_divide_no_gathering_and_spread_each_species():
    generator = np.random.default_rng(0)
    gatherings = np.sort(generator.integers(0, 400, 1000))
    species = gatherings // 20  # twenty gatherings a species
    folds = gathering_folds(gatherings, species, folds=5)
    assert (pd.Series(folds).groupby(gatherings).nunique() == 1).all()
    of_gathering = pd.DataFrame({"fold": folds, "species": species}).groupby(gatherings).first()
    counts = of_gathering.groupby("species")["fold"].value_counts().unstack(fill_value=0)
    assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 1


def test_there_are_no_more_folds_than_gatherings():
    folds = gathering_folds(np.array([0, 0, 1, 2]), np.zeros(4, dtype=int))
    assert sorted(set(folds.tolist())) == [0, 1, 2]


def view_of(learned: np.ndarray):
    features = flora_features(sheets=15)
    species = named_rows(features.collection).species
    view = FoldView(features.values, species, 11, np.zeros(len(species), bool), learned)
    return species, view


def test_the_neighbours_of_a_species_are_its_nearest_sheets():
    learned = np.arange(165) % 5 != 0
    species, view = view_of(learned)
    rows = np.flatnonzero(~learned)[:7]
    found = view.opinions(rows).scores[2]
    unit = view._unit(np.arange(165)).numpy()
    for place, row in enumerate(rows):
        cosines = unit[row] @ unit[learned].T
        farthest = np.sort(cosines)[-min(LOOKED_AT, len(cosines))]
        for one in range(11):
            own = np.sort(np.maximum(cosines[species[learned] == one], farthest))[::-1]
            assert found[place, one] == pytest.approx(own[:OF_EACH].mean(), abs=1e-5)


def test_a_species_that_is_in_no_other_fold_has_no_score():
    species = named_rows(flora_features(sheets=15).collection).species
    _, view = view_of(species != 4)
    for score in view.opinions(np.flatnonzero(species == 4)[:3]).scores:
        assert (score[:, 4] == ABSENT).all() and np.isfinite(np.delete(score, 4, axis=1)).all()


def test_nearest_sheets_come_from_other_folds_alone():
    learned = np.arange(165) % 5 != 0
    species, view = view_of(learned)
    near = view.nearest_of(view.look(0), int(species[0]), 4)
    assert all(learned[row] and species[row] == species[0] for row, _ in near)
    assert [cosine for _, cosine in near] == sorted((c for _, c in near), reverse=True)


def test_temperatures_make_probabilities_keep_their_word():
    generator = np.random.default_rng(0)
    logits = 2 * generator.standard_normal((4000, 6))
    probabilities = np.exp(log_softmax(logits, axis=1))
    labels = np.array([generator.choice(6, p=row) for row in probabilities])
    scores = [8 * logits, 0.1 * logits, logits]

    def explained(rows: np.ndarray, logs: np.ndarray) -> np.ndarray:
        return np.exp(logs[np.arange(len(rows)), labels[rows]])

    pool = Pool.fit(scores, labels, explained)
    assert pool.temperatures[0] / pool.temperatures[1] == pytest.approx(80, rel=0.1)
    pooled = np.exp(pool(scores))
    assert log_loss(labels, pooled) == pytest.approx(log_loss(labels, probabilities), rel=0.01)


def test_what_no_opinion_can_know_stays_impossible():
    scores = [np.array([[1.0, -np.inf, 0.0]])] * 2
    pooled = np.exp(Pool((1.0, 2.0), 0.5)(scores))
    assert pooled[0, 1] == 0 and pooled.sum() == pytest.approx(1)


def test_shares_of_slips_are_found_again():
    generator = np.random.default_rng(0)
    kind = generator.choice(4, size=20_000, p=(0.88, 0.07, 0.02, 0.03))
    # What is seen is one of six things, each kind of slip showing them in its own shares.
    shows = generator.dirichlet(np.full(6, 0.3), size=4)
    seen = np.array([generator.choice(6, p=shows[one]) for one in kind])
    likelihoods = shows[:, seen].T
    slips = Slips.fit(likelihoods)
    assert slips.shares == pytest.approx((0.88, 0.07, 0.02, 0.03), abs=0.03)
    suspicion = slips.suspicion(likelihoods)
    for one in range(6):  # a suspicion is the share of names that are wrong
        own = seen == one
        assert suspicion[own].mean() == pytest.approx((kind[own] > 0).mean(), abs=0.1)


def test_a_slip_of_a_kind_that_was_never_seen_is_possible_still():
    likelihoods = np.tile([1.0, 0.0, 0.0, 0.0], (1000, 1))
    likelihoods[0] = (1e-9, 1e-9, 1e-9, 0.5)
    slips = Slips.fit(likelihoods)
    assert slips.shares[3] == pytest.approx(RARE, rel=0.7)
    assert slips.suspicion(likelihoods)[0] > 0.99


def test_what_is_not_known_is_not_suspected():
    assert np.isnan(Slips((0.9, 0.1, 0.0, 0.0)).suspicion(np.full((1, 4), np.nan))).all()


def test_slips_lead_to_each_name_of_their_kind_alike():
    own = [np.array([0.1]), np.array([0.7]), np.array([0.9]), np.ones(1)]
    members = [np.array([one]) for one in (1, 4, 9, 59)]
    found = name_likelihoods(own, members)[0]
    assert found == pytest.approx([0.1, 0.6 / 3, 0.2 / 5, 0.1 / 50])
    alone = name_likelihoods(own, [np.array([one]) for one in (1, 1, 1, 59)])[0]
    assert alone[1] == alone[2] == 0


def test_a_genus_that_stands_for_one_of_its_species_is_no_likelier_than_it():
    """Of a species that is nowhere else only the genus can be told, which has four names."""
    own = [np.array([0.8]), np.array([0.8]), np.array([0.9]), np.ones(1)]
    found = name_likelihoods(own, [np.array([one]) for one in (4, 4, 9, 59)])[0]
    assert found == pytest.approx([0.8 / 4, 0, 0.1 / 5, 0.1 / 50])


def test_confident_learning_in_blocks_is_that_of_cleanlab():
    from cleanlab.filter import find_label_issues

    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 400)
    logits = 4.0 * np.eye(4)[labels] + generator.standard_normal((400, 4))
    noisy = labels.copy()
    noisy[:30] = (labels[:30] + 1) % 4
    probabilities = np.exp(log_softmax(logits, axis=1)).astype(np.float32)

    def blocks():
        for start in range(0, 400, 64):
            yield noisy[start : start + 64], probabilities[start : start + 64]

    found = confident_issues(blocks, 4)
    expected = find_label_issues(
        noisy,
        probabilities,
        filter_by="low_self_confidence",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    assert set(found) == set(expected) and len(found) > 20


def test_a_gathering_that_is_split_by_nothing_else_joins_its_images():
    features = with_column(
        flora_features(), "occurrenceID", {"alba0.png": "urn:7", "alba1.png": "urn:7"}
    )
    from herbzoo.data.gatherings import gatherings

    numbers = gatherings(features.collection.frame)
    folds = gathering_folds(numbers, named_rows(features.collection).species)
    assert folds[0] == folds[1]


@pytest.mark.parametrize("written", ["unknown", "indet.", "N/A", "Unknown."])
def test_a_text_that_says_nothing_is_no_species_and_is_never_proposed(written):
    names = names_of(written, "Zea mays")
    assert names.species.tolist() == [UNNAMED, 0] and len(names.taxa) == 1


def test_a_family_is_judged_as_one_whatever_stands_in_the_column_of_genera():
    names = names_of("Poaceae", "Zea mays", genus=["Poaceae", "Zea"], family=["", "Poaceae"])
    assert names.genera == ("Zea",) and names.genus.tolist() == [UNNAMED, 0]
    assert names.family.tolist() == [0, 0] and names.species[0] == UNNAMED


def test_the_genus_of_a_hybrid_genus_is_not_its_sign():
    names = names_of("× Cupressocyparis leylandii", "×Cupressocyparis notabilis", "Zea mays")
    assert names.genera == ("Cupressocyparis", "Zea")
    assert names.genus_of[names.species].tolist() == [0, 0, 1]


def test_a_section_is_no_species():
    names = names_of("Carex sect. Phacocystis", "Carex acuta")
    assert [taxon.scientificName for taxon in names.taxa] == ["Carex acuta"]
    assert names.species[0] == UNNAMED and names.genus.tolist() == [0, 0]


def test_one_fold_alone_is_refused():
    with pytest.raises(DataError, match="one fold leaves no other to judge it by"):
        gathering_folds(np.arange(4), np.zeros(4, dtype=int), folds=1)


def test_temperatures_are_found_on_a_part_of_a_large_fold(monkeypatch):
    """Scores of all rows of a fold and all species would not fit into memory."""
    features = flora_features(sheets=20)
    names = named_rows(features.collection)
    folds = np.arange(len(features)) % 2
    seen = []
    fit = Pool.fit

    def watched(scores, labels, explained):
        seen.append(len(labels))
        return fit(scores, labels, explained)

    monkeypatch.setattr(Pool, "fit", watched)
    monkeypatch.setattr("herbzoo.curation.judging.ENOUGH_ROWS", 30)
    judging = Judging(features.values, names, folds, np.zeros(len(features), bool))
    shown = []
    found = judging.run(lambda view, rows, judged: shown.append(len(rows)))
    assert seen == [37] and shown == [110, 110]
    assert (found.rank == 0).all() and (found.own > 0.5).mean() > 0.9
