from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from novel_samples import FIELD, HERBARIUM, Flora, features, joined, known
from sklearn.metrics import adjusted_rand_score

from herbzoo.curation import novelty_scores
from herbzoo.curation.case import BAD_IMAGE, MISNAMED, UNKNOWN
from herbzoo.curation.clusters import KnownPlaces, clusters_of
from herbzoo.curation.linkage import DEFAULT_LIMIT, grouped
from herbzoo.curation.novel_cases import NovelCases
from herbzoo.curation.novelty import find_novel
from herbzoo.curation.novelty_scores import SCORES, KnownSpace, fit_scores, score_rows
from herbzoo.curation.posterior import RankAnswers, sure_ranks
from herbzoo.curation.rehearsal import Rehearsal, rehearse, separation
from herbzoo.errors import DataError, HerbzooError
from herbzoo.taxonomy import Taxonomy

FLORA = Flora()
KNOWN = [name for name in FLORA.names if not name.endswith("viridis")]
NEW = [name for name in FLORA.names if name.endswith("viridis")][::3]
"""One species of each of four genera."""


@pytest.fixture(scope="module")
def specimens():
    return FLORA.known(KNOWN)


@pytest.fixture(scope="module")
def asked():
    """Known species under their names, and unknown ones without a name."""
    named = FLORA.specimens(KNOWN, 8, 2)
    new = FLORA.specimens(NEW, 12, 3, scientificName="", genus="")
    return joined(named, new)


@pytest.fixture(scope="module")
def found(asked, specimens):
    return novel(asked, specimens)


def novel(asked, specimens, **options):
    return find_novel(asked, specimens, taxonomy=Taxonomy(specimens.taxa), **options)


def space_of(specimens):
    return KnownSpace.of(specimens.features, specimens.species, specimens.field)


def test_unknown_species_are_listed_and_known_ones_at_the_promised_rate(found):
    unknown = np.array(found.lists) == UNKNOWN
    assert unknown[240:].mean() > 0.95
    assert unknown[:240].mean() < 0.08  # 12 of 240 are promised on average, 20 are two sigma more


def test_a_lower_rate_lists_fewer(asked, specimens):
    few, many = (
        (np.array(novel(asked, specimens, rate=rate, score="knn").lists) == UNKNOWN)[:240].mean()
        for rate in (0.02, 0.2)
    )
    assert few < 0.05 < 0.1 < many < 0.3


def test_unknown_species_are_grouped_and_the_largest_group_comes_first(found, asked):
    clusters = clusters_of(found, KnownPlaces(found))
    sizes = [len(cluster.rows) for cluster in clusters]
    assert [cluster.name for cluster in clusters][:3] == ["sp. A", "sp. B", "sp. C"]
    assert sizes == sorted(sizes, reverse=True)
    new = np.arange(240, 288)
    truth = np.repeat(np.arange(4), 12)
    listed = found.group[new] >= 0
    assert adjusted_rand_score(truth[listed], found.group[new][listed]) > 0.9


def test_the_typical_image_and_the_nearest_species_of_a_group_are_near(found):
    for cluster in clusters_of(found, KnownPlaces(found))[:4]:
        assert cluster.nearest[0][1] >= cluster.nearest[-1][1]
        values = found.rows.values[list(cluster.rows)]
        apart = np.linalg.norm(values - values.mean(0), axis=1)
        assert apart[0] <= np.median(apart)


def test_the_choice_and_the_threshold_do_not_depend_on_what_is_asked(found, specimens):
    few = novel(FLORA.specimens(NEW, 1, 9), specimens)
    assert few.score == found.score
    assert few.limit == found.limit
    assert np.array_equal(few.held.scores, found.held.scores)


def test_a_misnamed_specimen_is_not_unknown(specimens):
    asked = FLORA.specimens([KNOWN[0]], 5, 4)
    asked.collection.frame["scientificName"] = KNOWN[20]
    asked.collection.frame["genus"] = KNOWN[20].split()[0]
    found = novel(asked, specimens)
    assert found.lists == [MISNAMED] * 5
    best = [found.known.taxa[place].scientificName for place in found.candidates[:, 0]]
    assert best == [KNOWN[0]] * 5


def test_an_unknown_specimen_under_a_known_name_is_unknown(specimens):
    asked = FLORA.specimens(NEW[:1], 5, 4)
    asked.collection.frame["scientificName"] = KNOWN[20]
    assert novel(asked, specimens).lists == [UNKNOWN] * 5


def test_bad_images_are_neither_unknown_nor_grouped(specimens):
    found = novel(FLORA.specimens(NEW[:1], 3, 4), specimens, faults=["blank", "", ""])
    assert found.lists == [BAD_IMAGE, UNKNOWN, UNKNOWN]
    assert found.group[0] < 0 <= found.group[1]


def test_the_genus_is_sure_where_its_other_species_are_known():
    near = Flora(spread=1.2)  # species close to their genus
    specimens = near.known([name for name in near.names if not name.endswith("viridis")])
    asked = near.specimens([name for name in near.names if name.endswith("viridis")], 6, 5)
    truth = asked.collection.frame["genus"].tolist()
    asked.collection.frame["scientificName"] = ""
    found = novel(asked, specimens, rate=0.3)
    unknown = found.in_order(UNKNOWN)
    answers = [(found.sure_rank(row)[:2], truth[row]) for row in unknown.tolist()]
    sure = [answer for answer in answers if answer[0][0] == "genus"]
    assert len(sure) > 0.5 * len(unknown)
    assert np.mean([taxon == genus for (_, taxon), genus in sure]) >= 0.8


def test_no_genus_is_sure_where_each_species_has_its_own():
    names = [name for name in FLORA.names if name.endswith("alba")]
    found = novel(FLORA.specimens(NEW, 3, 5), FLORA.known(names, 30))
    assert "genus" not in found.sure


def test_all_rows_unknown_and_none():
    specimens = FLORA.known(KNOWN[:10])
    everything = novel(FLORA.specimens(NEW, 6, 5), specimens)
    assert everything.lists == [UNKNOWN] * 24
    nothing = novel(FLORA.specimens(KNOWN[:1], 6, 5), specimens, rate=0.01)
    assert UNKNOWN not in nothing.lists
    assert clusters_of(nothing, KnownPlaces(nothing)) == []


def test_one_known_species_is_compared_by_its_nearest_images():
    specimens = FLORA.known(KNOWN[:1], 60)
    found = novel(FLORA.specimens(NEW[:1], 5, 5), specimens)
    assert found.score == "knn"
    assert found.lists == [UNKNOWN] * 5
    assert novel(FLORA.specimens(KNOWN[:1], 5, 5), specimens, rate=0.02).lists == [""] * 5


def test_two_known_species_can_be_told_from_a_third():
    specimens = FLORA.known([KNOWN[0], KNOWN[8]], 40)
    assert novel(FLORA.specimens(NEW[:1], 5, 5), specimens).lists == [UNKNOWN] * 5


def test_nothing_is_promised_for_a_domain_that_the_known_lack(specimens):
    asked = joined(FLORA.specimens(KNOWN, 1, 5), FLORA.specimens(KNOWN, 1, 6, FIELD))
    found = novel(asked, specimens)
    assert found.promised.tolist() == [True] * 30 + [False] * 30


def test_domains_have_thresholds_of_their_own():
    sheets, photos = FLORA.specimens(KNOWN, 12, 1), FLORA.specimens(KNOWN, 12, 2, FIELD)
    noise = np.random.default_rng(0).normal(0, 1.5, photos.values.shape).astype(np.float32)
    blurred = replace(photos, values=photos.values + noise)  # photos vary more than sheets
    specimens = known(joined(sheets, blurred))
    fresh = FLORA.specimens(KNOWN, 10, 7, FIELD)
    noise = np.random.default_rng(1).normal(0, 1.5, fresh.values.shape).astype(np.float32)
    found = novel(replace(fresh, values=fresh.values + noise), specimens, score="knn")
    alarms = (found.p <= found.rate).mean()
    assert alarms < 0.09
    unstated = replace(fresh, values=fresh.values + noise)
    unstated.collection.frame["basisOfRecord"] = ""
    blank = novel(unstated, specimens, score="knn")
    assert (blank.p >= found.p).all() and blank.promised.all()
    cases = NovelCases(blank, KnownPlaces(blank), clusters_of(blank, KnownPlaces(blank)))
    reasons = [*cases.reasons(int(blank.in_order(UNKNOWN)[0]))]
    assert "whatever kind of image it is (basisOfRecord is blank), at most" in reasons[0]


def test_with_a_trained_backbone_only_rows_it_never_saw_are_measured():
    rows = FLORA.specimens(KNOWN, 20, 1)
    held = np.arange(len(rows)) % 10 == 0
    specimens = known(rows, held)
    (part,) = specimens.parts()
    assert np.array_equal(part.held, np.flatnonzero(held))
    found = novel(FLORA.specimens(NEW, 2, 5), specimens)
    assert found.held.specimens() == held.sum()
    assert not np.isin(specimens.learnable, part.held).any()


def test_species_of_one_specimen_are_counted_as_never_measured():
    rows = joined(FLORA.specimens(KNOWN[:10], 8, 1), FLORA.specimens(KNOWN[10:14], 1, 2))
    assert novel(FLORA.specimens(NEW, 1, 3), known(rows), score="knn").species_held == 10


def test_a_family_is_tried_on_images_whose_genus_is_not_sure():
    rows = np.arange(200)
    genus = RankAnswers(np.where(rows < 150, 0.9, 0.1), rows < 150, rows % 10)
    family = RankAnswers(np.full(200, 0.95), rows < 180, rows % 10)  # 30 of the last 50 are right
    assert {*sure_ranks({"family": family})} == {"family"}
    assert {*sure_ranks({"genus": genus, "family": family})} == {"genus"}


def test_a_score_that_was_refused_on_trial_makes_no_rank_sure():
    answers = {"genus": RankAnswers(np.ones(3), np.ones(3, bool), np.arange(3))}
    assert Rehearsal(answers=answers).answers_on_strange("vim", 0.05) == {}


def test_known_specimens_without_a_second_gathering_are_refused():
    rows = FLORA.specimens(KNOWN[:1], 1, 1)
    with pytest.raises(DataError, match="--known"):
        novel(FLORA.specimens(NEW, 1, 2), known(rows))


def test_every_score_is_higher_for_what_is_far():
    crowded = Flora(spread=1.0, scale=1.2)  # so that nothing is beyond all doubt
    specimens = crowded.known(KNOWN)
    space = space_of(specimens)
    scales = rehearse(specimens, SCORES).scales
    fitted, refused = fit_scores(space, SCORES, scales)
    assert not refused
    near = score_rows(space, fitted, crowded.specimens(KNOWN, 4, 2).values)
    far = score_rows(space, fitted, crowded.specimens(NEW, 30, 3).values)
    for name in SCORES:
        assert separation(near[name], far[name])[0] > 0.55, name


@pytest.mark.parametrize(
    ("detector", "name"), [("Mahalanobis", "mahalanobis"), ("RMD", "relative_mahalanobis")]
)
def test_distances_to_all_species_at_once_are_those_of_pytorch_ood(specimens, detector, name):
    import pytorch_ood.detector as detectors

    space = space_of(specimens)
    plain = getattr(detectors, detector)(None)
    plain.fit_features(space.seen.embedded, space.labels)
    rows = FLORA.specimens(KNOWN + NEW, 3, 2).values
    fitted, _ = fit_scores(space, [name])
    expected = plain.predict_features(space.look(rows).embedded)
    ours = torch.from_numpy(score_rows(space, fitted, rows)[name]).float()
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4)


def test_blocks_do_not_change_scores(specimens, monkeypatch):
    space = space_of(specimens)
    fitted, _ = fit_scores(space, ["vim", "knn"])
    rows = FLORA.specimens(KNOWN, 3, 2).values
    whole = score_rows(space, fitted, rows)
    monkeypatch.setattr(novelty_scores, "BLOCK", 7)
    for name, values in score_rows(space, fitted, rows).items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-4)


def test_neighbours_are_looked_for_among_some_of_each_species(monkeypatch):
    monkeypatch.setattr(novelty_scores, "MOST_NEIGHBOURS", 10)
    labels = torch.tensor([0] * 50 + [1] * 3 + [2] * 2)
    chosen = labels[novelty_scores._some_of_each(labels)]
    assert torch.bincount(chosen).tolist() == [5, 3, 2]


def test_a_score_that_there_is_not_is_refused_with_those_there_are(specimens):
    with pytest.raises(HerbzooError, match=r"no score 'magic'; there are max_softmax.*combined"):
        novel(FLORA.specimens(NEW, 1, 2), specimens, score="magic")


def test_the_missing_library_is_named(monkeypatch):
    monkeypatch.setattr(novelty_scores, "find_spec", lambda name: None)
    with pytest.raises(HerbzooError, match=r'pip install "herbzoo\[curation\]"'):
        novelty_scores.require_pytorch_ood()


def test_the_better_score_is_taken(found):
    from herbzoo.curation.novelty_choice import mean_aurocs

    means = mean_aurocs(found.rehearsal.trials)
    assert means[found.score] == max(means.values()) > 0.9
    assert set(means) == set(SCORES)


def test_groups_do_not_chain():
    angles = np.radians([0, 40, 80, 120, 160])
    places = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert len(set(grouped(places, 0.3).tolist())) > 1


def test_rows_beyond_those_linked_join_the_nearest_group(monkeypatch):
    from herbzoo.curation import linkage

    rng = np.random.default_rng(0)
    centres = np.eye(6)[:3]
    places = np.concatenate([centres, centres, np.eye(6)[3:4]]) + rng.normal(0, 0.01, (7, 6))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    monkeypatch.setattr(linkage, "MOST_LINKED", 3)
    groups = grouped(places, DEFAULT_LIMIT)
    assert groups[:3].tolist() == groups[3:6].tolist()
    assert groups[6] == 3


def test_a_row_without_a_name_or_with_an_unknown_one_is_never_misnamed(specimens):
    asked = FLORA.specimens(KNOWN[:2], 3, 8)
    asked.collection.frame["scientificName"] = ["", "Nova species"] * 3
    asked.collection.frame["genus"] = ""
    found = novel(asked, specimens, rate=0.02)
    assert np.isnan(found.name_p).all()
    assert MISNAMED not in found.lists


def test_features_of_any_order_give_the_same(specimens, asked, found):
    order = np.random.default_rng(0).permutation(len(asked))
    mixed = features(asked.collection.frame.iloc[order].reset_index(drop=True), asked.values[order])
    again = novel(mixed, specimens, score=found.score)
    np.testing.assert_allclose(again.p, found.p[order])


def test_species_without_known_photos_are_named_as_a_reason():
    sheets, photos = FLORA.specimens(KNOWN, 8, 1), FLORA.specimens(KNOWN[:15], 8, 2, FIELD)
    specimens = known(joined(sheets, photos))
    assert len(specimens.species_in(HERBARIUM)) == 30
    assert len(specimens.species_in(FIELD)) == 15
    asked = FLORA.specimens([NEW[0]], 2, 3, FIELD)
    asked.collection.frame["scientificName"] = [KNOWN[0], KNOWN[20]]
    found = novel(asked, specimens)
    assert found.lists == [UNKNOWN, UNKNOWN]
    places = KnownPlaces(found)
    cases = NovelCases(found, places, clusters_of(found, places))
    covered, lacking = ([*cases.reasons(row)][-1] for row in (0, 1))
    assert covered.endswith("does not look like it.")
    assert lacking == (f"No {FIELD} of {KNOWN[20]} is known: it may look strange for that alone.")
