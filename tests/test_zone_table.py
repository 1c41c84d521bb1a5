from __future__ import annotations

import json
from pathlib import Path

import pytest

from herbzoo.data.zone_table import read_zones
from herbzoo.data.zones import KINDS, Zone
from herbzoo.errors import DataError


def written(folder: Path, content: object, name: str = "zones.csv") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_csv_of_pixels_is_scaled_to_the_picture_that_is_opened(tmp_path):
    table = read_zones(
        written(
            tmp_path,
            "image,kind,left,top,right,bottom,image_width,image_height,score\n"
            "sheets/a.jpg,label,100,800,600,1000,1000,1500,0.9\n"
            "sheets/a.jpg,colour_card,0,0,50,300,1000,1500,\n"
            "b.tif,barcode,10,10,20,20,100,100,1\n",
        )
    )
    assert table.of("elsewhere/a.png", (200, 300)) == [
        Zone("label", (20, 160, 120, 200), 0.9),
        Zone("colour_card", (0, 0, 10, 60), 1.0),
    ]
    assert "b" in table
    assert "c.jpg" not in table
    assert table.of("c.jpg", (10, 10)) == []


def test_components_of_hespi_as_a_detector_lists_them(tmp_path):
    boxes = [
        {
            "image": "a.jpg", "name": name, "class": 3, "confidence": 0.8,
            "box": {"x1": 0, "y1": 50, "x2": 50, "y2": 100},
            "image_width": 100, "image_height": 200,
        }
        for name in ("Institutional label", "swatch", "small database label", "leaf")
    ]  # fmt: skip
    zones = read_zones(written(tmp_path, boxes, "hespi.json")).of("a.jpg", (100, 200))
    assert [zone.kind for zone in zones] == ["label", "colour_card", "barcode"]
    assert {zone.box for zone in zones} == {(0, 50, 50, 100)}
    assert {zone.score for zone in zones} == {0.8}


def test_the_components_of_leafmachine2(tmp_path):
    content = {
        "a": {
            "height": 200,
            "width": 100,
            "Detections_Archival_Components": [
                [0, 0.5, 0.05, 1.1, 0.1],
                [3, 0.75, 0.75, 0.5, 0.5],
                [8, 0.1, 0.1, 0.1, 0.1],
            ],
        },
    }
    zones = read_zones(written(tmp_path, content, "project.json")).of("x/a.jpg", (100, 200))
    assert zones == [
        Zone("colour_card", (0, 0, 100, 20), 1.0),
        Zone("label", (50, 100, 100, 200), 1.0),
    ]


def test_a_picture_may_have_boxes_of_which_none_is_a_zone(tmp_path):
    table = read_zones(written(tmp_path, "image,kind,left,top,right,bottom\na.jpg,leaf,0,0,1,1\n"))
    assert "a.jpg" in table
    assert table.of("a.jpg", (10, 10)) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("z.csv", "image,kind\na.jpg,label\n", "has no corners; it has image, kind"),
        ("z.csv", "kind,left,top,right,bottom\nlabel,0,0,1,1\n", "has no image"),
        ("z.csv", "image,kind,left,top,right,bottom\na,label,0,0,9,9\n", "how large its picture"),
        ("z.csv", "image,kind,left,top,right,bottom\na,label,5,0,1,1\n", "is no box"),
        ("z.csv", "image,kind,left,top,right,bottom\na,label,x,0,1,1\n", "'x' is no number"),
        ("z.csv", "image,kind,left,top,right,bottom\na,label,0,0,nan,1\n", "no number"),
        (
            "z.csv",
            "image,kind,left,top,right,bottom,width,height\na,label,0,0,90,9,50,50\n",
            "outside a picture of 50 x 50",
        ),
        (
            "z.csv",
            "image,kind,left,top,right,bottom\nx/a.jpg,label,0,0,1,1\ny/a.jpg,label,0,0,1,1\n",
            "told apart by folder or suffix only",
        ),
        ("z.json", "{", "cannot be read as a table of zones"),
        ("z.json", "[1, 2]", "holds no list of boxes"),
        ("z.json", {"a": {"height": 1}}, "no Detections_Archival_Components"),
        (
            "z.json",
            {"a": {"Detections_Archival_Components": [[1, 2]]}},
            r"a box is \[class, x, y, width, height\]",
        ),
    ],
)
def test_a_table_that_is_none_is_refused_in_one_line(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message) as error:
        read_zones(written(tmp_path, content, name))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv"):
        read_zones(tmp_path / "none.csv")


def test_every_component_is_of_a_kind_there_is():
    from herbzoo.data.zone_table import KIND_OF

    assert set(KIND_OF.values()) == set(KINDS)
