"""Collections with something wrong in them, and what a check finds there by kind."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
from data_samples import records_collection, write_image
from PIL import Image

from herbzoo.data.check import check
from herbzoo.data.findings import Finding
from herbzoo.data.records import SpecimenRecord

TODAY = date(2026, 11, 22)


def found(*records: SpecimenRecord) -> dict[str, list[Finding]]:
    """Checks records, and returns what is found by kind."""
    return by_kind(check(records_collection(records), images=False, today=TODAY))


def by_kind(findings: tuple[Finding, ...]) -> dict[str, list[Finding]]:
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        kinds.setdefault(finding.kind, []).append(finding)
    return kinds


def names(*texts: str, **values: str) -> dict[str, list[Finding]]:
    """Checks rows of these names."""
    return found(*(SpecimenRecord(f"{i}.jpg", text, **values) for i, text in enumerate(texts)))


def picture(path: Path, seed: int) -> Path:
    """Writes a picture that is like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 255, (6, 5, 3), dtype=np.uint8)
    Image.fromarray(small).resize((120, 144)).save(path)
    return path


def pictures(root: Path) -> Path:
    """Writes class folders with one of everything that can be wrong with an image."""
    for number in range(3):
        picture(root / "Acer_rubrum" / f"{number}.png", number)
        picture(root / "Quercus_alba" / f"{number}.png", 10 + number)
    write_image(root / "Acer_rubrum" / "blank.png", (120, 144), "white")
    picture(root / "Quercus_alba" / "broken.png", 99)
    (root / "Quercus_alba/broken.png").write_bytes(b"not an image")
    same = (root / "Acer_rubrum/0.png").read_bytes()
    (root / "Acer_rubrum/again.png").write_bytes(same)
    (root / "Quercus_alba/stray.png").write_bytes((root / "Acer_rubrum/1.png").read_bytes())
    with Image.open(root / "Quercus_alba/0.png") as image:
        image.resize((100, 120)).save(root / "Quercus_alba/smaller.png")
    return root
