"""What the page for reviewing shows, as plain data: the same in a dossier and in the demo."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from herbzoo.curation.case import Case
from herbzoo.curation.case_files import (
    plain_case,
    read_cases,
    read_summary,
    read_taxa,
    read_thumbnail,
    thumbnail_digest,
)
from herbzoo.data.decisions import COLUMNS
from herbzoo.data.licences import parse_licence
from herbzoo.data.records import SpecimenRecord
from herbzoo.taxonomy import Taxon

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = (
    *("decisions.js", "outbox.js", "handing_on.js", "wording.js", "case_view.js", "asking.js"),
    "review.js",
)
"""In the order in which they are joined to one."""
TITLES = {"suspects": "Doubtful names", "novel": "Unknown species"}
"""By the kind of the results."""


@cache
def asset(name: str) -> str:
    """Returns the text of a file beside this one."""
    return (ASSETS / name).read_text(encoding="utf-8")


def page_script(host: str) -> str:
    """Returns the code of the page, followed by that of its host."""
    return "\n".join([*map(asset, SCRIPTS), host])


def page_data(folder: Path) -> dict[str, Any]:
    """Returns what the page shows of a results folder, without its pictures.

    Raises:
        DataError: if it is none, or is damaged.
    """
    summary, cases = read_summary(folder), read_cases(folder)
    told = {name: str(summary.get(name) or "") for name in ("kind", "model", "collection")}
    title = TITLES.get(told["kind"], "Sheets to review")
    about = [_name_of(told["collection"]), _name_of(told["model"])]
    about.append(str(summary.get("created") or "")[:10])
    taxa = read_taxa(folder, cases)
    listed = (told["kind"], told["collection"])
    return {
        # Of what does not change when the command is run again, with whatever model: decisions
        # that a browser keeps go on.
        "id": hashlib.sha256("\x1f".join(listed).encode()).hexdigest()[:16],
        "title": title,
        "about": " · ".join(part for part in about if part),
        "reference": reference_of(summary),
        "columns": COLUMNS,
        "taxa": [_plain_taxon(taxon) for taxon in taxa],
        "cases": [_shown(case, folder) for case in cases],
    }


def _name_of(source: str) -> str:
    """Returns a Hub id as it is, and of a path on somebody's disk its last part."""
    return source if source.count("/") == 1 and source[0] != "/" else Path(source).name


def reference_of(summary: dict[str, Any]) -> str:
    """Returns the model that made the proposals, with its revision if it has one."""
    model, revision = str(summary.get("model") or ""), str(summary.get("revision") or "")
    return f"{model}@{revision}" if revision and "@" not in model else model


def pictures_of(cases: Sequence[Case], folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yields the pictures of cases, each once, by digest, in the order in which they are shown."""
    keys = dict.fromkeys(record.image for case in cases for record in case.sheets())
    for key in keys:
        if (content := read_thumbnail(folder, key)) is not None:
            yield thumbnail_digest(key), content


def _shown(case: Case, folder: Path) -> dict[str, Any]:
    shown = plain_case(case)
    plain = [shown["record"]]
    for nears in (shown["near_present"], *(one["near"] for one in shown["proposals"])):
        plain += [near["record"] for near in nears]
    for record, values in zip(case.sheets(), plain, strict=True):
        values |= _picture(record, folder) | _licence(record)
    return shown


def _picture(record: SpecimenRecord, folder: Path) -> dict[str, Any]:
    content = read_thumbnail(folder, record.image)
    if content is None:
        return {}
    try:
        with Image.open(io.BytesIO(content), formats=["WEBP"]) as image:
            size = image.size
    except OSError:  # damaged
        return {}
    return {"picture": thumbnail_digest(record.image), "size": size}


def _licence(record: SpecimenRecord) -> dict[str, str]:
    return {"licence": parse_licence(record.license).name} if record.license.strip() else {}


def _plain_taxon(taxon: Taxon) -> list[str]:
    return [
        taxon.scientificName,
        taxon.scientificNameAuthorship,
        taxon.genus,
        taxon.family,
        taxon.taxonID,
    ]
