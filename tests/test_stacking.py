"""Which rows are withheld to learn an offset on."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tiny import collection_of

from herbzoo.data.records import FIELD, HERBARIUM
from herbzoo.errors import DataError
from herbzoo.recipe import Recipe
from herbzoo.stacking import Withheld, as_in_use, turns, withheld
from herbzoo.taxonomy import Taxonomy


def prepared(photos: int, species: int = 6, **training):
    """Returns species with two sheets each, and so many field photos."""
    domains = [HERBARIUM, HERBARIUM, *[FIELD] * photos]
    rows = [
        (f"{number}-{image}.jpg", f"Genus species{number}", domain)
        for number in range(species)
        for image, domain in enumerate(domains)
    ]
    frame = pd.DataFrame(rows, columns=["image", "scientificName", "basisOfRecord"])
    train = collection_of(frame)
    recipe = Recipe(
        "convnext",
        "softmax",
        training={
            "epochs": 0,
            "discriminant": True,
            "freeze_backbone": True,
            "stacking_species": 2,
            **training,
        },
    )
    return SimpleNamespace(
        split=SimpleNamespace(train=train),
        recipe=recipe,
        taxonomy=Taxonomy.from_collection(train),
    )


def test_withheld_species_keep_no_field_photo_and_the_others_some():
    made = prepared(photos=4)
    frame = made.split.train.frame
    parts = [withheld(made, turn) for turn in turns(made.recipe.training)]
    assert len({part.species for part in parts}) == len(parts) == 3
    for part in parts:
        chosen = frame["scientificName"].isin(part.species).to_numpy()
        field = (frame["basisOfRecord"] == FIELD).to_numpy()
        np.testing.assert_array_equal(part.unseen, chosen & field)
        assert part.seen_count == 4, "a quarter of the field photos of four species"
        assert not (part.rows & ~field).any()
        left = frame[~part.rows & ~chosen & field]
        assert left["scientificName"].nunique() == 4


def test_field_photos_too_few_to_measure_on_are_refused():
    with pytest.raises(DataError, match="4 HumanObservation rows of other species are too few"):
        withheld(prepared(photos=1), 0)


def test_a_trained_backbone_allows_of_one_round():
    assert len(turns(prepared(4, freeze_backbone=False, epochs=1).recipe.training)) == 1


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_photos_to_calibrate_on_are_mixed_as_in_use_and_taken_once(share):
    made = prepared(photos=40, species=12)
    parts = [withheld(made, turn) for turn in turns(made.recipe.training)]
    chosen = as_in_use(parts, share, seed=0, most=10_000)
    every = np.concatenate(chosen)
    assert len(np.unique(every)) == len(every) > 50
    for part, rows in zip(parts, chosen, strict=True):
        assert part.rows[rows].all()
    few = np.concatenate(as_in_use(parts, share, seed=0, most=20))
    assert len(few) == pytest.approx(20, abs=1) and set(few) <= set(every)
    unseen = sum(int(part.unseen[rows].sum()) for part, rows in zip(parts, chosen, strict=True))
    assert unseen / len(every) == pytest.approx(share, abs=0.5 / len(every) + 1e-9)


def test_without_photos_of_the_other_kind_there_is_no_mixture():
    kinds = np.array([False, True, True])
    [chosen] = as_in_use([Withheld(kinds, kinds, kinds, ("Acer rubrum",))], 0.5, seed=0, most=9)
    assert not len(chosen)


def test_withheld_species_may_lose_all_their_images():
    made = prepared(photos=4, stacking_withholds="species")
    frame = made.split.train.frame
    part = withheld(made, 0)
    chosen = frame["scientificName"].isin(part.species).to_numpy()
    field = (frame["basisOfRecord"] == FIELD).to_numpy()
    assert part.hidden[chosen].all() and not (part.hidden & ~chosen & ~field).any()
    np.testing.assert_array_equal(part.unseen, chosen & field)
    assert part.seen_count == 4 and (part.rows & ~part.hidden).sum() == 0


def test_without_field_photos_sheets_are_measured_on():
    made = prepared(photos=0, stacking_withholds="species")
    part = withheld(made, 0)
    assert part.unseen.sum() == 4 and part.seen_count == 2
    assert set(made.split.train.frame["basisOfRecord"][part.rows]) == {HERBARIUM}
