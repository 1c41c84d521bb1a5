"""The invented herbaria that keep the sheets, each with its paper, label and furniture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Colour = tuple[int, int, int]

_HERBARIA = (
    ("VELN", "Herbarium Velnorum"),
    ("OSTK", "Ostkar Botanical Museum"),
    ("MIRN", "University of Mirnal"),
    ("TARQ", "Tarquil Natural History Collections"),
    ("KELD", "Keldar State Herbarium"),
    ("SORV", "Jardin botanique de Sorvan"),
    ("LUMD", "Museum Lumdense"),
    ("DREN", "Drennan Academy of Sciences"),
    ("ZELN", "Zelnar Forestry College"),
    ("HADR", "Hortus Hadriensis"),
)
_PAPERS: tuple[Colour, ...] = (
    (243, 240, 232), (236, 229, 212), (226, 214, 184), (246, 245, 241), (232, 231, 228),
    (238, 222, 190), (229, 236, 238), (240, 233, 222), (222, 208, 178), (244, 238, 226),
)  # fmt: skip


@dataclass(frozen=True)
class Herbarium:
    """How one herbarium mounts and photographs its sheets; knows nothing of species."""

    code: str
    title: str
    paper: Colour
    bed: Colour | None
    """Colour of the table around the sheet; `None` where the sheet fills the image."""
    bed_side: str
    """Where the table shows most, and holds ruler and colour card: left, right or top."""
    label_right: bool
    barcode_top: bool
    card: str
    """Colour card: grid, strip or none."""
    ink: Colour
    """Colour of stamp and label print."""
    label_paper: Colour
    framed: bool
    stamp: str
    """round, oval or diamond."""
    straps: str
    """Mounting: linen (broad and cream), paper (narrow and white) or thread."""


@lru_cache(maxsize=8)
def herbaria(seed: int) -> tuple[Herbarium, ...]:
    """Returns the herbaria of a flora."""
    rng = np.random.default_rng([seed, 77])
    inks: tuple[Colour, ...] = ((40, 44, 52), (62, 52, 96), (110, 40, 44), (36, 70, 60))
    beds: tuple[Colour | None, ...] = (None, (18, 18, 20), (30, 32, 36), None, (150, 150, 148))
    found = []
    for index, (code, title) in enumerate(_HERBARIA):
        white: Colour = (250, 249, 245)
        found.append(
            Herbarium(
                code=code,
                title=title,
                paper=_PAPERS[index],
                bed=beds[int(rng.integers(len(beds)))],
                bed_side=("left", "right", "top")[int(rng.integers(3))],
                label_right=bool(rng.random() < 0.75),
                barcode_top=bool(rng.random() < 0.4),
                card=("grid", "strip", "grid", "none")[int(rng.integers(4))],
                ink=inks[int(rng.integers(len(inks)))],
                label_paper=white if rng.random() < 0.6 else (238, 230, 208),
                framed=bool(rng.random() < 0.5),
                stamp=("round", "oval", "diamond")[int(rng.integers(3))],
                straps=("linen", "paper", "thread", "paper")[int(rng.integers(4))],
            )
        )
    return tuple(found)
