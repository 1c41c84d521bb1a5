"""Decisions applied to the rows that a model learns from."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial

import pandas as pd
import pytest
from terminal import run_herbzoo
from test_decisions import decision
from tiny import collection_of, coloured_leaves

from herbzoo.data.corrections import correct_collection, correct_split
from herbzoo.data.decisions import append_decisions
from herbzoo.data.readers import open_collection
from herbzoo.data.splits import by_column
from herbzoo.errors import DataError
from herbzoo.evaluation.rows import held_out
from herbzoo.hub.staging import stage
from herbzoo.recipe import DataRecipe, Recipe
from herbzoo.source import corrected
from herbzoo.taxonomy import Taxonomy

ACER, ALBA, RUBRA = "Acer rubrum", "Quercus alba", "Quercus rubra"


def about(image: str, previous: str = ALBA, name: str = RUBRA, what: str = "agree", **more):
    return decision(
        f"case of {image}",
        what=what,
        name=name,
        image=image,
        previousScientificName=previous,
        **more,
    )


@pytest.fixture
def rows():
    """Two specimens of two images each, and three of one image."""
    return collection_of(
        pd.DataFrame(
            [
                ("a1", ALBA, "L.", "Quercus", "Fagaceae", "urn:a", "K", "1", "train"),
                ("a2", ALBA, "L.", "Quercus", "Fagaceae", "urn:a", "K", "1", "train"),
                ("b1", ALBA, "L.", "Quercus", "Fagaceae", "", "K", "2", "test"),
                ("b2", ALBA, "L.", "Quercus", "Fagaceae", "", "K", "2", "test"),
                ("c", RUBRA, "L.", "Quercus", "Fagaceae", "", "NY", "1", "train"),
                ("d", ACER, "L.", "Acer", "Sapindaceae", "", "", "", "train"),
                ("e", ACER, "", "Acer", "Sapindaceae", "", "", "", "validation"),
            ],
            columns=[
                *("image", "scientificName", "scientificNameAuthorship", "genus", "family"),
                *("occurrenceID", "institutionCode", "catalogNumber", "split"),
            ],
        )
    )


def names(collection) -> dict[str, str]:
    return dict(zip(collection.frame["image"], collection.frame["scientificName"], strict=True))


def test_all_images_of_a_specimen_are_renamed_with_all_columns_of_the_name(rows):
    found, counts = correct_collection(rows, [about("a2", name=ACER)])
    frame = found.frame.set_index("image")
    for image in ("a1", "a2"):
        assert frame.loc[image, ["scientificName", "genus", "family"]].tolist() == [
            *(ACER, "Acer", "Sapindaceae")
        ]
        assert frame.loc[image, "scientificNameAuthorship"] == "L.", "as other rows of it say"
    assert names(rows)["a1"] == ALBA, "the collection given is as it was"
    assert counts.renamed == 2 and str(counts) == "2 renamed, 0 left out"


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"image": "elsewhere", "occurrenceID": "urn:a"}, {"a1", "a2"}),
        ({"image": "x", "institutionCode": "K", "catalogNumber": "2"}, {"b1", "b2"}),
        ({"image": "x", "institutionCode": "NY", "catalogNumber": "2"}, set()),
        ({"image": "x", "catalogNumber": "2"}, set()),
    ],
)
def test_rows_are_found_by_image_else_occurrence_else_catalogue_number(rows, how, expected):
    found, counts = correct_collection(rows, [replace(about("x"), **how)])
    assert {image for image, name in names(found).items() if name == RUBRA} - {"c"} == expected
    assert counts.not_found == (not expected)


def test_an_image_with_its_own_decision_does_not_follow_another(rows):
    kept = about("a1", name=ALBA, what="reject")
    for decisions in ([kept, about("a2")], [about("a2"), kept]):
        found, _ = correct_collection(rows, decisions)
        assert (names(found)["a1"], names(found)["a2"]) == (ALBA, RUBRA)


def test_a_new_name_brings_its_author_and_the_family_of_its_genus(rows):
    typed = about("c", RUBRA, "Quercus velutina Lam.", "other")
    found, _ = correct_collection(rows, [typed])
    (row,) = found.frame[found.frame["image"] == "c"].to_dict("records")
    assert row["scientificName"] == "Quercus velutina"
    assert row["scientificNameAuthorship"] == "Lam." and row["genus"] == "Quercus"
    assert row["family"] == "Fagaceae"


@pytest.mark.parametrize("name", ["", "Quercus", "sp. A"])
def test_what_is_agreed_to_be_no_known_species_is_left_out(rows, name):
    found, counts = correct_collection(rows, [about("c", RUBRA, name)])
    assert "c" not in names(found) and counts.left_out == 1


def test_decisions_about_another_name_than_the_row_has_now_are_counted_and_not_applied(rows):
    found, counts = correct_collection(rows, [about("d", "Acer negundo"), about("gone")])
    assert names(found) == names(rows)
    assert (counts.stale, counts.not_found) == (1, 1)
    assert "1 decision about a name that changed since, 1 decision not found" in str(counts)


def test_unsure_rows_are_left_out_of_training_and_stay_in_test(rows):
    unsure = [about("a1", what="unsure", name=""), about("b1", what="unsure", name="")]
    split, counts = correct_split(by_column(rows, "split"), unsure)
    assert list(split.train.frame["image"]) == ["c", "d"]
    assert list(split.test.frame["image"]) == ["b1", "b2"]
    assert (counts.left_out, counts.unsure, counts.test_left_out) == (2, 2, 0)


def test_test_rows_change_only_if_they_are_in_the_file_and_the_line_says_so(rows):
    before = by_column(rows, "split")
    split, counts = correct_split(before, [about("a1")])
    pd.testing.assert_frame_equal(split.test.frame, before.test.frame)
    split, counts = correct_split(before, [about("b1"), about("a1")])
    assert set(split.test.frame["scientificName"]) == {RUBRA}
    assert (counts.renamed, counts.test_renamed) == (4, 2)
    assert "of the test rows 2 renamed and 0 left out" in str(counts)


def test_decisions_that_leave_nothing_are_refused(rows):
    out = [about(image, name, "") for image, name in names(rows).items()]
    with pytest.raises(DataError, match="leave nothing"):
        correct_collection(rows, out)


def test_the_names_of_decisions_are_resolved_as_those_of_the_rows_were(rows, tmp_path):
    table, file = tmp_path / "names.csv", tmp_path / "decisions.csv"
    table.write_text(
        "taxonID,scientificName,scientificNameAuthorship,taxonRank,taxonomicStatus,"
        "acceptedNameUsageID,family\n"
        "1,Acer rubrum,L.,species,accepted,,Sapindaceae\n"
        "2,Acer sanguineum,Spach,species,synonym,1,Sapindaceae\n"
    )
    unsure = about("c", RUBRA, "", "unsure")
    append_decisions(file, [unsure, about("a1", name="Acer sanguineum")])
    recipe = DataRecipe("x", taxonomy=str(table), corrections=str(file))
    split = corrected(by_column(rows, "split"), recipe, file.read_bytes())
    assert names(split.train)["a1"] == ACER and "c" not in names(split.train)


@pytest.fixture(scope="module")
def leaves(tmp_path_factory):
    """Red, green and blue leaves, of which one red one is named as the green are."""
    folder = coloured_leaves(tmp_path_factory.mktemp("data") / "leaves", size=(32, 32))
    shutil.copy(folder / "Acer_rubrum" / "7.jpg", folder / "Quercus_alba" / "wrong.jpg")
    return folder


TRAIN = (
    *("train", "--backbone", "timm:test_convnext", "--head", "softmax", "--no-pretrained"),
    *("--max-steps", "2", "--image-size", "32", "--device", "cpu", "--workers", "0"),
    *("--set", "training.log=none"),
)


@pytest.fixture
def herbzoo(monkeypatch, capsys):
    return partial(run_herbzoo, monkeypatch, capsys)


def test_a_run_learns_from_the_corrected_names_and_says_so(leaves, herbzoo, tmp_path, caplog):
    file, run = tmp_path / "decisions.csv", tmp_path / "run"
    wrong = "Quercus_alba/wrong.jpg"
    images = [wrong, *(f"Quercus_rubra/{number}.jpg" for number in range(8))]
    new = [about(one, RUBRA, "Quercus velutina Lam.", "other") for one in images[1:]]
    append_decisions(file, [about(wrong, name=ACER), *new])
    given = ("--data", str(leaves), "--output", str(run), "--corrections", str(file))
    code, _, err = herbzoo(*TRAIN, *given)
    assert code == 0, err
    assert "names corrected by decisions.csv: 9 renamed, 0 left out" in err
    taxonomy = Taxonomy.load(run)
    assert [taxon.scientificName for taxon in taxonomy.taxa] == [ACER, ALBA, "Quercus velutina"]
    facts = json.loads((run / "training.json").read_text())["data"]["corrections"]
    assert facts["renamed"] == 9 and facts["file"] == "decisions.csv" and len(facts["digest"]) == 12
    assert "corrected by decisions.csv, decisions of people: 9 renamed" in (
        (run / "README.md").read_text().replace("\\", "")
    )
    assert Recipe.load(run / "recipe.yaml").data.corrections == str(file)
    # The split is repeated from the run's own copy, whatever became of the file since.
    file.unlink()
    split = held_out(open_collection(leaves), run)
    assert split is not None and "Quercus velutina" in set(split.test.frame["scientificName"])
    # What now lies where the decisions were is not taken for them.
    (run / "corrections.csv").rename(file)
    assert held_out(open_collection(leaves), run) is None
    assert "what it held out cannot be told" in caplog.text


def test_a_run_that_is_published_names_no_reviewers_and_no_paths(leaves, herbzoo, tmp_path):
    file, run, staged = tmp_path / "decisions.csv", tmp_path / "run", tmp_path / "staged"
    append_decisions(file, [about("Quercus_alba/wrong.jpg", name=ACER, who="Jo Doe")])
    given = ("--data", str(leaves), "--output", str(run), "--corrections", str(file))
    assert herbzoo(*TRAIN, *given)[0] == 0
    assert "Jo Doe" in (run / "corrections.csv").read_text()
    staged.mkdir()
    stage(run, staged)
    assert Recipe.load(staged / "recipe.yaml").data.corrections == "decisions.csv"
    sent = [path for path in staged.rglob("*") if path.suffix in (".json", ".yaml", ".csv", ".md")]
    assert sent and not [path for path in sent if "Jo Doe" in path.read_text()]


def test_a_resumed_run_goes_on_with_the_decisions_it_began_with(
    leaves, herbzoo, tmp_path, monkeypatch
):
    file, run = tmp_path / "decisions.csv", tmp_path / "run"
    append_decisions(file, [about("Quercus_alba/wrong.jpg", name=ACER)])
    began = file.read_bytes()
    given = ("--data", str(leaves), "--output", str(run), "--corrections", str(file))

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("herbzoo.training.fit", interrupted)
        assert herbzoo(*TRAIN, *given)[0] != 0
    more = [about(f"Quercus_alba/{number}.jpg", name=ACER) for number in range(4)]
    append_decisions(file, more)  # the review goes on
    code, _, err = herbzoo("train", "--output", str(run), "--resume", "--device", "cpu")
    assert code == 0, err
    assert "names corrected by decisions.csv: 1 renamed" in err
    assert (run / "corrections.csv").read_bytes() == began


def test_decisions_that_are_not_there_are_refused_before_anything_is_written(
    leaves, herbzoo, tmp_path
):
    run = tmp_path / "run"
    given = ("--data", str(leaves), "--output", str(run), "--corrections", str(tmp_path / "no.csv"))
    code, _, err = herbzoo(*TRAIN, *given)
    assert code == 2 and "there are no decisions at" in err
    assert not run.exists()


def test_a_species_that_a_curator_named_is_added_to_a_run_from_its_few_sheets(
    leaves, herbzoo, tmp_path
):
    run, file = tmp_path / "run", tmp_path / "decisions.csv"
    known = tmp_path / "known"
    for species in ("Acer_rubrum", "Quercus_alba"):
        shutil.copytree(leaves / species, known / species)
    arcface = [word if word != "softmax" else "arcface" for word in TRAIN]
    assert herbzoo(*arcface, "--data", str(known), "--output", str(run))[0] == 0
    named = [
        about(f"Quercus_rubra/{number}.jpg", RUBRA, "Quercus velutina Lam.", "other")
        for number in range(8)
    ]
    append_decisions(file, named)
    code, _, err = herbzoo(
        *("prototypes", str(run), "--data", str(leaves), "--add", "--corrections", str(file)),
        *("--output", str(tmp_path / "more"), "--device", "cpu", "--workers", "0"),
    )
    assert code == 0, err
    assert "8 renamed" in err
    assert Taxonomy.load(tmp_path / "more").taxa[-1].scientificName == "Quercus velutina"
