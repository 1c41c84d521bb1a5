"""The dossier in a real browser, worked through by keyboard."""

from __future__ import annotations

import shutil

import pytest
from review_samples import flora_cases, write_results
from reviewer import count, downloaded, introduce, place, press, rows_of
from test_browser_space import CONTRAST, DESK, PHONE, widest

from herbzoo.curation.dossier import write_dossier
from herbzoo.data.decisions import COLUMNS, read_decisions

pytest_plugins = ["demo_fixtures", "review_pages"]
pytestmark = pytest.mark.browser


def test_a_list_is_worked_through_with_keys_and_downloaded(opened, tmp_path):
    page = opened()
    cases = flora_cases(8)[1]
    press(page, "a")
    introduce(page)
    press(page, "2", "a", "u", "r", "n")
    page.wait_for_selector(".rv-naming[open]")
    page.keyboard.press("Backspace")
    page.keyboard.type("Rosa canina L., non alba")
    press(page, "Enter")
    press(page, "a")
    count(page, 6)
    assert place(page) == "case 7 of 8"
    file = tmp_path / "decisions.csv"
    file.write_text(downloaded(page), encoding="utf-8")
    found = read_decisions(file)
    assert [row.caseID for row in found] == [case.id for case in cases[:6]]
    said = [(row.decision, row.scientificName) for row in found]
    assert said == [
        ("agree", cases[0].proposals[0].candidate.scientificName),
        ("agree", cases[1].proposals[1].candidate.scientificName),
        ("unsure", ""),
        ("reject", cases[3].record.scientificName),
        ("other", "Rosa canina L., non alba"),
        ("agree", cases[5].proposals[0].candidate.scientificName),
    ]
    assert found[0].taxonID == cases[0].proposals[0].candidate.taxonID
    assert found[0].image == cases[0].record.image and found[0].identifiedBy == "Jo Doe"
    assert found[0].identificationReferences == "meadow/flora@4f2a91c"


def test_the_dossier_writes_what_the_server_would_have_written(opened, results, tmp_path):
    """One page code, two hosts: a download and the server's file say the same of one key."""
    from herbzoo.curation.review import Review

    page = opened()
    press(page, "a")
    introduce(page)
    press(page, "r", "u", "a", "a", "a", "a", "r")
    count(page, 8)
    assert "All cases are decided" in page.inner_text(".rv-done")
    rows = rows_of(downloaded(page))
    review = Review(shutil.copytree(results, tmp_path / "copy"))
    assert not review.take(rows, 0)["refused"]
    kept = rows_of(review.decisions_path.read_text(encoding="utf-8"))
    assert kept == rows and tuple(rows[0]) == COLUMNS


def test_a_known_taxon_is_completed_from_the_beginnings_of_its_words(opened):
    page = opened()
    press(page, "n")
    introduce(page)
    page.wait_for_selector(".rv-naming[open]")
    name = page.evaluate("JSON.parse(document.getElementById('rv-data').textContent).taxa[2][0]")
    genus, epithet = name.split()
    page.keyboard.type(f"{genus[:4].lower()} {epithet[:3]}")
    page.wait_for_selector(f".rv-taxa [aria-selected=true]:has-text('{name}')")
    press(page, "Enter")
    (row,) = rows_of(downloaded(page))
    assert row["scientificName"] == name and row["family"] and row["decision"] == "other"


def test_decisions_outlive_the_page_and_can_be_undone(opened, browser):
    page = opened()
    press(page, "a")
    introduce(page)
    press(page, "r", "u")
    count(page, 3)
    again = opened(context=page.context)
    page.close()
    count(again, 3)
    assert place(again) == "case 4 of 8"
    press(again, "k", "r")
    count(again, 3)
    press(again, "z")
    assert again.locator(".rv-stamp").inner_text() == "You: unsure"
    press(again, "j", "a", "z")
    count(again, 3)
    assert place(again) == "case 4 of 8"


def test_a_page_that_crashes_loses_nothing(opened, browser):
    page = opened()
    press(page, "a")
    introduce(page)
    press(page, "r")
    count(page, 2)
    context = page.context
    with pytest.raises(Exception, match=r"crashed|closed|ERR"):
        page.goto("chrome://crash")
        page.title()
    count(opened(context=context), 2)


def test_decisions_are_loaded_elsewhere_and_go_on(opened, tmp_path):
    page = opened()
    press(page, "a")
    introduce(page)
    press(page, "u")
    file = tmp_path / "decisions.csv"
    file.write_text(downloaded(page), encoding="utf-8")
    other = opened()
    count(other, 0)
    other.set_input_files(".rv-file", file)
    count(other, 2)
    assert "2 of 2 decisions were new" in other.inner_text(".rv-alert")
    press(other, "k", "k", "r")
    introduce(other, "Al Other")
    press(other, "k", "k")
    stamps = other.locator(".rv-stamp").all_inner_texts()
    assert stamps[-1] == "Reviewers disagree: it counts as unsure" and len(stamps) == 3


def test_the_filter_shows_what_is_left(opened):
    page = opened()
    press(page, "u")
    introduce(page)
    press(page, "j", "u", "k", "k", "k", "f")
    assert page.locator(".rv-filter").input_value() == "undecided"
    assert place(page) == "case 2 of 8"
    press(page, "j")
    assert place(page) == "case 4 of 8"
    press(page, "f")
    assert page.locator(".rv-filter").input_value() == "misnamed"


def test_a_remark_goes_with_the_decision(opened):
    page = opened()
    press(page, "m")
    page.keyboard.type("fruits needed, ask NY")
    press(page, "Enter", "u")
    introduce(page)
    (row,) = rows_of(downloaded(page))
    assert row["identificationRemarks"] == "fruits needed, ask NY" and row["decision"] == "unsure"


def test_keys_in_a_box_or_with_control_decide_nothing(opened):
    page = opened()
    press(page, "Control+a", "?")
    page.wait_for_selector(".rv-help[open]")
    press(page, "a", "r", "Escape", "m", "a", "u", "r")
    assert page.locator("[name=remark]").input_value() == "aur"
    count(page, 0)


def test_a_browser_that_keeps_nothing_says_so(browser, results):
    context = browser.new_context()
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('forbidden'); } })"
    )
    page = context.new_page()
    page.goto((results / "dossier.html").as_uri())
    page.wait_for_selector(".rv-alert:has-text('keep nothing')")
    press(page, "u")
    introduce(page)
    count(page, 1)
    assert "Kept nowhere" in page.inner_text(".rv-saved")
    context.close()


def test_what_strangers_wrote_is_shown_as_text(browser, tmp_path):
    from dataclasses import replace

    collection, cases = flora_cases(2)
    evil = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
    record = replace(cases[0].record, recordedBy=evil, occurrenceID="javascript:alert(3)")
    write_results(tmp_path / "r", collection, [replace(cases[0], record=record, reasons=(evil,))])
    context = browser.new_context()
    page, said = context.new_page(), []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.goto(write_dossier(tmp_path / "r").as_uri())
    page.wait_for_selector(".rv-sheet img[src]")
    assert evil in page.inner_text(".rv-reasons") and evil in page.inner_text(".rv-sheet")
    assert page.locator("a[href^=javascript]").count() == 0 and not said
    assert page.locator(".rv img[src=x]").count() == 0
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_nothing_is_cut_off_and_all_can_be_read(opened, size, scheme):
    page = opened(size=size, scheme=scheme)
    press(page, "a")
    introduce(page)
    press(page, "r", "u", "k")
    for _ in range(6):
        assert widest(page) == size["width"]
        contrasts = page.evaluate(CONTRAST.replace("[class^=hz]", "[class^=rv]"))
        assert len(contrasts) > 15
        assert not [one for one in contrasts if one[0] < 4.5]
        cut = page.evaluate(
            "[...document.querySelectorAll('.rv figcaption, .rv-chip, .rv-act, .rv-names')]"
            ".filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.className)"
        )
        assert not cut
        press(page, "j")


def test_everything_has_a_name_and_the_focus_is_seen(opened):
    page = opened()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, img, summary')]
          .filter((e) => e.checkVisibility())
          .filter((e) => !(e.innerText || '').trim() && !e.ariaLabel
            && e.getAttribute('alt') === null
            && !(e.labels && [...e.labels].some((one) => one.innerText.trim())))
          .map((e) => e.outerHTML.slice(0, 120))"""
    )
    assert not nameless
    press(page, "Tab", "Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press(page, "Escape", "j")
    assert "Case 2 of 8" in page.inner_text(".rv-live")
