"""The dossier: a results folder as one HTML file that needs no server and no network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from herbzoo import __version__
from herbzoo.curation.case_files import read_cases
from herbzoo.curation.review_page import asset, page_data, page_script, pictures_of
from herbzoo.whole_file import whole

FILE_NAME = "dossier.html"


def write_dossier(folder: Path) -> Path:
    """Writes `dossier.html` from the cases and thumbnails of a results folder; returns its path.

    Raises:
        DataError: if it is no results folder, or is damaged.
    """
    data = page_data(folder)
    script, style = page_script(asset("dossier.js")), asset("review.css")
    page = Environment(autoescape=True).from_string(asset("dossier.html"))
    parts = page.generate(
        policy=_policy(script, style),
        version=__version__,
        title=f"{data['title']} - herbzoo",
        style=Markup(style),
        body=Markup(asset("review.html")),
        data=Markup(_harmless(data)),
        script=Markup(script),
        pictures=_encoded(folder),
    )
    path = folder / FILE_NAME
    with whole(path) as partial, partial.open("w", encoding="utf-8") as stream:
        stream.writelines(parts)
    return path


def _policy(script: str, style: str) -> str:
    """Returns a Content-Security-Policy: this script, this style, pictures within, no network."""
    return (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _harmless(data: dict[str, Any]) -> str:
    """Returns JSON that ends no script element, whatever its texts hold."""
    plain = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        plain = plain.replace(letter, f"\\u{ord(letter):04x}")
    return plain


def _encoded(folder: Path) -> Iterator[tuple[str, str]]:
    for digest, content in pictures_of(read_cases(folder), folder):
        yield digest, base64.b64encode(content).decode()
