"""A list of taxa from whatever a user has it in."""

from __future__ import annotations

import time

import pandas as pd
import pytest

from herbzoo.data.taxa_list import rank_of, read_taxa, taxa_of
from herbzoo.errors import DataError
from herbzoo.taxonomy import Taxon


def names_in(path) -> list[str]:
    return [taxon.scientificName for taxon in read_taxa(path).taxa]


def written(tmp_path, text, name="list.txt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_line_is_a_name_with_or_without_its_authors(tmp_path):
    text = "# oaks, mostly\n\nQuercus robur L.\n  Quercus  alba \nRosa x damascena Mill. # rare\n"
    listed = read_taxa(written(tmp_path, text))
    assert listed.taxa == (
        Taxon("Quercus robur", "L.", "Quercus"),
        Taxon("Quercus alba", "", "Quercus"),
        Taxon("Rosa × damascena", "Mill.", "Rosa"),
    )
    assert len(listed) == 3 and not listed.repeated and not listed.unparsed


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_byte_order_marks_and_line_ends_of_any_system_are_no_part_of_a_name(tmp_path, end, mark):
    text = end.join(["scientificName", "Acer rubrum", "Süßkraut album"])
    assert names_in(written(tmp_path, mark + text.encode())) == ["Acer rubrum", "Süßkraut album"]


def test_a_name_that_comes_again_in_any_spelling_of_its_letters_counts_once(tmp_path):
    text = "Quercus alba\nQUERCUS ALBA\nQuercus alba L.\nMentha × piperita\nMentha piperita\n"
    listed = read_taxa(written(tmp_path, text))
    assert [taxon.scientificName for taxon in listed.taxa] == ["Quercus alba", "Mentha × piperita"]
    assert listed.repeated == ("QUERCUS ALBA", "Quercus alba L.", "Mentha piperita")


def test_what_is_no_scientific_name_is_kept_as_it_stands_and_told(tmp_path):
    listed = read_taxa(written(tmp_path, "🌿\nQuercus sp.\n1355868\nAcer rubrum\n"))
    names = [taxon.scientificName for taxon in listed.taxa]
    assert names == ["🌿", "Quercus sp.", "1355868", "Acer rubrum"]
    assert listed.unparsed == ("🌿", "1355868")


def test_genera_and_families_are_told_by_their_names():
    listed = taxa_of(
        ["Quercus L.", "× Cuprocyparis", "Fagaceae Dumort.", "Leguminosae", "Acer rubrum"]
    )
    assert [rank_of(taxon) for taxon in listed.taxa] == [
        *("genus", "genus", "family", "family", "species"),
    ]
    assert listed.taxa[0] == Taxon("Quercus", "L.", genus="Quercus")
    assert listed.taxa[2] == Taxon("Fagaceae", "Dumort.", family="Fagaceae")


TABLE = {
    "taxonID": ["1", "2", "3", "4"],
    "ScientificName": ["Quercus robur L.", "Acer rubrum", "Fagales", "Quercus"],
    "scientificNameAuthorship": ["L.", "L.", "Engl.", ""],
    "family": ["Fagaceae", "", "", "Fagaceae"],
    "vernacularName": ["oak", "", "", ""],
    "traits": ["lobed leaves", "", "", ""],
    "taxonRank": ["species", "SPECIES", "order", ""],
    "notes": ["", "", "", ""],
}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl", ".txt"])
def test_a_table_brings_the_facts_of_darwin_core(tmp_path, suffix):
    path = tmp_path / f"checklist{suffix}"
    frame = pd.DataFrame(TABLE)
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    listed = read_taxa(path)
    robur = Taxon("Quercus robur", "L.", "Quercus", "Fagaceae", "1")
    assert listed.taxa == (
        Taxon(**{**vars(robur), "vernacularName": "oak", "traits": "lobed leaves"}),
        Taxon("Acer rubrum", "L.", "Acer", taxonID="2"),
        Taxon("Quercus", "", "Quercus", "Fagaceae", "4"),
    )
    assert listed.above == ("Fagales",)


def test_a_rank_that_is_stated_wins_over_the_look_of_the_name(tmp_path):
    text = "scientificName,taxonRank\nMesembryanthemaceae,genus\nCruces,family\n"
    listed = read_taxa(written(tmp_path, text, "list.csv"))
    assert [rank_of(taxon) for taxon in listed.taxa] == ["genus", "family"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.txt", b"", "names no taxon"),
        ("list.txt", b"\n# nothing yet\n \n", "names no taxon"),
        ("list.csv", b"", "is empty"),
        ("list.csv", b"scientificName\n", "has no rows"),
        ("list.csv", b"scientificName,taxonRank\nFagales,order\n", "names no taxon but Fagales"),
        ("list.csv", b"Quercus alba\nQuercus robur\n", "has no column scientificName: its first"),
        ("list.csv", b"scientificName,family\nQuercus alba\n", "line 2 has 1 fields"),
        ("list.txt", b"Acer rubrum\nAcer campestr\xe9\n", "line 2 is not UTF-8 (byte 0xe9"),
        ("list.txt", "Acer rubrum".encode("utf-16"), "looks like UTF-16"),
        ("list.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is no text"),
        ("list.csv", b"PK\x03\x04\0\0", "is no text"),
        ("list.parquet", b"Acer rubrum", "cannot be read as Parquet"),
        ("taxonomy.json", b'{"taxa": {}}', "is JSON or XML"),
        ("list.txt", b"Acer rubrum\tSapindaceae\n", "line 1 has several columns"),
    ],
)
def test_what_is_no_list_is_refused_in_one_line(tmp_path, name, content, message):
    path = written(tmp_path, content, name)
    with pytest.raises(DataError) as error:
        read_taxa(path)
    assert message in str(error.value) and str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_list_that_is_not_there_or_is_a_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no list of taxa"):
        read_taxa(tmp_path / "missing.txt")
    with pytest.raises(DataError, match="is a folder"):
        read_taxa(tmp_path)
    with pytest.raises(DataError, match="the list of names names no taxon"):
        taxa_of(["", "  "])


def test_a_long_list_is_read_in_seconds(tmp_path):
    text = "\n".join(f"Aus{letters(number)} bus{letters(number)}" for number in range(20_000))
    started = time.perf_counter()
    listed = read_taxa(written(tmp_path, text))
    assert len(listed) == 20_000 and not listed.repeated
    assert time.perf_counter() - started < 10


def letters(number: int) -> str:
    return "".join(chr(97 + int(digit)) for digit in str(number))
