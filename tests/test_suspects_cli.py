from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from identify_samples import CommandLine, write_run
from tiny import coloured_leaves

RED = "Quercus_alba/2.jpg"
"""An Acer rubrum, red all over, that lies among the oaks."""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def command(monkeypatch, capsys) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def leaves(tmp_path) -> Path:
    """Class folders of three colours, with one red leaf among the green ones."""
    folder = coloured_leaves(tmp_path / "leaves")
    (folder / "Acer_rubrum" / "0.jpg").replace(folder / RED)
    return folder


@pytest.fixture
def suspects(command, run, leaves, tmp_path):
    def suspects(*options, data=leaves, output=tmp_path / "out"):
        return command("suspects", run, "--data", data, "--output", output, *options)

    return suspects


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_folder_of_results(suspects, tmp_path):
    code, out, err = suspects()
    assert code == 0, err
    assert "23 names judged" in out and "Acer rubrum" in out
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written >= {
        "suspects.csv",
        "identifications.csv",
        "conflicts.csv",
        "summary.json",
        "cases.jsonl",
        "thumbnails",
        "dossier.html",
        "features.parquet",
    }
    first, *others = rows_of(tmp_path / "out" / "suspects.csv")
    assert (first["image"], first["list"], first["proposedName"]) == (
        RED,
        "misnamed",
        "Acer rubrum",
    )
    assert float(first["suspicion"]) > 0.5 > float(others[0]["suspicion"])
    assert len(others) == 22 and others[0]["reasons"] == ""
    assert "it is Acer rubrum with probability" in first["reasons"]
    assert f"demo RUN --review {tmp_path / 'out'}" in err


def test_identifications_are_new_rows_beside_those_of_people(suspects, leaves, tmp_path):
    suspects()
    (row,) = rows_of(tmp_path / "out" / "identifications.csv")
    assert row["scientificName"] == "Acer rubrum" and row["image"] == RED
    assert row["identificationVerificationStatus"] == "PredictedByMachine"
    assert row["identificationIsCurrent"] == "0"
    assert row["identifiedBy"].startswith("herbzoo ")
    assert "the present name Quercus alba" in row["identificationRemarks"]
    assert "stands until a person decides" in row["identificationRemarks"]


def test_run_again_it_renews_all_but_the_decisions_of_people(suspects, leaves, tmp_path):
    suspects()
    decisions = tmp_path / "out" / "decisions.csv"
    decisions.write_text("caseID\nkept\n")
    features = (tmp_path / "out" / "features.parquet").read_bytes()
    code, _, err = suspects()
    assert code == 0 and "23 images are embedded already" in err
    assert decisions.read_text() == "caseID\nkept\n"
    assert (tmp_path / "out" / "features.parquet").read_bytes() == features
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["complete"]


def test_a_folder_of_something_else_is_left_alone(suspects, tmp_path):
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("precious")
    code, _, err = suspects(output=other)
    assert code == 2 and "is not empty and holds no results of `herbzoo suspects`" in err
    assert [path.name for path in other.iterdir()] == ["chapter.tex"]


def test_results_of_another_collection_are_left_alone(suspects, tmp_path):
    suspects()
    more = coloured_leaves(tmp_path / "more")
    code, _, err = suspects(data=more)
    assert code == 2 and "holds results of `herbzoo suspects` over" in err


def test_images_without_a_name_are_left_out_and_counted(suspects, leaves, tmp_path):
    images = sorted(str(path.relative_to(leaves)) for path in leaves.rglob("*.jpg"))
    names = [image.split("/")[0].replace("_", " ") for image in images]
    names[3] = names[9] = ""
    table = pd.DataFrame({"file_name": images, "scientificName": names})
    table.to_csv(leaves / "metadata.csv", index=False)
    code, out, err = suspects()
    assert code == 0 and "2 images without a name are left out" in err and "21 names judged" in out
    table.assign(scientificName="").to_csv(leaves / "metadata.csv", index=False)
    code, _, err = suspects(output=tmp_path / "none")
    assert code == 2 and "has no names to doubt" in err and err.count("\n") == 1


def test_an_image_that_cannot_be_read_is_listed(suspects, leaves, tmp_path):
    (leaves / "Acer_rubrum" / "3.jpg").write_bytes(b"\xff\xd8\xff no leaf")
    code, out, _ = suspects()
    assert code == 0 and "22 names judged" in out
    (failure,) = rows_of(tmp_path / "out" / "features.parquet.failures.csv")
    assert failure["file"] == "Acer_rubrum/3.jpg"
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["counts"]["unreadable"] == 1


def test_one_species_alone_is_one_clear_line(suspects, leaves, tmp_path):
    one = tmp_path / "one" / "Acer_rubrum"
    one.parent.mkdir()
    (leaves / "Acer_rubrum").replace(one)
    other = one.parent / "Quercus_alba"
    other.mkdir()
    (leaves / "Quercus_alba" / "0.jpg").replace(other / "0.jpg")
    code, _, err = suspects(data=one.parent)
    assert code == 2 and "all names are of one species" in err
    assert "Traceback" not in err


def test_embeddings_may_take_the_place_of_features(suspects, command, run, leaves, tmp_path):
    file = tmp_path / "leaves.parquet"
    assert command("embed", run, "--data", leaves, "--output", file)[0] == 0
    code, out, err = suspects("--embeddings", file)
    assert code == 0, err
    assert "23 names judged" in out and not (tmp_path / "out" / "features.parquet").exists()
    assert rows_of(tmp_path / "out" / "suspects.csv")[0]["image"] == RED


def test_embeddings_of_another_model_are_refused(suspects, command, leaves, tmp_path):
    import torch
    from tiny import save_run, tiny_model

    torch.manual_seed(1)
    other = save_run(tmp_path / "other", *tiny_model())
    file = tmp_path / "leaves.parquet"
    assert command("embed", other, "--data", leaves, "--output", file)[0] == 0
    code, _, err = suspects("--embeddings", file)
    assert code == 2 and "cannot be compared" in err


def test_a_table_of_synonyms_makes_them_one_species(suspects, leaves, tmp_path):
    """Half of the maples are filed under a synonym, which is no error."""
    synonym = leaves / "Rufacer_rubrum"
    synonym.mkdir()
    for number in range(4, 8):
        (leaves / "Acer_rubrum" / f"{number}.jpg").replace(synonym / f"{number}.jpg")
    table = tmp_path / "names.csv"
    table.write_text("scientificName,acceptedName\nRufacer rubrum,Acer rubrum\n", encoding="utf-8")
    code, _, err = suspects("--taxonomy", table)
    assert code == 0, err
    rows = rows_of(tmp_path / "out" / "suspects.csv")
    assert rows[0]["image"] == RED
    maples = [row for row in rows if row["scientificName"] == "Rufacer rubrum"]
    assert len(maples) == 4 and all(row["list"] == "" for row in maples)
    assert all(float(row["suspicion"]) < 0.2 for row in maples)


def test_whoever_trained_on_these_sheets_is_warned(suspects, run, leaves):
    from herbzoo.recipe import compose

    parts = {"backbone": "timm:test_convnext", "head": "softmax"}
    recipe = compose(None, [], parts | {"data.source": str(leaves), "output": str(run)})
    recipe.save(run)
    try:
        assert "may have learned wrong names by heart" in suspects()[2]
    finally:
        (run / "recipe.yaml").unlink()


def test_without_cleanlab_it_says_what_to_install(suspects, monkeypatch):
    monkeypatch.setitem(sys.modules, "cleanlab.experimental.label_issues_batched", None)
    code, _, err = suspects()
    assert code == 2 and 'pip install "herbzoo[curation]"' in err


def test_the_same_command_gives_the_same_list(suspects, tmp_path):
    suspects()
    suspects(output=tmp_path / "again")
    first, second = (
        [row["image"] for row in rows_of(tmp_path / name / "suspects.csv")]
        for name in ("out", "again")
    )
    assert first == second and np.unique(first).size == 23
