"""Names, numbers and links as the demo writes them: safe HTML that reads right in any habit.

Shares are whole percents and thousands are set apart by a narrow space, because `0.831` and `1,234`
mean other things to a German reader than to an English one.
"""

from __future__ import annotations

import base64
from html import escape
from urllib.parse import urlsplit

from herbzoo.identification import UNKNOWN, Candidate

NARROW = "\N{NARROW NO-BREAK SPACE}"
_ITALIC = ("species", "genus")


def percent(share: float) -> str:
    """Returns a share as whole percent: `83 %`; what is not quite nothing or all says so."""
    whole = round(100 * share)
    if whole == 0 and share > 0:
        return f"<{NARROW}1{NARROW}%"
    if whole == 100 and share < 1:
        return f">{NARROW}99{NARROW}%"
    return f"{whole}{NARROW}%"


def count(number: int, one: str = "", more: str = "") -> str:
    """Returns a number, with the word that goes with it: `15 501 species`."""
    figures = f"{number:,}".replace(",", NARROW)
    word = one if number == 1 else more
    return f"{figures} {word}" if word else figures


def name_html(name: str, authorship: str = "", rank: str = "species") -> str:
    """Returns a scientific name, in italics at the ranks at which it is, with its authors."""
    shown = escape(name)
    if rank in _ITALIC:
        shown = f"<em>{shown}</em>"
    author = escape(authorship)
    return f'{shown} <span class="hz-author">{author}</span>' if author else shown


def candidate_html(candidate: Candidate) -> str:
    """Returns the name of a candidate; `Unknown` if it is none."""
    if candidate.taxonRank == UNKNOWN:
        return "Unknown"
    return name_html(
        candidate.scientificName, candidate.scientificNameAuthorship, candidate.taxonRank
    )


def meter_html(share: float) -> str:
    """Returns a bar and the percent beside it; only the percent is read aloud."""
    width = min(100.0, max(0.0, 100 * share))
    return (
        f'<span class="hz-bar" aria-hidden="true"><i style="width:{width:.1f}%"></i></span>'
        f'<span class="hz-share">{escape(percent(share))}</span>'
    )


def link_html(address: str, text: str) -> str:
    """Returns a link that opens apart, or '' if the address is no http or https address."""
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    href = escape(address.strip(), quote=True)
    return f'<a href="{href}" target="_blank" rel="noopener noreferrer nofollow">{escape(text)}</a>'


def data_address(content: bytes, kind: str) -> str:
    """Returns content as an address of its own, so that nothing is kept on the server."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def download_html(text: str, file_name: str, label: str, kind: str = "text/csv") -> str:
    """Returns a link that saves a text as a file."""
    address = data_address(text.encode("utf-8"), f"{kind};charset=utf-8")
    return (
        f'<a class="hz-button" download="{escape(file_name)}" href="{address}">{escape(label)}</a>'
    )


def problem_html(problem: str) -> str:
    """Returns why there is no answer."""
    return f'<p class="hz-problem" role="alert"><strong>No answer.</strong> {escape(problem)}</p>'


def hint_html(text: str) -> str:
    """Returns what an empty place is for."""
    return f'<p class="hz-hint">{escape(text)}</p>'


def busy_html(text: str) -> str:
    """Returns what is being done."""
    return (
        f'<p class="hz-busy"><span class="hz-spinner" aria-hidden="true"></span>{escape(text)}</p>'
    )


def notes_html(notes: tuple[str, ...]) -> str:
    """Returns remarks as a list, or ''."""
    if not notes:
        return ""
    return '<ul class="hz-notes">' + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>"
