"""What the demo says of a picture, as HTML."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from herbzoo.demo.model import Answer
from herbzoo.demo.wording import candidate_html, count, meter_html, notes_html, percent
from herbzoo.identification import UNKNOWN, Candidate

_UNDER = " \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} "
_HEADINGS = {"species": "Species", "genus": "Genus", "family": "Family"}


def answer_html(answer: Answer) -> str:
    """Returns the answer, then the candidates at every rank, best first."""
    parts = [_verdict(answer)]
    parts += [
        ranking_html(_HEADINGS[rank], rank, candidates)
        for rank, candidates in answer.by_rank.items()
    ]
    notes = answer.among.notes if answer.among is not None else ()
    parts += [_meaning(answer), notes_html(notes)]
    return f'<section class="hz-answer">{"".join(parts)}</section>'


def _verdict(answer: Answer) -> str:
    best = answer.best
    if best.taxonRank == UNKNOWN:
        first = next(iter(answer.by_rank.values()))[0]
        return (
            '<header class="hz-verdict hz-unknown"><p class="hz-kicker">Unknown</p>'
            '<p class="hz-name">Not named</p>'
            f"<p>No species, genus or family is sure enough for "
            f"{escape(percent(answer.precision or 0))} right answers. The likeliest is "
            f"{candidate_html(first)}, with {escape(percent(first.score))}.</p></header>"
        )
    place = _UNDER.join(
        part
        for part in (
            escape(best.family) if best.taxonRank != "family" else "",
            f"<em>{escape(best.genus)}</em>" if best.taxonRank == "species" and best.genus else "",
        )
        if part
    )
    kicker = {"species": "Species", "genus": "Genus only", "family": "Family only"}
    said = kicker[best.taxonRank] if answer.promised is not None else "Best guess"
    sure = "confidence" if answer.calibrated else "score"
    return (
        f'<header class="hz-verdict"><p class="hz-kicker">{said}</p>'
        f'<p class="hz-name">{candidate_html(best)}</p>'
        f'<p class="hz-place">{place}</p>'
        f'<p class="hz-sure">{meter_html(best.score)}<span>{sure}</span></p></header>'
    )


def ranking_html(heading: str, rank: str, candidates: Iterable[Candidate]) -> str:
    """Returns candidates of one rank as a table, in their order."""
    rows = "".join(
        f'<tr><th scope="row">{candidate_html(candidate)}</th>'
        f"<td>{meter_html(candidate.score)}</td></tr>"
        for candidate in candidates
    )
    return (
        f'<table class="hz-ranking hz-{rank}"><caption>{heading}</caption>'
        f"<tbody>{rows}</tbody></table>"
    )


def _meaning(answer: Answer) -> str:
    """Says what the percents mean, and what they do not."""
    if answer.among is not None:
        taxa = count(len(answer.among.taxonomy), "taxon", "taxa")
        text = (
            f"Scores are shared among the {taxa} of your list: a plant that is not on it still "
            "gets one of these names."
        )
    elif not answer.calibrated:
        text = (
            "Scores are not calibrated: take them for an order, not for a chance of being right. "
            "This model cannot say that it does not know."
        )
    elif answer.precision is not None:
        text = (
            f"The name goes as deep as {percent(answer.precision)} right answers allow, for images "
            "like those the model was calibrated on."
        )
    else:
        text = (
            f"Of the answers with {percent(0.8)} confidence about 80 in 100 are right, for images "
            "like those the model was calibrated on."
        )
    return f'<p class="hz-meaning">{escape(text)}</p>'
