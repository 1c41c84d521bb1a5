"""Rows that cannot be used: refused in one line, or left out and listed where the user says so."""

from __future__ import annotations

import io
import logging
import tarfile
import zipfile
from pathlib import Path

import datasets
import pytest
from data_samples import SPECIES_OF, csv_of, refusal, table_folder, write_image, write_images

from herbzoo.data.readers import open_collection, open_images
from herbzoo.data.records import Collection, Skipped
from herbzoo.errors import DataError

SHEETS = list(SPECIES_OF)


def kept(data: object) -> tuple[list[str], tuple[Skipped, ...]]:
    collection = open_collection(data, skip_bad=True)
    assert isinstance(collection, Collection)
    return list(collection.frame["image"]), collection.skipped


CSV = csv_of("image,species")
LINES = CSV.splitlines(keepends=True)
BAD_TABLES = {
    "a field too many": (
        "metadata.csv",
        (LINES[0] + "a.jpg,Acer,rubrum\n" + "".join(LINES[1:])).encode(),
        "line 2",
        "has 3 fields and the header has 2",
    ),
    "a field too few": ("metadata.csv", (CSV + "a.jpg\n").encode(), "line 5", "has 1 fields"),
    "Latin-1 in one line": (
        "metadata.csv",
        CSV.encode() + "a.jpg,\u00c9b\u00e8ne\n".encode("latin-1"),
        "line 5",
        "is not UTF-8 (byte 0xc9 looks like Latin-1",
    ),
    "an endless quote": (
        "metadata.csv",
        (CSV + 'a.jpg,"Acer' + "\nx" * 100_000).encode(),
        "lines 5 to",
        "cannot be read as CSV",
    ),
    "a file that is not there": (
        "metadata.csv",
        (CSV + "gone.jpg,Acer\n").encode(),
        "row 4",
        "gone.jpg",
    ),
    "a path that leads outside": (
        "metadata.csv",
        (LINES[0] + "../secret.jpg,Acer\n" + "".join(LINES[1:])).encode(),
        "row 1",
        "outside",
    ),
    "a web address": (
        "metadata.csv",
        (CSV + "https://example.org/a.jpg,Acer\n").encode(),
        "row 4",
        "download the images first",
    ),
}
GOOD_JSON = "".join(f'{{"image": "{i}", "species": "{n}"}}\n' for i, n in SPECIES_OF.items())
for title, line, said in [
    ("broken JSON", b'{"image": "a.jpg"\n', "is not JSON"),
    ("a JSON list", b'["a.jpg"]\n', "is not a JSON object"),
    ("JSON in Latin-1", b'{"image": "\xe9.jpg", "species": "Acer"}\n', "is not UTF-8"),
]:
    BAD_TABLES[title] = ("metadata.jsonl", line + GOOD_JSON.encode(), "line 1", said)


@pytest.mark.parametrize("title", BAD_TABLES)
def test_bad_lines_of_a_table(tmp_path, title, caplog):
    name, content, where, said = BAD_TABLES[title]
    write_image(tmp_path / "secret.jpg")
    folder = write_images(tmp_path / "data", SHEETS)
    (folder / name).write_bytes(content)
    message = refusal(folder)
    assert said in message and name in message and message.endswith("--skip-bad)")
    with caplog.at_level(logging.WARNING):
        images, skipped = kept(folder)
    assert images == SHEETS
    assert (
        name in skipped[0].where
        and where in skipped[0].where
        and said in (f"{skipped[0].where} {skipped[0].reason}")
    )
    assert "bad rows are left out" in caplog.text


def test_several_bad_rows_are_counted_in_the_refusal_and_all_listed(tmp_path):
    folder = table_folder(tmp_path, CSV + "a\nb\nc,d,e\n")
    assert "line 5 has 1 fields" in (message := refusal(folder)) and "2 more" in message
    assert [one.where.rpartition("line ")[2] for one in kept(folder)[1]] == ["5", "6", "7"]


def test_rows_are_numbered_as_in_the_table_after_skipped_ones(tmp_path):
    folder = table_folder(tmp_path, LINES[0] + "bad\n" + "".join(LINES[1:]) + "gone.jpg,Acer\n")
    assert [one.where.split()[-2:] for one in kept(folder)[1]] == [["line", "2"], ["row", "5"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,species\na\nb\n", "no rows that can be used"),
        ("image,species\ngone.jpg,Acer\n", "none of the images it names is there"),
        ("image,species\n../a.jpg,Acer\n", "no row names an image inside"),
        ("a,b\n1,2\n", "no image column"),
        ("", "is empty"),
    ],
)
def test_what_leaves_nothing_is_refused_all_the_same(tmp_path, text, said):
    folder = table_folder(tmp_path, text)
    with pytest.raises(DataError, match=said):
        open_collection(folder, skip_bad=True)


def test_a_table_in_another_encoding_altogether_is_refused_all_the_same(tmp_path):
    folder = table_folder(tmp_path, CSV, encoding="utf-16")
    with pytest.raises(DataError, match="looks like UTF-16"):
        open_collection(folder, skip_bad=True)


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_members_of_an_archive_that_lie_outside_of_it(tmp_path, kind):
    image = write_image(tmp_path / "a.jpg").read_bytes()
    members = {"Acer/1.jpg": image, "../x.jpg": image, "/y.jpg": image, "Rosa/2.jpg": image}
    path = zipped(tmp_path / f"a.{kind}", members)
    assert "../x.jpg" in (message := refusal(path)) and "--skip-bad" in message
    images, skipped = kept(path)
    assert images == ["Acer/1.jpg", "Rosa/2.jpg"]
    assert [one.where for one in skipped] == [f"{path}: ../x.jpg", f"{path}: /y.jpg"]
    with pytest.raises(DataError, match="not safe") as error:
        open_images(path)
    assert "--skip-bad" not in str(error.value)


def test_dangling_rows_of_a_table_in_an_archive(tmp_path):
    image = write_image(tmp_path / "a.jpg").read_bytes()
    table = b"image,species\nAcer/1.jpg,Acer\nAcer/2.jpg,Acer\n"
    path = zipped(tmp_path / "a.zip", {"metadata.csv": table, "Acer/1.jpg": image})
    assert kept(path)[0] == ["Acer/1.jpg"] and len(kept(path)[1]) == 1


def test_rows_of_a_datasets_folder_without_an_image(tmp_path):
    image = {"bytes": write_image(tmp_path / "a.png").read_bytes(), "path": None}
    none = {"bytes": b"", "path": None}
    columns = {"image": [image, none, image, None], "species": ["Acer", "Acer", "Rosa", "Rosa"]}
    features = datasets.Features({"image": datasets.Image(), "species": datasets.Value("string")})
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(tmp_path / "saved")
    assert "the row has no image (and 1 more like it)" in refusal(tmp_path / "saved")
    images, skipped = kept(tmp_path / "saved")
    assert images == ["0", "2"]
    assert [one.where.rpartition(": ")[2] for one in skipped] == ["1", "3"]
    assert len(open_images(tmp_path / "saved")) == 4


def test_images_that_the_table_does_not_list_are_counted(tmp_path, caplog):
    folder = write_images(table_folder(tmp_path, CSV), ["Acer/1.jpg", "Acer/2.jpg", "loose.png"])
    with caplog.at_level(logging.WARNING):
        collection = open_collection(folder)
    assert len(collection) == 3 and collection.facts["images_not_listed"] == 3
    assert "3 images are not listed" in caplog.text
    (folder / "metadata.csv").rename(folder / "some.csv")
    assert "images_not_listed" not in open_collection(folder / "some.csv").facts


def test_rows_left_out_for_want_of_a_name_are_listed_all_the_same(tmp_path):
    folder = write_images(table_folder(tmp_path, CSV + "loose.png,\n"), ["loose.png"])
    facts = open_collection(folder).facts
    assert facts["rows_without_name"] == 1 and facts["images_not_listed"] == 0


def test_nothing_is_skipped_where_nothing_is_bad(tmp_path):
    assert kept(table_folder(tmp_path, CSV)) == (SHEETS, ())


@pytest.mark.parametrize("data", ["synthetic", "gone", "folder"])
def test_only_what_is_on_the_hub_is_streamed(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    table_folder(tmp_path / "folder", CSV)
    with pytest.raises(DataError, match="streamed"):
        open_collection(data, streaming=True)
