from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from identify_samples import CommandLine, write_pictures, write_run
from sklearn.metrics import f1_score
from tiny import TAXONOMY

from herbzoo.data.readers import open_collection
from herbzoo.data.records import Collection
from herbzoo.errors import DataError
from herbzoo.evaluation.evaluate import metrics_table, write_metrics
from herbzoo.evaluation.evaluated import coded_truth
from herbzoo.evaluation.protocols import Trial, protocol
from herbzoo.evaluation.rows import marked_rows
from herbzoo.inference import Identifier

NAMES = ["Acer rubrum", "Quercus alba", "Quercus rubra"]
IMAGES = 12


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def identifier(run) -> Identifier:
    return Identifier.from_pretrained(run, device="cpu")


@pytest.fixture
def leaves(tmp_path) -> Path:
    """Twelve named pictures; every other one is a test row, and one column makes two groups."""
    folder = write_pictures(tmp_path / "leaves", IMAGES, seed=1)
    table = {
        "file_name": [f"{number}.png" for number in range(IMAGES)],
        "scientificName": [NAMES[number % 3] for number in range(IMAGES)],
        "split": ["train", "test"] * (IMAGES // 2),
        "pairs": [["with", "without"][number % 4 // 2] for number in range(IMAGES)],
        "everything": ["test"] * IMAGES,
        "nothing": ["train"] * IMAGES,
    }
    pd.DataFrame(table).to_csv(folder / "metadata.csv", index=False)
    return folder


def evaluate(identifier: Identifier, rows: Collection, **options) -> dict[str, Any]:
    return protocol("standard")(Trial(identifier, rows, **options)).metrics


def rename(folder: Path, row: int, name: str) -> None:
    table = pd.read_csv(folder / "metadata.csv", dtype=str)
    table.loc[row, "scientificName"] = name
    table.to_csv(folder / "metadata.csv", index=False)


@pytest.fixture
def herbzoo(monkeypatch, capsys) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def test_the_numbers_are_those_of_what_identify_answers(identifier, leaves):
    collection = open_collection(leaves)
    metrics = evaluate(identifier, collection, split="all", group_by=["pairs"], batch_size=5)
    truth = collection.frame["scientificName"].tolist()
    answers = [[c.scientificName for c in one.candidates] for one in identifier(collection)]
    places = [names.index(name) + 1 for names, name in zip(answers, truth, strict=True)]
    best = [names[0] for names in answers]
    overall = metrics["overall"]
    assert metrics["split"] == "all"
    assert overall["n"] == metrics["n"] == IMAGES
    assert overall["top1"] == pytest.approx(np.mean([place == 1 for place in places]))
    assert 0 < overall["top1"] < 1, "or the comparison would say little"
    assert overall["top5"] == 1
    assert overall["mrr"] == pytest.approx(np.mean([1 / place for place in places]))
    assert overall["macro_f1"] == pytest.approx(
        f1_score(truth, best, labels=sorted(set(truth)), average="macro")
    )
    group = metrics["groups"]["pairs"]
    for value in ("with", "without"):
        rows = (collection.frame["pairs"] == value).to_numpy().nonzero()[0]
        assert group[value]["n"] == len(rows)
        assert group[value]["top1"] == pytest.approx(np.mean([places[row] == 1 for row in rows]))
    a, b = group["with"]["top1"], group["without"]["top1"]
    assert metrics["harmonic_mean"]["pairs"] == pytest.approx(2 * a * b / (a + b))


def test_an_unreadable_image_is_counted_and_its_group_keeps_the_right_rows(
    identifier, leaves, caplog
):
    whole = evaluate(identifier, open_collection(leaves), group_by=["pairs"])
    (leaves / "2.png").write_bytes(b"broken")
    with caplog.at_level(logging.WARNING):
        metrics = evaluate(identifier, open_collection(leaves), group_by=["pairs"], batch_size=4)
    assert (metrics["n"], metrics["unreadable"], whole["unreadable"]) == (IMAGES - 1, 1, 0)
    assert "2.png" in caplog.text
    assert metrics["groups"]["pairs"]["with"] == pytest.approx(whole["groups"]["pairs"]["with"])
    assert metrics["groups"]["pairs"]["without"]["n"] == 5


def test_nothing_readable_and_no_names_are_errors(identifier, leaves):
    collection = open_collection(leaves)
    for path in leaves.glob("*.png"):
        path.write_bytes(b"broken")
    with pytest.raises(DataError, match="none of the 12 test images"):
        evaluate(identifier, collection)
    nameless = replace(collection, frame=collection.frame.assign(scientificName=""))
    with pytest.raises(DataError, match="name no species"):
        evaluate(identifier, nameless)
    with pytest.raises(DataError, match="no column 'colour'"):
        evaluate(identifier, collection, group_by=["colour"])


def test_species_the_model_does_not_know_count_as_wrong(identifier, leaves):
    known = evaluate(identifier, open_collection(leaves))
    rename(leaves, 0, "Rosa canina")
    rename(leaves, 3, "Poa annua")
    rename(leaves, 6, "Rosa canina")
    collection = open_collection(leaves)
    truth = coded_truth(collection, TAXONOMY)
    assert truth[[0, 3, 6]].tolist() == [-2, -1, -2]
    assert (np.delete(truth, [0, 3, 6]) >= 0).all()
    metrics = evaluate(identifier, collection)["overall"]
    assert (metrics["n"], metrics["unknown"]) == (IMAGES, 3)
    assert metrics["top5"] == pytest.approx(9 / 12)
    assert metrics["top1"] <= known["overall"]["top1"]


def test_a_collection_of_strangers_is_refused(identifier, leaves):
    for row in range(IMAGES):
        rename(leaves, row, "Rosa canina L.")
    with pytest.raises(
        DataError, match=r"knows none of the 1 species .*Rosa canina L\..*Acer rubr"
    ):
        evaluate(identifier, open_collection(leaves))


def test_rows_without_a_name_are_left_out(identifier, leaves):
    collection = open_collection(leaves)
    frame = collection.frame.copy()
    frame.loc[0, "scientificName"] = ""
    assert evaluate(identifier, replace(collection, frame=frame))["n"] == IMAGES - 1


def test_metrics_are_written_whole_or_not_at_all(tmp_path):
    write_metrics(tmp_path, {"n": 1})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"schema_version": 1, "n": 1}
    with pytest.raises(TypeError):
        write_metrics(tmp_path, {"n": object()})
    assert json.loads((tmp_path / "metrics.json").read_text())["n"] == 1


def test_the_test_rows_are_found_by_column_then_by_split_then_all(leaves):
    collection = open_collection(leaves)
    assert len(marked_rows(collection)[0]) == IMAGES // 2
    assert len(marked_rows(collection, column="everything")[0]) == IMAGES
    no_split = replace(collection, frame=collection.frame.assign(split=""))
    rows, which = marked_rows(no_split)
    assert len(rows) == IMAGES
    assert which.startswith("all rows")
    with pytest.raises(DataError, match=r"'nothing' .* has no test rows; it holds 'train' \(12\)"):
        marked_rows(collection, column="nothing")


def test_a_synthetic_collection_comes_with_what_shortcuts_reach(identifier, leaves, monkeypatch):
    collection = open_collection(leaves)
    synthetic = replace(collection, facts={"synthetic": True})
    seen = []

    class Baselines:
        @staticmethod
        def shortcut_baselines(train, test):
            seen.append((len(train), len(test)))
            return {"margins_only": 0.25}

    monkeypatch.setitem(sys.modules, "herbzoo.evaluation.baselines", Baselines)
    metrics = evaluate(identifier, synthetic, train=collection.select([0, 1]))
    assert metrics["baselines"] == {"margins_only": 0.25}
    assert seen == [(2, IMAGES)]
    assert "baseline: margins only" in metrics_table(metrics)
    assert "baselines" not in evaluate(identifier, synthetic)
    assert "baselines" not in evaluate(identifier, collection, train=collection)


def test_the_command_writes_into_the_run_and_prints_a_table(herbzoo, run, leaves):
    code, out, err = herbzoo("evaluate", run, "--data", leaves, "--group-by", "pairs")
    assert code == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert (metrics["schema_version"], metrics["n"], metrics["split"]) == (1, IMAGES // 2, "test")
    assert set(metrics["groups"]["pairs"]) == {"with", "without"}
    lines = out.splitlines()
    assert lines[0].split() == ["n", "top-1", "top-5", "MRR", "macro-F1"]
    assert lines[1].split()[:3] == ["test", "6", f"{metrics['overall']['top1']:.3f}"]
    assert [line.split("  ")[0] for line in lines[2:]] == [
        "pairs: with",
        "pairs: without",
        "pairs: harmonic mean",
    ]
    assert "the test rows of column split: 6 images" in err
    (run / "metrics.json").unlink()


def test_output_keeps_the_run_as_it_is(herbzoo, run, leaves, tmp_path):
    target = tmp_path / "elsewhere"
    code, _, _ = herbzoo(
        "evaluate", run, "--data", leaves, "--split-column", "everything", "--output", target
    )
    assert code == 0
    assert json.loads((target / "metrics.json").read_text())["n"] == IMAGES
    assert not (run / "metrics.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split-column", "nothing"], "has no test rows"),
        (["--split-column", "colour"], "has no column 'colour'"),
        (["--group-by", "colour"], "has no column 'colour'"),
        (["--output", "{leaves}/0.png"], "0.png is a file: give --output a folder"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(herbzoo, run, leaves, options, message):
    options = [option.format(leaves=leaves) for option in options]
    code, out, err = herbzoo("evaluate", run, "--data", leaves, *options)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("herbzoo: ")
    assert not (run / "metrics.json").exists()


def test_a_model_from_the_hub_needs_an_output(herbzoo, leaves):
    code, _, err = herbzoo("evaluate", "org/model", "--data", leaves)
    assert code == 2
    assert "give --output DIR" in err
