"""The tab that names one picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio

from herbzoo.demo.among import Among, pasted
from herbzoo.demo.answers import answer_html
from herbzoo.demo.blocks import HIDDEN, html_block
from herbzoo.demo.closest import ClosestSheets
from herbzoo.demo.determinations import Determination, determinations_html, determine
from herbzoo.demo.examples import Example, example_strip
from herbzoo.demo.looking import looking_html
from herbzoo.demo.model import Answer, DemoModel, Examined
from herbzoo.demo.picture_box import PictureBox, Upload, picture_of
from herbzoo.demo.pictures import Picture
from herbzoo.demo.plates import picture_html
from herbzoo.demo.web_picture import LinkedPictures
from herbzoo.demo.wording import (
    busy_html,
    count,
    hint_html,
    notes_html,
    percent,
    problem_html,
)
from herbzoo.errors import HerbzooError

PRECISIONS = (0.8, 0.9, 0.95, 0.99)
DEFAULT_PRECISION = 0.9
MOST_CHOICES = 2000
"""Names that the list for corrections offers; of more, only the candidates."""
_EMPTY = "Choose a picture; what it shows appears here."
Updates = dict[Any, Any]


@dataclass
class IdentifyTab:
    """Builds the tab, and answers its events.

    Args:
        model: what names pictures.
        closest: the index to compare with, if there is one.
        links: where pictures may be fetched from, if anywhere.
        examples: pictures ready to click.
    """

    model: DemoModel
    closest: ClosestSheets | None
    links: LinkedPictures | None
    examples: tuple[Example, ...]

    def build(self) -> None:
        """Lays the tab out and connects it; is called inside a `gradio.Tab`."""
        self.seen = gradio.State(None, time_to_live=3600)
        self.chosen = gradio.State(None, time_to_live=3600)
        self.rows = gradio.State([], time_to_live=7200)
        with gradio.Row(elem_classes=["hz-columns", "hz-identify"]):
            with gradio.Column(scale=5, min_width=300):
                self._build_picture()
            with gradio.Column(scale=6, min_width=300):
                self.answer = html_block(hint_html(_EMPTY), live="Answer", elem_id="hz-answer")
                self._build_options()
                self._build_determination()
        if self.examples:
            self.strip = example_strip(self.examples)
        if self.closest is not None:
            self.closest.build()
        self._connect()

    def _build_picture(self) -> None:
        self.box = PictureBox("A herbarium sheet, or a photo of a plant", elem_id="hz-picture")
        if self.links is not None:
            with gradio.Row(elem_classes="hz-inline"):
                self.address = gradio.Textbox(
                    "",
                    label="Or a link",
                    placeholder="https://… picture or IIIF address",
                    info=f"From {self.links.named()}",
                    scale=4,
                    max_length=2000,
                )
                self.fetch = gradio.Button("Fetch", scale=1, min_width=90)
        self.plate = html_block()
        self.look = gradio.Button("Where did the model look?", elem_id="hz-look", visible=False)
        self.looked = html_block(live="Where the model looked", elem_id="hz-looked")

    def _build_options(self) -> None:
        self.precision = precision_choice(self.model)
        with gradio.Accordion("Choose among a checklist", open=False):
            self.names = gradio.Textbox(
                "",
                label="Names",
                placeholder="Quercus alba\nQuercus rubra",
                info="One a line, with or without authors."
                if self.model.reads_names
                else "One a line. The model chooses among those that it has learned.",
                lines=4,
                max_lines=12,
                max_length=2_000_000,
            )
            with gradio.Row(elem_classes="hz-inline"):
                self.use = gradio.Button("Use this list", variant="primary", size="sm")
                self.clear = gradio.Button("All taxa again", size="sm")
            self.listed = html_block(live="Checklist")

    def _build_determination(self) -> None:
        self.opinion = gradio.Accordion(
            "Agree or correct", open=False, visible=False, elem_id="hz-determine"
        )
        with self.opinion:
            self.name = gradio.Dropdown(
                [],
                label="Name",
                info="As proposed, or write another.",
                allow_custom_value=True,
            )
            self.person = gradio.Textbox("", label="Your name", max_length=200)
            self.remarks = gradio.Textbox("", label="Remarks", max_length=500)
            self.save = gradio.Button("Record the determination", variant="primary")
            self.said = html_block(live="Determinations")

    def _connect(self) -> None:
        asked = [self.seen, self.precision, self.chosen]
        answered = [self.answer, self.name, self.looked]
        found = [self.plate, self.answer, self.seen, self.look, self.looked, self.opinion]
        events = [self.box.upload(self._uploaded, self.box, found, **HIDDEN)]
        if self.examples:
            events.append(self.strip.select(self._example, None, found, **HIDDEN))
        if self.links is not None:
            given = [self.address.submit, self.fetch.click]
            events.append(gradio.on(given, self._linked, self.address, found, **HIDDEN))
        for event in events:
            # The options are read once the picture has been looked at: they may have changed.
            event.then(self._answered, asked, answered, **HIDDEN)
            if self.closest is not None:
                self.closest.follow(event, self.seen)
        if self.closest is not None:
            self.closest.connect(self.seen)
        self.precision.change(self._answered, asked, answered, **HIDDEN)
        self.use.click(lambda: busy_html("Reading the names"), None, self.listed, **HIDDEN).then(
            self._restrict, self.names, [self.chosen, self.listed], **HIDDEN
        ).then(self._answered, asked, answered, **HIDDEN)
        self.clear.click(
            lambda: ("", None, ""), None, [self.names, self.chosen, self.listed], **HIDDEN
        ).then(self._answered, asked, answered, **HIDDEN)
        self.look.click(self._look, [self.seen, self.chosen], self.looked, **HIDDEN)
        self.save.click(
            self._determine,
            [*asked, self.name, self.person, self.remarks, self.rows],
            [self.rows, self.said],
            **HIDDEN,
        )

    def _uploaded(self, upload: Upload | None) -> Iterator[Updates]:
        yield from self._examined(lambda: picture_of(upload))

    def _linked(self, address: str) -> Iterator[Updates]:
        links = self.links
        assert links is not None
        yield from self._examined(lambda: links.fetch(address))

    def _example(self, event: gradio.EventData) -> Iterator[Updates]:
        example = self.examples[int(event._data["index"]) % len(self.examples)]
        yield from self._examined(lambda: example.picture)

    def _examined(self, read: Callable[[], Picture]) -> Iterator[Updates]:
        """Shows that it is at work, then the picture as a plate, or why it cannot be read."""
        empty: Updates = {
            self.plate: "",
            self.looked: "",
            self.seen: None,
            self.look: gradio.Button(visible=False),
            self.opinion: gradio.Accordion(visible=False),
        }
        yield {self.answer: busy_html("Looking at the picture"), **empty}
        try:
            examined = self.model.examine(read())
        except HerbzooError as error:
            yield {self.answer: problem_html(str(error)), **empty}
            return
        yield {
            self.plate: picture_html(examined),
            self.seen: examined,
            self.look: gradio.Button(visible=True),
            self.opinion: gradio.Accordion(visible=True),
        }

    def _answered(
        self, examined: Examined | None, precision: float, chosen: Among | None
    ) -> Updates:
        """Answers for the picture that was looked at, with the options of now."""
        if examined is None:
            return {self.looked: ""}
        try:
            answer = self.model.answer(examined, precision or None, chosen)
        except HerbzooError as error:
            return {self.answer: problem_html(str(error)), self.looked: ""}
        return {
            self.answer: answer_html(answer),
            self.name: self._choices(answer),
            self.looked: "",
        }

    def _restrict(self, text: str) -> tuple[Among | None, str]:
        try:
            listed = pasted(text)
            chosen = None if listed is None else self.model.restricted(listed)
        except HerbzooError as error:
            return None, problem_html(str(error))
        if chosen is None:
            return None, hint_html("The list is empty: all taxa of the model are chosen among.")
        taxa = count(len(chosen.taxonomy), "taxon is", "taxa are")
        return chosen, notes_html((f"{taxa} chosen among", *chosen.notes))

    def _look(self, examined: Examined | None, chosen: Among | None) -> Iterator[str]:
        yield busy_html("Following the evidence; this takes a few seconds")
        try:
            if examined is None:
                raise HerbzooError("there is no picture: choose one first")
            answer = self.model.answer(examined, None, chosen)
            yield looking_html(self.model.explain(examined, answer.best, chosen))
        except HerbzooError as error:
            yield problem_html(str(error))

    def _choices(self, answer: Answer) -> gradio.Dropdown:
        names = [
            f"{one.scientificName} {one.scientificNameAuthorship}".strip()
            for candidates in answer.by_rank.values()
            for one in candidates
        ]
        if len(self.model.taxonomy) <= MOST_CHOICES:
            names += [
                f"{taxon.scientificName} {taxon.scientificNameAuthorship}".strip()
                for taxon in self.model.taxonomy.taxa
            ]
        best = answer.best
        value = f"{best.scientificName} {best.scientificNameAuthorship}".strip()
        return gradio.Dropdown(choices=list(dict.fromkeys(names)), value=value or None)

    def _determine(
        self,
        examined: Examined | None,
        precision: float,
        chosen: Among | None,
        name: str | None,
        person: str,
        remarks: str,
        rows: list[Determination],
    ) -> tuple[list[Determination], str]:
        try:
            if examined is None:
                raise HerbzooError("there is no picture: choose one first")
            answer = self.model.answer(examined, precision or None, chosen)
            made = determine(
                examined.name,
                answer,
                name or "",
                person,
                remarks,
                self.model.reference,
                self.model.taxonomy,
            )
        except HerbzooError as error:
            return rows, problem_html(str(error)) + determinations_html(rows)
        kept = [row for row in rows if row.associatedMedia != made.associatedMedia]
        return [*kept, made], determinations_html([*kept, made])


def precision_choice(model: DemoModel) -> gradio.Radio:
    """Makes the choice of how sure a name must be; 0 is the best guess."""
    able = [precision for precision in PRECISIONS if precision in model.precisions]
    info = "Asked for more, it names a genus or family, or says that it does not know."
    if not able:
        why = "was calibrated on too few pictures" if model.calibrated else "is not calibrated"
        info = f"This model {why}, so it can only give its best guess."
    return gradio.Radio(
        [("Best guess", 0.0), *((percent(precision), precision) for precision in able)],
        value=DEFAULT_PRECISION if DEFAULT_PRECISION in able else 0.0,
        label="How many names must be right?",
        info=info,
        interactive=bool(able),
    )
