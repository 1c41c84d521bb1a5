from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from curation_samples import chosen, flora_features, renamed, with_column

from herbzoo.curation.case import CONFLICT, MISNAMED
from herbzoo.curation.evidence import Evidence
from herbzoo.curation.fold_view import FoldView
from herbzoo.curation.suspect_cases import listed_rows, suspect_case
from herbzoo.curation.suspect_files import write_conflicts, write_suspects
from herbzoo.curation.suspects import Suspects, find_suspects
from herbzoo.errors import DataError
from herbzoo.taxonomy import Taxon, Taxonomy

SWAPPED = {
    "alba3.png": "Rosa canina",
    "padus5.png": "Prunus avium",
    "robur1.png": "Quercus ilex",
    "sylvatica2.png": "Fagus orientalis",
}


def images(found: Suspects, rows) -> list[str]:
    return [found.records["image"][row] for row in rows]


def row_of(found: Suspects, image: str) -> int:
    return found.records["image"].index(image)


def case_of(found: Suspects, image: str):
    return suspect_case(found, row_of(found, image))


def suspects(features, **options) -> Suspects:
    return find_suspects(features, workers=0, **options)


def test_swapped_names_are_listed_with_the_right_proposal():
    found = suspects(renamed(flora_features(), SWAPPED))
    listed = listed_rows(found)
    assert set(images(found, listed)) == set(SWAPPED)
    epithets = {
        case.record.image: case.proposals[0].candidate.scientificName.split()[1]
        for case in (suspect_case(found, row) for row in listed)
    }
    assert all(image.startswith(epithet) for image, epithet in epithets.items())


def test_nothing_is_listed_where_no_name_is_wrong():
    found = suspects(flora_features())
    assert listed_rows(found) == []
    assert found.slips.wrong < 0.03


def test_the_estimated_number_of_wrong_names_is_near_the_true_one():
    features = flora_features(sheets=30, noise=0.8)
    generator = np.random.default_rng(5)
    frame = features.collection.frame
    wrong = {}
    for row in generator.choice(len(frame), 30, replace=False):
        own, genus = frame["scientificName"].iat[row], frame["genus"].iat[row]
        others = set(frame["scientificName"][frame["genus"] == genus]) - {own}
        wrong[frame["image"].iat[row]] = str(generator.choice(sorted(others)))
    found = suspects(renamed(features, wrong))
    assert float(np.nansum(found.suspicion)) == pytest.approx(len(wrong), rel=0.2)
    assert found.slips.shares[1] > 0.05 > found.slips.shares[2] + found.slips.shares[3]


def test_another_family_is_graver_than_a_sister_species():
    found = suspects(renamed(flora_features(), SWAPPED | {"avium4.png": "Quercus robur"}))
    assert images(found, found.order[:1]) == ["avium4.png"]
    assert found.disagreement(row_of(found, "avium4.png")) == "family"
    assert found.disagreement(row_of(found, "alba3.png")) == "species"
    assert "That is another family: Rosaceae, not Fagaceae." in case_of(found, "avium4.png").reasons


def test_sheets_of_one_gathering_do_not_vouch_for_each_other():
    # Three duplicates of a Rosa alba, all under the same wrong name.
    features = renamed(flora_features(), {f"alba{n}.png": "Prunus padus" for n in range(3)})
    values = features.values.copy()
    values[1], values[2] = values[0] + 1e-3, values[0] - 1e-3
    same = {f"alba{n}.png": "500" for n in range(3)}
    apart = suspects(replace(features, values=values))
    together = suspects(with_column(replace(features, values=values), "recordNumber", same))
    own = [row_of(together, image) for image in same]
    assert (together.suspicion[own] > 0.95).all()
    assert together.judged.own[own].max() < 0.5 * apart.judged.own[own].max()


def test_a_species_of_one_sheet_is_judged_by_its_genus():
    features = flora_features(spinosa=1, gallica=1)
    # One of the two is not even of the genus that it is filed in.
    features = renamed(features, {"gallica0.png": "Quercus gallica"})
    found = suspects(features)
    spinosa, gallica = case_of(found, "spinosa0.png"), case_of(found, "gallica0.png")
    assert spinosa.score < 0.2 and gallica.score > 0.9
    judged = "No other gathering of its species is here, so it is judged by its genus."
    assert judged in spinosa.reasons and judged in gallica.reasons
    assert gallica.proposals[0].candidate.genus == "Rosa"
    assert {near.record.genus for near in spinosa.near_present} == {"Prunus"}


def test_a_name_without_any_relative_is_not_judged():
    features = renamed(flora_features(gallica=1), {"gallica0.png": "Musa gallica"})
    found = suspects(features)
    row = row_of(found, "gallica0.png")
    assert np.isnan(found.suspicion[row]) and row not in found.order
    assert len(found.order) == len(found.suspicion) - 1


def test_a_synonym_that_the_model_knows_is_no_error():
    features = flora_features()
    synonyms = {f"padus{n}.png": "Cerasus padus" for n in range(6)}
    named = renamed(features, synonyms)
    known = Taxonomy((Taxon("Prunus padus", genus="Prunus", synonyms=("Cerasus padus",)),))
    assert listed_rows(suspects(named, known=known)) == []
    found = suspects(named, known=known)
    assert case_of(found, "padus2.png").notes["acceptedNameUsage"] == "Prunus padus"


def test_names_resolved_by_a_table_are_judged_and_written_ones_are_shown():
    features = flora_features()
    written = {f"padus{n}.png": "Cerasus padus" for n in range(6)}
    named = renamed(features, written)
    found = suspects(named, accepted=features.collection)
    assert listed_rows(found) == []
    assert found.record(row_of(found, "padus2.png")).scientificName == "Cerasus padus"


def test_a_name_with_a_qualifier_is_judged_and_vouches_for_none():
    doubted = {f"alba{n}.png": "Rosa cf. alba" for n in range(6)}
    wrong = {f"canina{n}.png": "Rosa cf. gallica" for n in range(6)}
    found = suspects(renamed(flora_features(), doubted | wrong))
    listed = set(images(found, listed_rows(found)))
    assert listed == set(wrong)
    assert "Whoever named it was in doubt (cf)." in case_of(found, "canina1.png").reasons
    near = case_of(found, "canina1.png").near_present
    assert near and all(sheet.record.scientificName == "Rosa gallica" for sheet in near)


def test_an_old_determination_is_mentioned():
    dated = with_column(
        renamed(flora_features(), SWAPPED),
        "dateIdentified",
        {"alba3.png": "1893-07-01", "padus5.png": "2019-07-01"},
    )
    found = suspects(dated)
    old = "The determination is old: it was made in 1893."
    assert old in case_of(found, "alba3.png").reasons
    assert not any("old" in reason for reason in case_of(found, "padus5.png").reasons)


def test_duplicates_under_two_names_are_a_conflict_and_the_wrong_one_is_blamed():
    features = renamed(flora_features(), {"canina0.png": "Rosa gallica"})
    features = with_column(features, "recordNumber", {"canina0.png": "77", "canina1.png": "77"})
    found = suspects(features)
    assert [images(found, one.rows) for one in found.conflicts] == [["canina0.png", "canina1.png"]]
    case = case_of(found, "canina0.png")
    assert case.list == CONFLICT and case.score > 0.95 and case.group == "Lindqvist 77"
    assert case.reasons[0].startswith("Its duplicate HZ 10")
    assert case.reasons[0].endswith("of the same gathering (Lindqvist 77) is named Rosa canina.")
    # Its duplicate is the first sheet to compare it with, though it never vouched for it.
    assert case.proposals[0].near[0].record.image == "canina1.png"
    assert found.suspicion[row_of(found, "canina1.png")] < 0.5


def test_a_conflict_where_sheets_look_alike_is_laid_before_people_in_full():
    features = flora_features()
    values = features.values.copy()
    middle = values[:24].mean(axis=0)  # between Rosa alba and Rosa canina
    values[[0, 12]] = middle
    features = with_column(
        replace(features, values=values), "recordNumber", {"alba0.png": "9", "canina0.png": "9"}
    )
    found = suspects(features)
    both = [row_of(found, "alba0.png"), row_of(found, "canina0.png")]
    assert found.suspicion[both].sum() > 0.9
    assert set(listed_rows(found)) & set(both)


def test_less_precise_names_of_duplicates_are_no_conflict():
    features = renamed(
        flora_features(), {"canina0.png": "Rosa sp.", "canina2.png": "Rosa cf. canina"}
    )
    same = dict.fromkeys(("canina0.png", "canina1.png", "canina2.png"), "77")
    assert suspects(with_column(features, "recordNumber", same)).conflicts == ()


def test_one_picture_under_two_names_is_a_conflict_without_any_record():
    features = flora_features()
    frame = features.collection.frame.assign(recordedBy="", recordNumber="", eventDate="")
    frame.loc[frame["image"] == "avium0.png", "image"] = "copies/alba0.png"

    class Copies:
        def open(self, key: str, size=None):
            return features.collection.images.open(key.removeprefix("copies/"))

    values = features.values.copy()
    place = frame.index[frame["image"] == "copies/alba0.png"][0]
    values[place] = 1.1 * values[0]
    found = suspects(
        replace(
            features,
            collection=replace(features.collection, frame=frame, images=Copies()),
            values=values,
        )
    )
    assert [images(found, one.rows) for one in found.conflicts] == [
        ["alba0.png", "copies/alba0.png"]
    ]
    case = case_of(found, "copies/alba0.png")
    assert case.score > 0.95 and case.list == CONFLICT
    assert case.reasons[0] == "The same picture is there as HZ 1000, named Rosa alba."


def test_a_case_shows_near_sheets_of_both_names():
    case = case_of(suspects(renamed(flora_features(), SWAPPED)), "alba3.png")
    assert case.list == MISNAMED
    assert {near.record.scientificName for near in case.near_present} == {"Rosa canina"}
    assert {near.record.scientificName for near in case.proposals[0].near} == {"Rosa alba"}
    cosines = [near.similarity for near in case.proposals[0].near]
    assert cosines == sorted(cosines, reverse=True) and cosines[0] > case.near_present[0].similarity


def test_a_collection_of_one_species_is_refused_in_one_line():
    features = flora_features()
    one = chosen(features, np.arange(12))
    with pytest.raises(DataError, match="of one species, so there is no other to confuse it with"):
        suspects(one)


def test_a_collection_of_one_gathering_is_refused_in_one_line():
    features = flora_features()
    same = dict.fromkeys(features.collection.frame["image"], "urn:1")
    with pytest.raises(DataError, match="are of one gathering"):
        suspects(with_column(features, "occurrenceID", same))


def test_two_species_of_which_one_has_a_single_sheet_cannot_be_compared():
    features = chosen(flora_features(), np.array([0, 1, 2, 3, 12]))
    with pytest.raises(DataError, match="but for one gathering all names are of one species"):
        suspects(features)


def test_names_that_are_all_wrong_are_mostly_doubted():
    features = flora_features()
    frame = features.collection.frame
    names = np.random.default_rng(1).permutation(frame["scientificName"].unique().repeat(12))
    wrong = dict(zip(frame["image"], names, strict=True))
    found = suspects(renamed(features, wrong))
    # Chance alone left a twelfth of the names right: nothing vouches for anything.
    assert np.isfinite(found.suspicion).all()
    assert found.judged.own.mean() < 0.2


def test_the_answer_does_not_depend_on_the_order_of_the_rows():
    features = renamed(flora_features(), SWAPPED)
    order = np.random.default_rng(3).permutation(len(features))
    found, shuffled = suspects(features), suspects(chosen(features, order))
    assert set(images(found, listed_rows(found))) == set(images(shuffled, listed_rows(shuffled)))


def in_one_gathering(features, *images: str):
    return with_column(features, "recordNumber", dict.fromkeys(images, "77"))


@pytest.mark.parametrize("family", ["", "Rosaceae"])
def test_a_conflict_of_two_names_without_relatives_is_shown_though_neither_can_be_judged(
    tmp_path, family
):
    features = renamed(flora_features(), {"alba0.png": "Musa alba", "alba1.png": "Musa nigra"})
    frame = features.collection.frame
    frame = frame.assign(family=frame["family"].where(frame["family"] == family, ""))
    features = replace(features, collection=replace(features.collection, frame=frame))
    found = suspects(in_one_gathering(features, "alba0.png", "alba1.png"))
    listed = listed_rows(found)
    assert set(images(found, listed)) == {"alba0.png", "alba1.png"}  # one half each, not less
    case = case_of(found, "alba0.png")
    assert case.reasons[0].endswith("is named Musa nigra.")
    assert case.reasons[1].endswith("; but none of these is a relative of Musa alba.")
    assert not any("nan" in reason or "judged by its" in reason for reason in case.reasons)
    write_suspects(tmp_path, found, listed)
    table = pd.read_csv(tmp_path / "suspects.csv", keep_default_na=False)
    row = table[table["image"] == "alba0.png"].iloc[0]
    assert (row["judgedAt"], row["presentProbability"]) == ("", "")
    assert (row["proposedName"], row["disagreement"]) == ("Musa nigra", "species")


def test_duplicates_that_differ_in_genus_alone_say_so(tmp_path):
    features = renamed(flora_features(), {"robur0.png": "Fagus sp."})
    found = suspects(in_one_gathering(features, "robur0.png", "robur1.png"))
    assert case_of(found, "robur1.png").reasons[0].endswith("is named Fagus sp.")
    reasons = case_of(found, "robur0.png").reasons
    assert reasons[0].endswith("is named Quercus robur.")
    assert "Of the 5 sheets most like it, 5 are Quercus robur and none is of its genus." in reasons
    write_conflicts(tmp_path, found)
    table = pd.read_csv(tmp_path / "conflicts.csv")
    wrong = dict(zip(table["image"], table["probabilityWrong"], strict=True))
    assert wrong["robur0.png"] > 0.9 > 0.1 > wrong["robur1.png"]


def test_the_rank_of_disagreement_is_that_of_the_name_that_is_proposed(tmp_path):
    """A duplicate's name is proposed first, even if the sheet looks more like a third one."""
    features = flora_features()
    values = features.values.copy()
    values[[0, 36]] = values[[1, 13]].mean(axis=0)  # between Rosa alba and Rosa canina
    features = in_one_gathering(replace(features, values=values), "alba0.png", "avium0.png")
    found = suspects(features)
    row = row_of(found, "alba0.png")
    assert found.likeliest(row)[0][0] != found.proposals(row)[0][0]
    assert found.disagreement(row) == "genus"
    reasons = case_of(found, "alba0.png").reasons
    assert "Prunus avium is of another genus: Prunus, not Rosa." in reasons


def test_a_name_that_looks_right_is_not_said_to_be_another_one():
    features = in_one_gathering(flora_features(), "alba0.png", "avium0.png")
    reasons = case_of(suspects(features), "alba0.png").reasons
    assert "Judged by all other gatherings, its name is right with probability 0.99." in reasons


def test_near_sheets_are_kept_for_what_is_listed_first(monkeypatch):
    """That is the gravest of what is surely wrong, not what has the widest margin."""
    monkeypatch.setattr("herbzoo.curation.evidence.LEAST", 1)
    features = renamed(flora_features(), {"alba0.png": "Rosa canina", "robur0.png": "Rosa gallica"})
    found = suspects(features)
    sister, family = row_of(found, "alba0.png"), row_of(found, "robur0.png")
    assert found.order[0] == family
    found.judged.own[[sister, family]] = 1e-12, 1e-9
    rows = np.array([sister, family])
    learned = ~np.isin(np.arange(len(features)), rows)
    species = found.names.species
    view = FoldView(features.values, species, 11, np.zeros(len(species), bool), learned)
    evidence = Evidence(found.names, 1, ())
    evidence.look(view, rows, found.judged)
    assert evidence.present(family) and not evidence.present(sister)


def test_a_collection_of_doubtful_names_alone_is_refused_in_one_line():
    features = flora_features()
    frame = features.collection.frame
    named = frame.assign(scientificName=frame["scientificName"].str.replace(" ", " cf. "))
    features = replace(features, collection=replace(features.collection, frame=named))
    with pytest.raises(DataError, match="no name says without doubt what species a sheet is"):
        suspects(features)
