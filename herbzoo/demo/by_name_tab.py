"""The tab that ranks names which the model need not have learned; for heads that read names."""

from __future__ import annotations

from collections.abc import Iterator

import gradio

from herbzoo.demo.among import pasted
from herbzoo.demo.answers import answer_html
from herbzoo.demo.blocks import HIDDEN, html_block
from herbzoo.demo.model import DemoModel, Examined
from herbzoo.demo.picture_box import PictureBox, Upload, picture_of
from herbzoo.demo.plates import picture_html
from herbzoo.demo.wording import busy_html, hint_html, problem_html
from herbzoo.errors import HerbzooError

_EMPTY = "Choose a picture and write some names; they are ranked here."


def by_name_tab(model: DemoModel) -> None:
    """Lays the tab out and connects it; is called inside a `gradio.Tab`."""
    seen = gradio.State(None, time_to_live=3600)
    with gradio.Row(elem_classes="hz-columns"):
        with gradio.Column(scale=5, min_width=300):
            box = PictureBox("A herbarium sheet, or a photo of a plant", elem_id="hz-by-name")
            plate = html_block()
        with gradio.Column(scale=6, min_width=300):
            names = gradio.Textbox(
                "",
                label="Names to choose among",
                placeholder="Quercus alba\nQuercus rubra\nAcer rubrum",
                info="Species, genera or families, one a line; also such as the model never saw.",
                lines=6,
                max_lines=16,
                max_length=2_000_000,
            )
            rank = gradio.Button("Rank these names", variant="primary")
            answer = html_block(hint_html(_EMPTY), live="Ranked names")

    def uploaded(upload: Upload | None, text: str) -> Iterator[tuple[Examined | None, str, str]]:
        yield None, "", busy_html("Looking at the picture")
        try:
            examined = model.examine(picture_of(upload))
        except HerbzooError as error:
            yield None, "", problem_html(str(error))
            return
        yield examined, picture_html(examined), _ranked(model, examined, text)

    def ranked(
        examined: Examined | None, upload: Upload | None, text: str
    ) -> Iterator[tuple[Examined | None, str]]:
        yield examined, busy_html("Reading the names")
        if examined is None and upload is not None:  # asked before the picture was looked at
            try:
                examined = model.examine(picture_of(upload))
            except HerbzooError as error:
                yield None, problem_html(str(error))
                return
        yield examined, _ranked(model, examined, text)

    box.upload(uploaded, [box, names], [seen, plate, answer], **HIDDEN)
    rank.click(ranked, [seen, box, names], [seen, answer], **HIDDEN)


def _ranked(model: DemoModel, examined: Examined | None, text: str) -> str:
    try:
        listed = pasted(text)
        if examined is None or listed is None:
            return hint_html(_EMPTY)
        return answer_html(model.answer(examined, None, model.restricted(listed)))
    except HerbzooError as error:
        return problem_html(str(error))
