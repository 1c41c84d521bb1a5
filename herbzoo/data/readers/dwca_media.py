"""The media of a Darwin Core Archive: which rows are images, where they are, under what licence.

Terms are those of GBIF's multimedia extension (https://rs.gbif.org/extension/gbif/1.0/) and of
Audiovisual Core (https://ac.tdwg.org/termlist/).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa

from herbzoo.data.readers.dwca_rows import KEY, ROW, column

ROW_TYPES = ("multimedia", "image", "audiovisualmediadescription")
"""Last parts, in lower case, of the row types of extensions that list media."""
LINKS = ("accessURI", "identifier")
"""Terms that may hold the link to the file; the first that is filled wins."""
LICENCES = ("license", "UsageTerms", "WebStatement", "rights", "accessRights")
"""Terms that may hold the licence of an image or a record; the first that is filled wins."""
TERMS: tuple[str, ...] = (*LINKS, *LICENCES, "type", "format", "creator", "rightsHolder", "Owner")
TERMS += ("variant", "variantLiteral", "serviceExpectation", "providerManagedID")
"""The terms of a medium that are read."""

_VARIANTS = {
    "bestquality": 0,
    "goodquality": 1,
    "": 1,
    "mediumquality": 2,
    "lowerquality": 3,
    "thumbnail": 4,
}
"""Audiovisual Core's variants of one picture, those to be preferred first."""
_THUMBNAIL = 4
_NO_IMAGE = re.compile(r"audio/|video/|text/|model/|application/(?:pdf|zip|msword)|.*\bhtml?$")
_MANIFEST = re.compile(r"application/(?:ld\+)?json|.*iiif", re.IGNORECASE)
_OTHER_FILES = re.compile(r"\.(?:mp3|wav|ogg|m4a|mp4|mov|avi|webm|pdf|html?|txt|xml)$")
_BETWEEN_LINKS = re.compile(r"\s*\|\s*|[\s,;]+(?=https?://)")


def listed_media(rows: pa.Table) -> tuple[pd.DataFrame, dict[str, int]]:
    """Picks the images out of the rows of an extension.

    Left out are sounds, films, pages and what is behind a login, a second listing of a picture, and
    the lesser variants of one that is offered in several.

    Args:
        rows: as `read_rows` returns them.

    Returns:
        Columns `KEY`, `ROW`, `image`, `license`, `creator`, `rightsHolder` and `format`, and how
        many rows were left out for which reason.
    """
    text = {name: column(rows, name).to_pandas() for name in (KEY, *TERMS)}
    frame = pd.DataFrame(
        {
            KEY: text[KEY],
            ROW: rows.column(ROW).to_pandas(),
            "image": _whole_links(first_filled(*(text[name] for name in LINKS))),
            "license": first_filled(*(text[name] for name in LICENCES)),
            "creator": text["creator"],
            "rightsHolder": first_filled(text["rightsHolder"], text["Owner"]),
            "format": text["format"],
            "*medium": first_filled(text["providerManagedID"], text["identifier"]),
            "*variant": _per_value(first_filled(text["variant"], text["variantLiteral"]), _rank),
        }
    )
    linked = frame["image"] != ""
    images = _are_images(text["type"], text["format"])
    open_to_all = ~_per_value(text["serviceExpectation"].str.lower(), _is_closed).astype(bool)
    kept = frame[linked & images & open_to_all]
    once = kept.drop_duplicates([KEY, "image"])
    best = _best_variants(once)
    facts = {
        "media_without_link": int((~linked).sum()),
        "media_not_images": int((linked & ~images).sum()),
        "media_not_open": int((linked & images & ~open_to_all).sum()),
        "media_listed_twice": len(kept) - len(once),
        "media_lesser_variants": len(once) - len(best),
    }
    return best.drop(columns=["*medium", "*variant"]), facts


def associated_media(values: pd.Series) -> pd.DataFrame:
    """Returns the links in `associatedMedia`, one a row, in the form of `listed_media`.

    `ROW` is the position of the value that a link is from, and `KEY` empty.
    """
    links = [
        (row, link)
        for row, text in enumerate(values)
        if text.strip()
        for link in dict.fromkeys(links_in(text))
    ]
    frame = pd.DataFrame({ROW: [row for row, _ in links]}, dtype="int64")
    images = pd.Series([link for _, link in links], dtype=str)
    blank = dict.fromkeys((KEY, "license", "creator", "rightsHolder", "format"), "")
    return frame.assign(image=images, **blank)


def links_in(text: str) -> list[str]:
    """Returns the links in a value of `associatedMedia`, those that plainly are no images left out.

    Links are separated by ` | `, as Darwin Core recommends; links to the web also by commas,
    semicolons and spaces.
    """
    links = (whole_link(link.strip()) for link in _BETWEEN_LINKS.split(text))
    return [link for link in links if link and not _OTHER_FILES.search(link.lower())]


def whole_link(text: str) -> str:
    """Returns a link with its scheme: `//a.org/1.jpg` and `www.a.org/1.jpg` lack one."""
    link = text.strip().strip('"').replace(" ", "%20") if "://" in text else text.strip()
    if link.startswith("//"):
        return f"https:{link}"
    return f"http://{link}" if link.lower().startswith("www.") else link


def _whole_links(links: pd.Series) -> pd.Series:
    odd = links.str.contains(r'^//|^www\.|[ "]', case=False)  # all others are as they should be
    return links.where(~odd, links[odd].map(whole_link).reindex(links.index).fillna(""))


def first_filled(first: pd.Series, *others: pd.Series) -> pd.Series:
    """Returns the first value of each row that is not empty."""
    for other in others:
        first = first.where(first != "", other)
    return first


def _are_images(types: pd.Series, formats: pd.Series) -> pd.Series:
    """Tells which media are images: by their format, and where that is silent by their type."""
    described = types.str.lower() + "\n" + formats.str.lower()
    return _per_value(described, _is_image).astype(bool)


def _is_image(described: str) -> bool:
    kind, _, form = described.partition("\n")
    if _NO_IMAGE.match(form):
        return False
    if form.startswith("image/") or _MANIFEST.match(form):
        return True
    return posixpath.basename(re.sub(r"\W+$", "", kind)).replace(" ", "") in (
        "",
        "stillimage",
        "image",
    )


def _is_closed(expectation: str) -> bool:
    """Tells whether Audiovisual Core's `serviceExpectation` rules out that a file comes."""
    return any(word in expectation for word in ("authenticate", "non digital", "non-digital"))


def _rank(variant: str) -> int:
    word = re.sub(r"[^a-z]", "", re.split(r"[/#]", variant)[-1].lower())
    return _VARIANTS.get(word.removeprefix("ac"), 1)


def _best_variants(frame: pd.DataFrame) -> pd.DataFrame:
    if (frame["*variant"] == _VARIANTS[""]).all():
        return frame
    # Several pictures may bear one id, such as the sheet's: only a lesser variant stands back.
    least = frame.groupby([KEY, "*medium"])["*variant"].transform("min")
    best = frame[(frame["*variant"] == least) | (frame["*medium"] == "")]
    thumbnails = best["*variant"] == _THUMBNAIL
    others = set(best.loc[~thumbnails, KEY])
    return best[~(thumbnails & best[KEY].isin(others))]


def _per_value(values: pd.Series, change: Callable[[str], Any]) -> pd.Series:
    # Most columns have few distinct values; links are all distinct and cheap to look at.
    return values.map({value: change(value) for value in values.unique()})
