"""What a recipe can ask of its data and its last stage, from the command line to the run folder."""

from __future__ import annotations

import csv
import json
import sys

import pytest
import torch
from tiny import coloured_leaves

import herbzoo.cli
from herbzoo.data.synthetic import synthetic_collection, write_collection
from herbzoo.inference import Identifier
from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
from herbzoo.taxonomy import Taxonomy

SMALL = (
    *("--backbone", "efficientnet_lite0", "--image-size", "32", "--workers", "0"),
    *("--device", "cpu", "--no-pretrained", "--set", "training.log=none"),
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HERBZOO_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def flora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flora") / "flora"
    write_collection(synthetic_collection(6, 0, 16), folder, min_size=(64, 64))
    return folder


def train(monkeypatch, capsys, *arguments) -> tuple[int, str]:
    """Runs `herbzoo train` in this process; returns exit code and stderr."""
    monkeypatch.setattr(sys, "argv", ["herbzoo", "train", *SMALL, *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        herbzoo.cli.main()
    return ended.value.code or 0, capsys.readouterr().err


def test_bad_images_are_skipped_and_listed_and_evaluation_finds_the_same_rows(
    tmp_path, monkeypatch, capsys
):
    leaves = coloured_leaves(tmp_path / "leaves", images_a_species=8)
    broken = sorted(leaves.rglob("*.jpg"))[:5]  # of eight, so that training meets one
    for path in broken:
        path.write_bytes(path.read_bytes()[:200])
    run, options = tmp_path / "run", ("--data", leaves, "--head", "softmax", "--max-steps", "2")
    code, told = train(monkeypatch, capsys, *options, "--output", run)
    assert code == 2 and "broken or cut short" in told
    run = tmp_path / "other"
    code, told = train(monkeypatch, capsys, *options, "--output", run, "--skip-bad")
    assert code == 0, told
    with (run / "skipped.csv").open() as stream:
        listed = list(csv.DictReader(stream))
    assert [row["where"].rpartition("/")[2] for row in listed] == [path.name for path in broken]
    assert all("cut short" in row["reason"] for row in listed)
    assert "skipping 5 rows and images" in told
    monkeypatch.setattr(sys, "argv", ["herbzoo", "evaluate", str(run), "--data", str(leaves)])
    with pytest.raises(SystemExit):
        herbzoo.cli.main()
    assert "held out" in capsys.readouterr().err


def test_names_are_resolved_before_the_classes_are_made(tmp_path, monkeypatch, capsys):
    leaves = coloured_leaves(tmp_path / "leaves", images_a_species=6)
    table = tmp_path / "names.csv"
    table.write_text(
        "scientificName,acceptedName\nAcer rubrum,Acer rubrum\nQuercus alba,Quercus alba\n"
        "Quercus rubra,Quercus alba\n"
    )
    run = tmp_path / "run"
    code, told = train(
        monkeypatch, capsys, "--data", leaves, "--head", "softmax", "--max-steps", "1",
        "--output", run, "--set", f"data.taxonomy={table}",
    )  # fmt: skip
    assert code == 0, told
    taxonomy = Taxonomy.load(run)
    assert [taxon.scientificName for taxon in taxonomy.taxa] == ["Acer rubrum", "Quercus alba"]
    assert taxonomy.taxa[1].synonyms == ("Quercus rubra",)
    assert "Names were resolved with a table of names" in (run / "README.md").read_text()


CROSS_DOMAIN = (
    *("--recipe", "cross_domain", "--set", "training.stacking_species=1"),
    *("--set", "training.feature_views=2", "--set", "training.stacking_rounds=2"),
)


def test_the_cross_domain_recipe_ends_in_a_model_with_an_offset(
    flora, tmp_path, monkeypatch, capsys
):
    run = tmp_path / "run"
    code, told = train(monkeypatch, capsys, *CROSS_DOMAIN, "--data", flora, "--output", run)
    assert code == 0, told
    chosen = json.loads((run / "stacking.json").read_text())
    assert len(chosen["rounds"]) == 2
    assert all(len(turn["species"]) == 1 and turn["unseen"] for turn in chosen["rounds"])
    model = HerbForImageClassification.from_pretrained(run)
    assert model.config.stacking
    assert int((model.stacking.offsets > 0).sum()) in (0, chosen["favoured"])
    assert model.stacking.offsets.max().item() == pytest.approx(chosen["offset"])
    assert model.head.prototypes.any()
    assert Identifier.from_pretrained(run)([next(flora.rglob("*.jpg"))])
    card = (run / "README.md").read_text()
    assert "no gradient steps" in card and "AdamW" not in card and "set in closed form" in card
    assert f"an offset of {chosen['offset']:.2f}" in card and "2 rounds of 1" in card


def test_withheld_photos_calibrate_what_validated_on_no_rows(flora, tmp_path, monkeypatch, capsys):
    from herbzoo import closed_form
    from herbzoo.evaluation import calibrate

    learned_from = []
    real = closed_form.learned

    def recorded(scores, collection, *rest):
        learned_from.append((torch.cat([part for _, part in scores.chunks()]), collection.frame))
        return real(scores, collection, *rest)

    monkeypatch.setattr(closed_form, "learned", recorded)
    monkeypatch.setattr(closed_form, "FEWEST", 2)
    monkeypatch.setattr(calibrate, "FEWEST", 2)
    run = tmp_path / "run"
    code, told = train(monkeypatch, capsys, *CROSS_DOMAIN, "--data", flora, "--output", run)
    assert code == 0, told
    [(scores, frame)] = learned_from
    assert set(frame["basisOfRecord"]) == {"HumanObservation"}
    found = json.loads((run / "calibration.json").read_text())
    assert found["domains"] == {"HumanObservation": len(frame)}
    assert found["source"] == "field photos withheld from the training"
    assert Identifier.from_pretrained(run).temperature == found["temperature"]
    assert scores.shape == (len(frame), len(Taxonomy.load(run).taxa))


def test_a_tuned_backbone_never_learns_from_withheld_photos(flora, tmp_path, monkeypatch, capsys):
    from herbzoo import fitting

    learned = []
    real = fitting.HerbTrainer

    def recorded(*args, train_dataset, **kwargs):
        learned.extend(train_dataset.collection.frame["image"])
        return real(*args, train_dataset=train_dataset, **kwargs)

    monkeypatch.setattr(fitting, "HerbTrainer", recorded)
    run = tmp_path / "run"
    code, told = train(
        monkeypatch, capsys, *CROSS_DOMAIN, "--data", flora, "--output", run, "--max-steps", "1",
        "--set", "training.freeze_backbone=false",
    )  # fmt: skip
    assert code == 0, told
    [turn] = json.loads((run / "stacking.json").read_text())["rounds"]
    frame = open_frame(flora)
    withheld = frame[
        frame["scientificName"].isin(turn["species"])
        & (frame["basisOfRecord"] == "HumanObservation")
    ]
    assert len(withheld) and not set(withheld["image"]) & set(learned)
    assert learned


def open_frame(flora):
    from herbzoo.data.readers import open_collection

    return open_collection(flora).frame


def test_a_head_without_class_means_is_refused_before_anything_is_computed(
    flora, tmp_path, monkeypatch, capsys
):
    code, told = train(
        monkeypatch, capsys, *CROSS_DOMAIN, "--head", "softmax", "--data", flora,
        "--output", tmp_path / "run",
    )  # fmt: skip
    assert code == 2 and "--set head.prototypes=true" in told
    assert not (tmp_path / "run").exists()


def test_too_few_species_of_both_domains_are_one_line(flora, tmp_path, monkeypatch, capsys):
    code, told = train(
        monkeypatch, capsys, "--recipe", "cross_domain", "--data", flora,
        "--output", tmp_path / "run",
    )  # fmt: skip
    assert code == 2 and "at least twice as many are needed" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("rule", ["class_balanced", "domain_paired"])
def test_masked_and_resampled_training_runs(rule, flora, tmp_path, monkeypatch, capsys):
    code, told = train(
        monkeypatch, capsys, "--data", flora, "--head", "softmax", "--max-steps", "1",
        "--output", tmp_path / "run", "--set", "image.mask=[label,barcode]",
        "--set", f"training.sampling={rule}",
    )  # fmt: skip
    assert code == 0, told


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("image.mask=[labels]", "no zone 'labels'"),
        ("training.sampling=domain_paired", "no species"),
    ],
)
def test_what_the_rows_do_not_allow_is_refused_before_anything_is_written(
    setting, said, tmp_path, monkeypatch, capsys
):
    leaves = coloured_leaves(tmp_path / "leaves", images_a_species=6)
    code, told = train(
        monkeypatch, capsys, "--data", leaves, "--head", "softmax", "--max-steps", "1",
        "--freeze-backbone", "--output", tmp_path / "run", "--set", setting,
    )  # fmt: skip
    assert code == 2 and said in told
    assert not (tmp_path / "run").exists()
