from __future__ import annotations

import random
import time
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from data_samples import records_collection

from herbzoo.data.gatherings import gatherings
from herbzoo.data.records import COLUMNS, Collection, SpecimenRecord
from herbzoo.data.splits import Split, by_column, hold_out, make_split
from herbzoo.errors import DataError


def flora(species: int = 20, each: int = 10, **values: str) -> Collection:
    """Makes specimens of one image each that nothing joins."""
    return records_collection(
        SpecimenRecord(f"{s}/{i}.jpg", f"Genus species{s}", occurrenceID=f"occ-{s}-{i}", **values)
        for s in range(species)
        for i in range(each)
    )


def chance_flora(seed: int, rows: int = 400) -> Collection:
    """Makes a flora with a long tail, specimens of several images, and gatherings of several."""
    chance = random.Random(seed)
    records = []
    for i in range(rows):
        gathering = chance.randrange(rows // 4)
        records.append(
            SpecimenRecord(
                f"{i}.jpg",
                f"Genus species{int(40 * random.Random(gathering).random() ** 3)}",
                occurrenceID=chance.choice(["", f"occ-{gathering}-{chance.randrange(2)}"]),
                recordedBy=chance.choice(["", f"Collector {gathering % 7}"]),
                recordNumber=str(gathering),
                eventDate="1990-05-01",
            )
        )
    return records_collection(records)


def images(collection: Collection) -> set[str]:
    return set(collection.frame["image"])


def species(collection: Collection) -> set[str]:
    return set(collection.frame["scientificName"])


def all_rows(split: Split) -> list[str]:
    return sorted(
        [*split.train.frame.image, *split.validation.frame.image, *split.test.frame.image]
    )


def test_column_says_which_row_is_which():
    values = ["Train", "val", "VALIDATION", "valid", "test", "unused", "", "train "]
    collection = flora(1, len(values))
    collection.frame["protocol"] = values
    split = by_column(collection, "protocol")
    assert (len(split.train), len(split.validation), len(split.test)) == (2, 3, 1)
    assert split.left_out == 2
    assert "protocol" in split.rule


def test_column_without_train_rows_or_that_is_not_there_is_an_error():
    collection = flora(2, 2, split="test")
    with pytest.raises(DataError, match=r"has no train rows; it holds 'test' \(4\)"):
        make_split(collection, "split", 0)
    with pytest.raises(DataError, match="no column 'protocol'"):
        make_split(collection, "protocol", 0)
    with pytest.raises(DataError, match="it holds nothing"):
        make_split(collection, "family", 0)


def test_validation_is_taken_from_train_where_the_column_has_none():
    collection = flora(10, 20)
    collection.frame["protocol"] = ["train", "test"] * 100
    split = make_split(collection, "protocol", 0, validation_share=0.1)
    assert images(split.test) == images(collection.select(np.arange(1, 200, 2)))
    assert (len(split.train), len(split.validation)) == (90, 10)
    given = make_split(collection.select(np.arange(200)), "protocol", 0, validation_share=0)
    assert len(given.validation) == 0


def test_split_column_is_used_when_it_names_train_and_test():
    collection = flora(2, 10)
    collection.frame["split"] = ["train", "validation", "test", "test", "other"] * 4
    split = make_split(collection, None, 0)
    assert (len(split.train), len(split.validation), len(split.test)) == (4, 4, 8)
    assert split.left_out == 4
    collection.frame["split"] = "train"
    assert len(make_split(collection, None, 0).test) == 4


def test_random_split_has_the_shares_asked_for_and_every_row_once():
    collection = flora(50, 10)
    split = make_split(collection, None, 0, validation_share=0.1, test_share=0.2)
    assert (len(split.train), len(split.validation), len(split.test)) == (350, 50, 100)
    assert all_rows(split) == sorted(collection.frame["image"])
    per_species = split.test.frame["scientificName"].value_counts()
    assert set(per_species) == {2} and len(per_species) == 50


def test_rare_species_take_turns_so_that_the_whole_is_right():
    _, held = hold_out(flora(100, 3), 0.1, 0)
    assert len(held) == 30
    assert set(held.frame["scientificName"].value_counts()) == {1}
    assert species(held) != species(hold_out(flora(100, 3), 0.1, 1)[1])


@pytest.mark.parametrize("seed", range(5))
def test_no_specimen_and_no_gathering_is_divided(seed):
    collection = chance_flora(seed)
    split = make_split(collection, None, seed)
    assert len(split.test) > 20 and len(split.validation) > 10
    for key in (["occurrenceID"], ["recordedBy", "recordNumber", "eventDate"]):
        seen: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for part in ("train", "validation", "test"):
            frame = getattr(split, part).frame
            for value in frame[key].itertuples(index=False, name=None):
                if value[0]:
                    seen[value].add(part)
        assert seen and all(len(parts) == 1 for parts in seen.values())


@pytest.mark.parametrize("seed", range(5))
def test_every_species_stays_in_train(seed):
    collection = chance_flora(seed)
    split = make_split(collection, None, seed)
    assert species(split.train) == species(collection)
    assert split.unknown_test == 0


def test_species_with_one_gathering_stays_whole_in_train():
    one = [
        SpecimenRecord(f"a{i}.jpg", "Rosa canina", recordedBy="Ek", recordNumber="7")
        for i in range(9)
    ]
    others = list(flora(5, 5).records())
    kept, held = hold_out(records_collection(one + others), 0.5, 0)
    assert "Rosa canina" not in species(held)
    assert len(kept) == 9 + 25 - len(held)


@pytest.mark.parametrize("seed", range(8))
def test_gathering_under_several_names_goes_as_one_and_empties_no_species(seed):
    pairs = [
        SpecimenRecord(f"{i}{herbarium}.jpg", name, recordedBy="Ek", recordNumber=str(i))
        for i in range(12)
        for herbarium, name in (("B", "Rosa canina"), ("K", f"Rosa rare{i // 2}"))
    ]
    collection = records_collection(pairs)
    kept, held = hold_out(collection, 0.5, seed)
    assert species(kept) == species(collection)
    assert {i[:-5] for i in images(kept)}.isdisjoint({i[:-5] for i in images(held)})
    assert len(held) > 0


def test_joins_chain_over_both_keys():
    frame = records_collection(
        [
            SpecimenRecord("a", "x", occurrenceID="1", recordedBy="Ek", recordNumber="7"),
            SpecimenRecord("b", "x", occurrenceID="2", recordedBy="Ek", recordNumber="7"),
            SpecimenRecord("c", "x", occurrenceID="2"),
            SpecimenRecord("d", "x", occurrenceID="3"),
            SpecimenRecord("d", "y", occurrenceID="4"),
            SpecimenRecord("e", "x"),
            SpecimenRecord("f", "x"),
        ]
    ).frame
    numbers = gatherings(frame)
    assert numbers[0] == numbers[1] == numbers[2]
    assert numbers[3] == numbers[4]
    assert len(set(numbers)) == 4


@pytest.mark.parametrize(
    ("collector", "number"),
    [("Ek", ""), ("", "7"), ("Ek", "s.n."), ("Ek", "Nil"), ("Unknown", "7"), (" ", "7")],
)
def test_gatherings_without_collector_or_number_join_nothing(collector, number):
    records = [
        SpecimenRecord(f"{i}", "x", recordedBy=collector, recordNumber=number) for i in range(3)
    ]
    assert len(set(gatherings(records_collection(records).frame))) == 3


def test_gatherings_of_other_days_are_others():
    records = [
        SpecimenRecord(f"{i}", "x", recordedBy="Ek", recordNumber="7", eventDate=day)
        for i, day in enumerate(["1990-05-01", "1990-05-02", "1990-05-01"])
    ]
    numbers = gatherings(records_collection(records).frame)
    assert numbers[0] == numbers[2] != numbers[1]


def test_choice_depends_on_the_seed_and_not_on_the_order_of_rows():
    collection = chance_flora(0)
    split = make_split(collection, None, 3)
    shuffled = collection.select(np.random.default_rng(1).permutation(len(collection)))
    again = make_split(shuffled, None, 3)
    assert images(again.test) == images(split.test)
    assert images(again.validation) == images(split.validation)
    assert images(make_split(collection, None, 4).test) != images(split.test)
    assert list(split.train.frame.index) == list(range(len(split.train)))


def test_rows_added_later_reshuffle_little():
    before = hold_out(flora(30, 10), 0.2, 0)[1]
    after = hold_out(
        records_collection([*flora(30, 10).records(), *flora(31, 10).records()]), 0.2, 0
    )
    assert len(images(before) & images(after[1])) >= 0.9 * len(before)


def test_choice_is_pinned():
    # Figures measured on a random split hold only as long as it stays the same.
    held = sorted(images(hold_out(flora(4, 5), 0.2, 0)[1]))
    assert held == ["0/0.jpg", "1/3.jpg", "2/1.jpg", "3/0.jpg"]


def test_large_specimens_are_no_likelier_to_be_held_out():
    records = [
        SpecimenRecord(f"{i}-{j}.jpg", "Rosa canina", occurrenceID=str(i))
        for i in range(400)
        for j in range(9 if i % 2 else 1)
    ]
    _, held = hold_out(records_collection(records), 0.25, 0)
    large = {name.split("-")[0] for name in images(held)}
    assert len(large) == 100
    assert 35 <= sum(int(number) % 2 for number in large) <= 65


def test_test_species_unknown_to_train_are_kept_and_counted():
    collection = flora(3, 4)
    parts = [
        "train" if name != "Genus species2" else "test"
        for name in collection.frame["scientificName"]
    ]
    collection.frame["protocol"] = parts
    split = make_split(collection, "protocol", 0)
    assert len(split.test) == split.unknown_test == 4


def test_degenerate_collections_and_shares():
    for share in (1.0, -0.1, 7):
        with pytest.raises(DataError, match="cannot be held out"):
            hold_out(flora(2, 2), share, 0)
    kept, held = hold_out(flora(2, 2), 0, 0)
    assert (len(kept), len(held)) == (4, 0)
    empty = flora(1, 1).select(np.zeros(1, dtype=bool))
    assert [len(part) for part in hold_out(empty, 0.5, 0)] == [0, 0]
    lone = make_split(flora(1, 1), None, 0)
    assert (len(lone.train), len(lone.test)) == (1, 0)
    assert len(make_split(flora(3, 4), None, 0, validation_share=0, test_share=0.5).test) == 6


def test_large_collections_split_in_seconds():
    rows, names = 200_000, 4_000
    chance = np.random.default_rng(0)
    frame = pd.DataFrame({column: "" for column in COLUMNS}, index=range(rows), dtype=str)
    number = pd.Series(np.arange(rows)).astype(str)
    frame["image"] = "images/" + number + ".jpg"
    frame["occurrenceID"] = "occ-" + (pd.Series(np.arange(rows)) // 2).astype(str)
    frame["scientificName"] = "species " + pd.Series(chance.integers(0, names, rows)).astype(str)
    started = time.perf_counter()
    split = make_split(Collection(frame, None, "large"), None, 0)  # type: ignore[arg-type]
    assert time.perf_counter() - started < 60, "a routine over pairs of rows would take hours"
    assert len(split.train) + len(split.validation) + len(split.test) == rows
