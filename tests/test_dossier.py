"""Cases on the disk, and the dossier that is made of them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace

import pytest
from PIL import Image
from review_samples import candidate, flora_cases, flora_results, write_results

from herbzoo.curation.case import Case, NearSheet, Proposal, case_id
from herbzoo.curation.case_files import (
    LARGE_SIDE,
    NEAR,
    SIDE,
    THUMBNAILS,
    read_cases,
    read_taxa,
    shown_part,
    thumbnail_path,
    write_cases,
)
from herbzoo.curation.dossier import write_dossier
from herbzoo.data.records import SpecimenRecord
from herbzoo.errors import DataError, ImageError

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u2028&amp;\"'"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = flora_results(tmp_path_factory.mktemp("review") / "results")
    write_dossier(folder)
    return folder


class SomeImages:
    """Plain pictures, of which those called `broken` cannot be read."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def open(self, key, min_size=None):
        self.opened.append(key)
        if "broken" in key:
            raise ImageError(f"{key}: cannot be read")
        return Image.new("RGB", (2000, 3000), (200, 190, 120))


def case_of(image: str, *near: str, kind: str = "misnamed", **more) -> Case:
    record = SpecimenRecord(image, "Acer rubrum", "L.", **more)
    sheets = tuple(NearSheet(SpecimenRecord(key, "Acer rubrum"), 0.5) for key in near)
    proposal = Proposal(candidate(SpecimenRecord("", "Acer negundo", "L."), 0.7), sheets)
    return Case(case_id(record), kind, record, 0.9, ("Why.",), (proposal,), sheets)


def test_cases_are_read_back_as_they_were_written(results):
    collection, cases = flora_cases(8)
    assert read_cases(results) == [shown_part(case) for case in cases]
    assert {case.list for case in cases} == {"misnamed", "conflict", "unknown", "bad image"}
    names = [taxon.scientificName for taxon in read_taxa(results, cases)]
    assert names == sorted(set(collection.frame["scientificName"])), "all that is known is offered"


def test_the_id_of_a_case_is_of_its_image_and_its_present_name():
    record = SpecimenRecord("a.jpg", "Acer rubrum", occurrenceID="urn:1", eventDate="1900")
    assert case_id(record) == case_id(replace(record, eventDate="1901", identifiedBy="Jo"))
    others = {"image": "b.jpg", "scientificName": "Acer negundo", "occurrenceID": "urn:2"}
    changed = {case_id(replace(record, **{name: value})) for name, value in others.items()}
    assert len(changed | {case_id(record)}) == 4


def test_there_is_no_list_but_the_four():
    with pytest.raises(ValueError, match="there is no list 'odd'"):
        replace(case_of("a"), list="odd")


def test_each_picture_is_made_once_large_where_it_is_in_question(tmp_path):
    images = SomeImages()
    cases = [case_of("a", "b", "c"), case_of("b", "a", "c", "broken")]
    write_cases(tmp_path, cases, images, workers=0)
    assert sorted(images.opened) == ["a", "b", "broken", "c"]
    longest = {}
    for key in ("a", "b", "c"):
        with Image.open(thumbnail_path(tmp_path, key)) as image:
            longest[key] = (image.format, max(image.size))
    assert longest == {"a": ("WEBP", LARGE_SIDE), "b": ("WEBP", LARGE_SIDE), "c": ("WEBP", SIDE)}
    assert not thumbnail_path(tmp_path, "broken").exists()
    write_cases(tmp_path, [case_of("c")], SomeImages(), workers=0)
    assert len(list((tmp_path / THUMBNAILS).iterdir())) == 1, "pictures of before are gone"


def test_no_more_sheets_are_kept_than_are_shown(tmp_path):
    near = [str(number) for number in range(9)]
    write_cases(tmp_path, [case_of("a", *near)], SomeImages(), workers=0)
    (case,) = read_cases(tmp_path)
    assert len(case.near_present) == len(case.proposals[0].near) == NEAR


def test_a_folder_without_cases_is_refused_in_one_line(tmp_path):
    with pytest.raises(DataError, match="holds no cases to review"):
        write_dossier(tmp_path)
    (tmp_path / "cases.jsonl").write_text('{"id": "x"}\n')
    with pytest.raises(DataError, match="line 1: no case can be read"):
        write_dossier(tmp_path)


def test_the_dossier_asks_for_nothing_outside_itself_and_runs_only_its_own_script(results):
    text = (results / "dossier.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    said = policy[1].replace("&#39;", "'")
    assert said.startswith("default-src 'none';") and "img-src data:;" in said
    assert "unsafe" not in said and "http" not in said
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in said
    assert not re.search(r'(?:src|href)="(?!data:)', text)


def test_texts_of_strangers_end_no_element(tmp_path):
    evil = case_of("a", recordedBy=EVIL, catalogNumber=EVIL, license=EVIL)
    evil = replace(evil, reasons=(EVIL,), notes={EVIL: EVIL}, group=EVIL)
    write_cases(tmp_path, [evil], SomeImages(), workers=0)
    summary = {"kind": EVIL, "model": EVIL, "collection": EVIL}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    text = write_dossier(tmp_path).read_text(encoding="utf-8")
    assert "alert(1)</script>" not in text and "<img src=x" not in text
    data = re.search(r'id="rv-data">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    (case,) = json.loads(data[1])["cases"]
    assert case["record"]["recordedBy"] == EVIL and case["reasons"] == [EVIL]


def test_a_dossier_made_again_has_the_same_id_and_one_of_other_data_another(tmp_path):
    collection, cases = flora_cases(3)

    def id_of(folder, kind: str, **more: str) -> str:
        write_results(folder, collection, cases, kind)
        summary = json.loads((folder / "summary.json").read_text()) | more
        (folder / "summary.json").write_text(json.dumps(summary))
        data = re.search(r'id="rv-data">(.*?)</script>', write_dossier(folder).read_text("utf-8"))
        assert data is not None
        return json.loads(data[1])["id"]

    first = id_of(tmp_path / "a", "suspects")
    assert id_of(tmp_path / "a", "suspects") == first
    assert id_of(tmp_path / "a", "suspects", model="runs/leaves-2") == first
    assert id_of(tmp_path / "b", "novel") != first
