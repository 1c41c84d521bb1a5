from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from identify_samples import CommandLine
from PIL import Image
from tiny import coloured_leaves, save_run, tiny_model

from herbzoo.curation.case import UNKNOWN
from herbzoo.curation.case_files import read_cases, thumbnail_path

OUTPUTS = {
    "novel.csv",
    "clusters.csv",
    "identifications.csv",
    "summary.json",
    "cases.jsonl",
    "taxa.csv",
    "dossier.html",
    "features.parquet",
    "features.parquet.failures.csv",
    "known-features.parquet",
    "thumbnails",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return save_run(tmp_path_factory.mktemp("run"), *tiny_model())


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> Path:
    return coloured_leaves(tmp_path_factory.mktemp("known"), images_a_species=16)


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> Path:
    """Pictures of the known kinds, checkers of no known kind, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("asked")
    for path in [*coloured_leaves(folder / "leaves", images_a_species=4).rglob("*.*")]:
        path.rename(folder / f"{path.parent.name}-{path.name}")
    rng = np.random.default_rng(0)
    for number in range(6):
        cells = rng.integers(0, 2, (8, 8, 1)).repeat(3, 2) * 255
        Image.fromarray(cells.astype("uint8")).resize((64, 48), 0).save(folder / f"new{number}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    frame = pd.DataFrame({"file_name": names, "basisOfRecord": "HumanObservation"})
    frame["occurrenceID"] = [f"urn:{number}" for number in range(len(frame))]
    frame["recordedBy"] = ["A. Gray" if name.startswith("new") else "" for name in names]
    frame.to_csv(folder / "metadata.csv", index=False)
    return folder


@pytest.fixture
def command(monkeypatch, capsys) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def novel(command, run, known, asked, tmp_path):
    def novel(*options, data=asked, output=tmp_path / "out"):
        known_too = () if "--known" in options else ("--known", known)
        return command("novel", run, "--data", data, "--output", output, *known_too, *options)

    return novel


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_results_are_written_and_agree(novel, tmp_path, asked):
    code, out, err = novel("--false-alarms", "0.1")
    assert code == 0, err
    folder = tmp_path / "out"
    assert {path.name for path in folder.iterdir()} == OUTPUTS
    table = read(folder / "novel.csv")
    unknown = table[table["list"] == UNKNOWN]
    assert {f"new{number}.png" for number in range(6)} <= set(unknown["image"])
    assert "broken.png" not in set(table["image"])
    clusters = read(folder / "clusters.csv")
    assert set(clusters["cluster"]) == set(unknown["cluster"])
    assert clusters["size"].astype(int).sum() == len(unknown)
    of_new = clusters[clusters["images"].str.contains("new0.png")].iloc[0]
    assert of_new["collectors"] == "A. Gray"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["kind"] == "novel" and summary["complete"]
    assert summary["counts"]["unknown"] == len(unknown)
    assert summary["counts"]["unreadable"] == 1
    assert f"{len(unknown):,} of {len(table):,} images fit no known species" in out
    assert "at most 0.1 are listed as unknown, for each of" in out
    assert not {"AUROC", "conformal", "p-value"} & set(out.split())
    assert "herbzoo demo RUN --review" in err


def test_identifications_are_new_rows_that_name_no_species_of_the_unknown(novel, tmp_path):
    novel()
    rows = read(tmp_path / "out" / "identifications.csv")
    unknown = rows[rows["identificationRemarks"].str.startswith("fits no known species")]
    assert len(unknown)
    assert set(unknown["taxonRank"]) <= {"", "genus", "family"}
    assert set(rows["identificationVerificationStatus"]) == {"PredictedByMachine"}
    assert set(rows["identificationIsCurrent"]) == {"0"}
    assert rows["identifiedBy"].str.startswith("herbzoo ").all()


def test_cases_show_the_image_and_known_ones_of_the_same_key(novel, tmp_path):
    novel()
    folder = tmp_path / "out"
    cases = read_cases(folder)
    assert [case.score for case in cases if case.list == UNKNOWN] == sorted(
        (case.score for case in cases if case.list == UNKNOWN), reverse=True
    )
    case = next(case for case in cases if case.record.image.startswith("new"))
    assert case.group.startswith("sp. ")
    near = case.proposals[0].near[0].record
    for record in (case.record, near):
        assert thumbnail_path(folder, record.image).is_file()
    assert near.scientificName == case.proposals[0].candidate.scientificName


def test_a_second_run_computes_nothing_anew_and_keeps_decisions(novel, tmp_path):
    novel()
    folder = tmp_path / "out"
    (folder / "decisions.csv").write_text("kept\n")
    before = read(folder / "novel.csv")
    code, _, err = novel()
    assert code == 0
    assert "48 images are embedded already, 0 are left" in err
    assert "18 images are embedded already, 1 are left" in err  # the broken one is tried again
    assert (folder / "decisions.csv").read_text() == "kept\n"
    assert read(folder / "novel.csv").equals(before)


def test_what_it_cannot_do_is_one_line(novel, command, run, known, asked, tmp_path):
    def refused(outcome, words):
        code, _, err = outcome
        assert code == 2 and words in err and err.count("\n") == 1, err

    refused(novel("--false-alarms", "0"), "cannot be promised")
    refused(novel("--score", "magic"), "there is no score 'magic'")
    refused(
        command("novel", run, "--data", asked, "--output", tmp_path / "x"),
        "name specimens of the known species with --known",
    )
    refused(novel("--known", known, data=known), "herbzoo suspects")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    refused(novel(output=tmp_path / "full"), "choose another --output")
