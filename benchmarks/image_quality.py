"""How often images are refused as black, blurred, blank or lettering alone: good ones and bad.

    python benchmarks/image_quality.py --data ../shared/data

Good images are real sheets, pressed leaves and field photos. Bad ones are made of them: blurred by
a share of their longer side, darkened to a tenth, cropped to their largest label; and blank paper,
with and without a label, is drawn. The domain of an image is given as its collection states it.
Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from herbzoo.curation.image_quality import FAULTS, SIDE, measure_image
from herbzoo.data.readers import open_images
from herbzoo.data.records import FIELD, HERBARIUM
from herbzoo.data.zones import find_zones

SETS = ("dsah/sheets-512", "dsah/sheets-full", "gbif-cc", "plantclef2020-mini", "leafsnap")
BLURS = (0.008, 0.015)
MADE = 60


def paper(rng: np.random.Generator) -> Image.Image:
    """Draws paper of some colour, grain and shadow."""
    wide, high = 480, 720
    down, across = np.mgrid[:high, :wide]
    away = (across / wide - 0.5) ** 2 + (down / high - 0.5) ** 2
    colour = rng.uniform([200, 190, 170], [250, 245, 235])
    pixels = colour * (1 - rng.uniform(0, 0.15) * away)[..., None]
    grain = rng.normal(0, rng.uniform(0.5, 4), (high, wide, 1))
    return Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8))


def with_label(sheet: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Writes a label of six lines into the lower right corner."""
    font = ImageFont.load_default(size=11)
    for line in range(6):
        words = "".join(rng.choice(list("abcdefghi jklmno"), 28))
        ImageDraw.Draw(sheet).text((275, 604 + 17 * line), words, fill=(30, 30, 30), font=font)
    return sheet


def bad_of(picture: Image.Image, domain: str) -> Iterator[tuple[str, Image.Image]]:
    """Yields bad images made of a good one."""
    for share in BLURS:
        radius = share * max(picture.size)
        yield f"blurred by {share:.1%}", picture.filter(ImageFilter.GaussianBlur(radius))
    yield "darkened to a tenth", picture.point(lambda level: int(level * 0.1))
    labels = [zone.box for zone in find_zones(picture, domain) if zone.kind == "label"]
    if labels and domain == HERBARIUM and max(picture.size) > 300:
        largest = max(labels, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
        yield "cropped to the largest label", picture.crop(largest)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--most", type=int, default=400, help="good images of a collection")
    options = parser.parse_args()
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    rng = np.random.default_rng(0)
    for name in SETS:
        collection = open_images(options.data / name)
        for row in rng.permutation(len(collection))[: options.most].tolist():
            record = collection.frame.iloc[row]
            photo = record["basisOfRecord"] == FIELD or record["image"].startswith("field")
            domain = FIELD if photo else HERBARIUM
            picture = collection.images.open(record["image"], (SIDE, SIDE)).convert("RGB")
            kind = "field photos" if photo else "sheets"
            found[f"{name}, {kind}", "as it is"][measure_image(picture).fault(domain)] += 1
            if rng.random() < 0.25:
                for what, bad in bad_of(picture, domain):
                    found["made of these", what][measure_image(bad).fault(domain)] += 1
    for _ in range(MADE):
        sheet = paper(rng)
        found["drawn", "blank paper"][measure_image(sheet).fault(HERBARIUM)] += 1
        labelled = with_label(sheet, rng)
        found["drawn", "blank paper with a label"][measure_image(labelled).fault(HERBARIUM)] += 1
    print("| images | what | number | no fault |", " | ".join(FAULTS), "|")
    print("|---" * (4 + len(FAULTS)) + "|")
    for (name, what), faults in found.items():
        cells = [faults[""], *(faults[fault] for fault in FAULTS)]
        print(f"| {name} | {what} | {faults.total()} |", " | ".join(map(str, cells)), "|")


if __name__ == "__main__":
    main()
