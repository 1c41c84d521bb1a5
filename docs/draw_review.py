"""Draws the pictures of `docs/review.md`: `python docs/draw_review.py`.

They show what `herbzoo suspects` finds in the built-in flora. Trains the run for it, unless one is
named: `python docs/draw_review.py RUN`. Needs playwright and a Chromium.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

DATA = "synthetic:species=30,seed=1"
DESK: ViewportSize = {"width": 1280, "height": 860}
PHONE: ViewportSize = {"width": 390, "height": 844}
DECIDED = 2
"""How many cases are decided before the picture is taken."""


def main() -> None:
    """Writes `review.webp` and `review-phone.webp`."""
    with tempfile.TemporaryDirectory(prefix="herbzoo-review-") as folder:
        run = sys.argv[1] if len(sys.argv) > 1 else trained(Path(folder) / "run")
        results = Path(folder) / "doubtful"
        herbzoo("suspects", run, "--data", DATA, "--output", str(results))
        dossier = (results / "dossier.html").as_uri()
        for name, size, scheme in (("review", DESK, "light"), ("review-phone", PHONE, "dark")):
            with opened(dossier, size, scheme) as page:
                decide(page)
                picture = Image.open(io.BytesIO(page.screenshot()))
            picture.save(Path(__file__).with_name(f"{name}.webp"), quality=80, method=6)


def trained(run: Path) -> str:
    """Trains a head on a frozen backbone; returns where the run is."""
    given = ("--image-size", "160", "--data", DATA, "--output", str(run))
    herbzoo("train", "--recipe", "frozen", *given)
    return str(run)


def herbzoo(*words: str) -> None:
    """Runs a command of herbzoo."""
    subprocess.run([sys.executable, "-m", "herbzoo", *words], check=True)


@contextmanager
def opened(where: str, size: ViewportSize, scheme: str) -> Iterator[Page]:
    """Opens a dossier in a browser of that size."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        dark = scheme == "dark"
        page = browser.new_page(viewport=size, color_scheme="dark" if dark else "light")
        page.goto(where)
        page.wait_for_selector(".rv[data-state=ready]")
        yield page
        browser.close()


def decide(page: Page) -> None:
    """Decides the first cases by keyboard, and waits for the pictures of the next."""
    page.keyboard.press("a")
    page.wait_for_selector(".rv-person[open]")
    page.keyboard.type("A. Reviewer")
    page.keyboard.press("Enter")
    page.wait_for_selector(".rv-person:not([open])", state="attached")
    for _ in range(DECIDED - 1):
        page.keyboard.press("a")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.rv-case img')].every((one) => one.complete"
        " && one.naturalWidth)"
    )


if __name__ == "__main__":
    main()
