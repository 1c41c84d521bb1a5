from __future__ import annotations

import numpy as np
import pytest
from data_samples import records_collection

from herbzoo.data.joins import join_groups
from herbzoo.data.leaks import find_leaks
from herbzoo.data.records import Collection, SpecimenRecord
from herbzoo.data.strategies import UNUSED, SplitPlan, plan_split
from herbzoo.errors import DataError

HERBARIA = ("B", "K", "NY")


def herbaria(species: int = 12, each: int = 9) -> Collection:
    """Makes sheets in three herbaria; every fourth gathering has its duplicate in the next one."""
    records = []
    for s in range(species):
        for i in range(each):
            for copy in range(1 + (i % 4 == 0)):
                records.append(
                    SpecimenRecord(
                        f"{s}-{i}-{copy}.jpg",
                        f"Genus{chr(97 + s // 3)} species{chr(97 + s)}",
                        genus=f"Genus{chr(97 + s // 3)}",
                        institutionCode=HERBARIA[(i + copy) % 3],
                        recordedBy="J. Smith" if copy else "Smith, J.",
                        recordNumber=str(100 * s + i),
                        eventDate="1923-05-12",
                    )
                )
    return records_collection(records)


def part(plan: SplitPlan, collection: Collection, name: str, column: str = "image") -> set[str]:
    return set(collection.frame[column][plan.parts == name])


def test_gathering_split_has_its_shares_and_leaks_nothing():
    collection = herbaria()
    plan = plan_split(collection, "gathering", test_share=1 / 3, validation_share=1 / 9)
    split = plan.apply(collection)
    assert len(split.train) + len(split.validation) + len(split.test) == len(collection)
    assert 0.25 < len(split.test) / len(collection) < 0.42
    assert find_leaks(split) == []
    assert part(plan, collection, "test", "scientificName") == set(collection.frame.scientificName)


def test_institution_is_held_out_with_its_duplicates_elsewhere():
    collection = herbaria()
    plan = plan_split(collection, "institution", hold_out=["NY"])
    split = plan.apply(collection)
    assert set(split.test.frame["institutionCode"]) == {"NY"}
    assert len(split.test) == (collection.frame["institutionCode"] == "NY").sum()
    assert "NY" not in set(split.train.frame["institutionCode"])
    assert find_leaks(split) == []
    assert plan.torn == split.left_out == (plan.parts == UNUSED).sum() > 0
    assert len(split.validation) > 0


def test_institution_must_be_said_and_be_there():
    collection = herbaria()
    with pytest.raises(DataError, match=r"which institution .* B \(\d+\)"):
        plan_split(collection, "institution")
    with pytest.raises(DataError, match="no row with institutionCode 'NYBG'; did you mean 'NY'"):
        plan_split(collection, "institution", hold_out=["NYBG"])
    bare = records_collection([SpecimenRecord("a.jpg", "Rosa canina")])
    with pytest.raises(DataError, match="says of no row which institution"):
        plan_split(bare, "institution")
    with pytest.raises(DataError, match="nothing in column institutionCode"):
        plan_split(bare, "institution", hold_out=["NY"])
    with pytest.raises(DataError, match="no train rows"):
        plan_split(collection, "institution", hold_out=HERBARIA)


@pytest.mark.parametrize(
    ("by", "column", "count"), [("species", "scientificName", 3), ("genus", "genus", 1)]
)
def test_species_and_genera_are_held_out_whole(by, column, count):
    collection = herbaria()
    plan = plan_split(collection, by, test_share=0.25, seed=1)
    assert len(plan.held_out) == count and plan.column == column
    unseen = part(plan, collection, "test", column)
    assert unseen == set(plan.held_out)
    assert unseen.isdisjoint(part(plan, collection, "train", column))
    assert unseen.isdisjoint(part(plan, collection, "validation", column))
    assert plan_split(collection, by, test_share=0.25, seed=1).held_out == plan.held_out
    others = {plan_split(collection, by, test_share=0.25, seed=s).held_out for s in range(6)}
    assert len(others) > 1


def test_seen_species_are_tested_too_where_asked():
    collection = herbaria()
    plan = plan_split(collection, "species", hold_out=["Genusa speciesa"], seen_share=0.2)
    tested = collection.frame["scientificName"][plan.parts == "test"].value_counts()
    assert plan.held_out == ("Genusa speciesa",)
    assert tested["Genusa speciesa"] == 12 and len(tested) > 8
    assert find_leaks(plan.apply(collection)) == []


def test_further_joins_are_not_divided():
    collection = herbaria()
    pairs = [(i, i + 40) for i in range(40)]
    plan = plan_split(collection, "gathering", joins=[join_groups("near-duplicate image", pairs)])
    assert all(plan.parts[one] == plan.parts[other] for one, other in pairs)
    free = plan_split(collection, "gathering")
    assert any(free.parts[one] != free.parts[other] for one, other in pairs)


@pytest.mark.parametrize("seed", range(4))
def test_least_numbers_of_gatherings_hold_for_the_tail(seed):
    sizes = (1, 2, 3, 4, 20)
    collection = records_collection(
        SpecimenRecord(f"{s}-{i}.jpg", f"Genus species{s}") for s in sizes for i in range(s)
    )

    def counts(**least: int) -> dict[int, int]:
        plan = plan_split(
            collection, "gathering", test_share=0.1, validation_share=0, seed=seed, **least
        )
        tested = collection.frame["scientificName"][plan.parts == "test"]
        return {s: int((tested == f"Genus species{s}").sum()) for s in sizes}

    each = counts(least_test=1)
    assert each[1] == 0 and each[2] == each[3] == each[4] == 1 and each[20] >= 2
    kept = counts(least_train=3, least_test=2)
    assert kept == {1: 0, 2: 0, 3: 0, 4: 1, 20: max(2, kept[20])}


def test_what_cannot_be_done_is_said():
    collection = herbaria()
    with pytest.raises(DataError, match="not known; there are gathering, institution"):
        plan_split(collection, "random-by-image")
    with pytest.raises(DataError, match="name none"):
        plan_split(collection, "gathering", hold_out=["NY"])
    with pytest.raises(DataError, match="cannot be held out"):
        plan_split(collection, "gathering", test_share=1.0)
    with pytest.raises(DataError, match="cannot be held out"):
        plan_split(collection, "gathering", validation_share=1.0)
    with pytest.raises(DataError, match="cannot be held out"):
        plan_split(collection, "species", test_share=0.0)
    with pytest.raises(DataError, match="has no test rows"):
        plan_split(herbaria(3, 1), "gathering")
    one = records_collection([SpecimenRecord("a.jpg", "Rosa canina", genus="Rosa")] * 2)
    with pytest.raises(DataError, match="1 genus: none can be held out"):
        plan_split(one, "genus")


def test_order_of_rows_does_not_matter():
    collection = herbaria()
    order = np.random.default_rng(0).permutation(len(collection))
    shuffled = collection.select(order)
    for by, asked in (("gathering", []), ("species", []), ("institution", ["K"])):
        one = plan_split(collection, by, hold_out=asked, seed=3)
        other = plan_split(shuffled, by, hold_out=asked, seed=3)
        assert np.array_equal(one.parts[order], other.parts)
