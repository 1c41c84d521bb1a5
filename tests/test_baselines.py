from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from herbzoo.data.records import Collection
from herbzoo.data.synthetic import synthetic_collection
from herbzoo.errors import DataError
from herbzoo.evaluation.baselines import margin_mask, shortcut_baselines


@dataclass(frozen=True)
class Plain:
    """Grey images whose key says what to paint where: `place:colour:number`."""

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image.Image:
        place, colour, number = key.split(":")
        rng = np.random.default_rng(int(number))
        grey = rng.integers(90, 160, (144, 96, 3)).astype(np.uint8)
        image = Image.fromarray(grey)
        boxes = {"corner": (0, 132, 12, 144), "centre": (30, 50, 66, 90), "nowhere": (0, 0, 0, 0)}
        image.paste(colour, boxes[place])
        return image


def plain(place: str, start: int, count: int = 40) -> Collection:
    colours = ["red", "blue"]
    frame = pd.DataFrame(
        {
            "image": [f"{place}:{colours[i % 2]}:{start + i}" for i in range(count)],
            "scientificName": [f"Species {colours[i % 2]}" for i in range(count)],
        }
    )
    return Collection(frame, Plain(), "plain")


def test_a_mark_in_the_corner_is_found_by_the_margins():
    scores = shortcut_baselines(plain("corner", 0), plain("corner", 1000))
    assert scores["margins_only"] == 1.0
    assert scores["chance"] == 0.5


def test_a_mark_in_the_centre_is_found_by_its_colour_and_not_by_the_margins():
    scores = shortcut_baselines(plain("centre", 0), plain("centre", 1000))
    assert scores["margins_only"] < 0.8
    assert scores["colour_histogram"] == 1.0


def test_images_that_show_nothing_score_near_chance():
    scores = shortcut_baselines(plain("nowhere", 0), plain("nowhere", 1000))
    assert abs(scores["margins_only"] - 0.5) < 0.3
    assert abs(scores["colour_histogram"] - 0.5) < 0.3


def test_the_mask_leaves_out_the_plant():
    mask = margin_mask(100, 60)
    assert mask[0].all() and mask[-1].all() and mask[:, 0].all() and mask[90, 5]
    assert not mask[10:80, 6:54].any()
    assert not mask[90, 30]


def test_names_that_training_lacks_count_as_missed():
    test = plain("corner", 1000)
    renamed = Collection(test.frame.assign(scientificName="Species green"), Plain(), "plain")
    assert shortcut_baselines(plain("corner", 0), renamed)["margins_only"] == 0.0


def test_nothing_to_score_or_one_name_is_a_data_error():
    train = plain("corner", 0)
    with pytest.raises(DataError, match="no test rows"):
        shortcut_baselines(train, train.select(np.zeros(len(train), dtype=bool)))
    with pytest.raises(DataError, match="two or more names"):
        shortcut_baselines(train.select(np.arange(len(train)) % 2 == 0), train)


def test_margins_of_synthetic_sheets_carry_no_species():
    collection = synthetic_collection(4, seed=2, images_per_species=40)
    frame = collection.frame
    sheets = (frame["basisOfRecord"] == "PreservedSpecimen").to_numpy()
    train = collection.select((frame["split"] == "train").to_numpy() & sheets)
    test = collection.select((frame["split"] != "train").to_numpy() & sheets)
    commonest = test.frame["scientificName"].value_counts(normalize=True).iloc[0]
    assert shortcut_baselines(train, test)["margins_only"] < commonest + 0.2
