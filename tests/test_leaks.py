from __future__ import annotations

import pytest
from data_samples import records_collection

from herbzoo.data.leaks import Leak, find_leaks, joined, leaking_rows, without_leaks
from herbzoo.data.records import SpecimenRecord
from herbzoo.data.splits import Split, by_column, make_split


def split_of(*rows: tuple[str, dict[str, str]]) -> Split:
    """Makes a split of rows, each a part and what is known of it."""
    records = [
        SpecimenRecord(
            **{"image": f"{i}.jpg", "scientificName": "Rosa canina", **facts}, split=part
        )
        for i, (part, facts) in enumerate(rows)
    ]
    return by_column(records_collection(records), "split")


SMITH = {"recordedBy": "J. Smith", "recordNumber": "7", "eventDate": "1923-05-12"}


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("specimen", {"occurrenceID": "a"}, {"occurrenceID": "a"}),
        ("image file", {"image": "x.jpg"}, {"image": "x.jpg"}),
        (
            "catalogue number",
            {"catalogNumber": "K 12", "institutionCode": "K"},
            {"catalogNumber": "k12", "institutionCode": "K"},
        ),
        ("gathering", SMITH, {**SMITH, "recordedBy": "Smith, J.", "eventDate": "12.V.1923"}),
    ],
)
def test_each_kind_of_leak_is_found_and_counted(kind, one, other):
    split = split_of(("train", one), ("train", one), ("test", other), ("test", {}), ("train", {}))
    (leak,) = find_leaks(split)
    image = other.get("image", "2.jpg")
    first = one.get("image", "0.jpg")
    assert leak == Leak(kind, 1, 0.5, ((first, image),), 2, "test")


def test_split_made_here_leaks_nothing():
    rows = [("train", {**SMITH, "recordNumber": str(i // 3)}) for i in range(60)]
    split = make_split(joined(split_of(*rows)), None, 0)
    assert len(split.test) and len(split.validation)
    assert find_leaks(split) == []
    assert leaking_rows(split) == 0
    assert without_leaks(split)[1] == 0


def test_validation_is_compared_with_train_and_test_with_both():
    a, b, c = ({"occurrenceID": key} for key in "abc")
    split = split_of(
        ("train", a), ("train", c), ("validation", a), ("validation", b), ("test", b), ("test", {})
    )
    test, validation = find_leaks(split)
    assert (test.part, test.test_rows, test.examples) == ("test", 1, (("3.jpg", "4.jpg"),))
    assert (validation.part, validation.test_rows) == ("validation", 1)


def test_duplicates_are_leaks_of_their_own_kind():
    split = split_of(("test", {}), ("train", {}), ("train", {}), ("test", {}))
    # Rows count through train, validation and test: 1 and 2, then 0 and 3.
    leaks = find_leaks(split, duplicates={"near-duplicate image": [(0, 1, 3)]})
    assert [(leak.kind, leak.test_rows, leak.pairs) for leak in leaks] == [
        ("near-duplicate image", 1, 2)
    ]
    assert leaks[0].examples == (("1.jpg", "3.jpg"),)


def test_rows_that_leak_by_way_of_another_are_counted():
    split = split_of(
        ("train", {"occurrenceID": "a"}), ("test", {"occurrenceID": "a"}), ("test", {})
    )
    assert leaking_rows(split, duplicates={"near-duplicate image": [(1, 2)]}) == 2
    assert find_leaks(split, duplicates={"near-duplicate image": [(1, 2)]})[0].test_rows == 1


@pytest.mark.parametrize(
    ("drop", "left"),
    [("test", ({"0", "1", "2"}, {"5"}, {"7"})), ("train", ({"2"}, {"4", "5"}, {"6", "7"}))],
)
def test_leaks_are_left_out_on_the_side_asked_for(drop, left):
    a, b = {"occurrenceID": "a"}, {"occurrenceID": "b"}
    split = split_of(
        ("train", a),
        ("train", b),
        ("train", {}),
        ("validation", a),
        ("validation", b),
        ("validation", {}),
        ("test", a),
        ("test", {}),
    )
    clean, gone = without_leaks(split, drop=drop)
    parts = (clean.train, clean.validation, clean.test)
    kept = [{name.removesuffix(".jpg") for name in part.frame["image"]} for part in parts]
    assert tuple(kept) == left
    assert find_leaks(clean) == []
    assert gone == len(joined(split)) - len(joined(clean)) == clean.left_out
    assert f"{gone} leaking rows left out" in clean.rule


def test_empty_parts_leak_nothing():
    split = split_of(("train", SMITH), ("train", SMITH))
    assert find_leaks(split) == [] and leaking_rows(split) == 0
    assert without_leaks(split)[1] == 0
