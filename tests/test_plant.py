"""Zooming onto the plant, and the views that a training draws of a picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from herbzoo.data.plant import plant_box, zoomed
from herbzoo.data.transforms import Augment, Reframe

LEAF = (120, 60, 180, 140)


def sheet(leaf=LEAF, size=(400, 300), ruler=False, paper=(235, 235, 230)) -> Image.Image:
    image = Image.new("RGB", size, paper)
    pen = ImageDraw.Draw(image)
    if leaf:
        pen.ellipse(leaf, fill=(70, 90, 30))
    if ruler:
        pen.rectangle((0, size[1] - 14, size[0], size[1]), fill="black")
    return image


def test_the_box_of_a_leaf_is_found_to_a_few_pixels():
    assert plant_box(sheet()) == pytest.approx(LEAF, abs=9)


def test_a_dark_bar_along_the_edge_is_no_plant():
    assert plant_box(sheet(ruler=True)) == pytest.approx(LEAF, abs=9)


def test_two_leaves_are_in_one_box():
    image = sheet()
    ImageDraw.Draw(image).ellipse((250, 180, 300, 240), fill=(70, 90, 30))
    assert plant_box(image) == pytest.approx((120, 60, 300, 240), abs=9)


@pytest.mark.parametrize("paper", [(255, 255, 255), (0, 0, 0), (120, 130, 110)])
def test_where_no_plant_stands_out_the_picture_stays_whole(paper):
    blank = sheet(leaf=None, paper=paper)
    assert plant_box(blank) is None
    assert zoomed(blank, 0.2) is blank


def test_a_plant_that_fills_the_picture_stays_whole():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (200, 200, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    assert zoomed(image, 0.0).size[0] > 150


def test_the_margin_is_a_share_of_the_plants_longer_side_and_ends_with_the_picture():
    tight, loose, all_of_it = (zoomed(sheet(), margin).size for margin in (0.0, 0.5, 9.0))
    assert tight == pytest.approx((60, 80), abs=12)
    assert loose == pytest.approx((60 + 80, 60 + 40 + 80), abs=24)
    assert all_of_it == (400, 300)


def test_framing_is_decided_by_the_seed_alone():
    frame = Reframe(zoom=0.5, any_way_up=True)
    for seed in range(8):
        assert frame(sheet(), seed).tobytes() == frame(sheet(), seed).tobytes()
    assert len({frame(sheet(), seed).size for seed in range(30)}) > 10


def test_zoom_is_the_share_of_views_that_are_cropped():
    frame = Reframe(zoom=0.7)
    cropped = sum(frame(sheet(), seed).size != (400, 300) for seed in range(300))
    assert 0.6 < cropped / 300 < 0.8


def test_quarter_turns_come_equally_often():
    image = sheet(leaf=(0, 0, 120, 120))
    corners = [Reframe(any_way_up=True)(image, seed) for seed in range(200)]
    places = [np.asarray(view)[40:60, 40:60].mean() < 200 for view in corners]
    assert 30 < sum(places) < 75, "the leaf comes to the upper left in a quarter of them"


def test_recolouring_changes_hue_and_light_alone_does_not():
    import torch

    green = torch.zeros(3, 8, 8, dtype=torch.uint8)
    green[1] = 120
    plain = [Augment(0.0, 0.0)(green, seed) for seed in range(5)]
    assert all((view == green).all() for view in plain)
    strayed = [Augment(0.0, 1.0)(green, seed) for seed in range(20)]
    assert any(view[0].float().mean() + view[2].float().mean() > 10 for view in strayed)
