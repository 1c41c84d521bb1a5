"""The tab that says what the model is."""

from __future__ import annotations

import re
from pathlib import Path

import gradio
from PIL import Image

from herbzoo.build import folder_of
from herbzoo.demo.pictures import as_webp
from herbzoo.demo.wording import data_address
from herbzoo.hub.card_metadata import body_of
from herbzoo.hub.cards import FILE_NAME

NO_CARD = "This model has no card."
_WIDEST = 1000
"""Pixels of the longer side of a figure."""
_FIGURE = re.compile(r"!\[([^\]]*)\]\((figures/[\w.-]+\.png)\)")


def about_tab(run: str | Path) -> None:
    """Lays the tab out: the model card without its metadata, with its figures."""
    gradio.Markdown(card_text(folder_of(run)), elem_classes="hz-card")


def card_text(folder: Path) -> str:
    """Returns the card of a run for the page; figures that are not there are left out."""
    path = folder / FILE_NAME
    if not path.is_file():
        return NO_CARD
    body = body_of(path.read_text(encoding="utf-8"))
    return _FIGURE.sub(lambda found: _figure(folder / found[2], found[1]), body)


def _figure(path: Path, alt: str) -> str:
    try:
        with Image.open(path) as figure:
            picture = figure.convert("RGB")
    except OSError:
        return ""
    picture.thumbnail((_WIDEST, _WIDEST))
    return f"![{alt}]({data_address(as_webp(picture), 'image/webp')})"
