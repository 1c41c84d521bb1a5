from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image
from sheet_zones import KnownSheet, plain_sheet, real_sheets, synthetic_sheets

from herbzoo.data.masking import zone_mask
from herbzoo.data.records import FIELD, HERBARIUM
from herbzoo.data.sheet_grid import SheetGrid
from herbzoo.data.synthetic import SyntheticImages
from herbzoo.data.synthetic.images import photo_key
from herbzoo.data.zones import KINDS, find_zones, looks_like_sheet


def tally(sheets: list[KnownSheet]) -> tuple[dict[str, float], np.ndarray]:
    """Returns the share of boxes found by kind, and the share of each plant that is hidden."""
    there, found, damage = Counter(), Counter(), []
    for sheet in sheets:
        hidden = zone_mask(sheet.image.size, find_zones(sheet.image, HERBARIUM))
        for kind, is_found in sheet.covered(hidden):
            there[kind] += 1
            found[kind] += is_found
        plant = sheet.plant()
        damage.append((plant & hidden).sum() / max(1, plant.sum()))
    return {kind: found[kind] / there[kind] for kind in there}, np.array(damage)


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Returns intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


def test_the_furniture_of_synthetic_sheets_is_found_and_the_plants_are_left_alone(monkeypatch):
    sheets = list(synthetic_sheets(20, 5, monkeypatch))
    recall, damage = tally(sheets)
    assert recall["label"] > 0.9
    assert recall["barcode"] > 0.9
    assert recall["colour_card"] > 0.9
    assert recall["border"] > 0.95
    assert damage.mean() < 0.01


@pytest.mark.slow
def test_two_hundred_synthetic_sheets_of_many_herbaria(monkeypatch):
    sheets = [sheet for seed in range(5) for sheet in synthetic_sheets(40, seed, monkeypatch)]
    recall, damage = tally(sheets)
    assert min(recall[kind] for kind in KINDS) > 0.9
    assert damage.mean() < 0.01


@pytest.mark.realdata
@pytest.mark.parametrize(("long_side", "labels", "codes"), [(512, 0.85, 0.85), (224, 0.75, 0.65)])
def test_most_labels_of_real_sheets_are_found_and_plants_hardly_touched(long_side, labels, codes):
    recall, damage = tally(real_sheets(long_side))
    assert recall["label"] > labels
    assert recall["barcode"] > codes
    assert recall["colour_card"] > 0.65
    assert damage.mean() < 0.02
    assert (damage > 0.05).sum() <= 2


@pytest.mark.parametrize("height", [200, 336, 1000])
def test_a_label_is_boxed_in_pixels_of_the_picture_given(height):
    scale = height / 336
    image = plain_sheet().resize((round(224 * scale), height), Image.Resampling.BICUBIC)
    zones = [zone for zone in find_zones(image, HERBARIUM) if zone.kind == "label"]
    assert zones
    true = tuple(scale * edge for edge in (100.8, 241.9, 212, 320))
    assert max(overlap(true, zone.box) for zone in zones) > 0.6
    for zone in zones:
        left, top, right, bottom = zone.box
        assert 0 <= left < right <= image.width
        assert 0 <= top < bottom <= image.height
        assert 0 <= zone.score <= 1


def test_a_bed_around_the_paper_is_border_and_a_sheet_without_one_has_a_narrow_band():
    sheet = plain_sheet()
    bare = zone_mask(sheet.size, find_zones(sheet, HERBARIUM), ("border",))
    assert bare[:3].all()
    assert bare[:, -3:].all()
    assert bare.mean() < 0.14
    laid = Image.new("RGB", (264, 376), (20, 20, 22))
    laid.paste(sheet, (20, 30))
    border = zone_mask(laid.size, find_zones(laid, HERBARIUM), ("border",))
    assert border[:26].all()
    assert border[:, :16].all()
    assert not border[60:300, 60:200].any()


def test_a_field_photo_has_no_zones_when_it_is_said_to_be_one_and_mostly_by_its_looks():
    images = SyntheticImages(12, 0)
    photos = [images.open(photo_key(species, 0, 0), (224, 224)) for species in range(12)]
    assert [find_zones(photo, FIELD) for photo in photos] == [[]] * 12
    unlike = [photo for photo in photos if not looks_like_sheet(SheetGrid.of(photo))]
    assert len(unlike) >= 9
    assert [find_zones(photo) for photo in unlike] == [[]] * len(unlike)


def test_a_sheet_is_told_by_its_looks_where_nothing_says_so():
    sheet = plain_sheet()
    assert find_zones(sheet) == find_zones(sheet, HERBARIUM) != []
    assert find_zones(sheet, FIELD) == []


@pytest.mark.parametrize("colour", ["black", "white", (120, 90, 30)])
@pytest.mark.parametrize("size", [(1, 1), (3, 400), (224, 224)])
def test_a_picture_of_nothing_is_no_trouble(colour, size):
    zones = find_zones(Image.new("RGB", size, colour), HERBARIUM)
    assert {zone.kind for zone in zones} <= {"border"}


def test_a_grey_picture_is_looked_at_like_any_other():
    zones = find_zones(plain_sheet().convert("L"), HERBARIUM)
    assert "label" in {zone.kind for zone in zones}
