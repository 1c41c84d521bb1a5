from __future__ import annotations

import json
import logging

import pandas as pd
import pytest
from data_samples import SPECIES_OF, csv_of, refusal, table_folder, write_image, write_images

from herbzoo.data.readers import open_collection

SHEETS, NAMES = list(SPECIES_OF), list(SPECIES_OF.values())


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_delimiter_and_byte_order_mark_are_recognised(tmp_path, delimiter, encoding):
    header = delimiter.join(["file_name", "scientificName"])
    text = csv_of(header, delimiter=delimiter)
    collection = open_collection(table_folder(tmp_path, text, encoding=encoding))
    assert list(collection.frame["scientificName"]) == NAMES


def test_values_stay_the_text_they_are(tmp_path):
    text = csv_of(
        "file_name,scientificName,catalogNumber,recordNumber,eventDate", "007", "NA", "1e5"
    )
    row = open_collection(table_folder(tmp_path, text)).frame.iloc[0]
    assert (row["catalogNumber"], row["recordNumber"], row["eventDate"]) == ("007", "NA", "1e5")


def test_json_lines_are_read(tmp_path):
    rows = [
        {"file_name": SHEETS[0], "scientificName": NAMES[0], "recordNumber": 12, "checked": True},
        {"file_name": SHEETS[1], "scientificName": NAMES[1], "family": None, "tags": ["a", "b"]},
    ]
    text = "\n".join(json.dumps(row) for row in rows) + "\n\n"
    frame = open_collection(table_folder(tmp_path, text, "metadata.jsonl")).frame
    assert list(frame["recordNumber"]) == ["12", ""]
    assert list(frame["checked"]) == ["true", ""]
    assert list(frame["tags"]) == ["", '["a", "b"]']
    assert list(frame["family"]) == ["", ""]


def test_parquet_is_read_with_whole_numbers_whole(tmp_path):
    write_images(tmp_path, SHEETS)
    frame = pd.DataFrame({"image": SHEETS, "scientificName": NAMES})
    frame["recordNumber"] = pd.array([12, None, 14], dtype="Int64")
    frame["family"] = pd.Categorical(["Fagaceae", "Fagaceae", None])
    frame["elevation"] = [1.5, float("nan"), 3.0]
    frame.to_parquet(tmp_path / "metadata.parquet")
    read = open_collection(tmp_path).frame
    assert list(read["recordNumber"]) == ["12", "", "14"]
    assert list(read["family"]) == ["Fagaceae", "Fagaceae", ""]
    assert read["elevation"].iloc[0] == "1.5"


@pytest.mark.parametrize("column", ["scientificname", "species", "Label", "name"])
def test_name_column_has_aliases(tmp_path, column):
    frame = open_collection(table_folder(tmp_path, csv_of(f"file_name,{column}"))).frame
    assert list(frame["scientificName"]) == NAMES


def test_exact_darwin_core_terms_come_first(tmp_path):
    text = csv_of("file_name,scientificName,species,Genus", "wrong", "Given")
    frame = open_collection(table_folder(tmp_path, text)).frame
    assert list(frame["scientificName"]) == NAMES
    assert list(frame["species"]) == ["wrong"] * 3
    assert set(frame["genus"]) == {"Given"}


def test_empty_name_column_gives_way_to_a_filled_one(tmp_path):
    text = csv_of("file_name,species,scientificName", "")
    assert list(open_collection(table_folder(tmp_path, text)).frame["scientificName"]) == NAMES


def test_name_column_can_be_said(tmp_path):
    text = csv_of("file_name,determined_as,scientificName", "Rosa canina")
    table_folder(tmp_path, text)
    frame = open_collection(tmp_path, name_column="determined_as").frame
    assert list(frame["scientificName"]) == NAMES
    assert "'verbatim'" in (message := refusal(tmp_path, name_column="verbatim"))
    assert "determined_as" in message


def test_image_column_called_file_must_name_images(tmp_path):
    assert len(open_collection(table_folder(tmp_path, csv_of("file,species")))) == 3
    (tmp_path / "metadata.csv").write_text("file,species\nfolder 7,Acer rubrum\n")
    assert "no image column" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "genus"),
    [
        ("Quercus robur L.", "Quercus"),
        ("\N{MULTIPLICATION SIGN} Sorbopyrus auricularis", "Sorbopyrus"),
        ("\N{MULTIPLICATION SIGN}Cuprocyparis leylandii", "Cuprocyparis"),
        ("x Sorbopyrus auricularis", "Sorbopyrus"),
        ("Quercus \N{MULTIPLICATION SIGN} rosacea", "Quercus"),
    ],
)
def test_genus_is_the_first_word_that_is_no_hybrid_sign(tmp_path, name, genus):
    write_image(tmp_path / "a.jpg")
    (tmp_path / "metadata.csv").write_text(f"image,scientificName\na.jpg,{name}\n")
    assert open_collection(tmp_path).frame["genus"].item() == genus


def test_split_values_are_normalised(tmp_path):
    write_images(tmp_path, [f"{i}.jpg" for i in range(4)])
    values = ["Train", "val", "valid", "other"]
    rows = "".join(f"{i}.jpg,Acer rubrum,{value}\n" for i, value in enumerate(values))
    (tmp_path / "metadata.csv").write_text("image,scientificName,split\n" + rows)
    frame = open_collection(tmp_path).frame
    assert list(frame["split"]) == ["train", "validation", "validation", "other"]


def test_rows_without_image_or_name_are_left_out_and_counted(tmp_path, caplog):
    text = csv_of("file_name,scientificName") + ",Rosa canina\nsheets/a.jpg,\n\n"
    with caplog.at_level(logging.WARNING):
        collection = open_collection(table_folder(tmp_path, text))
    assert len(collection) == 3
    assert collection.facts["rows_without_image"] == collection.facts["rows_without_name"] == 1
    assert "1 rows name no image" in caplog.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file_name,altitude\nsheets/a.jpg,7\n", "no name column: it has file_name, altitude"),
        ("picture,species\nsheets/a.jpg,Acer\n", "no image column: it has picture, species"),
        ("file_name,species\n", "has no rows"),
        ("", "is empty"),
        (
            "image,species,species\nsheets/a.jpg,Acer,Acer\n",
            "more than one column called 'species'",
        ),
        ("image,species\nsheets/a.jpg,Acer,rubrum\n", "line 2 has 3 fields and the header has 2"),
        ("image,species,family\nsheets/a.jpg,Acer\n", "line 2 has 2 fields"),
        ("image,species\n,Acer\n", "no row of column 'image' names an image"),
        ("image,species\nsheets/a.jpg,\n", "no row with an image has a name"),
    ],
)
def test_tables_that_do_not_fit_say_why(tmp_path, text, said):
    assert said in refusal(table_folder(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("metadata.csv", "image,species\na.jpg,Ébène\n".encode("latin-1"), "not UTF-8"),
        ("metadata.csv", "image,species\na.jpg,Acer\n".encode("utf-16"), "looks like UTF-16"),
        ("metadata.csv", b'image,species\na.jpg,"Acer' + b"\nx" * 100_000, "cannot be read as CSV"),
        ("metadata.jsonl", b'{"image": "a.jpg"\n', "line 1 is not JSON"),
        ("metadata.jsonl", b'["a.jpg"]\n', "not a JSON object"),
        ("metadata.jsonl", b'{"image": "\xe9"}\n', "line 1 is not UTF-8"),
        ("metadata.parquet", b"not parquet at all", "cannot be read as Parquet"),
    ],
)
def test_broken_tables_say_so(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    message = refusal(tmp_path)
    assert said in message and name in message
