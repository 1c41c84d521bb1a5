"""The tab that browses the sheets of an index, and maps their embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio
import numpy as np
import pandas as pd

from herbzoo.demo.blocks import HIDDEN, html_block
from herbzoo.demo.closest import MOST_FILTER, ClosestSheets
from herbzoo.demo.map_svg import maps_html
from herbzoo.demo.model import DemoModel
from herbzoo.demo.pictures import Picture
from herbzoo.demo.wording import busy_html, count, hint_html, problem_html
from herbzoo.errors import HerbzooError
from herbzoo.evaluation.embedding_map import EmbeddingMap, embedding_map
from herbzoo.index.filters import narrowed, quoted
from herbzoo.index.match import Match
from herbzoo.index.nearest import match_of

A_PAGE = 24
"""Sheets that are shown at a time."""
MAPPED, COMPARED = 800, 300
"""Sheets on a map; fewer where their pictures have to be embedded by two models."""
MOST_CHOICES = 3000
ALL = ""
_COLUMNS = {
    "family": "Family",
    "genus": "Genus",
    "scientificName": "Species",
    "institutionCode": "Institution",
}
_MAP_HINT = "Each sheet is a point; sheets that look alike to the model lie near each other."


@dataclass
class CollectionTab:
    """Builds the tab, and answers its events.

    Args:
        closest: the index, and how its sheets are shown.
        model: that made it.
        other: another model to compare its map with, if there is one.
    """

    closest: ClosestSheets
    model: DemoModel
    other: DemoModel | None = None

    def build(self) -> None:
        """Lays the tab out and connects it; is called inside a `gradio.Tab`."""
        index = self.closest.index
        present = [name for name in _COLUMNS if set(index.counts(name)) - {""}]
        with gradio.Row(elem_classes="hz-filters"):
            self.choices = {
                name: gradio.Dropdown(self._choices(name, ""), value=ALL, label=_COLUMNS[name])
                for name in present
            }
        with gradio.Accordion("Filter by any term", open=False):
            self.where = gradio.Textbox(
                "",
                label="Filter",
                placeholder="recordedBy like '%Smith%' and eventDate >= '1900'",
                info="Terms of this index: " + ", ".join(index.columns),
                max_length=MOST_FILTER,
            )
        self.page = gradio.State(0)
        self.sheets = html_block(self._sheets("", 0), live="Sheets", elem_id="hz-sheets")
        more = self._number("") > A_PAGE
        with gradio.Row(elem_classes="hz-inline"):
            self.back = gradio.Button("Earlier sheets", size="sm", interactive=False)
            self.forth = gradio.Button("Further sheets", size="sm", interactive=more)
        gradio.HTML('<h2 class="hz-section">Embedding map</h2>', apply_default_css=False)
        self.draw = gradio.Button("Draw the map of these sheets", elem_id="hz-draw")
        self.map = html_block(hint_html(_MAP_HINT), live="Embedding map", elem_id="hz-map")
        self._connect()

    def _connect(self) -> None:
        asked = [self.where, *self.choices.values()]
        paged = [self.sheets, self.page, self.back, self.forth]
        shown = [*paged, *self.choices.values()]
        for dropdown in self.choices.values():
            dropdown.input(self._browse, asked, shown, **HIDDEN)
        self.where.submit(self._browse, asked, shown, **HIDDEN)
        for button, step in ((self.back, -1), (self.forth, 1)):
            button.click(self._turn(step), [self.page, *asked], paged, **HIDDEN)
        self.draw.click(
            self._mapped, asked, self.map, concurrency_limit=1, concurrency_id="map", **HIDDEN
        )

    def _browse(self, where: str, *values: str) -> dict[Any, Any]:
        chosen = dict(zip(self.choices, values, strict=True))
        found: dict[Any, Any] = {}
        try:
            for name, dropdown in self.choices.items():
                others = {key: value for key, value in chosen.items() if key != name}
                offered = self._choices(name, combined(where, others))
                if chosen[name] and chosen[name] not in {value for _, value in offered}:
                    chosen[name] = ALL  # another choice has left nothing of it
                found[dropdown] = gradio.Dropdown(choices=offered, value=chosen[name])
            return found | self._page(combined(where, chosen), 0)
        except HerbzooError as error:
            return {self.sheets: problem_html(str(error)), self.page: 0}

    def _turn(self, step: int) -> Callable[..., dict[Any, Any]]:
        def turned(page: int, where: str, *values: str) -> dict[Any, Any]:
            condition = combined(where, dict(zip(self.choices, values, strict=True)))
            try:
                return self._page(condition, page + step)
            except HerbzooError as error:
                return {self.sheets: problem_html(str(error)), self.page: 0}

        return turned

    def _page(self, condition: str, page: int) -> dict[Any, Any]:
        last = max(0, self._number(condition) - 1) // A_PAGE
        page = min(max(0, page), last)
        return {
            self.sheets: self._sheets(condition, page),
            self.page: page,
            self.back: gradio.Button(interactive=page > 0),
            self.forth: gradio.Button(interactive=page < last),
        }

    def _number(self, condition: str) -> int:
        return sum(self.closest.index.counts("basisOfRecord", condition).values())

    def _choices(self, column: str, condition: str) -> list[tuple[str, str]]:
        counts = self.closest.index.counts(column, condition)
        named = sorted((name, number) for name, number in counts.items() if name)
        offered = [(f"{name} ({count(number)})", name) for name, number in named[:MOST_CHOICES]]
        return [("All", ALL), *offered]

    def _sheets(self, condition: str, page: int) -> str:
        index = self.closest.index
        rows = index.rows(condition, limit=A_PAGE, offset=page * A_PAGE)
        number = self._number(condition)
        if not number:
            return hint_html("No sheet of the index passes this filter.")
        first = page * A_PAGE + 1
        shown = f"{count(first)} to {count(first + len(rows) - 1)} of "
        said = (shown if number > A_PAGE else "") + count(number, "sheet", "sheets")
        plates = "".join(f"<li>{self.closest.plate(one)}</li>" for one in matches_of(rows))
        return f'<p class="hz-meaning">{said}</p><ul class="hz-plates">{plates}</ul>'

    def _mapped(self, where: str, *values: str) -> Iterator[str]:
        yield busy_html("Laying out the map; this takes up to a minute")
        try:
            condition = combined(where, dict(zip(self.choices, values, strict=True)))
            yield maps_html(self.maps(condition))
        except HerbzooError as error:
            yield problem_html(str(error))

    def maps(self, condition: str) -> Mapping[str, EmbeddingMap]:
        """Returns the maps of some of the sheets that a filter leaves, by the name of the run.

        Raises:
            HerbzooError: if these are too few, or of one species.
        """
        most = MAPPED if self.other is None else COMPARED
        rows, vectors = self.closest.index.sample(most, condition)
        named = (rows["scientificName"] != "").to_numpy()
        rows, vectors = rows[named], vectors[named]
        if self.other is None:
            return {self.model.name: _map(rows, vectors)}
        return self._compared(rows, self.other)

    def _compared(self, rows: pd.DataFrame, other: DemoModel) -> Mapping[str, EmbeddingMap]:
        """Maps the thumbnails of sheets by both models, so that both see the same."""
        index = self.closest.index
        pictures, kept = [], []
        for place, image in enumerate(rows["image"]):
            try:
                pictures.append(Picture(str(image), index.thumbnail(str(image))))
                kept.append(place)
            except HerbzooError:
                continue
        if not pictures:
            raise HerbzooError("two models are compared by thumbnails, and the index has none")
        maps = {}
        for model in (self.model, other):
            read, vectors = model.embedded(pictures)
            name = model.name if model.name not in maps else f"{model.name} (2)"
            maps[name] = _map(rows.iloc[np.array(kept)[read]], vectors)
        return maps


def combined(where: str, chosen: Mapping[str, str]) -> str:
    """Returns a filter that holds what was written and what was chosen."""
    chosen_ones = [f"{column} = {quoted(value)}" for column, value in chosen.items() if value]
    return narrowed(where, *chosen_ones)


def matches_of(rows: pd.DataFrame) -> list[Match]:
    """Returns rows of an index as sheets without a similarity."""
    records = rows.fillna("").to_dict("records")
    return [
        match_of({str(name): str(value) for name, value in row.items()}, float("nan"), True)
        for row in records
    ]


def _map(rows: pd.DataFrame, vectors: np.ndarray) -> EmbeddingMap:
    return embedding_map(
        vectors, rows["scientificName"].to_numpy(str), rows["basisOfRecord"].to_numpy(str)
    )
