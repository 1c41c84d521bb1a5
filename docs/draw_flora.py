"""Draws `docs/flora.jpg`, which shows the built-in flora: `python docs/draw_flora.py`."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps

from herbzoo.data.records import FIELD, HERBARIUM
from herbzoo.data.synthetic import synthetic_collection

WIDTH, HEIGHT, GAP = 200, 300, 6


def main() -> None:
    """Writes a herbarium sheet of every second species and, below it, the living plant."""
    collection = synthetic_collection()
    frame = collection.frame[lambda f: f["scientificName"] == f["trueScientificName"]]
    names = sorted(frame["scientificName"].unique())[::2]
    page = Image.new("RGB", (len(names) * (WIDTH + GAP) - GAP, 2 * HEIGHT + GAP), "white")
    for column, name in enumerate(names):
        for row, domain in enumerate((HERBARIUM, FIELD)):
            chosen = frame[(frame["scientificName"] == name) & (frame["basisOfRecord"] == domain)]
            picture = collection.images.open(chosen["image"].iloc[len(chosen) // 2])
            place = (column * (WIDTH + GAP), row * (HEIGHT + GAP))
            page.paste(ImageOps.fit(picture, (WIDTH, HEIGHT)), place)
    page.save(Path(__file__).with_name("flora.jpg"), quality=82)


if __name__ == "__main__":
    main()
