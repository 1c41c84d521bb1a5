from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny import save_run, tiny_model

from herbzoo import __version__, cli
from herbzoo.data.records import SpecimenRecord
from herbzoo.errors import RunError
from herbzoo.identification import Candidate, Identification
from herbzoo.identification_file import failures_path, read_progress
from herbzoo.identification_output import CsvFormat, DarwinCoreFormat, JsonFormat, TableFormat

IMAGES = 6


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    return save_run(tmp_path_factory.mktemp("run"), *tiny_model())


@pytest.fixture
def sheets(tmp_path) -> Path:
    folder = tmp_path / "sheets"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(IMAGES):
        small = generator.integers(0, 255, (5, 4, 3), dtype=np.uint8)
        Image.fromarray(small).resize((60, 80)).save(folder / f"{number}.jpg", quality=95)
    return folder


@pytest.fixture
def specimens(sheets) -> Path:
    """The same with a table: three specimens, one of three images that stand apart."""
    rows = {
        "file_name": [f"{number}.jpg" for number in range(IMAGES)],
        "occurrenceID": ["a", "b", "a", "", "a", "b"],
    }
    pd.DataFrame(rows).to_csv(sheets / "metadata.csv", index=False)
    return sheets


@pytest.fixture
def herbzoo(monkeypatch, capsys):
    """Runs the command line in this process; returns exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        argv = ["herbzoo", *map(str, arguments), "--device", "cpu", "--workers", "0"]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capsys.readouterr()
        return exit.value.code or 0, out, err

    return call


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


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
        (str(sheets / f"{number}.jpg"), k) for number in range(IMAGES) for k in ("1", "2")
    ]
    assert {row["model"] for row in rows} == {str(run)}
    assert all(0 < float(row["score"]) < 1 for row in rows)


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
        str(specimens / name) for name in ("0.jpg", "2.jpg", "4.jpg")
    ]
    first = rows[0]
    assert first["identifiedBy"] == f"herbzoo {__version__} {run}"
    assert datetime.fromisoformat(first["dateIdentified"]).tzinfo is not None
    assert first["identificationVerificationStatus"] == "PredictedByMachine"
    assert first["taxonRank"] == "species"
    assert "uncalibrated, mean over 3 images" in first["identificationRemarks"]
    assert "mean" not in rows[2]["identificationRemarks"]


def test_the_table_is_aligned_and_names_each_image(herbzoo, run, sheets):
    code, out, err = herbzoo("identify", run, sheets / "0.jpg", sheets / "1.jpg", "--top-k", 3)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == str(sheets / "0.jpg")
    assert lines[4] == str(sheets / "1.jpg")
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
        "identify", run, sheets, sheets / "0.jpg", sheets / "0.jpg", "--format", "csv", "--top-k", 1
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


# -- going on after an interruption ---------------------------------------------------------------


def answers(names: list[str], candidates: int = 2) -> list[Identification]:
    """Made-up answers whose files have names that CSV must quote."""
    return [
        Identification(
            SpecimenRecord(name, occurrenceID=f"id {number}"),
            tuple(
                Candidate(f"Süßkraut {k}", 'L. "f."', "S", "F", "", "species", 0.5 / k)
                for k in range(1, candidates + 1)
            ),
            (name,),
        )
        for number, name in enumerate(names)
    ]


FORMATS = [
    CsvFormat("a model", "species", 2, with_occurrences=True),
    JsonFormat("a model", "species", 2),
    DarwinCoreFormat("a model", "species"),
]


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: type(form).__name__)
def test_a_file_cut_off_at_any_byte_keeps_exactly_its_whole_answers(form, tmp_path):
    found = answers(["plain.jpg", 'a "quoted", one.jpg', "two\nlines.jpg", "ümlaut.jpg"])
    parts = [form.header().encode(), *(form.text(one).encode() for one in found)]
    ends = np.cumsum([len(part) for part in parts]).tolist()
    whole = b"".join(parts)
    output = tmp_path / "answers"
    for cut in range(len(whole) + 1):
        output.write_bytes(whole[:cut])
        progress = read_progress(output, form)
        done = sum(end <= cut for end in ends[1:])
        assert len(progress.subjects) == done, whole[:cut]
        assert progress.end == (ends[done] if cut >= ends[0] else 0)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: type(form).__name__)
def test_files_of_something_else_are_not_taken_for_answers(form, tmp_path):
    output = tmp_path / "notes"
    text = form.header() + "".join(map(form.text, answers(["a.jpg", "b.jpg", "c.jpg"])))
    damaged = text.replace(text.splitlines(keepends=True)[1], "not a row\n")
    for content in ("my notes", "my notes\nand more\n", "a,b\n1,2\n", damaged):
        output.write_text(content)
        with pytest.raises(RunError, match="cannot be resumed"):
            read_progress(output, form)
        assert output.read_text() == content


def test_another_number_of_candidates_is_noticed(tmp_path):
    output = tmp_path / "answers"
    for form, other in (
        (CsvFormat("m", "species", 4, True), CsvFormat("m", "species", 2, True)),
        (CsvFormat("m", "species", 2, True), CsvFormat("m", "species", 4, True)),
        (JsonFormat("m", "species", 4), JsonFormat("m", "species", 2)),
    ):
        length = getattr(form, "candidates", form.rows)
        text = form.header() + "".join(map(form.text, answers(["a.jpg", "b.jpg"], length)))
        output.write_text(text)
        with pytest.raises(RunError, match=r"--top-k|candidates instead of"):
            read_progress(output, other)


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("by_specimen", [[], ["--by-specimen"]])
def test_resuming_a_cut_off_file_gives_what_an_uninterrupted_run_gives(
    herbzoo, run, specimens, tmp_path, form, by_specimen
):
    (specimens / "5.jpg").write_bytes(b"not an image")
    output = tmp_path / "answers"
    command = ["identify", run, specimens, "--format", form, "--output", output, *by_specimen]
    assert herbzoo(*command, "--batch-size", 2)[0] == 0
    whole, failures = output.read_bytes(), failures_path(output).read_bytes()
    for cut in (0, 20, len(whole) // 2, len(whole) - 3, len(whole)):
        output.write_bytes(whole[:cut])
        code, _, err = herbzoo(*command, "--batch-size", 4, "--resume")
        assert code == 0
        assert "answers;" in err
        assert _same(output.read_text(), whole.decode(), form)
        assert failures_path(output).read_bytes() == failures


def _same(text: str, expected: str, form: str) -> bool:
    """Compares with a tolerance: scores differ in the last digit with the batch."""

    def values(content: str) -> list[object]:
        if form == "csv":
            return [[v for v in row.values()] for row in rows_of(content)]
        lines = [json.loads(line) for line in content.splitlines()]
        return [
            [
                *(v for k, v in one.items() if k != "candidates"),
                *(v for c in one["candidates"] for v in c.values()),
            ]
            for one in lines
        ]

    def close(one: object, other: object) -> bool:
        try:
            return abs(float(one) - float(other)) < 1e-4  # type: ignore[arg-type]
        except ValueError:
            return one == other

    ours, theirs = values(text), values(expected)
    return len(ours) == len(theirs) and all(
        len(a) == len(b) and all(map(close, a, b)) for a, b in zip(ours, theirs, strict=True)
    )


def test_resume_begins_a_file_that_is_not_there_and_leaves_a_finished_one(
    herbzoo, run, sheets, tmp_path
):
    output = tmp_path / "answers.csv"
    command = ["identify", run, sheets, "--output", output, "--resume"]
    assert herbzoo(*command)[0] == 0
    whole = output.read_bytes()
    code, _, err = herbzoo(*command)
    assert code == 0
    assert f"{IMAGES} answers; 0 images are left" in err
    assert output.read_bytes() == whole


def test_resuming_with_another_model_rank_or_other_images_is_refused(
    herbzoo, run, sheets, tmp_path
):
    output = tmp_path / "answers.csv"
    assert herbzoo("identify", run, sheets, "--output", output)[0] == 0
    whole = output.read_bytes()
    go_on = ["--output", output, "--resume"]
    other = save_run(tmp_path / "other", *tiny_model())
    _, _, err = herbzoo("identify", other, sheets, *go_on)
    assert f"holds answers of {run} at rank species, and this would add {other}" in err
    _, _, err = herbzoo("identify", run, sheets, "--rank", "genus", *go_on)
    assert "at rank genus" in err
    code, _, err = herbzoo("identify", run, sheets / "0.jpg", *go_on)
    assert code == 2
    assert "5 answers that are not asked for here" in err
    assert output.read_bytes() == whole


def test_what_was_cut_off_goes_even_if_its_image_cannot_be_read_any_more(
    herbzoo, run, sheets, tmp_path
):
    output = tmp_path / "answers.csv"
    assert herbzoo("identify", run, sheets, "--output", output)[0] == 0
    whole = output.read_bytes()
    output.write_bytes(whole[:-30])
    (sheets / "5.jpg").write_bytes(b"not an image")
    assert herbzoo("identify", run, sheets, "--output", output, "--resume")[0] == 0
    assert whole.startswith(output.read_bytes())
    assert len(rows_of(output.read_text())) == (IMAGES - 1) * 3


def test_an_image_repaired_since_is_tried_again(herbzoo, run, sheets, tmp_path):
    sound = (sheets / "3.jpg").read_bytes()
    (sheets / "3.jpg").write_bytes(sound[:100])
    output = tmp_path / "answers.csv"
    assert herbzoo("identify", run, sheets, "--output", output)[0] == 0
    assert failures_path(output).exists()
    (sheets / "3.jpg").write_bytes(sound)
    assert herbzoo("identify", run, sheets, "--output", output, "--resume")[0] == 0
    assert {row["file"] for row in rows_of(output.read_text())} == {
        str(path) for path in sheets.iterdir()
    }
    assert not failures_path(output).exists()


def test_a_killed_process_leaves_whole_batches_and_can_be_resumed(run, sheets, tmp_path, herbzoo):
    for number in range(IMAGES, 400):
        os.link(sheets / f"{number % IMAGES}.jpg", sheets / f"{number}.jpg")
    output = tmp_path / "answers.csv"
    command = ["identify", run, sheets, "--output", output, "--batch-size", 2]
    process = subprocess.Popen(
        [sys.executable, "-m", "herbzoo", *map(str, command), "--device", "cpu", "--workers", "0"],
        stderr=subprocess.DEVNULL,
    )
    waiting = time.monotonic() + 60
    while not (output.exists() and output.stat().st_size > 2000):
        assert process.poll() is None and time.monotonic() < waiting
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = len(rows_of(output.read_text())) // 3
    assert 0 < before < 400
    code, _, _ = herbzoo(*command, "--resume")
    assert code == 0
    rows = rows_of(output.read_text())
    assert sorted({row["file"] for row in rows}) == sorted(str(p) for p in sheets.iterdir())
    assert len(rows) == 400 * 3
