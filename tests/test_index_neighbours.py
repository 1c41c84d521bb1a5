"""Naming by neighbours: few sheets against many, new species, ranks, and filters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from index_samples import sheets, write

from herbzoo.errors import HerbzooError
from herbzoo.index import SpecimenIndex
from herbzoo.index.neighbours import LOOKED_AT, NeighbourRanking

pytest.importorskip("lancedb", reason='the index needs pip install "herbzoo[search]"')


def at(*cosines: float) -> np.ndarray:
    """Returns vectors with these cosines to the first axis."""
    return np.array([[c, math.sqrt(1 - c * c), 0, 0, 0, 0, 0, 0] for c in cosines], np.float32)


QUERY = at(1.0)


def index_of(folder, species: dict[str, np.ndarray]) -> SpecimenIndex:
    """Builds an index of species with these vectors."""
    names = [name for name, vectors in species.items() for _ in vectors]
    columns = sheets(len(names)) | {
        "scientificName": names,
        "genus": [name.split()[0] for name in names],
        "embedding": np.concatenate(list(species.values())),
    }
    columns["family"] = ["" if genus == "Rara" else f"{genus}ceae" for genus in columns["genus"]]
    return SpecimenIndex.create(folder / "index", write(folder / "sheets.parquet", columns))


def test_a_hundred_sheets_do_not_outvote_three_nearer_ones(tmp_path):
    many = at(*np.linspace(0.80, 0.89, 150))
    index = index_of(tmp_path, {"Multa vulgaris": many, "Rara avis": at(0.9, 0.91, 0.92)})
    best, other = NeighbourRanking(index)(QUERY)[0]
    assert (best.scientificName, other.scientificName) == ("Rara avis", "Multa vulgaris")
    # The mean of exp(s / 0.07) over the three nearest of each, shared out.
    rare = np.exp(np.array([0.9, 0.91, 0.92]) / 0.07).mean()
    common = np.exp(many[-3:, 0] / 0.07).mean()
    assert best.score == pytest.approx(rare / (rare + common), abs=1e-3)
    assert best.score + other.score == pytest.approx(1)


def test_one_stray_sheet_among_far_ones_does_not_win_over_a_near_species(tmp_path):
    stray = at(0.95, *[0.1] * 20)
    index = index_of(tmp_path, {"Multa vaga": stray, "Rara avis": at(0.93, 0.93, 0.93)})
    assert NeighbourRanking(index)(QUERY)[0][0].scientificName == "Rara avis"


def test_sheets_of_a_species_beyond_those_fetched_count_as_the_farthest_fetched(tmp_path):
    near = at(*[0.9] * (LOOKED_AT - 1))
    species = {"Multa vulgaris": near, "Duo vaga": at(0.95, 0.1, 0.1)}
    ranking = NeighbourRanking(index_of(tmp_path, species))
    found = {one.scientificName: one.score for one in ranking(QUERY)[0]}
    vaga = (math.exp(0.95 / 0.07) + 2 * math.exp(0.9 / 0.07)) / 3
    assert found["Duo vaga"] == pytest.approx(vaga / (vaga + math.exp(0.9 / 0.07)), abs=2e-3)


def test_a_species_is_named_at_once_when_a_few_sheets_of_it_were_added(tmp_path):
    index = index_of(tmp_path, {"Multa vulgaris": at(*[0.5] * 40)})
    new = sheets(3, first=100)
    new |= {
        "scientificName": ["Nova stella"] * 3,
        "genus": ["Nova"] * 3,
        "embedding": at(0.9, 0.9, 0.8),
    }
    index.add(write(tmp_path / "new.parquet", new))
    assert NeighbourRanking(index)(QUERY)[0][0].scientificName == "Nova stella"


def test_scores_are_summed_to_genus_and_family(tmp_path):
    index = index_of(
        tmp_path, {"Acer a": at(0.80), "Acer b": at(0.80), "Rara avis": at(0.82), "Ulmus x": at(0)}
    )
    genus = NeighbourRanking(index, "genus", top_k=9)
    answer = genus(QUERY)[0]
    assert [one.scientificName for one in answer] == ["Acer", "Rara", "Ulmus"]
    assert (answer[0].genus, answer[0].family, answer[0].taxonRank) == ("Acer", "Acerceae", "genus")
    assert sum(one.score for one in answer) == pytest.approx(1)
    family = NeighbourRanking(index, "family")
    assert [one.scientificName for one in family(QUERY)[0]] == ["Acerceae", "Ulmusceae"]


def test_as_many_taxa_as_asked_for_are_found_behind_many_sheets_of_one(tmp_path):
    far = {f"Rara s{number}'s": at(0.2 - number / 100) for number in range(4)}
    index = index_of(tmp_path, {"Multa vulgaris": at(*[0.9] * (LOOKED_AT + 20)), **far})
    answer = NeighbourRanking(index, top_k=4)(QUERY)[0]
    assert [one.scientificName for one in answer] == ["Multa vulgaris", *list(far)[:3]]


def test_a_filter_chooses_the_sheets(tmp_path):
    index = index_of(tmp_path, {"Acer a": at(0.9), "Ulmus x": at(0.1)})
    ranking = NeighbourRanking(index, where="genus = 'Acer' or genus = 'Ulmus'")
    assert ranking.length == 2
    only = NeighbourRanking(index, where="genus = 'Ulmus'")
    assert [one.scientificName for one in only(QUERY)[0]] == ["Ulmus x"]
    with pytest.raises(HerbzooError, match=r"no sheet of .* among those with genus = 'X'"):
        NeighbourRanking(index, where="genus = 'X'")
    with pytest.raises(HerbzooError, match="there is no rank 'order'"):
        NeighbourRanking(index, "order")
