from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from sheet_zones import plain_sheet

from herbzoo.data.masking import (
    LOOKING_SIZE,
    VIEWS,
    MaskZones,
    ZonedImages,
    border_only,
    margins_only,
    plant_only,
    zone_mask,
)
from herbzoo.data.records import FIELD, HERBARIUM
from herbzoo.data.zone_table import ZoneTable
from herbzoo.data.zones import KINDS, Zone, find_zones
from herbzoo.errors import RecipeError

LABEL = (slice(250, 310), slice(110, 200))
PLANT = (slice(90, 150), slice(80, 145))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def darkness(image: Image.Image, part: tuple[slice, slice]) -> float:
    """Returns the share of dark pixels: plant or lettering, not paper."""
    return float((pixels(image)[part].mean(2) < 130).mean())


@pytest.fixture
def sheet() -> Image.Image:
    return plain_sheet()


def test_the_plant_alone_keeps_the_plant_and_loses_the_lettering(sheet):
    alone = plant_only(sheet, find_zones(sheet, HERBARIUM))
    assert alone.size == sheet.size
    assert darkness(sheet, LABEL) > 0.1
    assert darkness(alone, LABEL) == 0
    assert (pixels(alone)[PLANT] == pixels(sheet)[PLANT]).all()
    assert np.abs(pixels(alone)[LABEL] - (236, 230, 214)).max() < 12, "filled with its own paper"


def test_the_margins_alone_are_the_rest(sheet):
    zones = find_zones(sheet, HERBARIUM)
    alone, margins = plant_only(sheet, zones), margins_only(sheet, zones)
    assert darkness(margins, PLANT) == 0
    assert (pixels(margins)[LABEL] == pixels(sheet)[LABEL]).all()
    changed = (pixels(alone) != pixels(sheet)).any(2), (pixels(margins) != pixels(sheet)).any(2)
    assert not (changed[0] & changed[1]).any()


def test_the_border_alone_has_neither(sheet):
    border = border_only(sheet)
    assert darkness(border, PLANT) == darkness(border, LABEL) == 0
    assert (pixels(border)[:3] == pixels(sheet)[:3]).all()


def test_masking_leaves_the_picture_it_was_given_as_it_was(sheet):
    before = pixels(sheet).copy()
    for view in (plant_only, margins_only, border_only, MaskZones(KINDS)):
        view(sheet)
    assert (pixels(sheet) == before).all()


def test_only_the_kinds_asked_for_are_hidden(sheet):
    hidden = MaskZones(("border",))(sheet, domain=HERBARIUM)
    assert darkness(hidden, LABEL) == darkness(sheet, LABEL)
    assert (pixels(hidden)[:3] != pixels(sheet)[:3]).any()
    hidden = MaskZones(("label",))(sheet, domain=HERBARIUM)
    assert darkness(hidden, LABEL) == 0
    assert (pixels(hidden)[:3] == pixels(sheet)[:3]).all()


def test_the_seed_alone_decides_which_views_are_masked(sheet):
    mask = MaskZones(("label",), share=0.5)
    masked = [darkness(mask(sheet, seed, HERBARIUM), LABEL) == 0 for seed in range(40)]
    assert masked == [darkness(mask(sheet, seed, HERBARIUM), LABEL) == 0 for seed in range(40)]
    assert 10 < sum(masked) < 30
    assert MaskZones(("label",), share=0)(sheet, 1, HERBARIUM) is sheet
    assert all(
        darkness(MaskZones(("label",))(sheet, seed, HERBARIUM), LABEL) == 0 for seed in range(5)
    )


def test_a_field_photo_and_no_kinds_leave_the_picture_alone(sheet):
    assert MaskZones(KINDS)(sheet, 0, FIELD) is sheet
    assert MaskZones(())(sheet, 0, HERBARIUM) is sheet


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ("label", "stamp")}, "no zone 'stamp'; there are label, barcode"),
        ({"kinds": ("label",), "share": 1.5}, "mask_share is 1.5"),
    ],
)
def test_a_kind_or_a_share_that_does_not_exist_is_refused(options, message):
    with pytest.raises(RecipeError, match=message):
        MaskZones(**options)


def test_boxes_from_elsewhere_take_the_place_of_finding_but_for_the_border(sheet):
    table = ZoneTable({"a": (("label", (0.25, 0.25, 0.75, 0.5), 1.0),), "empty": ()})
    mask = MaskZones(("label", "border"), zones=table)
    hidden = mask(sheet, 0, HERBARIUM, "sheets/a.jpg")
    assert darkness(hidden, PLANT) == 0
    assert darkness(hidden, LABEL) > 0.1
    assert (pixels(hidden)[:3] != pixels(sheet)[:3]).any()
    assert darkness(mask(sheet, 0, HERBARIUM, "empty.jpg"), LABEL) > 0.1
    assert darkness(mask(sheet, 0, HERBARIUM, "other.jpg"), LABEL) == 0, "not in the table: found"


def test_a_box_that_hangs_over_the_edge_is_cut_off():
    mask = zone_mask(
        (10, 20), [Zone("label", (-3, 15, 4, 99)), Zone("barcode", (0, 0, 9, 9))], ["label"]
    )
    assert mask.sum() == 4 * 5
    assert mask[15:, :4].all()


def test_the_colour_filled_in_tells_nothing_of_what_is_hidden():
    papers = [(250, 170, 160), (160, 235, 170), (165, 180, 250), (252, 250, 244)]
    plants = ["ellipse", "upright", "pair", "pair"]
    drawn = [plain_sheet(7, plant, paper) for plant, paper in zip(plants, papers, strict=True)]
    fills = {margins_only(sheet).getpixel((112, 120)) for sheet in drawn}
    fills |= {plant_only(sheet).getpixel((150, 280)) for sheet in drawn}
    assert len(fills) == 1


@dataclass
class OneSheet:
    """A source of one picture at the size asked for; remembers what was asked."""

    image: Image.Image
    asked: list[tuple[int, int] | None]

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image.Image:
        self.asked.append(min_size)
        if min_size is None:
            return self.image
        return self.image.resize((min_size[1] * 2 // 3, min_size[0]), Image.Resampling.BOX)


def test_a_view_has_the_size_asked_for_and_is_looked_at_larger(sheet):
    source = OneSheet(sheet.resize((896, 1344)), [])
    opened = {
        view: ZonedImages(source, view, {"a": HERBARIUM}).open("a", (96, 96)) for view in VIEWS
    }
    assert {image.size for image in opened.values()} == {(64, 96)}
    assert source.asked.count(LOOKING_SIZE) == 3, "once for each view but the whole"
    label, plant = (slice(74, 86), slice(34, 56)), (slice(30, 40), slice(26, 40))
    assert (pixels(opened["margins"])[label] == pixels(opened["whole"])[label]).all()
    assert (pixels(opened["plant"])[plant] == pixels(opened["whole"])[plant]).all()
    assert darkness(opened["margins"], plant) == darkness(opened["plant"], label) == 0
    full = ZonedImages(source, "plant", {"a": HERBARIUM}).open("a")
    assert full.size == (896, 1344)


def test_a_view_of_a_field_photo_is_never_emptied_of_its_plant(sheet):
    source = OneSheet(sheet, [])
    photo = ZonedImages(source, "plant", {"a": FIELD}).open("a")
    assert (pixels(photo) == pixels(sheet)).all()
