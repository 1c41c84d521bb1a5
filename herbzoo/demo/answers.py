"""What the demo says of an image, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from herbzoo.identification import Candidate

STYLE = """
.herb-answers { width: 100%; border-collapse: collapse; }
.herb-answers caption { text-align: left; font-weight: 600; padding: .6rem 0 .2rem; }
.herb-answers th { font-weight: normal; text-align: left; padding: .25rem .5rem .25rem 0; }
.herb-answers td { padding: .25rem 0; white-space: nowrap; text-align: right; }
.herb-answers tr { border-top: 1px solid var(--border-color-primary); }
.herb-author { color: var(--body-text-color-subdued); }
.herb-answers meter { width: 6rem; vertical-align: middle; margin-right: .4rem; }
"""
_ITALIC = ("species", "genus")


def answers_html(by_rank: Mapping[str, Iterable[Candidate]], calibrated: bool) -> str:
    """Returns a table for each rank, best candidates first.

    Args:
        by_rank: candidates of an image under `species`, `genus`, `family`.
        calibrated: whether scores are near the probability of being right.
    """
    tables = [
        f'<table class="herb-answers"><caption>{escape(rank.capitalize())}</caption>'
        + "".join(map(_row, candidates))
        + "</table>"
        for rank, candidates in by_rank.items()
    ]
    note = (
        "Scores are calibrated: of the answers with 80%, about 80% are right for images like "
        "those the model was calibrated on."
        if calibrated
        else "Scores are not calibrated: take them for an order, not for a chance of being right."
    )
    return "".join(tables) + f"<p>{note}</p>"


def problem_html(problem: str) -> str:
    """Returns why there is no answer."""
    return f'<p role="alert"><strong>No answer.</strong> {escape(problem)}</p>'


def _row(candidate: Candidate) -> str:
    name = escape(candidate.scientificName)
    if candidate.taxonRank in _ITALIC:
        name = f"<em>{name}</em>"
    author = escape(candidate.scientificNameAuthorship)
    if author:
        name = f'{name} <span class="herb-author">{author}</span>'
    percent = f"{100 * candidate.score:.1f}&nbsp;%"
    meter = f'<meter min="0" max="1" value="{candidate.score:.4f}" aria-hidden="true"></meter>'
    return f'<tr><th scope="row">{name}</th><td>{meter}{percent}</td></tr>'
