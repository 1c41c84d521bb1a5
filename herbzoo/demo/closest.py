"""The closest herbarium sheets, side by side with a picture."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import gradio
from PIL import Image

from herbzoo.data.licences import parse_licence
from herbzoo.data.records import FIELD
from herbzoo.demo.answers import ranking_html
from herbzoo.demo.blocks import HIDDEN, html_block
from herbzoo.demo.model import DemoModel, Examined
from herbzoo.demo.plates import picture_html, plate_html
from herbzoo.demo.wording import (
    busy_html,
    hint_html,
    link_html,
    name_html,
    percent,
    problem_html,
)
from herbzoo.errors import HerbzooError
from herbzoo.identification import Candidate
from herbzoo.index.embedding_table import EmbeddingModel
from herbzoo.index.filters import narrowed, quoted

if TYPE_CHECKING:
    from herbzoo.index.match import Match
    from herbzoo.index.specimen_index import SpecimenIndex

SHEETS = 7
"""Sheets that are shown beside the picture."""
CANDIDATES = 5
_MEANING = (
    "The sheets share out the likeness of each species' nearest ones, which is no chance of being "
    "right. They also name species that the model has not learned."
)
MOST_FILTER = 500
_LINKS = ("references", "accessURI", "bibliographicCitation", "occurrenceID", "catalogNumber")
"""Columns that may hold the address of a sheet, the best first."""


class ClosestSheets:
    """Finds the closest specimens of an index, and shows them.

    Args:
        index: of specimens.
        model: what looks at pictures.

    Raises:
        RunError: if the index was made by another model.
    """

    def __init__(self, index: SpecimenIndex, model: DemoModel) -> None:
        index.model.check_same(EmbeddingModel.of(model.identifier), "the index")
        self.index = index
        self.model = model
        kinds = set(index.counts("basisOfRecord"))
        self.mixed = FIELD in kinds and len(kinds) > 1
        """Whether there are field photos among the sheets."""

    def build(self) -> None:
        """Lays the section out; is called inside the tab."""
        self.sheets = html_block(live="Closest herbarium sheets", elem_id="hz-closest")
        with gradio.Accordion("Search among some of the sheets only", open=False):
            self.where = gradio.Textbox(
                "",
                label="Filter",
                placeholder="family = 'Fagaceae' and institutionCode = 'NY'",
                info="By any Darwin Core term of the index; empty for all sheets.",
                max_length=MOST_FILTER,
            )
            self.photos = gradio.Checkbox(False, label="Field photos too", visible=self.mixed)

    def follow(self, event: Any, seen: gradio.State) -> None:
        """Searches whenever a picture has been looked at, or the filter is changed."""
        event.then(self._shown, [seen, self.where, self.photos], self.sheets, **HIDDEN)

    def connect(self, seen: gradio.State) -> None:
        """Searches anew when the filter is changed."""
        gradio.on(
            [self.where.submit, self.photos.input],
            lambda: busy_html("Searching the sheets"),
            None,
            self.sheets,
            **HIDDEN,
        ).then(self._shown, [seen, self.where, self.photos], self.sheets, **HIDDEN)

    def matches(self, examined: Examined, k: int, where: str = "") -> tuple[Match, ...]:
        """Returns the closest sheets.

        Raises:
            HerbzooError: if the filter cannot be understood.
        """
        return self.index.search(examined.embedding[None], k, where.strip())[0]

    def candidates(self, examined: Examined, where: str = "") -> tuple[Candidate, ...]:
        """Returns what the closest sheets say a picture shows, best first.

        Raises:
            HerbzooError: if the filter cannot be understood, or leaves no named sheet.
        """
        from herbzoo.index.neighbours import NeighbourRanking

        return NeighbourRanking(self.index, "species", CANDIDATES, where)(examined.embedding)[0]

    def _shown(self, examined: Examined | None, where: str, photos: bool) -> str:
        if examined is None:
            return ""
        if self.mixed and not photos:
            where = narrowed(where, f"basisOfRecord != {quoted(FIELD)}")
        try:
            found = self.matches(examined, SHEETS, where)
            candidates = self.candidates(examined, where) if found else ()
        except HerbzooError as error:
            return problem_html(str(error))
        return self.html(examined, found, candidates)

    def html(
        self, examined: Examined, found: tuple[Match, ...], candidates: tuple[Candidate, ...]
    ) -> str:
        """Returns the picture and the sheets as plates side by side, and what they say."""
        heading = '<h2 class="hz-section">Closest herbarium sheets</h2>'
        if not found:
            return heading + hint_html("No sheet of the index passes this filter.")
        yours = picture_html(examined, "<strong>Your picture</strong>", "hz-small hz-yours")
        plates = "".join(f"<li>{self.plate(match)}</li>" for match in found)
        own = self.model.answer(examined).by_rank["species"]
        return (
            f'{heading}<ul class="hz-plates"><li>{yours}</li>{plates}</ul><div class="hz-beside">'
            + ranking_html("What these sheets say", "species", candidates)
            + ranking_html("What the model says", "species", own)
            + f'</div><p class="hz-meaning">{_MEANING}</p>'
        )

    def plate(self, match: Match) -> str:
        """Returns a sheet as a plate with its label."""
        record = match.record
        label = label_html(match)
        if match.has_thumbnail:
            try:
                content = self.index.thumbnail(record.image)
                with Image.open(io.BytesIO(content)) as image:
                    size = image.size
                alt = f"Sheet of {record.scientificName}"
                return plate_html(content, size, alt, label, "hz-small")
            except (HerbzooError, OSError):  # such as a source of linked images that is away
                pass
        return (
            '<figure class="hz-plate hz-small"><div class="hz-mount hz-bare">no picture kept</div>'
            f"<figcaption>{label}</figcaption></figure>"
        )


def label_html(match: Match) -> str:
    """Returns what a sheet is, as its label says it; what is not known is left out."""
    record = match.record
    written = name_html(record.scientificName or "not named", record.scientificNameAuthorship)
    collector = " ".join(part for part in (record.recordedBy, record.recordNumber) if part)
    sheet = record.catalogNumber
    if not sheet.startswith(record.institutionCode):
        sheet = f"{record.institutionCode} {sheet}".strip()
    lines = [
        f"<strong>{written}</strong>",
        "" if math.isnan(match.similarity) else _similarity(match.similarity),
        escape(sheet),
        escape(collector),
        escape(record.eventDate),
        "field photo" if record.basisOfRecord == FIELD else "",
        _licence(record.license),
        sheet_link(record.occurrenceID, record.catalogNumber, match.fields),
    ]
    return "".join(f"<span>{line}</span>" for line in lines if line)


def _licence(text: str) -> str:
    """Returns a licence under its short name, with a link if it is stated by one."""
    known = parse_licence(text)
    name = known.name if text.strip() else ""
    return link_html(text, name) or escape(name)


def _similarity(cosine: float) -> str:
    return f"similarity {escape(percent(max(0.0, cosine)))}"


def sheet_link(occurrence: str, catalogue: str, fields: Mapping[str, str]) -> str:
    """Returns a link to where a sheet is shown, or ''."""
    known = {**fields, "occurrenceID": occurrence, "catalogNumber": catalogue}
    links = (link_html(known.get(name, ""), "See the sheet") for name in _LINKS)
    return next((link for link in links if link), "")
