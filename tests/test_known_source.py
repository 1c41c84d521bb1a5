from __future__ import annotations

from pathlib import Path

import pytest
from tiny import coloured_leaves

from herbzoo.curation.known_source import open_known
from herbzoo.data.readers import open_collection
from herbzoo.data.splits import make_split
from herbzoo.errors import DataError
from herbzoo.recipe import DataRecipe, OptimRecipe, PartRecipe, Recipe
from herbzoo.taxonomy import Taxonomy


@pytest.fixture
def leaves(tmp_path) -> Path:
    return coloured_leaves(tmp_path / "leaves", images_a_species=20)


def run_of(folder: Path, leaves: Path, frozen: bool) -> str:
    """Writes what a run says of its training."""
    folder.mkdir()
    recipe = Recipe(
        PartRecipe("timm:test_convnext"),
        PartRecipe("softmax"),
        DataRecipe(str(leaves)),
        training=OptimRecipe(freeze_backbone=frozen),
    )
    recipe.save(folder)
    split = make_split(open_collection(leaves), None, recipe.seed)
    Taxonomy.from_collection(split.train).save(folder)
    return str(folder)


def test_of_a_trained_run_validation_rows_are_held(tmp_path, leaves):
    source = open_known("", run_of(tmp_path / "run", leaves, frozen=False))
    split = make_split(open_collection(leaves), None, 0)
    assert source.held.sum() == len(split.validation) > 0
    assert set(source.collection.frame["image"][source.held]) == set(
        split.validation.frame["image"]
    )
    assert not set(source.collection.frame["image"]) & set(split.test.frame["image"])
    assert source.held_of(source.collection.select(source.held)).all()


def test_of_a_run_with_a_frozen_backbone_no_row_is_held(tmp_path, leaves):
    source = open_known("", run_of(tmp_path / "run", leaves, frozen=True))
    assert not source.held.any()
    assert len(source.collection) == 48


def test_naming_the_runs_own_data_is_naming_nothing(tmp_path, leaves):
    run = run_of(tmp_path / "run", leaves, frozen=False)
    assert open_known(str(leaves), run).held.any()


def test_data_that_the_backbone_learned_from_are_refused_where_they_cannot_be_divided(
    tmp_path, leaves
):
    run = run_of(tmp_path / "run", leaves, frozen=False)
    (leaves / "Quercus_rubra").rename(leaves / "Quercus_nigra")
    with pytest.raises(DataError, match=r"was trained on .* that it never saw"):
        open_known(str(leaves), run)
    frozen = run_of(tmp_path / "frozen", leaves, frozen=True)
    (leaves / "Quercus_nigra").rename(leaves / "Quercus_rubra")
    assert not open_known(str(leaves), frozen).held.any()


def test_other_data_are_taken_whole(tmp_path, leaves):
    run = run_of(tmp_path / "run", leaves, frozen=False)
    other = coloured_leaves(tmp_path / "other", images_a_species=3)
    source = open_known(str(other), run)
    assert (len(source.collection), source.held.any()) == (9, False)


def test_data_that_are_gone_or_changed_are_asked_for(tmp_path, leaves):
    run = run_of(tmp_path / "run", leaves, frozen=True)
    (leaves / "Quercus_rubra").rename(leaves / "Quercus_nigra")
    with pytest.raises(DataError, match=r"has changed since.*--known"):
        open_known("", run)
    leaves.rename(tmp_path / "moved")
    with pytest.raises(DataError, match=r"cannot be opened.*--known"):
        open_known("", run)
    with pytest.raises(DataError, match=r"does not say what it was trained on.*--known"):
        open_known("", "someone/model")
