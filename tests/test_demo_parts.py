"""The parts of the demo that need no server: what is said, drawn, read and refused."""

from __future__ import annotations

import csv
import io
import math
import struct
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny import TAXONOMY

from herbzoo.data.records import COLUMNS, FIELD, HERBARIUM, SpecimenRecord
from herbzoo.data.taxa_list import taxa_of
from herbzoo.demo.among import MOST, among, pasted
from herbzoo.demo.answers import answer_html
from herbzoo.demo.batch_files import count_pictures, pictures_in
from herbzoo.demo.closest import label_html
from herbzoo.demo.collection_tab import combined, matches_of
from herbzoo.demo.determinations import COLUMNS as DETERMINATION_COLUMNS
from herbzoo.demo.determinations import csv_of, determinations_html, determine, named
from herbzoo.demo.map_svg import maps_html
from herbzoo.demo.model import Answer
from herbzoo.demo.pictures import Picture, collection_of, shortened, shown_size
from herbzoo.demo.plates import plate_html
from herbzoo.demo.wording import count, download_html, link_html, name_html, percent, problem_html
from herbzoo.errors import DataError, HerbzooError, ImageError
from herbzoo.evaluation.embedding_map import embedding_map
from herbzoo.identification import UNKNOWN, Candidate
from herbzoo.index.filters import to_sql
from herbzoo.index.match import Match

ALBA = Candidate("Quercus alba", "L.", "Quercus", "Fagaceae", "wfo-1", "species", 0.834)
RUBRA = Candidate("Quercus rubra", "L.", "Quercus", "Fagaceae", "", "species", 0.1)
OAKS = Candidate("Quercus", "", "Quercus", "Fagaceae", "", "genus", 0.934)
NOBODY = Candidate("", "", "", "", "", UNKNOWN, 0.834)
EVIL = "<img src=x onerror=alert(1)>"


def answer(promised=None, precision=None, calibrated=True) -> Answer:
    by_rank = {"species": (ALBA, RUBRA), "genus": (OAKS,)}
    return Answer(by_rank, promised, precision, calibrated)


@pytest.mark.parametrize(
    ("share", "written"),
    [(0.834, "83%"), (1.0, "100%"), (0.0, "0%"), (0.999, "> 99%"), (0.001, "< 1%")],
)
def test_shares_are_whole_percents_that_read_right_in_german_and_english(share, written):
    plain = percent(share).replace("\N{NARROW NO-BREAK SPACE}", " ").replace(" %", "%")
    assert plain == written and "." not in plain and "," not in plain


def test_thousands_are_set_apart_by_a_space():
    assert count(15501, "species", "species") == "15\u202f501 species"
    assert count(1, "sheet", "sheets") == "1 sheet"


def test_names_are_in_italics_down_from_the_genus_and_authors_are_not():
    assert name_html("Quercus alba", "L.").startswith("<em>Quercus alba</em> <span")
    assert name_html("Fagaceae", "", "family") == "Fagaceae"


def test_an_answer_says_the_name_its_genus_and_family_and_how_sure_it_is():
    html = answer_html(answer())
    assert "Best guess" in html and "<em>Quercus alba</em>" in html and "Fagaceae" in html
    assert "83\u202f%" in html and "about 80 in 100 are right" in html
    assert "not calibrated" in answer_html(answer(calibrated=False))
    assert "Genus only" in answer_html(answer(OAKS, 0.9))


def test_an_answer_that_keeps_no_promise_is_unknown_and_names_the_likeliest():
    html = answer_html(answer(NOBODY, 0.95))
    assert "Unknown" in html and "95\u202f%" in html and "The likeliest is <em>Quercus alba" in html


def test_markup_in_names_labels_and_problems_is_text():
    evil = Candidate(EVIL, EVIL, EVIL, EVIL, "", "species", 0.5)
    record = SpecimenRecord("a.jpg", EVIL, EVIL, catalogNumber=EVIL, recordedBy=EVIL, license=EVIL)
    parts = [
        answer_html(Answer({"species": (evil,)}, None, None, True)),
        problem_html(EVIL),
        label_html(Match(record, 0.5, {"references": "javascript:alert(1)"}, False)),
        plate_html(b"", (1, 1), f'"{EVIL}', "label"),
        download_html("a", f'"{EVIL}', EVIL),
    ]
    assert not [part for part in parts if "<img src=x" in part or "javascript:" in part]


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "data:text/html,x", "//example.org", "file:///etc/hostname", "", "a b"],
)
def test_only_web_addresses_become_links(address):
    assert link_html(address, "See") == ""


def test_a_sheet_says_where_it_is_from_and_under_which_licence():
    record = SpecimenRecord(
        "a.jpg", "Quercus alba", "L.", catalogNumber="0001", institutionCode="NY",
        recordedBy="A. Smith", recordNumber="12", eventDate="1901-05-02",
        license="https://creativecommons.org/licenses/by/4.0/", basisOfRecord=HERBARIUM,
    )  # fmt: skip
    html = label_html(Match(record, 0.81, {"references": 'https://x.org/a?b="<1'}, True))
    for part in ("NY 0001", "A. Smith 12", "1901-05-02", ">CC BY 4.0</a>", "similarity 81"):
        assert part in html
    assert 'href="https://x.org/a?b=&quot;&lt;1"' in html and "noopener" in html
    browsed = label_html(Match(record, math.nan, {}, True))
    assert "similarity" not in browsed and "field photo" not in browsed


def test_a_picture_keeps_its_proportions_and_loses_its_metadata():
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (3000, 1500), "green").save(buffer, "JPEG", exif=exif)
    content, size = shown_size(buffer.getvalue(), "a.jpg")
    assert size == (600, 1200)
    assert not Image.open(io.BytesIO(content)).getexif()


def test_equal_names_of_pictures_are_told_apart():
    keys = collection_of([Picture("a.jpg", b"1"), Picture("a.jpg", b"2")]).frame["image"]
    assert list(keys) == ["a.jpg", "a.jpg (2)"]
    assert len(shortened("x" * 300 + "/sheet.jpg")) <= 80
    assert "\n" not in shortened("a\nb.jpg") and "\x1b" not in shortened("\x1b[2J.jpg")


def zipped(path, **members: bytes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return [(path, path.name)]


def test_an_archive_that_unpacks_to_too_much_is_refused_unread(tmp_path):
    uploads = zipped(tmp_path / "a.zip", **{"a.jpg": b"x"})
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    where = raw.index(b"PK\x01\x02") + 24  # the size that the directory claims
    raw[where : where + 4] = struct.pack("<I", 3 * 1024**3)
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(DataError, match="more than 2 GiB"):
        count_pictures(uploads)


def test_a_member_that_is_larger_than_it_claims_is_not_unpacked_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("herbzoo.demo.batch_files.MAX_BYTES", 1000)
    uploads = zipped(tmp_path / "a.zip", **{"a.jpg": b"0" * 100_000, "b.jpg": b"ok"})
    refused, taken = pictures_in(uploads)
    assert isinstance(refused, ImageError) and "larger than" in str(refused)
    assert taken == Picture("b.jpg", b"ok")


def test_broken_and_overfull_batches_are_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match="broken or cut short"):
        count_pictures([(tmp_path / "a.zip", "a.zip")])
    many = zipped(tmp_path / "b.zip", **{f"{n}.jpg": b"" for n in range(301)})
    with pytest.raises(DataError, match="the limit is 300"):
        count_pictures(many)


def test_a_list_of_names_chooses_among_those_that_the_model_knows():
    found = among(taxa_of(["Quercus rubra L.", "Acer", "Fagus sylvatica"]), TAXONOMY, False)
    assert [taxon.scientificName for taxon in found.taxonomy.taxa] == [
        "Acer rubrum",
        "Quercus rubra",
    ]
    assert found.positions is not None and found.positions.tolist() == [0, 2]
    assert found.notes == ("not known to the model: Fagus sylvatica",)
    with pytest.raises(HerbzooError, match="knows none of the 1 names"):
        among(taxa_of(["Fagus sylvatica"]), TAXONOMY, False)
    assert pasted(" \n# nothing\n") is None
    with pytest.raises(DataError, match="too many"):
        pasted("a\n" * (MOST + 1))


def test_agreeing_and_correcting_are_identifications_of_darwin_core():
    given = ("Jo Doe", "leaf only", "org/leaves@abc123", TAXONOMY)
    agreed = determine("a.jpg", answer(), "", *given)
    assert agreed.scientificName == "Quercus alba" and agreed.taxonID == "wfo-1"
    assert agreed.identificationRemarks == (
        "leaf only; agrees with the model (Quercus alba L., confidence 0.83)"
    )
    same = determine("a.jpg", answer(), " Quercus alba  L. ", *given)
    assert same.identificationRemarks == agreed.identificationRemarks
    corrected = determine("b.jpg", answer(), "Acer rubrum", *given)
    assert (corrected.scientificNameAuthorship, corrected.family) == ("L.", "Sapindaceae")
    assert "corrects the model" in corrected.identificationRemarks
    rows = list(csv.DictReader(io.StringIO(csv_of([agreed, corrected]))))
    assert tuple(rows[0]) == DETERMINATION_COLUMNS
    for row in rows:
        assert row["identificationVerificationStatus"] == "ValidatedByHuman"
        assert row["identifiedBy"] == "Jo Doe" and len(row["dateIdentified"]) == 10
        assert row["identificationReferences"] == "org/leaves@abc123"
    assert "2 determinations" in determinations_html([agreed, corrected])


def test_a_determination_needs_a_person_and_a_name():
    with pytest.raises(HerbzooError, match="fill in your name"):
        determine("a.jpg", answer(), "", " ", "", "model", TAXONOMY)
    with pytest.raises(HerbzooError, match="no name to agree with"):
        determine("a.jpg", answer(NOBODY, 0.95), "", "Jo", "", "model", TAXONOMY)
    named_by_hand = determine("a.jpg", answer(NOBODY, 0.95), "Tilia", "Jo", "", "model", TAXONOMY)
    assert (
        named_by_hand.taxonRank == "genus" and "unknown at a" in named_by_hand.identificationRemarks
    )


@pytest.mark.parametrize(
    ("text", "name", "family", "rank"),
    [
        ("Quercus robur L.", "Quercus robur", "Fagaceae", "species"),
        ("Rosaceae", "Rosaceae", "Rosaceae", "family"),
        ("Quercus", "Quercus", "", "genus"),
        ("no idea, perhaps 3", "no idea, perhaps 3", "", ""),
    ],
)
def test_free_names_keep_what_can_be_told_of_them(text, name, family, rank):
    taxon, found = named(text, TAXONOMY)
    assert (taxon.scientificName, taxon.family, found) == (name, family, rank)


def test_choices_and_a_written_filter_are_one_filter():
    where = combined("year > '1900' or year is blank", {"family": "O'Brienaceae", "genus": ""})
    assert where == "(year > '1900' or year is blank) and family = 'O''Brienaceae'"
    assert "O''Brienaceae" in to_sql(where, ["year", "family"])
    assert combined(" ", {"family": ""}) == ""


def test_rows_of_an_index_become_sheets():
    row = {name: "" for name in COLUMNS} | {"image": "a", "references": "https://x.org", "note": ""}
    (sheet,) = matches_of(pd.DataFrame([row]))
    assert sheet.record.image == "a" and sheet.fields == {"references": "https://x.org"}


def test_a_map_shows_every_sheet_and_says_what_to_believe():
    rng = np.random.default_rng(0)
    species = np.array(["Quercus alba", "Acer <b>rubrum</b>"] * 20)
    vectors = rng.normal(size=(40, 8)) + 6 * (species == "Quercus alba")[:, None]
    domains = np.array([HERBARIUM, HERBARIUM, FIELD, FIELD] * 10)
    found = embedding_map(vectors, species, domains)
    html = maps_html({"leaves": found, "other": found})
    assert html.count("<circle") == 40 and html.count("<polygon") == 40
    assert html.count("<svg") == 2 and 'role="img"' in html and "<b>" not in html
    assert f"{percent(found.numbers.purity)} are of the same species" in html
