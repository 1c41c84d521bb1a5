"""Names, ranks and the roll-up of probabilities."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from tiny import TAXONOMY, collection_of

from herbzoo.errors import DataError, RunError
from herbzoo.taxonomy import NameTableFacts, Taxon, Taxonomy


def rows(*records):
    return collection_of(
        pd.DataFrame(
            records, columns=["image", "scientificName", "scientificNameAuthorship", "family"]
        )
    )


def test_taxa_are_sorted_and_counted_and_take_the_most_common_facts():
    taxonomy = Taxonomy.from_collection(
        rows(
            ("1", "Quercus alba", "L.", "Fagaceae"),
            ("2", "Acer rubrum", "", ""),
            ("3", "Quercus alba", "L.", "Fagacee"),
            ("4", "Quercus alba", "Linn.", "Fagaceae"),
            ("5", "", "", ""),
        )
    )
    assert [taxon.scientificName for taxon in taxonomy.taxa] == ["Acer rubrum", "Quercus alba"]
    oak = taxonomy.taxa[1]
    assert (oak.scientificNameAuthorship, oak.family, oak.count) == ("L.", "Fagaceae", 3)


def test_the_order_of_the_rows_does_not_matter():
    records = [(str(i), f"Genus species{i % 5}", "AB"[i % 2], "") for i in range(20)]
    assert Taxonomy.from_collection(rows(*records)) == Taxonomy.from_collection(
        rows(*records[::-1])
    )


def test_rows_without_any_name_are_an_error():
    with pytest.raises(DataError, match="names no species"):
        Taxonomy.from_collection(rows(("1", "", "", "")))


def test_a_taxonomy_survives_its_file(tmp_path):
    TAXONOMY.save(tmp_path)
    assert Taxonomy.load(tmp_path) == TAXONOMY


def test_probabilities_sum_up_to_genus_and_family():
    probabilities = np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]])
    names, summed = TAXONOMY.roll_up(probabilities, "genus")
    assert names == ["Acer", "Quercus"]
    np.testing.assert_allclose(summed, [[0.2, 0.8], [1.0, 0.0]])
    names, summed = TAXONOMY.roll_up(probabilities, "species")
    assert names == ["Acer rubrum", "Quercus alba", "Quercus rubra"]
    np.testing.assert_array_equal(summed, probabilities)


UNEQUAL = '{"schema_version": 1, "taxa": {"scientificName": ["a", "b"], "genus": ["a"]}}'
STRANGE = '{"schema_version": 1, "taxa": {"colour": ["red"]}}'


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1}', "{", UNEQUAL, STRANGE])
def test_a_damaged_file_is_a_clear_error(tmp_path, text):
    (tmp_path / "taxonomy.json").write_text(text)
    with pytest.raises(RunError, match="damaged"):
        Taxonomy.load(tmp_path)


def test_a_newer_file_says_to_upgrade(tmp_path):
    (tmp_path / "taxonomy.json").write_text(json.dumps({"schema_version": 9, "taxa": {}}))
    with pytest.raises(RunError, match="pip install --upgrade"):
        Taxonomy.load(tmp_path)


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(RunError, match=r"taxonomy\.json"):
        Taxonomy.load(tmp_path)


def test_a_file_without_status_and_synonyms_still_loads(tmp_path):
    TAXONOMY.save(tmp_path)
    document = json.loads((tmp_path / "taxonomy.json").read_text(encoding="utf-8"))
    assert document.keys() == {"schema_version", "taxa"}, "as the first version wrote it"
    assert Taxonomy.load(tmp_path).taxa[0].synonyms == ()


def test_what_came_later_stands_where_readers_of_the_first_version_pass_over_it(tmp_path):
    taxa = (Taxon("Acer rubrum", status="accepted", synonyms=("Acer coccineum",)),)
    taxonomy = Taxonomy(taxa, name_table=NameTableFacts("WCVP", "2026-06"))
    taxonomy.save(tmp_path)
    document = json.loads((tmp_path / "taxonomy.json").read_text(encoding="utf-8"))
    assert document["schema_version"] == 1
    assert not {"status", "synonyms"} & document["taxa"].keys()
    assert document["name_table"] == {"name": "WCVP", "version": "2026-06"}
    assert Taxonomy.load(tmp_path) == taxonomy


def test_synonyms_lead_to_their_class_unless_two_share_them():
    taxonomy = Taxonomy(
        (
            Taxon("Acer rubrum", synonyms=("Acer coccineum", "Acer album", "Acer commune")),
            Taxon("Acer album", synonyms=("Acer commune",)),
        )
    )
    assert taxonomy.index == {"Acer rubrum": 0, "Acer album": 1, "Acer coccineum": 0}


def test_homonyms_are_labelled_with_their_authors():
    taxonomy = Taxonomy((Taxon("Acer rubrum", "Lam."), Taxon("Acer rubrum", "L.")))
    assert taxonomy.labels_in_order() == ["Acer rubrum Lam.", "Acer rubrum"]
