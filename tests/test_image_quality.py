from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from herbzoo.curation.image_quality import BLACK, BLANK, BLURRED, TEXT, image_faults, measure_image
from herbzoo.data.readers import open_collection, open_images
from herbzoo.data.records import FIELD, HERBARIUM

DATA = Path(os.environ.get("HERBZOO_DATA", "../shared/data"))


def paper(size=(480, 720), seed=0) -> Image.Image:
    """Paper with a grain and a shadow towards its corners."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[: size[1], : size[0]]
    away = (across / size[0] - 0.5) ** 2 + (down / size[1] - 0.5) ** 2
    pixels = (1 - 0.1 * away)[..., None] * np.array([235, 228, 214])
    return Image.fromarray(np.clip(pixels + rng.normal(0, 2, pixels.shape), 0, 255).astype("uint8"))


def lettered(picture: Image.Image, box: tuple[int, int, int, int], lines: int) -> Image.Image:
    """Writes lines of words into a box."""
    rng = np.random.default_rng(1)
    left, top, right, bottom = box
    step = (bottom - top) / lines
    font = ImageFont.load_default(size=max(8, step * 0.6))
    for line in range(lines):
        words = "".join(rng.choice(list("abcdefgh ijklmnop"), int((right - left) / step * 2.6)))
        ImageDraw.Draw(picture).text((left, top + line * step), words, fill=(40, 40, 40), font=font)
    return picture


@pytest.fixture(scope="module")
def flora():
    return open_collection("synthetic:species=6,images_per_species=8")


def sheets_of(flora, count=10):
    sheets = flora.frame.loc[flora.frame["basisOfRecord"] == HERBARIUM, "image"].tolist()
    return [flora.images.open(key, (640, 640)) for key in sheets[:count]]


def fault(picture: Image.Image, domain: str = HERBARIUM) -> str:
    return measure_image(picture).fault(domain)


def test_sheets_and_photos_have_no_fault(flora):
    assert image_faults(flora, workers=0) == [""] * len(flora)


def test_an_empty_sheet_is_blank_and_one_with_a_label_alone_too():
    for seed in range(3):
        assert fault(paper(seed=seed)) == BLANK
        assert fault(lettered(paper(seed=seed), (280, 600, 460, 700), 6)) == BLANK


def test_a_field_photo_is_never_blank_or_lettering():
    assert fault(paper(), FIELD) == ""
    assert fault(lettered(paper((600, 400)), (20, 20, 580, 380), 8), FIELD) == ""


def test_a_photo_of_a_label_shows_lettering_only():
    assert fault(lettered(paper((600, 400)), (20, 20, 580, 380), 8)) == TEXT
    assert fault(lettered(paper((600, 400)), (20, 20, 580, 380), 8), "") == TEXT


def test_dark_and_blurred_sheets_are_told(flora):
    for sheet in sheets_of(flora):
        assert fault(sheet.point(lambda level: int(level * 0.1))) == BLACK
        wide = 0.015 * max(sheet.size)
        assert fault(sheet.filter(ImageFilter.GaussianBlur(wide))) in (BLURRED, BLANK)
        assert fault(sheet.filter(ImageFilter.GaussianBlur(0.3))) == ""


def test_an_image_that_cannot_be_read_has_no_fault_of_this_kind(tmp_path):
    paper().save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    assert image_faults(open_images(tmp_path), workers=0) == [BLANK, ""]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("folder", "share"),
    [("dsah/sheets-512", 0), ("gbif-cc", 0), ("plantclef2020-mini", 0.02), ("leafsnap", 0.04)],
)
def test_good_real_images_are_hardly_ever_refused(folder, share):
    if not (DATA / folder).exists():
        pytest.skip(f"needs {DATA / folder}: set HERBZOO_DATA")
    collection = open_images(DATA / folder)
    rows = np.random.default_rng(0).permutation(len(collection))[:80]
    faults = image_faults(collection.select(rows), workers=0)
    assert sum(map(bool, faults)) <= share * len(rows)
