"""What the server makes of decisions that pages send, and of all else that they might send."""

from __future__ import annotations

import errno
import shutil

import pytest
from review_samples import flora_cases, flora_results, write_results

from herbzoo.curation.case_files import copy_cases, thumbnail_path
from herbzoo.curation.review import Review
from herbzoo.data.decisions import COLUMNS, read_decisions, read_rows
from herbzoo.errors import DataError
from herbzoo.hub.space import write_space

NOW = "2026-11-22T12:00:00.000Z"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return flora_results(tmp_path_factory.mktemp("review") / "results")


@pytest.fixture
def folder(results, tmp_path):
    return shutil.copytree(results, tmp_path / "results")


@pytest.fixture
def review(folder):
    return Review(folder)


def case_on(review, kind: str):
    return next(case for case in review.cases.values() if case.list == kind)


def claim(case, decision: str, name: str = "", **more) -> dict[str, str]:
    said = {"decision": decision, "scientificName": name, "identifiedBy": "Jo"}
    return {"caseID": case.id, "dateIdentified": NOW, **said, **more}


def test_a_decision_is_written_with_the_facts_of_its_case(review):
    case = case_on(review, "misnamed")
    proposed = case.proposals[1].candidate
    answer = review.take([claim(case, "agree", proposed.scientificName, image="/etc/passwd")], 0)
    (row,) = read_rows(review.decisions_path)
    assert (row.image, row.occurrenceID) == (case.record.image, case.record.occurrenceID)
    assert row.previousScientificName == case.record.scientificName
    assert row.scientificNameAuthorship == proposed.scientificNameAuthorship
    assert row.identificationVerificationStatus == "ValidatedByHuman"
    assert row.identificationReferences == "meadow/flora@4f2a91c"
    assert answer["total"] == 1 and answer["rows"][0]["caseID"] == case.id


@pytest.mark.parametrize(
    ("kind", "decision", "name", "expected", "status"),
    [
        ("misnamed", "reject", "anything", "present", "ValidatedByHuman"),
        ("misnamed", "unsure", "anything", "", ""),
        ("misnamed", "other", "Acer  negundo L.", "Acer negundo", "ValidatedByHuman"),
        ("misnamed", "withdrawn", "", "", ""),
        ("unknown", "agree", "anything", "", "ValidatedByHuman"),
        ("bad image", "agree", "", "", "ValidatedByHuman"),
    ],
)
def test_the_name_after_a_decision(review, kind, decision, name, expected, status):
    case = case_on(review, kind)
    review.take([claim(case, decision, name)], 0)
    (row,) = read_rows(review.decisions_path)
    expected = case.record.scientificName if expected == "present" else expected
    assert (row.scientificName, row.identificationVerificationStatus) == (expected, status)


def test_a_known_name_that_is_typed_brings_what_is_known_of_it(review):
    name = next(iter(review.taxa))
    review.take([claim(case_on(review, "unknown"), "other", name)], 0)
    (row,) = read_decisions(review.decisions_path)
    known = review.taxa[name]
    assert (row.family, row.taxonID) == (known.family, known.taxonID) and row.taxonID


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"caseID": "../../etc/passwd"}, "not on this list"),
        ({"decision": "burn"}, "there is no decision 'burn'"),
        ({"identifiedBy": " "}, "fill in your name"),
        ({"scientificName": "Never proposed"}, "was not proposed"),
        ({"dateIdentified": "yesterday"}, "no time"),
        ({"decision": "other", "scientificName": ""}, "none given"),
        ({"caseID": ["x"]}, "not on this list"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_rest_is_kept(review, wrong, reason):
    case = case_on(review, "misnamed")
    good = claim(case, "unsure")
    bad = claim(case, "agree", case.proposals[0].candidate.scientificName) | wrong
    answer = review.take([bad, good], 0)
    assert len(answer["refused"]) == 1 and reason in answer["refused"][0]["reason"]
    assert answer["refused"][0]["place"] == 0
    assert [row.decision for row in read_rows(review.decisions_path)] == ["unsure"]


def test_a_page_is_told_what_it_does_not_know_yet(review):
    case = case_on(review, "misnamed")
    review.take([claim(case, "unsure")], 0)
    review.take([claim(case, "reject", identifiedBy="Al")], 0)
    told = [[row["identifiedBy"] for row in review.take([], seen)["rows"]] for seen in (0, 1, 2, 9)]
    assert told == [["Jo", "Al"], ["Al"], [], ["Jo", "Al"]]
    assert set(review.take([], 0)["rows"][0]) == set(COLUMNS)


def test_what_is_sent_again_is_written_once(review):
    sent = [claim(case, "unsure") for case in review.cases.values()]
    review.take(sent[:3], 0)
    review.take(sent, 0)
    assert len(read_rows(review.decisions_path)) == len(sent)


@pytest.mark.parametrize("name", ["Jo\x00", "J" * 99 + " Doe", "J\ud83d", "Jo\u2028Doe"])
def test_a_reviewer_of_whatever_name_is_known_again(review, name):
    sent = [claim(case_on(review, "misnamed"), "unsure", identifiedBy=name)]
    review.take(sent, 0)
    review.take(sent, 0)
    assert len(read_rows(review.decisions_path)) == 1


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("=cmd|' /C calc'!A0", "cmd|' /C calc'!A0"),
        ("+ -=HYPERLINK(1)", "HYPERLINK(1)"),
        ("- no fruits", "- no fruits"),
        ("a = b (c)", "a = b (c)"),
    ],
)
def test_what_anybody_typed_is_no_formula_of_a_spreadsheet(review, typed, kept):
    case = case_on(review, "misnamed")
    review.take([claim(case, "unsure", identificationRemarks=typed)], 0)
    assert read_rows(review.decisions_path)[0].identificationRemarks == kept


def test_decisions_are_shown_where_none_can_be_written(review, monkeypatch):
    review.take([claim(case_on(review, "misnamed"), "unsure")], 0)

    def forbidden(*given, **how):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("herbzoo.data.decisions.FileLock", forbidden)
    answer = review.take([], 0)
    assert len(answer["rows"]) == 1 and not answer["problem"]
    answer = review.take([claim(case_on(review, "conflict"), "unsure")], 0)
    assert len(answer["rows"]) == 1 and "Read-only" in answer["problem"]


def test_results_that_are_renewed_under_a_running_server_are_shown_and_pages_of_before_go_on(
    folder,
):
    collection, cases = flora_cases(8)
    write_results(folder, collection, cases[:5])
    review, gone, new = Review(folder), cases[0], cases[7]
    assert gone.id in [case["id"] for case in review.page["cases"]]
    write_results(folder, collection, cases[1:])
    shown = [case["id"] for case in review.page["cases"]]
    assert shown == [case.id for case in cases[1:]]
    assert not review.take([claim(gone, "unsure"), claim(new, "unsure")], 0)["refused"]
    (folder / "cases.jsonl").write_text("{")
    assert [case["id"] for case in review.page["cases"]] == shown, "as long as it can be read"


def test_a_file_in_the_place_of_a_picture_is_not_shown(folder, tmp_path):
    secret, review = tmp_path / "secret", Review(folder)
    secret.write_text("secret")
    case = case_on(review, "misnamed")
    path = thumbnail_path(folder, case.record.image)
    path.unlink()
    path.symlink_to(secret)
    assert Review(folder).picture(path.stem) is None
    copy_cases(folder, tmp_path / "copy")
    assert not thumbnail_path(tmp_path / "copy", case.record.image).exists()


def test_damaged_names_are_refused_in_one_line(folder):
    (folder / "taxa.csv").write_text("name\nAcer\n")
    with pytest.raises(DataError, match=r"taxa\.csv is damaged"):
        Review(folder)


def test_a_full_disk_is_said_and_nothing_is_half_written(review, monkeypatch):
    review.take([claim(case_on(review, "misnamed"), "unsure")], 0)
    before = review.decisions_path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("herbzoo.data.decisions.os.fsync", full)
    answer = review.take([claim(case_on(review, "conflict"), "unsure")], 0)
    assert "disk of the server is full" in answer["problem"]
    assert review.decisions_path.read_bytes() == before


def test_pictures_are_given_by_what_cases_show_and_by_nothing_else(review):
    digest = review.page["cases"][0]["record"]["picture"]
    content = review.picture(digest)
    assert content is not None and content.startswith("UklGR"), "WebP"
    for asked in ("../summary", "..", "", digest.upper(), f"{digest}.webp"):
        assert review.picture(asked) is None


def test_cases_that_were_decided_keep_their_decisions_when_the_command_is_run_again(folder):
    review = Review(folder)
    case = case_on(review, "misnamed")
    review.take([claim(case, "unsure")], 0)
    flora_results(folder)
    assert Review(folder).rows()[0].caseID == case.id in Review(folder).cases


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_folder_with_nothing_to_review_is_refused_in_one_line(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="wrote"):
        Review(tmp_path / name)


def test_a_table_of_something_else_in_the_place_of_decisions_is_refused(folder):
    (folder / "decisions.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="holds no decisions"):
        Review(folder)


def test_a_space_takes_the_cases_along_with_what_they_show(folder, tmp_path, monkeypatch):
    import runpy

    import herbzoo.demo.app

    review = Review(folder)
    review.take([claim(case_on(review, "misnamed"), "unsure")], 0)
    (folder / "features.parquet").write_bytes(b"large, and of no use there")
    write_space("org/leaves", tmp_path / "space", review=folder)
    copied = Review(tmp_path / "space" / "review")
    assert copied.cases == review.cases and copied.rows() == review.rows()
    assert copied.page["cases"] == review.page["cases"], "pictures included"
    assert not list((tmp_path / "space").rglob("*.parquet"))
    started = []
    monkeypatch.setattr(herbzoo.demo.app, "launch", lambda model, **how: started.append(how))
    runpy.run_path(str(tmp_path / "space" / "app.py"), run_name="__main__")
    assert started[0]["review"] == tmp_path / "space" / "review"


def test_a_space_without_cases_to_review_is_refused_before_it_is_written(tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        write_space("org/leaves", tmp_path / "space", review=tmp_path / "nothing")
    assert not (tmp_path / "space").exists()
