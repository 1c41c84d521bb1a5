"""How long a dossier takes to be made and to open, how large it is, and what a decision takes.

    python benchmarks/review.py --cases 200

Cases are of sheets of the synthetic flora, each with four sheets of its present name and three
proposals with four, two and two. Times in the page are those of Debian's chromium on this machine,
three openings: until the first case and its picture are there, until the whole file is, and from a
key until the next case is there with its picture, as the mean of twenty.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from herbzoo.curation.case import Case, NearSheet, Proposal, case_id
from herbzoo.curation.case_files import write_cases
from herbzoo.curation.dossier import write_dossier
from herbzoo.data.records import HERBARIUM, SpecimenRecord
from herbzoo.data.synthetic import synthetic_collection
from herbzoo.identification import Candidate

DECISIONS = 20


def cases_of(records: list[SpecimenRecord], number: int) -> list[Case]:
    """Makes cases whose proposals are the next three species in turn."""
    by_name: dict[str, list[SpecimenRecord]] = {}
    for record in records:
        by_name.setdefault(record.scientificName, []).append(record)
    names = sorted(by_name)
    found = []
    for record in records[:: max(1, len(records) // number)][:number]:
        place = names.index(record.scientificName)
        proposals = []
        for step in (1, 2, 3):
            near = by_name[names[(place + step) % len(names)]]
            one = near[0]
            taxon = (one.scientificName, one.scientificNameAuthorship, one.genus, one.family)
            proposals.append(Proposal(Candidate(*taxon, one.taxonID, "species", 0.5), beside(near)))
        own = beside([one for one in by_name[record.scientificName] if one != record])
        reasons = ("Nine of its ten nearest sheets have another name.",)
        found.append(Case(case_id(record), "misnamed", record, 0.9, reasons, tuple(proposals), own))
    return found


def beside(records: list[SpecimenRecord]) -> tuple[NearSheet, ...]:
    return tuple(NearSheet(one, 0.5) for one in records[:4])


def opened(browser: Browser, dossier: Path) -> tuple[float, float, float]:
    """Returns seconds to the first case, to the whole file, and of a decision."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    began = time.perf_counter()
    page.goto(dossier.as_uri(), wait_until="commit")
    page.wait_for_selector(".rv-sheet img[src]")
    first = time.perf_counter() - began
    page.wait_for_load_state("load")
    whole = time.perf_counter() - began
    page.keyboard.press("a")
    page.keyboard.type("Jo")
    page.keyboard.press("Enter")
    page.wait_for_selector(".rv-count >> text=/^1 of/")
    began = time.perf_counter()
    for done in range(2, DECISIONS + 2):
        page.keyboard.press("a")
        page.wait_for_function(
            "done => document.querySelector('.rv-count').innerText.startsWith(`${done} of`)"
            " && document.querySelector('.rv-sheet img').complete",
            arg=done,
        )
    decision = (time.perf_counter() - began) / DECISIONS
    page.close()
    return first, whole, decision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    number = parser.parse_args().cases
    collection = synthetic_collection(8, 0, max(12, number // 3))
    records = [one for one in collection.records() if one.basisOfRecord == HERBARIUM]
    cases = cases_of(records, number)
    pictures = len({record.image for case in cases for record in case.sheets()})
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        began = time.perf_counter()
        write_cases(folder, cases, collection.images)
        drawn = time.perf_counter() - began
        began = time.perf_counter()
        dossier = write_dossier(folder)
        made = time.perf_counter() - began
        size = dossier.stat().st_size / 1e6
        print(f"{len(cases)} cases, {pictures} pictures drawn and made small in {drawn:.1f} s")
        print(f"dossier made in {made:.2f} s, {size:.1f} MB")
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for _ in range(3):
            first, whole, decision = opened(chromium, dossier)
            print(
                f"first case after {first:.2f} s, whole file after {whole:.2f} s, "
                f"a decision and the next case {1000 * decision:.0f} ms"
            )


if __name__ == "__main__":
    main()
