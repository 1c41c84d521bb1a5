"""Pages for reviewing in a browser, and what a person does there."""

from __future__ import annotations

import pytest
from review_samples import flora_results
from test_browser_space import DESK, outside

from herbzoo.curation.dossier import write_dossier

PATIENCE = 30_000


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = flora_results(tmp_path_factory.mktemp("review") / "results")
    write_dossier(folder)
    return folder


@pytest.fixture
def opened(browser, results):
    """Opens a page; afterwards nothing has gone wrong in it, or been asked outside."""
    said: list[str] = []
    contexts = []

    def open_page(where: str = "", size=DESK, scheme: str = "light", context=None, away=False):
        if context is None:
            context = browser.new_context(viewport=size, color_scheme=scheme, accept_downloads=True)
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        if not away:  # a server that is killed makes the browser complain
            page.on("console", lambda line: line.type == "error" and said.append(line.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda asked: said.extend(outside_of_file(asked.url)))
        page.goto(where or (results / "dossier.html").as_uri())
        if where:
            page.get_by_role("tab", name="Review").click()
        page.wait_for_selector(".rv[data-state=ready] .rv-sheet img[src]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not said


def outside_of_file(url: str) -> list[str]:
    return [] if url.startswith("file://") else outside(url)
