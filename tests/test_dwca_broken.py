"""Archives that are broken or mean harm: one line, or the good rows and a list of the others."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from data_samples import refusal
from dwca.read import DwCAReader
from dwca_samples import (
    DCT,
    DWC,
    IMAGES,
    MULTIMEDIA,
    RECORDS,
    Table,
    members,
    with_rows,
    write_tree,
    write_zip,
)
from loopback_images import jpeg

from herbzoo.data.readers import dwca_rows, open_collection
from herbzoo.data.readers.dwca_meta import read_descriptor
from herbzoo.data.readers.reading import Reading
from herbzoo.errors import DataError

REAL = Path(os.environ.get("HERBZOO_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
needs_real_data = pytest.mark.skipif(
    not (REAL / "dwca").is_dir(), reason=f"no real archives in {REAL / 'dwca'}"
)


def archive(tmp_path, core=RECORDS, *extensions, **files):
    return write_zip(tmp_path / "a.zip", members(core, *extensions) | files)


def kept(data):
    """Returns the images that are left when bad rows are skipped, and what was skipped."""
    collection = open_collection(data, skip_bad=True)
    reasons = [f"{bad.where} {bad.reason}" for bad in collection.skipped]
    return collection.frame["image"].tolist(), reasons


def meta(tmp_path, text):
    return write_zip(tmp_path / "a.zip", members(RECORDS, IMAGES) | {"meta.xml": text.encode()})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not XML"),
        ("<archive>", "is not XML"),
        ("<html/>", "must have one <core>"),
        ('<archive><core rowType="x/Occurrence"/></archive>', "names no file"),
        (
            '<archive><core rowType="x/Occurrence"><files><location>occurrence.txt</location>'
            "</files></core></archive>",
            "names no columns",
        ),
        (
            '<!DOCTYPE a [<!ENTITY x "xxxx"><!ENTITY y "&x;&x;&x;">]><archive>&y;</archive>',
            "document type",
        ),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><archive/>', "document type"),
    ],
)
def test_a_descriptor_that_cannot_be_used_is_refused(tmp_path, text, said):
    assert said in refusal(meta(tmp_path, text))


def test_a_document_type_hidden_in_another_encoding_is_refused(tmp_path):
    text = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY x "y">]><archive/>'
    with pytest.raises(DataError, match="document type"):
        read_descriptor(io.BytesIO(text.encode("utf-16")), "meta.xml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('index="5"', 'index="50"', "names column 51"),
        ('index="5"', 'index="-1"', "no whole number"),
        ('fieldsTerminatedBy="\\t"', 'fieldsTerminatedBy=","', "separated by ','"),
        ('fieldsTerminatedBy="\\t"', 'fieldsTerminatedBy="||"', "by one character"),
        ('encoding="UTF-8"', 'encoding="UTF-99"', "encoding that is not known"),
        ("occurrence.txt", "other.txt", "other.txt, which is not there"),
        ("occurrence.txt", "../secret.txt", "outside of itself"),
        ("occurrence.txt", "/etc/passwd", "outside of itself"),
        ("dwc/terms/Occurrence", "dwc/terms/Event", "core is Occurrence"),
        ("dwc/terms/Occurrence", "dwc/terms/Taxon", "core is Occurrence"),
        ('<coreid index="0"/>', "", "no <coreid index>"),
        (f"{DCT}identifier", f"{DCT}title", "no column with links"),
    ],
)
def test_a_descriptor_that_does_not_fit_its_tables_is_refused(tmp_path, old, new, said):
    text = members(RECORDS, IMAGES)["meta.xml"].decode()
    assert old in text
    assert said in refusal(meta(tmp_path, text.replace(old, new)))


def test_a_table_that_is_a_link_out_of_the_folder_is_refused(tmp_path):
    secret = write_tree(tmp_path / "outside", {"secret.txt": RECORDS.text()}) / "secret.txt"
    folder = write_tree(tmp_path / "a", members(RECORDS, IMAGES))
    (folder / "occurrence.txt").unlink()
    (folder / "occurrence.txt").symlink_to(secret)
    assert "outside of" in refusal(folder)


def test_a_zip_with_a_member_outside_of_itself(tmp_path):
    data = archive(tmp_path, RECORDS, IMAGES, **{"../evil.txt": b"x"})
    assert "../evil.txt" in refusal(data)
    images, reasons = kept(data)
    assert len(images) == 4
    assert "outside" in reasons[0]
    assert not (tmp_path.parent / "evil.txt").exists()


def test_a_zip_that_is_cut_short_is_one_line(tmp_path):
    data = archive(tmp_path, RECORDS, IMAGES)
    data.write_bytes(data.read_bytes()[:300])
    assert "cannot be read as an archive" in refusal(data)


def test_a_member_that_is_damaged_is_one_line(tmp_path):
    data = archive(tmp_path, replace(RECORDS, rows=RECORDS.rows * 1), IMAGES)
    content = bytearray(data.read_bytes())
    at = content.index(b"occurrence.txt") + 20
    content[at : at + 30] = bytes(30)
    data.write_bytes(content)
    assert "occurrence.txt" in refusal(data)


def test_a_row_in_another_encoding_is_named_and_can_be_skipped(tmp_path):
    core = with_rows(RECORDS, ("5", "SANT:5", "", "Acer Müll.", "Müll.", "5"))
    data = archive(tmp_path, replace(core, written_in="latin-1"), IMAGES)
    assert "occurrence.txt row 5 is not UTF-8" in refusal(data)
    images, reasons = kept(data)
    assert len(images) == 4
    assert len(reasons) == 1


def test_another_encoding_that_does_not_fit_is_one_line(tmp_path):
    core = replace(RECORDS, encoding="windows-1252", written_in="utf-8")
    files = members(core, IMAGES)
    files["occurrence.txt"] += b"5\tx\tx\tAcer \x81\t\t5\n"
    assert "is not cp1252" in refusal(write_zip(tmp_path / "a.zip", files))


def test_rows_with_too_few_or_too_many_fields_can_be_skipped(tmp_path):
    data = archive(tmp_path, with_rows(RECORDS, ("5",), tuple("6789abcdef")), IMAGES)
    assert "occurrence.txt line 6 has 1 fields instead of 6 (and 1 more" in refusal(data)
    images, reasons = kept(data)
    assert len(images) == 4
    assert len(reasons) == 2


@pytest.mark.parametrize("start", [b'"Acer\t\t5', b'"Acer"\t""\t"5'])
def test_a_quotation_mark_that_is_never_closed_is_one_line(tmp_path, start):
    files = members(replace(RECORDS, quote='"'), IMAGES)
    files["occurrence.txt"] += b'"5"\t"x"\t"x"\t' + start + b"\n6\t\t\t\t\t\n7\t\t\t\t\t\n"
    data = write_zip(tmp_path / "a.zip", files)
    assert "never closes" in refusal(data)
    assert "never closes" in refusal(data, skip_bad=True)


def test_an_id_that_comes_twice_is_the_first_records(tmp_path):
    core = with_rows(RECORDS, ("1", "SANT:9", "", "Acer rubrum", "", "9"))
    data = archive(tmp_path, core, IMAGES)
    assert "occurrence.txt row 5 has the id '1' of an earlier record" in refusal(data)
    images, reasons = kept(data)
    assert len(images) == 4
    assert len(reasons) == 1


def test_a_medium_without_a_record_is_named_and_can_be_skipped(tmp_path):
    images = with_rows(IMAGES, ("99", "http://img.org/9.jpg", "StillImage", "", ""))
    data = archive(tmp_path, RECORDS, images)
    assert "multimedia.txt row 6 belongs to record '99'" in refusal(data)
    assert len(kept(data)[0]) == 4


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("../x.jpg", "outside of"),
        ("file:///etc/x.jpg", "outside of"),
        (r"D:\sheets\x.jpg", "outside of"),
        ("gone.jpg", "missing: gone.jpg"),
        ("http://[x/1.jpg", "broken link"),
    ],
)
def test_an_image_that_cannot_be_placed_is_named_and_can_be_skipped(tmp_path, path, said):
    rows = (("1", "1.jpg"), ("2", path))
    images = Table("multimedia.txt", (f"{DCT}identifier",), rows, MULTIMEDIA)
    write_tree(tmp_path, {"x.jpg": jpeg()})
    files = members(RECORDS, images) | {"1.jpg": jpeg()}
    folder = write_tree(tmp_path / "a", files)
    assert said in refusal(folder)
    images, reasons = kept(folder)
    assert images == ["1.jpg"]
    assert "SANT:2" in reasons[0]


def test_an_empty_core_has_no_images(tmp_path):
    data = archive(tmp_path, replace(RECORDS, rows=()), replace(IMAGES, rows=()))
    assert "0 records and no images" in refusal(data)


def test_an_oversized_descriptor_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("herbzoo.data.readers.dwca_meta.MAX_META_BYTES", 100)
    assert "is larger than" in refusal(archive(tmp_path, RECORDS, IMAGES))


def test_a_row_longer_than_a_block_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(dwca_rows, "BLOCK_BYTES", 1000)
    core = with_rows(RECORDS, ("5", "x" * 3000, "", "Acer rubrum", "", "9"))
    assert "occurrence.txt cannot be read" in refusal(archive(tmp_path, core, IMAGES))


def read_all(path):
    """Returns all rows of the core as herbzoo reads them, and as python-dwca-reader does."""
    with DwCAReader(str(path)) as reader:
        theirs = [_by_short_terms(row.id, row.data) for row in reader]
    with zipfile.ZipFile(path) as files:
        core = read_descriptor(files.open("meta.xml"), "meta.xml").core
        rows, total = dwca_rows.read_rows(
            io.BytesIO(files.read(core.locations[0])), core, "core", Reading()
        )
    assert total == len(rows)
    return rows.drop_columns([dwca_rows.ROW]).to_pylist(), theirs


def _by_short_terms(key, data):
    short = {term.rpartition("/")[2]: value for term, value in data.items() if "/" in term}
    return {dwca_rows.KEY: key} | short


def test_rows_are_those_of_python_dwca_reader(tmp_path):
    defaults = {f"{DWC}institutionCode": "SANT"}
    quoted = replace(RECORDS, quote='"', delimiter=",", defaults=defaults)
    for core in (RECORDS, quoted):
        ours, theirs = read_all(archive(tmp_path, core, IMAGES))
        assert ours == theirs
        assert len(ours) == 4


@pytest.mark.realdata
@needs_real_data
@pytest.mark.parametrize(("name", "records"), [("santbryo", 2423), ("santlich", 10511)])
def test_real_archives_are_read_whole(name, records):
    path = REAL / "dwca" / f"dwca-{name}.zip"
    ours, theirs = read_all(path)
    assert len(ours) == records
    assert ours == theirs
    assert f"{records:,} records and no images" in refusal(path)


@pytest.mark.realdata
@needs_real_data
def test_real_tables_with_links_are_joined():
    for name in ("SANT_occurrences.csv", "SANT_occurrences_images.csv"):
        collection = open_collection(REAL / "dwca" / name)
        assert len(collection) == 6
        assert collection.facts["records"] == 17
        assert collection.images.hosts == {"193.144.34.193"}
