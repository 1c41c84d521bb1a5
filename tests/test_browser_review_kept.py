"""What the page for reviewing keeps of decisions: of other tabs, other lists, and other clocks."""

from __future__ import annotations

import csv
import io

import pytest
from review_samples import flora_cases, write_results
from reviewer import count, downloaded, introduce, place, press, rows_of

from herbzoo.curation.dossier import write_dossier
from herbzoo.data.decisions import COLUMNS

pytest_plugins = ["demo_fixtures", "review_pages"]
pytestmark = pytest.mark.browser


def table_of(rows, file):
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    file.write_text(text.getvalue(), encoding="utf-8")
    return file


def row_of(case: str, decision: str = "unsure", when: str = "2026-01-01T00:00:00.000Z"):
    said = {"caseID": case, "decision": decision, "dateIdentified": when}
    return {**dict.fromkeys(COLUMNS, ""), **said, "identifiedBy": "Jo Doe"}


def test_a_download_has_what_was_decided_in_another_tab(opened):
    page = opened()
    other = opened(context=page.context)
    press(page, "a")
    introduce(page)
    press(other, "j", "r")
    introduce(other)
    assert len(rows_of(downloaded(page))) == len(rows_of(downloaded(other))) == 2


def test_decisions_about_cases_that_are_not_listed_any_more_are_still_handed_on(opened, tmp_path):
    collection, cases = flora_cases(8)
    write_results(tmp_path / "r", collection, cases)
    where = write_dossier(tmp_path / "r").as_uri()
    page = opened()
    page.goto(where)
    page.wait_for_selector(".rv[data-state=ready]")
    press(page, "a")
    introduce(page)
    press(page, "u")
    write_results(tmp_path / "r", collection, cases[1:])
    write_dossier(tmp_path / "r")
    page.reload()
    count(page, 1, 7)
    assert [row["caseID"] for row in rows_of(downloaded(page))] == [one.id for one in cases[:2]]


def test_of_a_loaded_table_the_rows_of_other_cases_are_handed_on_and_nonsense_is_not(
    opened, tmp_path
):
    ids = [case.id for case in flora_cases(8)[1]]
    page, rows = opened(), [row_of(ids[0]), row_of("elsewhere"), row_of(ids[1], "burn")]
    page.set_input_files(".rv-file", table_of(rows, tmp_path / "decisions.csv"))
    count(page, 1)
    page.wait_for_selector(".rv-alert:has-text('1 are about other cases')")
    assert {row["caseID"] for row in rows_of(downloaded(page))} == {ids[0], "elsewhere"}


def test_a_change_of_mind_is_later_than_a_decision_by_a_clock_that_was_ahead(opened, tmp_path):
    page, case = opened(), flora_cases(8)[1][0].id
    ahead = table_of([row_of(case, when="2126-01-01T00:00:00.000Z")], tmp_path / "decisions.csv")
    page.set_input_files(".rv-file", ahead)
    count(page, 1)
    press(page, "k", "r")
    introduce(page)
    page.set_input_files(".rv-file", ahead)
    page.wait_for_selector(".rv-alert:has-text('0 of 1')")
    (row,) = rows_of(downloaded(page))
    assert row["decision"] == "reject"


def test_what_lies_in_the_storage_of_the_browser_may_be_anything(opened):
    page = opened()
    press(page, "u")
    introduce(page)
    press(page, "u")
    count(page, 2)
    page.evaluate(
        """() => { const key = Object.keys(localStorage).find((one) => one.includes(":row:"));
          const prefix = key.slice(0, key.indexOf("row:"));
          ["{", "null", "7", '{"caseID": 1}'].forEach((value, place) => {
            localStorage.setItem(`${prefix}row:bad${place}`, value); }); }"""
    )
    page.reload()
    count(page, 2)
    assert not page.locator(".rv-alert").is_visible()


def test_what_another_tab_has_undone_cannot_be_undone_again(opened):
    page = opened()
    other = opened(context=page.context)
    for one in (page, other):
        press(one, "u")
        introduce(one)
    press(page, "z")
    other.evaluate("window.dispatchEvent(new Event('focus'))")
    count(other, 0)
    press(other, "z")
    assert place(other) == "case 1 of 8"
    assert all(row["caseID"] for row in rows_of(downloaded(other)))


def test_the_focus_stays_on_the_proposal_that_was_chosen(opened):
    page = opened()
    page.locator(".rv-chip").nth(1).focus()
    press(page, "Enter")
    page.wait_for_selector(".rv-chip[aria-pressed=true]:has-text('2')")
    assert page.evaluate("document.activeElement.dataset.place") == "1"
    press(page, "Tab")
    assert page.evaluate("document.activeElement.dataset.place") == "2"
