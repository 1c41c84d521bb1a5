"""The tab that names many pictures, as a table to sort and files to save."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape

import gradio

from herbzoo import __version__
from herbzoo.demo.batch_files import MOST, count_pictures, pictures_in
from herbzoo.demo.blocks import HIDDEN, html_block
from herbzoo.demo.identify_tab import precision_choice
from herbzoo.demo.model import AT_ONCE, BatchAnswer, DemoModel
from herbzoo.demo.picture_box import PictureBox, Upload, asset
from herbzoo.demo.wording import (
    candidate_html,
    count,
    data_address,
    download_html,
    hint_html,
    meter_html,
    problem_html,
)
from herbzoo.errors import HerbzooError, ImageError
from herbzoo.identification import UNKNOWN
from herbzoo.identification_output import CsvFormat, DarwinCoreFormat

_EMPTY = f"Choose up to {MOST} pictures, or a zip archive of some; a table of names appears here."


def batch_tab(model: DemoModel) -> None:
    """Lays the tab out and connects it; is called inside a `gradio.Tab`."""
    with gradio.Row(elem_classes="hz-columns"):
        with gradio.Column(scale=5, min_width=300):
            box = PictureBox("Many pictures, or a zip of them", several=True, elem_id="hz-batch")
        with gradio.Column(scale=6, min_width=300):
            precision = precision_choice(model)
            stop = gradio.Button("Stop", size="sm", visible=False)
    table = html_block(
        hint_html(_EMPTY), live="Batch", js_on_load=asset("sorting.js"), elem_id="hz-batch-table"
    )

    def named(
        uploads: Sequence[Upload] | None, asked: float
    ) -> Iterator[tuple[gradio.Button, str]]:
        found: list[BatchAnswer] = []
        try:
            for found, total in batches(model, uploads or (), asked or None):
                yield gradio.Button(visible=True), progress_html(len(found), total)
            yield gradio.Button(visible=False), table_html(found) + _downloads(model, found)
        except HerbzooError as error:
            yield gradio.Button(visible=False), problem_html(str(error))

    running = box.upload(
        named,
        [box, precision],
        [stop, table],
        concurrency_limit=1,
        concurrency_id="batch",
        **HIDDEN,
    )
    stop.click(
        lambda: (gradio.Button(visible=False), hint_html("Stopped. " + _EMPTY)),
        None,
        [stop, table],
        cancels=[running],
        **HIDDEN,
    )


def batches(
    model: DemoModel, uploads: Sequence[Upload], precision: float | None
) -> Iterator[tuple[list[BatchAnswer], int]]:
    """Names pictures, some at a time.

    Yields:
        All that are named so far, and how many there are; the last time all of them.

    Raises:
        HerbzooError: if there are no pictures, or too many.
    """
    total = count_pictures(uploads)
    done: list[BatchAnswer] = []
    yield done, total
    waiting = []
    for number, picture in enumerate(pictures_in(uploads), start=1):
        if isinstance(picture, ImageError):
            name, _, reason = str(picture).partition(": ")
            done.append(BatchAnswer(name, None, None, reason))
        else:
            waiting.append(picture)
        if len(waiting) == AT_ONCE or (number == total and waiting):
            done += model.identify(waiting, precision)
            waiting = []
            yield done, total
    if waiting:  # an archive held fewer than its directory said
        done += model.identify(waiting, precision)
    yield done, total


def progress_html(done: int, total: int) -> str:
    """Returns how far it is."""
    return (
        f'<p class="hz-busy"><progress value="{done}" max="{total}" aria-label="Named so far">'
        f"</progress>{done} of {total} named</p>"
    )


def table_html(answers: Sequence[BatchAnswer]) -> str:
    """Returns a table whose columns sort when their heads are clicked."""
    heads = ("Picture", "Name", "Confidence", "Genus", "Family")
    head = "".join(
        f'<th scope="col"><button type="button" class="hz-sort">{name}</button></th>'
        for name in heads
    )
    lost = sum(bool(one.problem) for one in answers)
    said = count(len(answers) - lost, "picture", "pictures") + " named"
    said += f", {count(lost)} could not be read" if lost else ""
    return (
        '<div class="hz-scroll" tabindex="0" role="region" aria-label="Names of the pictures">'
        f'<table class="hz-table hz-sortable"><caption>{said}</caption><thead><tr>{head}</tr>'
        f"</thead><tbody>{''.join(map(_row, answers))}</tbody></table></div>"
    )


def _row(answer: BatchAnswer) -> str:
    name = escape(answer.name)
    if answer.identification is None:
        return (
            f'<tr><td data-key="{name}">{name}</td><td colspan="4" data-key="~">'
            f'<span class="hz-refused">{escape(answer.problem)}</span></td></tr>'
        )
    best = answer.identification.best
    picture = ""
    if answer.thumbnail:
        address = data_address(answer.thumbnail, "image/webp")
        picture = f'<img class="hz-mini" src="{address}" alt="">'
    key, shown = escape(best.scientificName), candidate_html(best)
    if best.taxonRank == UNKNOWN:
        key = "~"
        if answer.ranked is not None:
            shown += (
                f'<br><span class="hz-author">perhaps {candidate_html(answer.ranked.best)}</span>'
            )
    genus = "" if best.taxonRank == "family" else escape(best.genus)
    family = escape(best.family)
    return (
        f'<tr><td data-key="{name}"><span class="hz-pictured">{picture}<span>{name}</span></span>'
        f'</td><td data-key="{key}">{shown}</td>'
        f'<td data-key="{best.score:.6f}" data-number>{meter_html(best.score)}</td>'
        f'<td data-key="{genus or "~"}"><em>{genus}</em></td>'
        f'<td data-key="{family or "~"}">{family}</td></tr>'
    )


def _downloads(model: DemoModel, answers: Sequence[BatchAnswer]) -> str:
    """Returns links to the names as files."""
    named = [one for one in answers if one.identification is not None]
    if not named:
        return ""
    made = datetime.now(UTC).strftime("%Y-%m-%d")
    ranking = model.identifier.ranking()
    plain = CsvFormat(model.reference, ranking.rank, ranking.length, False)
    core = DarwinCoreFormat(
        f"herbzoo {__version__} {model.reference}", ranking.rank, model.calibrated
    )
    candidates = plain.header() + "".join(plain.text(one.ranked) for one in named if one.ranked)
    answered = core.header() + "".join(
        core.text(one.identification) for one in named if one.identification is not None
    )
    return (
        '<p class="hz-tools hz-left">'
        + download_html(candidates, f"names-{made}.csv", "Download names (CSV)")
        + download_html(answered, f"identifications-{made}.csv", "Download Darwin Core (CSV)")
        + "</p>"
    )
