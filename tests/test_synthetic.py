from __future__ import annotations

import json
import pickle
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from herbzoo.data.records import COLUMNS, FIELD, HERBARIUM
from herbzoo.data.synthetic import (
    SyntheticImages,
    make_flora,
    synthetic_collection,
    write_collection,
)
from herbzoo.data.synthetic.collection import WRONG_SHARE
from herbzoo.data.synthetic.plans import PLANS
from herbzoo.errors import DataError, ImageError

SPLITS = ("split", "cross_domain", "zero_shot_split")


@pytest.fixture(scope="module")
def collection():
    return synthetic_collection()


@pytest.fixture(scope="module")
def many():
    return synthetic_collection(300, seed=3, images_per_species=30)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=float)


def test_species_inherit_from_genus_and_family_and_no_two_are_alike():
    flora = make_flora(300, seed=1)
    for species in flora.species:
        genus = flora.genera[species.genus]
        family = flora.families[genus.family]
        assert species.name.split()[0] == genus.name
        assert family.name.endswith("aceae")
        assert species.traits.colour == genus.traits.colour
        assert species.traits.arrangement == family.traits.arrangement == family.plan.arrangement
        assert species.traits.flower == family.traits.flower
    assert len({species.traits for species in flora.species}) == 300
    assert len({species.name for species in flora.species}) == 300


def test_congeners_differ_clearly_even_in_large_genera():
    flora = make_flora(300, seed=1)
    for first, second in zip(flora.species, flora.species[1:], strict=False):
        if first.genus != second.genus:
            continue
        a, b = first.traits, second.traits
        named = sum(
            getattr(a, name) != getattr(b, name) for name in ("blade", "margin", "inflorescence")
        )
        measured = abs(a.aspect - b.aspect) / a.aspect + abs(a.leaf_length - b.leaf_length) * 4
        counted = abs(a.nodes - b.nodes) + abs(a.leaflets - b.leaflets)
        assert named + measured + 0.25 * counted > 0.5, (a, b)


def test_a_flora_follows_from_its_size_and_seed():
    assert make_flora(20, seed=5) == make_flora(20, seed=5)
    assert make_flora(20, seed=5) != make_flora(20, seed=6)


def test_demo_genera_have_two_species_and_habits_differ_between_families():
    flora = make_flora()
    genera = [species.genus for species in flora.species]
    assert all(genera.count(genus) >= 2 for genus in genera)
    assert len({family.plan.habit for family in flora.families}) == len(flora.families)


def test_epithets_describe_truly_and_agree_with_the_genus():
    flora = make_flora(600, seed=2)
    for species in flora.species:
        genus, epithet = flora.genera[species.genus], species.name.split()[1]
        if epithet.startswith("serrat"):
            assert species.traits.margin == "serrate"
            assert epithet == {"f": "serrata", "m": "serratus", "n": "serratum"}[genus.gender]
        if epithet.endswith("ense"):
            assert genus.gender == "n"


def test_records_are_text_in_darwin_core_terms(collection):
    frame = collection.frame
    assert list(frame.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert all(isinstance(value, str) for value in frame.iloc[0])
    assert not frame.isna().any().any()
    assert frame["image"].is_unique
    assert frame["scientificName"].nunique() == 12
    assert set(frame["basisOfRecord"]) == {HERBARIUM, FIELD}
    sheets = frame[frame["basisOfRecord"] == HERBARIUM]
    assert sheets["occurrenceID"].is_unique
    assert sheets["catalogNumber"].is_unique
    assert collection.facts["synthetic"] is True
    assert 400 < len(frame) < 560


def test_equal_arguments_make_equal_records(collection):
    pd.testing.assert_frame_equal(collection.frame, synthetic_collection().frame)
    assert not collection.frame.equals(synthetic_collection(seed=1).frame)


def test_duplicates_of_a_gathering_go_to_several_herbaria(collection):
    sheets = collection.frame[collection.frame["basisOfRecord"] == HERBARIUM]
    gatherings = sheets.groupby(["recordedBy", "recordNumber", "eventDate"])
    assert (gatherings["trueScientificName"].nunique() == 1).all()
    sizes = gatherings.size()
    assert (sizes > 1).mean() > 0.2
    assert (gatherings["institutionCode"].nunique() == sizes).all()


@pytest.mark.parametrize("column", SPLITS)
def test_no_gathering_or_observation_straddles_a_split(many, column):
    frame = many.frame[many.frame[column] != "unused"]
    photo = frame["basisOfRecord"] == FIELD
    key = frame["recordedBy"] + "|" + frame["recordNumber"] + "|" + frame["eventDate"]
    key = key.where(~photo, frame["occurrenceID"])
    assert (frame.groupby(key)[column].nunique() == 1).all()
    assert {"train", "validation", "test"} <= set(frame[column])


def test_no_row_is_test_in_one_protocol_and_train_in_another(many):
    frame = many.frame
    tested = (frame[list(SPLITS)] == "test").any(axis=1)
    trained = frame[list(SPLITS)].isin(["train", "validation"]).any(axis=1)
    assert not (tested & trained).any()


def test_plain_test_rows_are_sheets_and_cross_domain_test_rows_are_photos(many):
    frame = many.frame
    assert set(frame.loc[frame["split"] == "test", "basisOfRecord"]) == {HERBARIUM}
    assert set(frame.loc[frame["cross_domain"] == "test", "basisOfRecord"]) == {FIELD}
    tested = frame.loc[frame["cross_domain"] == "test", "scientificName"]
    assert tested.nunique() == 300


def test_species_without_pairs_have_no_field_photo_in_training(many):
    frame = many.frame
    photos = frame[(frame["basisOfRecord"] == FIELD)]
    trained = photos[photos[["split", "cross_domain"]].isin(["train", "validation"]).any(axis=1)]
    assert set(trained["pairs"]) == {"with"}
    assert trained["scientificName"].nunique() == (
        frame.groupby("scientificName")["pairs"].first().eq("with").sum()
    )


def test_unseen_species_are_nowhere_in_zero_shot_training_but_their_genera_are(many):
    frame = many.frame
    unseen = set(frame.loc[frame["zero_shot"] == "unseen", "scientificName"])
    train = frame[frame["zero_shot_split"].isin(["train", "validation"])]
    assert not unseen & set(train["scientificName"])
    assert not unseen & set(train["trueScientificName"])
    assert {name.split()[0] for name in unseen} <= set(train["genus"])
    test = frame[frame["zero_shot_split"] == "test"]
    assert unseen <= set(test["scientificName"])
    assert set(test["zero_shot"]) == {"seen", "unseen"}


def test_wrong_determinations_are_a_known_share_of_training_sheets_only(many):
    frame = many.frame
    wrong = frame[frame["scientificName"] != frame["trueScientificName"]]
    sheets = frame[(frame["split"] == "train") & (frame["basisOfRecord"] == HERBARIUM)]
    assert len(wrong) == many.facts["wrong_determinations"] == round(WRONG_SHARE * len(sheets))
    assert set(wrong["split"]) == {"train"}
    same_genus = wrong["genus"] == wrong["trueScientificName"].str.split().str[0]
    assert 0.6 < same_genus.mean() < 1
    assert (wrong["scientificName"].str.split().str[0] == wrong["genus"]).all()


def test_images_per_species_have_a_long_tail(many):
    counts = many.frame["trueScientificName"].value_counts()
    assert counts.max() > 4 * counts.min()
    assert counts.mean() == pytest.approx(30, rel=0.05)


def test_catalogue_and_collector_say_nothing_of_the_species(many):
    sheets = many.frame[many.frame["basisOfRecord"] == HERBARIUM]
    order = sheets["trueScientificName"].astype("category").cat.codes
    number = sheets["catalogNumber"].str[4:].astype(int)
    assert abs(np.corrcoef(order, number)[0, 1]) < 0.1
    share = pd.crosstab(sheets["trueScientificName"], sheets["institutionCode"], normalize="index")
    assert share.max(axis=1).median() < 0.4


@pytest.mark.parametrize(
    ("species", "images", "hint"), [(1, 40, "2 or more"), (12, 3, "4 or more")]
)
def test_too_small_a_flora_says_what_to_ask_for(species, images, hint):
    with pytest.raises(DataError, match=hint):
        synthetic_collection(species, images_per_species=images)


def test_a_key_determines_the_picture_also_after_pickling(collection):
    key = collection.frame["image"][7]
    first = collection.images.open(key, (160, 100))
    again = pickle.loads(pickle.dumps(collection.images)).open(key, (160, 100))
    assert first.mode == "RGB"
    assert np.array_equal(pixels(first), pixels(again))
    assert len(pickle.dumps(collection.images)) < 500
    assert not np.array_equal(pixels(first), pixels(SyntheticImages(12, 1).open(key, (160, 100))))


@pytest.mark.parametrize("kind", ["sheet-3-1-0-2", "photo-3-30-0"])
def test_pictures_are_the_same_at_every_scale(kind):
    images = SyntheticImages(12, 0)
    full = images.open(kind)
    assert min(full.size) == 640
    for shrink, side in ((2, 320), (4, 160)):
        small = images.open(kind, (side, side))
        assert small.size == (full.width // shrink, full.height // shrink)
        away = np.abs(pixels(full.reduce(shrink)) - pixels(small))
        assert away.mean() < 9
    assert images.open(kind, (321, 320)).height >= 321


@pytest.mark.parametrize(
    "key",
    ["sheet-12-0-0-0", "sheet-1-0-0-99", "photo-1", "leaf-1-2-3", "sheet-a-b-c-d", "", "../x"],
)
def test_a_key_of_another_flora_is_an_image_error(key):
    with pytest.raises(ImageError, match="no picture of the synthetic flora"):
        SyntheticImages(12, 0).open(key)


def test_gatherings_differ_and_duplicates_lie_differently():
    images = SyntheticImages(12, 0)
    one, duplicate, other = (
        pixels(images.open(key, (160, 100)))
        for key in ("sheet-2-0-0-2", "sheet-2-0-1-2", "sheet-2-1-0-2")
    )
    assert np.abs(one - duplicate).mean() > 2
    assert np.abs(one - other).mean() > 2


def test_the_sheet_around_the_plant_is_the_same_for_every_species():
    images = SyntheticImages(12, 0)
    foot = [
        pixels(images.open(f"sheet-{species}-0-0-4", (160, 100)))[205:] for species in range(12)
    ]
    # Label text and exposure vary with the sheet; nothing drawn there is of the plant.
    paper = [np.median(part, axis=(0, 1)) for part in foot]
    assert np.ptp(paper, axis=0).max() < 45


def test_every_body_plan_can_be_drawn_pressed_and_living():
    flora = make_flora(220, seed=1)
    first: dict[int, int] = {}
    for index in range(len(flora.species)):
        first.setdefault(id(flora.family_of(index).plan), index)
    assert len(first) == len(PLANS)
    images = SyntheticImages(220, 1)
    for species in first.values():
        for key in (f"sheet-{species}-0-0-1", f"photo-{species}-9-0"):
            assert pixels(images.open(key, (160, 100))).std() > 15


def test_an_image_takes_milliseconds(collection):
    keys = collection.frame["image"][::40]
    for key in keys:
        collection.images.open(key, (160, 100))
    start = time.process_time()
    for key in keys:
        collection.images.open(key, (160, 100))
    assert (time.process_time() - start) / len(keys) < 0.05  # about 5 ms on a quiet machine


def test_written_folder_holds_images_metadata_and_says_it_is_synthetic(tmp_path):
    some = synthetic_collection(2, images_per_species=4)
    seen = []
    (tmp_path / "flora").mkdir()
    write_collection(some, tmp_path / "flora", lambda done, total: seen.append((done, total)))
    table = pd.read_csv(tmp_path / "flora" / "metadata.csv", keep_default_na=False, dtype=str)
    assert len(table) == len(some)
    assert seen[-1] == (len(some), len(some))
    assert "image" not in table.columns
    for name in table["file_name"]:
        with Image.open(tmp_path / "flora" / name) as image:
            assert image.mode == "RGB" and min(image.size) >= 320
    expected = some.frame["trueScientificName"].tolist()
    assert table["trueScientificName"].tolist() == expected
    facts = json.loads((tmp_path / "flora" / "herbzoo.json").read_text())
    assert facts["synthetic"] is True and facts["species"] == 2 and facts["seed"] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["flora"]


def test_writing_refuses_a_folder_in_use_and_leaves_nothing_behind_when_stopped(tmp_path):
    some = synthetic_collection(2, images_per_species=4)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "note.txt").write_text("mine")
    with pytest.raises(DataError, match="not an empty folder"):
        write_collection(some, tmp_path / "used")

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_collection(some, tmp_path / "new", stop)
    assert [path.name for path in tmp_path.iterdir()] == ["used"]


def test_file_names_do_not_tell_the_species(tmp_path):
    some = synthetic_collection(2, images_per_species=6)
    write_collection(some, tmp_path / "flora", min_size=(160, 160))
    table = pd.read_csv(tmp_path / "flora" / "metadata.csv", dtype=str)
    for name, species in zip(table["file_name"], table["scientificName"], strict=True):
        assert not any(part.lower() in name.lower() for part in species.split())


@pytest.mark.slow
def test_records_of_fifteen_thousand_species_take_seconds():
    start = time.process_time()
    large = synthetic_collection(15_501, images_per_species=10)
    assert time.process_time() - start < 60
    assert large.frame["trueScientificName"].nunique() == 15_501


def test_a_fern_that_loses_its_few_fronds_grows_others():
    collection = synthetic_collection(12, 0, 24)
    picture = collection.images.open("photo-4-26-1", (64, 64))
    assert min(picture.size) >= 64
