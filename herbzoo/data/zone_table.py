"""Boxes of sheet components from elsewhere: a detector's, or drawn by hand.

Read are CSV tables, JSON lists of the same, and the JSON of LeafMachine2. A box is meant for the
picture it was found in, which is seldom of the size that is opened here: so a table has to give the
width and height of that picture, or the boxes as shares of them.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from herbzoo.data.zones import Zone
from herbzoo.errors import DataError

KIND_OF: Mapping[str, str] = {
    # what herbzoo calls them
    "label": "label",
    "barcode": "barcode",
    "colour_card": "colour_card",
    "border": "border",
    # hespi's sheet components
    "small database label": "barcode",
    "full database label": "label",
    "medium database label": "label",
    "database label": "label",
    "institutional label": "label",
    "annotation label": "label",
    "handwritten data": "label",
    "original data": "label",
    "stamp": "label",
    "number": "label",
    "swing tag": "label",
    "swatch": "colour_card",
    "scale": "colour_card",
    # LeafMachine2's archival components
    "ruler": "colour_card",
    "colorcard": "colour_card",
    "map": "label",
    "envelope": "label",
    "photo": "label",
    # others
    "qr code": "barcode",
    "color card": "colour_card",
    "colour card": "colour_card",
}
"""The kind of zone that each component is; names are compared in lower case, `_` as a space.
Components that may hold parts of the plant (`attached_item`, `weights`) are left alone."""

_LEAFMACHINE = ("ruler", "barcode", "colorcard", "label", "map", "envelope", "photo")
"""LeafMachine2's archival classes in the order of their numbers; 7 and 8 are not zones."""
_LEAFMACHINE_KEY = "Detections_Archival_Components"
_IMAGE = ("image", "file_name", "filename", "file", "path")
_KIND = ("kind", "name", "label", "component", "class_name", "category", "class")
_CORNERS = (
    ("left", "top", "right", "bottom"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
)
_SIZE = (("image_width", "image_height"), ("width", "height"))
_SCORE = ("score", "confidence", "conf")

Shares = tuple[float, float, float, float]
"""Left, top, right and bottom as shares of width and height."""


@dataclass(frozen=True)
class ZoneTable:
    """Boxes by picture."""

    boxes: Mapping[str, tuple[tuple[str, Shares, float], ...]]
    """Kind, box and score of each zone, by the picture's name without folder and suffix."""
    name: str = "zones"

    def __contains__(self, key: str) -> bool:
        """Tells whether the table knows a picture, with zones or without."""
        return _stem(key) in self.boxes

    def of(self, key: str, size: tuple[int, int]) -> list[Zone]:
        """Returns the zones of a picture that was opened at a size of width and height."""
        width, height = size
        return [
            Zone(
                kind,
                (
                    math.floor(left * width),
                    math.floor(top * height),
                    math.ceil(right * width),
                    math.ceil(bottom * height),
                ),
                score,
            )
            for kind, (left, top, right, bottom), score in self.boxes.get(_stem(key), ())
        ]


def read_zones(path: Path | str) -> ZoneTable:
    """Reads a table of boxes.

    A CSV, or a JSON list of objects, has a column for the picture (`image`, `file_name`), one for
    the component (`kind`, `name`, `label`), the corners (`left, top, right, bottom`, `xmin, ymin,
    xmax, ymax` or `x1, y1, x2, y2`), the picture's `image_width` and `image_height` unless the
    corners are shares, and perhaps a `score` or `confidence`. A JSON object has LeafMachine2's
    `Detections_Archival_Components` by picture.

    Raises:
        DataError: if the file cannot be read, lacks a column, or has a box that is none.
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".json":
            content = json.loads(path.read_text(encoding="utf-8"))
            rows = _leafmachine(content, path) if isinstance(content, dict) else content
        else:
            with path.open(encoding="utf-8-sig", newline="") as stream:
                rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a table of zones ({error})") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path}: holds no list of boxes; give one object or line a box")
    return ZoneTable(_by_picture(rows, path), str(path))


def _by_picture(
    rows: Iterable[Mapping[str, Any]], path: Path
) -> dict[str, tuple[tuple[str, Shares, float], ...]]:
    found: dict[str, list[tuple[str, Shares, float]]] = {}
    of_stem: dict[str, str] = {}
    for number, given in enumerate(rows, start=1):
        nested = given.get("box")
        row = {**given, **nested} if isinstance(nested, dict) else dict(given)
        where = f"{path}, box {number}"
        picture = str(_value(row, _IMAGE, where))
        stem = _stem(picture)
        if of_stem.setdefault(stem, picture) != picture:
            raise DataError(
                f"{where}: {picture} and {of_stem[stem]} are told apart by folder or suffix only, "
                "which a table of zones cannot do; rename one"
            )
        zones = found.setdefault(stem, [])
        component = str(_value(row, _KIND, where)).strip().lower()
        kind = KIND_OF.get(component) or KIND_OF.get(component.replace("_", " "))
        if kind is not None:
            score = next((row[key] for key in _SCORE if row.get(key) not in (None, "")), 1.0)
            zones.append((kind, _shares(row, where), _number(score, where)))
    return {stem: tuple(zones) for stem, zones in found.items()}


def _leafmachine(content: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for picture, analysis in content.items():
        if not isinstance(analysis, dict) or _LEAFMACHINE_KEY not in analysis:
            raise DataError(
                f"{path}: {picture!r} has no {_LEAFMACHINE_KEY}; give LeafMachine2's project data, "
                "or a list of boxes"
            )
        for box in analysis[_LEAFMACHINE_KEY]:
            where = f"{path}, {picture}"
            if not isinstance(box, list) or len(box) != 5:
                raise DataError(f"{where}: a box is [class, x, y, width, height], not {box!r}")
            number, x, y, width, height = (_number(value, where) for value in box)
            if not 0 <= number < len(_LEAFMACHINE):
                continue
            rows.append(
                {
                    "image": picture,
                    "kind": _LEAFMACHINE[int(number)],
                    "left": max(0.0, x - width / 2),
                    "top": max(0.0, y - height / 2),
                    "right": min(1.0, x + width / 2),
                    "bottom": min(1.0, y + height / 2),
                }
            )
    return rows


def _shares(row: Mapping[str, Any], where: str) -> Shares:
    corners = next((names for names in _CORNERS if all(name in row for name in names)), None)
    if corners is None:
        raise DataError(
            f"{where}: has no corners; it has {', '.join(map(str, row))}, and needs left, top, "
            "right and bottom"
        )
    left, top, right, bottom = (_number(row[name], where) for name in corners)
    if not (0 <= left < right and 0 <= top < bottom):
        raise DataError(f"{where}: {left, top, right, bottom} is no box")
    if right <= 1 and bottom <= 1:
        return left, top, right, bottom
    for names in _SIZE:
        if all(row.get(name) not in (None, "") for name in names):
            width, height = (_number(row[name], where) for name in names)
            if width < right - 1 or height < bottom - 1:
                raise DataError(
                    f"{where}: {left, top, right, bottom} is outside a picture of "
                    f"{width:g} x {height:g}"
                )
            return left / width, top / height, min(1.0, right / width), min(1.0, bottom / height)
    raise DataError(
        f"{where}: does not say how large its picture is; add image_width and image_height, or "
        "give the corners as shares"
    )


def _value(row: Mapping[str, Any], names: tuple[str, ...], where: str) -> Any:
    for name in names:
        if row.get(name) not in (None, ""):
            return row[name]
    raise DataError(f"{where}: has no {names[0]}; it has {', '.join(map(str, row))}")


def _number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: {value!r} is no number") from error
    if not math.isfinite(number):
        raise DataError(f"{where}: {value!r} is no number")
    return number


def _stem(key: str) -> str:
    return PurePosixPath(key.replace("\\", "/")).stem
