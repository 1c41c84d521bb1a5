from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from identify_samples import (
    IMAGES,
    CommandLine,
    rows_of,
    write_pictures,
    write_run,
    write_specimens,
)
from tiny import save_run, tiny_model

from herbzoo.data.records import SpecimenRecord
from herbzoo.errors import RunError
from herbzoo.identification import Candidate, Identification
from herbzoo.identification_file import failures_path, read_progress
from herbzoo.identification_output import CsvFormat, DarwinCoreFormat, JsonFormat


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
    (specimens / "5.png").write_bytes(b"not an image")
    output = tmp_path / "answers"
    command = ["identify", run, specimens, "--format", form, "--output", output, *by_specimen]
    assert herbzoo(*command, "--batch-size", 2)[0] == 0
    whole, failures = output.read_bytes(), failures_path(output).read_bytes()
    for cut in (20, len(whole) // 2, len(whole) - 3):
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
    code, _, err = herbzoo("identify", run, sheets / "0.png", *go_on)
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
    (sheets / "5.png").write_bytes(b"not an image")
    assert herbzoo("identify", run, sheets, "--output", output, "--resume")[0] == 0
    assert whole.startswith(output.read_bytes())
    assert len(rows_of(output.read_text())) == (IMAGES - 1) * 3


def test_an_image_repaired_since_is_tried_again(herbzoo, run, sheets, tmp_path):
    sound = (sheets / "3.png").read_bytes()
    (sheets / "3.png").write_bytes(sound[:100])
    output = tmp_path / "answers.csv"
    assert herbzoo("identify", run, sheets, "--output", output)[0] == 0
    assert failures_path(output).exists()
    (sheets / "3.png").write_bytes(sound)
    assert herbzoo("identify", run, sheets, "--output", output, "--resume")[0] == 0
    assert {row["file"] for row in rows_of(output.read_text())} == {
        str(path) for path in sheets.iterdir()
    }
    assert not failures_path(output).exists()


@pytest.mark.slow
def test_a_killed_process_leaves_whole_batches_and_can_be_resumed(run, sheets, tmp_path, herbzoo):
    for number in range(IMAGES, 400):
        os.link(sheets / f"{number % IMAGES}.png", sheets / f"{number}.png")
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
