"""Pictures ready to click, of the model's own kind."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import gradio

from herbzoo.data.records import FIELD, HERBARIUM, Collection, SpecimenRecord
from herbzoo.data.synthetic import synthetic_collection
from herbzoo.demo.blocks import html_block
from herbzoo.demo.pictures import Picture, as_webp, thumbnail
from herbzoo.demo.wording import data_address, name_html
from herbzoo.errors import HerbzooError
from herbzoo.hub.training_facts import FILE_NAME as TRAINING_FILE
from herbzoo.taxonomy import Taxonomy

if TYPE_CHECKING:
    from herbzoo.index.specimen_index import SpecimenIndex

NUMBER = 6
_THUMBNAIL = 220
_SIDE = 900
"""Pixels of the shorter side at which synthetic plants are drawn."""
_SEED = re.compile(r"synthetic flora of \d+ species, seed (\d+)")
_SCRIPT = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-index]");
  if (button) trigger("select", { index: Number(button.dataset.index) });
});
"""


@dataclass(frozen=True)
class Example:
    """A picture, and what it is known to show."""

    picture: Picture
    thumbnail: bytes
    """WebP."""
    scientificName: str
    kind: str
    """What sort of picture it is, in words."""


def example_strip(examples: tuple[Example, ...]) -> gradio.HTML:
    """Shows examples in a row; `select` is its event, with the `index` of one."""
    buttons = "".join(
        f'<li><button type="button" data-index="{number}" class="hz-example">'
        f'<img src="{data_address(one.thumbnail, "image/webp")}" alt="">'
        f"<span>{name_html(one.scientificName)}<br>{escape(one.kind)}</span></button></li>"
        for number, one in enumerate(examples)
    )
    return html_block(
        f'<h3 class="hz-heading">Or try one of these</h3><ul class="hz-strip">{buttons}</ul>',
        js_on_load=_SCRIPT,
    )


def examples_of_run(folder: Path, taxonomy: Taxonomy) -> tuple[Example, ...]:
    """Draws plants for a model of the built-in flora; a model of real plants gets none.

    Args:
        folder: of the run.
        taxonomy: the classes of the model, which must be those of the flora.
    """
    try:
        facts = json.loads((folder / TRAINING_FILE).read_text(encoding="utf-8"))["data"]
        seed = _SEED.search(str(facts["name"]))
        if not facts["synthetic"] or seed is None:
            return ()
        collection = synthetic_collection(len(taxonomy), int(seed[1]))
    except (OSError, ValueError, KeyError, TypeError, HerbzooError):  # then there are no examples
        return ()
    if not set(collection.frame["scientificName"]) <= set(taxonomy.index):
        return ()
    sheets = _one_a_species(collection, "split")
    photos = _one_a_species(collection, "cross_domain")
    half = NUMBER // 2
    return tuple(
        _drawn(rows, record)
        for rows, chosen in ((sheets, slice(half)), (photos, slice(half, NUMBER)))
        for record in list(rows.records())[chosen]
    )


def examples_of_index(index: SpecimenIndex) -> tuple[Example, ...]:
    """Takes sheets of different species from an index that has pictures of them."""
    from herbzoo.index.filters import quoted

    names = [name for name in index.counts("scientificName") if name]
    found = []
    for name in names[:: max(1, len(names) // NUMBER)][:NUMBER]:
        where = f"scientificName = {quoted(name)}"
        rows = index.rows(where, ["image", "basisOfRecord"], limit=1)
        for image, basis in rows.itertuples(index=False):
            try:
                picture = Picture(str(image).rpartition("/")[2], index.thumbnail(str(image)))
            except HerbzooError:  # none is kept
                continue
            small = thumbnail(picture.content, picture.name, _THUMBNAIL)
            found.append(Example(picture, small, name, _kind(str(basis))))
    return tuple(found)


def _kind(basis: str) -> str:
    return {HERBARIUM: "herbarium sheet", FIELD: "field photo"}.get(basis, "")


def _one_a_species(collection: Collection, split: str) -> Collection:
    """Returns the first test row of each species."""
    test = collection.select(collection.column(split).eq("test").to_numpy())
    return test.select((~test.frame.duplicated("scientificName")).to_numpy())


def _drawn(rows: Collection, record: SpecimenRecord) -> Example:
    image = rows.images.open(record.image, (_SIDE, _SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return Example(
        Picture(f"{record.image}.jpg", buffer.getvalue()),
        as_webp(image),
        record.scientificName,
        _kind(record.basisOfRecord),
    )
