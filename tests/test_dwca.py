"""Darwin Core Archives: one row an image, with what the archive knows of its record."""

from __future__ import annotations

from dataclasses import replace

import pytest
from data_samples import refusal
from dwca_samples import (
    AC,
    AUDIOVISUAL,
    DCT,
    DWC,
    IMAGES,
    MULTIMEDIA,
    RECORDS,
    Table,
    members,
    write_tree,
    write_zip,
)
from loopback_images import jpeg

from herbzoo.data.readers import open_collection, open_images

NAMES = [
    "Acer campestre",
    "Alyssum loiseleurii subsp. gallaecicum",
    "Alyssum loiseleurii subsp. gallaecicum",
    "Santolina sp.",
]
LINKS = [
    "http://img.org/1.jpg",
    "http://img.org/2.jpg",
    "http://img.org/2b.jpg",
    "http://other.org/3.jpg",
]


def archive(tmp_path, core=RECORDS, *extensions, **files):
    return write_zip(tmp_path / "a.zip", members(core, *extensions) | files)


def media(terms, *rows, row_type=MULTIMEDIA):
    return Table("multimedia.txt", terms, rows, row_type)


def column(collection, name):
    return collection.frame[name].tolist()


def test_a_zip_is_read_one_row_an_image(tmp_path):
    collection = open_collection(archive(tmp_path, RECORDS, IMAGES))
    assert column(collection, "image") == LINKS
    assert column(collection, "scientificName") == NAMES
    assert column(collection, "occurrenceID") == ["SANT:1", "SANT:2", "SANT:2", "SANT:3"]
    assert collection.facts["records"] == 4
    assert collection.facts["media_not_images"] == 1
    assert collection.facts["hosts"] == {"img.org": 3, "other.org": 1}
    assert collection.images.hosts == {"img.org", "other.org"}


def test_a_wrapped_zip_and_a_folder_read_alike(tmp_path):
    files = members(RECORDS, IMAGES)
    wrapped = open_collection(write_zip(tmp_path / "w.zip", files, "dwca-sant-v1.2/"))
    folder = open_collection(write_tree(tmp_path / "folder", files))
    assert column(wrapped, "image") == column(folder, "image") == LINKS


def test_names_lose_their_authors_and_are_kept_as_published(tmp_path):
    collection = open_collection(archive(tmp_path, RECORDS, IMAGES))
    assert column(collection, "scientificNameAuthorship") == ["L.", "S.Ortiz", "S.Ortiz", ""]
    published = column(collection, "verbatimScientificName")
    assert published[0] == "Acer campestre L."
    assert published[1] == "Alyssum loiseleurii P.Fourn. subsp. gallaecicum S.Ortiz"


def test_a_name_column_of_the_users_is_left_as_it_is(tmp_path):
    data = archive(tmp_path, RECORDS, IMAGES)
    named = open_collection(data, name_column="catalogNumber")
    assert column(named, "scientificName") == ["1", "2", "2", "3"]


def test_missing_names_are_made_of_their_parts_or_left_out(tmp_path):
    terms = tuple(f"{DWC}{term}" for term in ("genus", "specificEpithet"))
    core = Table("occurrence.txt", terms, (("1", "Acer", "rubrum"), ("2", "", "alba")))
    collection = open_collection(archive(tmp_path, core, replace(IMAGES, rows=IMAGES.rows[:2])))
    assert column(collection, "scientificName") == ["Acer rubrum"]
    assert collection.facts["rows_without_name"] == 1
    assert len(open_images(tmp_path / "a.zip")) == 2


def test_the_basis_of_record_is_spelt_as_in_darwin_core(tmp_path):
    collection = open_collection(archive(tmp_path, RECORDS, IMAGES))
    assert column(collection, "basisOfRecord") == ["PreservedSpecimen"] * 3 + ["HumanObservation"]


def test_the_licence_is_the_images_and_else_the_records(tmp_path):
    core = replace(RECORDS, defaults={f"{DCT}license": "CC BY-NC"})
    collection = open_collection(archive(tmp_path, core, IMAGES))
    assert column(collection, "license") == ["CC0", "CC BY-NC", "CC BY-NC", "CC BY-NC"]


def test_the_tables_are_read_as_meta_xml_says(tmp_path):
    core = replace(
        RECORDS,
        delimiter=";",
        quote='"',
        encoding="windows-1252",
        header=2,
        rows=(("1", "a", "PreservedSpecimen", "Acer; campestre Müll.", "Müll.", "x\ny"),),
        defaults={f"{DWC}institutionCode": "SANT"},
    )
    images = replace(IMAGES, rows=IMAGES.rows[:1], delimiter=",", header=0)
    collection = open_collection(archive(tmp_path, core, images))
    assert column(collection, "scientificNameAuthorship") == ["Müll."]
    assert column(collection, "catalogNumber") == ["x\ny"]
    assert column(collection, "institutionCode") == ["SANT"]


def test_a_default_fills_what_a_column_leaves_empty(tmp_path):
    files = members(RECORDS, IMAGES)
    field = f'term="{DWC}catalogNumber"'
    meta = files["meta.xml"].decode().replace(field, f'{field} default="none"')
    table = files["occurrence.txt"].replace(b"\tL.\t1\n", b"\tL.\t\n")
    data = write_zip(tmp_path / "a.zip", files | {"meta.xml": meta.encode(), RECORDS.file: table})
    assert column(open_collection(data), "catalogNumber")[:2] == ["none", "2"]


def test_lone_quotation_marks_are_text_where_nothing_is_quoted(tmp_path):
    row = ("1", "a", "PreservedSpecimen", "Acer campestre", "", '12" tall')
    collection = open_collection(archive(tmp_path, replace(RECORDS, rows=(row,)), one_image()))
    assert column(collection, "catalogNumber") == ['12" tall']


def one_image():
    return replace(IMAGES, rows=IMAGES.rows[:1])


def test_associated_media_are_read_where_no_extension_lists_any(tmp_path):
    core = Table(
        "occurrence.txt",
        (f"{DWC}scientificName", f"{DWC}associatedMedia"),
        (
            ("1", "Acer campestre", "http://a.org/1.jpg | http://a.org/2.jpg|http://a.org/3.mp3"),
            ("2", "Acer rubrum", "http://a.org/4.jpg, http://b.org/5.jpg"),
            ("3", "Acer rubrum", "http://a.org/6.jpg"),
            ("4", "Acer rubrum", ""),
        ),
    )
    images = media((f"{DCT}identifier",), ("3", "http://c.org/extension.jpg"))
    collection = open_collection(archive(tmp_path, core, images))
    assert [link.rpartition("/")[2] for link in column(collection, "image")] == [
        "1.jpg",
        "2.jpg",
        "4.jpg",
        "5.jpg",
        "extension.jpg",
    ]


def test_audiovisual_core_offers_one_picture_in_several_variants(tmp_path):
    terms = (f"{AC}accessURI", f"{DCT}identifier", f"{AC}variant", f"{AC}serviceExpectation")
    images = media(
        terms,
        ("1", "http://a.org/small.jpg", "urn:1", "ac:Thumbnail", "online"),
        ("1", "http://a.org/best.jpg", "urn:1", "ac:BestQuality", "online"),
        ("1", "http://a.org/good.jpg", "urn:1", "http://rs.tdwg.org/x/GoodQuality", ""),
        ("1", "http://a.org/back.jpg", "urn:2", "", ""),
        ("1", "http://a.org/tiny.jpg", "urn:5", "thumbnail", ""),
        ("2", "http://a.org/login.jpg", "urn:3", "", "authenticate"),
        ("2", "http://a.org/only-small.jpg", "urn:4", "thumbnail", ""),
        ("3", "http://a.org/front.jpg", "urn:sheet", "", ""),
        ("3", "http://a.org/label.jpg", "urn:sheet", "", ""),
        row_type=AUDIOVISUAL,
    )
    collection = open_collection(archive(tmp_path, RECORDS, images))
    assert [link.rpartition("/")[2] for link in column(collection, "image")] == [
        "best.jpg",
        "back.jpg",
        "only-small.jpg",
        "front.jpg",
        "label.jpg",
    ]
    assert collection.facts["media_not_open"] == 1
    assert collection.facts["media_lesser_variants"] == 3


def test_manifests_are_images_and_pages_are_none(tmp_path):
    terms = (f"{DCT}identifier", f"{DCT}type", f"{DCT}format")
    images = media(
        terms,
        ("1", "https://a.org/manifest", "InteractiveResource", "application/ld+json;profile=iiif"),
        ("2", "https://a.org/page", "StillImage", "text/html"),
    )
    collection = open_collection(archive(tmp_path, RECORDS, images))
    assert column(collection, "image") == ["https://a.org/manifest"]


def test_an_image_that_is_listed_twice_comes_once(tmp_path):
    images = replace(IMAGES, rows=(IMAGES.rows[0], IMAGES.rows[0]))
    collection = open_collection(archive(tmp_path, RECORDS, images))
    assert column(collection, "image") == LINKS[:1]


def test_images_may_lie_in_the_archive_or_beside_it(tmp_path):
    write_tree(tmp_path, {"img/beside.jpg": jpeg((30, 40))})
    images = media((f"{DCT}identifier",), ("1", "img/in.jpg"), ("2", r"img\beside.jpg"))
    data = archive(tmp_path, RECORDS, images, **{"img/in.jpg": jpeg((20, 40))})
    collection = open_collection(data)
    sizes = [collection.images.open(key).size for key in column(collection, "image")]
    assert sizes == [(20, 40), (30, 40)]
    fingerprints = {collection.images.fingerprint(key) for key in column(collection, "image")}
    assert len(fingerprints) == 2


def test_images_may_lie_in_the_folder_of_an_archive(tmp_path):
    images = media((f"{DCT}identifier",), ("1", "./img/1.jpg"), ("2", "http://a.org/2.jpg"))
    files = members(RECORDS, images) | {"img/1.jpg": jpeg((20, 40))}
    collection = open_collection(write_tree(tmp_path / "a", files))
    assert column(collection, "image") == ["img/1.jpg", "http://a.org/2.jpg"]
    assert collection.images.open("img/1.jpg").size == (20, 40)


def test_a_table_with_its_table_of_links_beside_it_needs_no_meta_xml(tmp_path):
    write_tree(
        tmp_path,
        {
            "SANT_occurrences.csv": b'occurrenceID,scientificName,x,x\n1,"Acer campestre L.",,a\n',
            "SANT_occurrences_images.csv": b"occurrenceID,identifier\n1,http://a.org/1.jpg\n",
        },
    )
    for name in ("SANT_occurrences.csv", "SANT_occurrences_images.csv"):
        collection = open_collection(tmp_path / name)
        assert column(collection, "scientificName") == ["Acer campestre"]
        assert column(collection, "x") == ["a"]


@pytest.mark.parametrize("links", ["associatedMedia", "accessURI", "image", "identifier"])
def test_a_table_may_hold_the_links_itself(tmp_path, links):
    text = f"occurrenceID,scientificName,{links}\n1,Acer campestre L.,http://a.org/1.jpg\n"
    write_tree(tmp_path, {"table.csv": text.encode(), "b/metadata.csv": text.encode()})
    for data in (tmp_path / "table.csv", tmp_path / "b"):
        assert column(open_collection(data), "image") == ["http://a.org/1.jpg"]


def test_a_record_may_come_several_times_in_a_table_of_links(tmp_path):
    row = "1,Acer campestre,http://a.org/{}.jpg\n"
    text = "occurrenceID,scientificName,accessURI\n" + row.format(1) + row.format(2)
    write_tree(tmp_path, {"table.csv": text.encode()})
    assert column(open_collection(tmp_path / "table.csv"), "occurrenceID") == ["1", "1"]


def test_occurrence_and_multimedia_txt_alone_are_an_archive(tmp_path):
    files = members(RECORDS, IMAGES)
    del files["meta.xml"]
    assert column(open_collection(write_zip(tmp_path / "a.zip", files)), "image") == LINKS


def test_a_table_of_image_files_is_no_archive(tmp_path):
    text = "file_name,scientificName,associatedMedia\na.jpg,Acer campestre,http://a.org/1.jpg\n"
    write_tree(tmp_path, {"metadata.csv": text.encode(), "a.jpg": jpeg()})
    assert open_collection(tmp_path).facts["reader"] == "table"


def test_an_archive_without_images_says_how_many_records_it_has(tmp_path):
    message = refusal(archive(tmp_path))
    assert "4 records and no images" in message
