from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from novel_samples import Flora, known

from herbzoo.curation.known_source import without_known
from herbzoo.errors import DataError

FLORA = Flora()
KNOWN = FLORA.names[:10]


def test_no_gathering_is_divided_between_fit_and_held():
    rows = FLORA.specimens(KNOWN[:5], 12, 1)
    rows.collection.frame["occurrenceID"] = [f"o{number // 3}" for number in range(60)]
    specimens = known(rows)
    for part in specimens.parts():
        sides = set(specimens.gathering[part.fit]) & set(specimens.gathering[part.held])
        assert not sides
    assert len(np.unique(specimens.gathering)) == 20


def test_exposures_of_one_leaf_are_one_gathering():
    rows = FLORA.specimens(KNOWN[:5], 12, 1)
    rows.values[1] = rows.values[0] + 0.01
    specimens = known(rows)
    assert specimens.gathering[0] == specimens.gathering[1]
    assert len(np.unique(specimens.gathering)) == 59


def test_another_exposure_of_a_leaf_that_was_learned_from_measures_nothing():
    rows = FLORA.specimens(KNOWN, 20, 1)
    held = np.arange(len(rows)) % 10 == 0
    rows.values[0] = rows.values[1] + 0.01
    (part,) = known(rows, held).parts()
    assert np.array_equal(part.held, np.flatnonzero(held)[1:])


def test_held_out_images_of_no_use_are_not_replaced_by_learned_ones():
    rows = FLORA.specimens(KNOWN[:3], 8, 1)
    held = np.arange(len(rows)) % 8 == 0
    rows.collection.frame.loc[held, "scientificName"] += " ?"
    with pytest.raises(DataError, match="--known"):
        known(rows, held)


def test_doubtful_names_are_not_known():
    rows = FLORA.specimens(KNOWN[:3], 4, 1)
    rows.collection.frame.loc[:3, "scientificName"] = KNOWN[0].replace(" ", " cf. ")
    assert [taxon.scientificName for taxon in known(rows).taxa] == KNOWN[1:3]


def test_specimens_that_are_known_themselves_are_left_out():
    own = FLORA.specimens(KNOWN[:2], 3, 1).collection
    other = replace(FLORA.specimens(KNOWN[:2], 3, 2).collection, name="elsewhere")
    other.frame["occurrenceID"] = [f"o{number}" for number in range(6)]
    own.frame.loc[0, "occurrenceID"] = "o4"
    kept, left_out = without_known(other, own)
    assert (len(kept), left_out) == (5, 1)
    with pytest.raises(DataError, match="herbzoo suspects"):
        without_known(own, own)
