"""What a person does on a page for reviewing, by keyboard."""

from __future__ import annotations

import csv
import io


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def introduce(page, name: str = "Jo Doe") -> None:
    """Gives the reviewer's name, for which the first decision asks."""
    page.wait_for_selector(".rv-person[open]")
    page.keyboard.type(name)
    press(page, "Enter")
    page.wait_for_selector(".rv-person:not([open])", state="attached")


def place(page) -> str:
    return page.locator(".rv-head .rv-kicker span").first.inner_text().lower()


def count(page, number: int, of: int = 8) -> None:
    page.wait_for_function(
        "said => document.querySelector('.rv-count').innerText === said",
        arg=f"{number} of {of} decided",
    )


def downloaded(page) -> str:
    with page.expect_download() as download:
        page.get_by_text("Decisions", exact=True).click()
        page.locator(".rv-menu-list [data-do=download]").click()
    return download.value.path().read_text(encoding="utf-8")


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))
