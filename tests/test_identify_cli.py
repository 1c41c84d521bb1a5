from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from identify_samples import (
    IMAGES,
    CommandLine,
    rows_of,
    write_pictures,
    write_run,
    write_specimens,
)

from herbzoo import __version__
from herbzoo.data.records import SpecimenRecord
from herbzoo.identification import Candidate, Identification
from herbzoo.identification_file import failures_path
from herbzoo.identification_output import TableFormat


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def sheets(tmp_path) -> Path:
    return write_pictures(tmp_path / "sheets")


@pytest.fixture
def specimens(tmp_path) -> Path:
    return write_specimens(tmp_path / "specimens")


@pytest.fixture
def herbzoo(monkeypatch, capsys) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def test_csv_has_a_row_for_each_image_and_candidate(herbzoo, run, sheets):
    code, out, err = herbzoo("identify", run, sheets, "--format", "csv", "--top-k", 2)
    assert (code, err) == (0, "")
    rows = rows_of(out)
    assert list(rows[0]) == [
        "file",
        "k",
        "scientificName",
        "scientificNameAuthorship",
        "genus",
        "family",
        "taxonID",
        "taxonRank",
        "score",
        "model",
    ]
    assert [(row["file"], row["k"]) for row in rows] == [
        (str(sheets / f"{number}.png"), k) for number in range(IMAGES) for k in ("1", "2")
    ]
    assert {row["model"] for row in rows} == {str(run)}
    assert all(0 < float(row["score"]) < 1 for row in rows)


def test_progress_on_a_terminal_leaves_the_answers_to_the_pipe(herbzoo, run, sheets, monkeypatch):
    _, expected, _ = herbzoo("identify", run, sheets, "--format", "csv")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes stderr for a terminal
    code, out, err = herbzoo("identify", run, sheets, "--format", "csv")
    assert (code, out) == (0, expected)
    assert "identifying" in err
    assert f"{IMAGES}/{IMAGES}" in err


def test_json_is_one_object_a_line(herbzoo, run, specimens):
    code, out, _ = herbzoo("identify", run, specimens, "--format", "json", "--top-k", 9)
    assert code == 0
    documents = [json.loads(line) for line in out.splitlines()]
    assert [document["occurrenceID"] for document in documents] == ["a", "b", "a", "", "a", "b"]
    assert all(len(document["candidates"]) == 3 for document in documents)
    assert sum(one["score"] for one in documents[0]["candidates"]) == pytest.approx(1, abs=1e-5)


def test_dwc_is_the_first_candidate_as_a_darwin_core_identification(herbzoo, run, specimens):
    code, out, _ = herbzoo("identify", run, specimens, "--format", "dwc", "--by-specimen")
    assert code == 0
    rows = rows_of(out)
    assert [row["occurrenceID"] for row in rows] == ["a", "b", ""]
    assert rows[0]["associatedMedia"].split(" | ") == [
        str(specimens / name) for name in ("0.png", "2.png", "4.png")
    ]
    first = rows[0]
    assert first["identifiedBy"] == f"herbzoo {__version__} {run}"
    assert datetime.fromisoformat(first["dateIdentified"]).tzinfo is not None
    assert first["identificationVerificationStatus"] == "PredictedByMachine"
    assert first["taxonRank"] == "species"
    assert "uncalibrated, mean over 3 images" in first["identificationRemarks"]
    assert "mean" not in rows[2]["identificationRemarks"]


def test_the_table_is_aligned_and_names_each_image(herbzoo, run, sheets):
    code, out, err = herbzoo("identify", run, sheets / "0.png", sheets / "1.png", "--top-k", 3)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == str(sheets / "0.png")
    assert lines[4] == str(sheets / "1.png")
    assert lines[1].startswith("   1.  0.")
    families = [line.index(word) for line in lines[1:4] for word in line.split() if "aceae" in word]
    assert len(set(families)) == 1, "families stand below one another"


def test_the_table_keeps_columns_and_terminals_whole_with_odd_names():
    candidates = tuple(
        Candidate(name, "", "G", "F", "", "species", 0.5) for name in ("松 wide", "narrow", "é")
    )
    odd = "bad\x1b[31m\nname.jpg"
    text = TableFormat().text(Identification(SpecimenRecord(odd), candidates, (odd,)))
    head, *lines = text.splitlines()
    assert head == r"bad\x1b[31m\nname.jpg"
    from rich.cells import cell_len

    assert len({cell_len(line[: line.rindex("G")]) for line in lines}) == 1


def test_genus_answers_name_genera(herbzoo, run, sheets):
    _, out, _ = herbzoo("identify", run, sheets, "--rank", "genus", "--format", "csv")
    assert {row["scientificName"] for row in rows_of(out)} == {"Acer", "Quercus"}
    assert {row["taxonRank"] for row in rows_of(out)} == {"genus"}


def test_unreadable_images_are_listed_and_the_others_identified(herbzoo, run, sheets, tmp_path):
    (sheets / "broken.jpg").write_bytes(b"not an image")
    code, out, err = herbzoo("identify", run, sheets, "--format", "csv", "--top-k", 1)
    assert code == 0
    assert len(rows_of(out)) == IMAGES
    assert f"{sheets / 'broken.jpg'}: not an image" in err
    assert f"1 of {IMAGES + 1} images could not be read" in err

    output = tmp_path / "answers.csv"
    code, out, err = herbzoo("identify", run, sheets, "--output", output)
    assert (code, out) == (0, "")
    (failure,) = rows_of(failures_path(output).read_text())
    assert failure["file"] == str(sheets / "broken.jpg")
    assert failure["reason"].startswith("not an image")
    assert f"listed in {output}.failures.csv" in err


def test_nothing_readable_is_an_error_in_one_line(herbzoo, run, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"not an image")
    code, out, err = herbzoo("identify", run, tmp_path, "--output", tmp_path / "answers.csv")
    assert (code, out) == (2, "")
    assert err.startswith("herbzoo: none of the 1 images can be read; the first: ")
    assert err.count("\n") == 1


def test_the_format_follows_the_ending_of_the_output(herbzoo, run, sheets, tmp_path):
    for name, first in (("a.csv", "file,k,"), ("b.jsonl", '{"file": '), ("c.txt", str(sheets))):
        assert herbzoo("identify", run, sheets, "--output", tmp_path / "new" / name)[0] == 0
        assert (tmp_path / "new" / name).read_text().startswith(first)
        assert not failures_path(tmp_path / "new" / name).exists()


def test_an_image_that_is_asked_for_twice_is_answered_once(herbzoo, run, sheets):
    _, out, _ = herbzoo(
        "identify", run, sheets, sheets / "0.png", sheets / "0.png", "--format", "csv", "--top-k", 1
    )
    assert len(rows_of(out)) == IMAGES


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "there.csv"], "there.csv exists: go on with it with --resume"),
        (["--output", "folder"], "folder is a folder: give --output a file"),
        (["--resume"], "--resume goes on with a file: give its --output too"),
        (["--resume", "--output", "new.txt"], "a table cannot be resumed"),
        (["missing.jpg"], "there is no file or folder 'missing.jpg'"),
        (["--top-k", "0"], "Invalid value for '--top-k'"),
    ],
)
def test_mistakes_are_one_line_and_leave_everything_as_it_was(
    herbzoo, run, sheets, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    Path("there.csv").write_text("precious")
    Path("folder").mkdir()
    code, out, err = herbzoo("identify", run, sheets, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert Path("there.csv").read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "sheets", "there.csv"]
