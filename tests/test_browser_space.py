"""The demo in a real browser, used as a person uses it: by mouse, by keyboard, on a phone."""

from __future__ import annotations

import base64
import csv
import io
import re
from pathlib import Path

import pytest
import torch
from served_demo import served
from tiny import save_run, tiny_model

from herbzoo.inference import Identifier

pytest_plugins = ["demo_fixtures"]
pytestmark = pytest.mark.browser

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
BOX, PATIENCE = ".hz-box .hz-file", 30_000


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def address(flora):
    with served(flora.run, "cpu", index=flora.index) as found:
        yield found


@pytest.fixture
def opened(browser, address):
    """Opens the demo; afterwards nothing has gone wrong in the page, or been asked outside."""
    said: list[str] = []
    contexts = []

    def open_page(where: str = address, size=DESK, scheme: str = "light"):
        context = browser.new_context(viewport=size, color_scheme=scheme, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda asked: said.extend(outside(asked.url)))
        page.goto(where)
        page.wait_for_selector(".hz-box[data-ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not said


def outside(url: str) -> list[str]:
    known = ("http://127.0.0.1", "data:", "blob:")
    return [] if url.startswith(known) else [url]


def identified(page, picture: Path):
    """Hands a picture over and waits for its answer."""
    page.set_input_files(BOX, picture)
    page.wait_for_selector(".hz-verdict")
    return page


def widest(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth")


def saved(page, label: str) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.get_by_text(label).click()
    return list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))


def test_a_picture_is_named_as_identify_names_it(opened, flora):
    picture = flora.picture("sheets", 3)
    page = identified(opened(), picture)
    page.get_by_label("Best guess").check()
    page.wait_for_selector("text=Best guess >> visible=true")
    (found,) = Identifier.from_pretrained(flora.run, "cpu")([picture])
    named = page.locator(".hz-ranking.hz-species").first.locator("em").all_inner_texts()
    assert named == [candidate.scientificName for candidate in found.candidates]
    assert (
        page.locator(".hz-plate img").first.get_attribute("alt") == f"Your picture, {picture.name}"
    )
    wide, high = page.locator(".hz-plate img").first.evaluate(
        "e => [e.clientWidth, e.clientHeight]"
    )
    natural = page.locator(".hz-plate img").first.evaluate("e => e.naturalWidth / e.naturalHeight")
    assert wide / high == pytest.approx(natural, rel=0.02), "a sheet is never cropped or stretched"


def test_the_answer_follows_the_precision_that_is_asked(opened, flora):
    page = identified(opened(), flora.picture("field"))
    page.get_by_label("99").check()
    page.wait_for_selector(".hz-verdict.hz-unknown")
    assert "Not named" in page.inner_text(".hz-verdict")
    page.get_by_label("Best guess").check()
    page.wait_for_selector(".hz-verdict:not(.hz-unknown)")


def test_the_closest_sheets_stand_beside_the_picture(opened, flora):
    page = identified(opened(), flora.picture("sheets", 1))
    page.wait_for_selector("#hz-closest .hz-plates")
    plates = page.locator("#hz-closest figcaption").all_inner_texts()
    assert plates[0] == "Your picture" and len(plates) == 8
    assert "similarity 100" in re.sub(r"\s", " ", plates[1]) and "CC0 1.0" in plates[1]
    page.get_by_text("Search among some of the sheets only").click()
    family = page.locator(".hz-ranking.hz-family th").first.inner_text()
    page.get_by_label("Filter").first.fill(f"family != '{family}'")
    page.get_by_label("Filter").first.press("Enter")
    page.wait_for_function(
        "before => document.querySelector('#hz-closest').innerText.includes('Your picture')"
        " && document.querySelectorAll('#hz-closest figcaption')[1].innerText !== before",
        arg=plates[1],
    )
    page.get_by_label("Filter").first.fill("family = (select 1)")
    page.get_by_label("Filter").first.press("Enter")
    page.wait_for_selector("#hz-closest .hz-problem")


def test_field_photos_are_among_the_closest_sheets_when_they_are_asked_for(opened, flora):
    page = identified(opened(), flora.picture("field", 1))
    page.wait_for_selector("#hz-closest .hz-plates")
    assert "field photo" not in page.inner_text("#hz-closest")
    page.get_by_text("Search among some of the sheets only").click()
    page.get_by_label("Field photos too").check()
    page.wait_for_selector("#hz-closest >> text=field photo")
    nearest = page.locator("#hz-closest figcaption").nth(1).inner_text()
    assert "field photo" in nearest and "similarity 100" in re.sub(r"\s", " ", nearest)


def test_where_the_model_looked_is_shown_when_it_is_asked(opened, flora):
    page = identified(opened(), flora.picture("sheets", 2))
    page.get_by_role("button", name="Where did the model look?").click()
    page.wait_for_selector(".hz-legend")
    assert "Where the model looked for" in page.inner_text(".hz-plate:has(.hz-legend)")


def test_what_is_no_picture_is_said_in_our_words_and_the_page_goes_on(opened, flora, tmp_path):
    page = opened()
    evil = tmp_path / "<img src=x onerror=alert(1)>.jpg"
    evil.write_text("no picture")
    page.set_input_files(BOX, evil)
    page.wait_for_selector(".hz-problem[role=alert]")
    told = page.inner_text(".hz-problem")
    assert "not an image of a known format" in told and "<img src=x" in told
    assert page.locator(".hz-plate").count() == 0
    identified(page, flora.picture("sheets"))
    assert page.locator(".hz-problem").count() == 0


def test_pictures_can_be_dropped_and_pasted(opened, flora):
    page = opened()
    content = base64.b64encode(flora.picture("sheets").read_bytes()).decode()
    hand_over = """([content, kind, name]) => {
      const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], name, { type: "image/jpeg" }));
      const box = document.querySelector(".hz-box");
      const event = kind === "drop"
        ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
        : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
      (kind === "drop" ? box : document).dispatchEvent(event);
    }"""
    for kind in ("drop", "paste"):
        page.evaluate(hand_over, [content, kind, f"{kind}.jpg"])
        page.wait_for_selector(f".hz-plate:has-text('{kind}.jpg')")


def test_a_checklist_restricts_the_names(opened, flora):
    page = identified(opened(), flora.picture("sheets", 5))
    listed = page.locator(".hz-ranking.hz-species em").all_inner_texts()[1:3]
    page.get_by_text("Choose among a checklist").click()
    page.get_by_label("Names").fill("\n".join([*listed, "Nothing unknownum"]))
    page.get_by_role("button", name="Use this list").click()
    page.wait_for_selector("text=Scores are shared among the 2 taxa")
    named = page.locator(".hz-ranking.hz-species").first.locator("em").all_inner_texts()
    assert set(named) == set(listed)
    assert "Nothing unknownum" in page.locator(".hz-answer .hz-notes").inner_text()
    page.get_by_role("button", name="All taxa again").click()
    page.wait_for_selector("text=right answers allow")


def test_determinations_are_recorded_and_saved_as_darwin_core(opened, flora):
    picture = flora.picture("sheets", 4)
    page = identified(opened(), picture)
    page.get_by_text("Agree or correct").click()
    page.get_by_role("button", name="Record the determination").click()
    page.wait_for_selector("text=fill in your name first")
    page.get_by_label("Your name").fill("Jo Doe")
    page.get_by_label("Name", exact=True).fill("Quercus robur L.")
    page.get_by_label("Name", exact=True).press("Enter")
    page.get_by_role("button", name="Record the determination").click()
    page.wait_for_selector("text=1 determination of this visit")
    (row,) = saved(page, "Download Darwin Core (CSV)")
    assert row["scientificName"] == "Quercus robur" and row["identifiedBy"] == "Jo Doe"
    assert row["associatedMedia"] == picture.name and row["identificationReferences"] == "flora"
    assert row["identificationVerificationStatus"] == "ValidatedByHuman"


def test_an_example_is_named_at_a_click(opened):
    page = opened()
    page.locator(".hz-example").first.click()
    page.wait_for_selector(".hz-verdict")


def test_a_batch_gives_a_table_that_sorts_and_files(opened, flora, tmp_path):
    page = opened()
    page.get_by_role("tab", name="Batch").click()
    (tmp_path / "notes.jpg").write_text("no picture")
    pictures = [flora.picture("sheets", number) for number in range(4)]
    page.set_input_files("#hz-batch .hz-file", [*pictures, tmp_path / "notes.jpg"])
    page.wait_for_selector(".hz-sortable")
    assert "4 pictures named, 1 could not be read" in page.inner_text(".hz-sortable caption")
    button = page.get_by_role("button", name="Confidence")
    keys = "[...document.querySelectorAll('.hz-sortable td[data-number]')].map(e => +e.dataset.key)"
    button.click()
    rising = page.evaluate(keys)
    button.click()
    assert rising == sorted(rising) and page.evaluate(keys) == rising[::-1]
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Confidence")
    names = saved(page, "Download names (CSV)")
    assert {row["file"] for row in names} == {one.name for one in pictures}
    identifications = saved(page, "Download Darwin Core (CSV)")
    assert {row["identificationVerificationStatus"] for row in identifications} == {
        "PredictedByMachine"
    }


def test_the_collection_is_browsed_and_mapped(opened):
    page = opened()
    page.get_by_role("tab", name="Collection").click()
    page.wait_for_selector("#hz-sheets .hz-plate")
    first = page.inner_text("#hz-sheets")
    page.get_by_role("button", name="Further sheets").click()
    page.wait_for_function(
        "before => document.querySelector('#hz-sheets').innerText !== before", arg=first
    )
    page.get_by_label("Genus").click()
    option = page.get_by_role("option").nth(1)
    genus = option.inner_text().split(" (")[0].strip()
    option.click()
    page.wait_for_function(
        "genus => [...document.querySelectorAll('#hz-sheets em')]"
        ".every(name => name.innerText.startsWith(genus))",
        arg=genus,
    )
    page.get_by_role("button", name="Draw the map").click()
    page.wait_for_selector(".hz-map svg, #hz-map .hz-problem")
    assert page.locator(".hz-map circle").count() + page.locator("#hz-map .hz-problem").count()


def test_names_that_were_never_learned_are_ranked(opened, flora, tmp_path):
    torch.manual_seed(0)
    run = save_run(tmp_path / "text", *tiny_model(head="clip_text"))
    with served(run, "cpu") as address:
        page = opened(address)
        page.get_by_role("tab", name="By name").click()
        page.get_by_label("Names to choose among").fill("Picea abies\nAcer rubrum")
        page.set_input_files("#hz-by-name .hz-file", flora.picture("field"))
        page.wait_for_selector(".hz-verdict:visible")
        page.get_by_label("Names to choose among").fill("Picea abies\nBetula pendula")
        page.get_by_role("button", name="Rank these names").click()
        page.wait_for_selector(".hz-ranking >> text=Betula pendula")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_on_a_phone_and_text_can_be_read(opened, flora, scheme):
    page = identified(opened(size=PHONE, scheme=scheme), flora.picture("sheets"))
    page.wait_for_selector("#hz-closest .hz-plates")
    assert widest(page) == PHONE["width"]
    for tab in ("Batch", "Collection", "About", "Identify"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(200)
        assert widest(page) == PHONE["width"], tab
    contrasts = page.evaluate(CONTRAST)
    assert len(contrasts) > 20
    assert not [one for one in contrasts if one[0] < 4.5]


CONTRAST = """() => {
  const shine = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number)
      .map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)|transparent/.test(colour)) return colour;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  return [...document.querySelectorAll(
    '[class^=hz] :is(p, th, td, span, em, strong, caption, button), [class^=hz]:is(p, span)')]
    .filter((e) => e.offsetParent && e.innerText.trim() && !e.querySelector('*'))
    .map((e) => {
      const pair = [shine(getComputedStyle(e).color), shine(ground(e))].sort((a, b) => b - a);
      return [(pair[0] + 0.05) / (pair[1] + 0.05), e.className, e.innerText.slice(0, 40)];
    });
}"""


def test_the_keyboard_suffices_and_everything_has_a_name(opened, flora):
    page = opened()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.hz-drop')"):
            break
    else:
        pytest.fail("the box for pictures is not reached by the Tab key")
    with page.expect_file_chooser() as chooser:
        # Focused once more: the page may still be putting itself together, and drop the focus.
        page.locator(".hz-drop:visible").press("Enter")
    chooser.value.set_files(flora.picture("sheets"))
    page.wait_for_selector(".hz-verdict")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, textarea, img, svg')]
          .filter((e) => e.offsetParent && !e.closest('footer'))
          .filter((e) => !(e.innerText || '').trim() && !e.ariaLabel && !e.ariaHidden
            && !e.closest('[aria-hidden=true], button, label') && e.getAttribute('alt') === null
            && !(e.labels && e.labels.length))
          .map((e) => e.outerHTML.slice(0, 120))"""
    )
    assert not nameless
    live = page.locator("[aria-live=polite]").evaluate_all("all => all.map((e) => e.ariaLabel)")
    assert {"Answer", "Closest herbarium sheets", "Where the model looked"} <= set(live)
