"""Places where nothing can be written, which are told before the work."""

from __future__ import annotations

import os
import sys

import pytest
from data_samples import csv_of, refusal, table_folder, write_images

from herbzoo import cli
from herbzoo.data.destination import check_destination
from herbzoo.data.readers import arrow
from herbzoo.errors import DataError


@pytest.fixture
def leaves(tmp_path):
    return table_folder(tmp_path / "my leaves", csv_of("image,scientificName"))


def run(monkeypatch, capsys, *arguments):
    """Runs `herbzoo data` and returns its exit code and what it says on stderr."""
    monkeypatch.setattr(sys, "argv", ["herbzoo", "data", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    return exit.value.code or 0, capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "--output"),
        ("describe", "--output"),
        ("convert",),
        ("split", "--output"),
        ("fetch", "--output"),
        ("fetch", "--failures"),
    ],
)
def test_a_place_below_a_file_is_one_line(monkeypatch, capsys, tmp_path, leaves, arguments):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    verb, *option = arguments
    code, said = run(monkeypatch, capsys, verb, leaves, *option, taken / "new")
    assert code == 2
    assert said == (
        f"herbzoo: {taken / 'new'} cannot be written: {taken} is no folder; choose another place\n"
    )
    assert taken.read_text() == "mine"


def test_failures_are_not_written_over_a_folder(monkeypatch, capsys, tmp_path, leaves):
    code, said = run(monkeypatch, capsys, "fetch", leaves, "--failures", tmp_path)
    assert (code, said) == (2, f"herbzoo: {tmp_path} is a folder: give --failures a file\n")


def test_a_place_without_permission_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    with pytest.raises(DataError, match="not permitted"):
        check_destination(tmp_path / "a" / "b.csv")


def test_new_and_existing_places_are_fine(tmp_path):
    (tmp_path / "old.csv").write_text("")
    for place in ("", "old.csv", "new.csv", "a/b/c"):
        check_destination(tmp_path / place)


def test_a_closed_folder_is_no_saved_data_set(monkeypatch, tmp_path):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(os, "stat", refuse)
    assert not arrow.is_saved_dataset(tmp_path)


def test_the_next_command_can_be_pasted(monkeypatch, capsys, leaves):
    write_images(leaves, (f"sheets/{i}.jpg" for i in range(6)))
    rows = "".join(f"sheets/{i}.jpg,Acer campestre\n" for i in range(6))
    (leaves / "metadata.csv").write_text(f"image,scientificName\n{rows}")
    code, said = run(monkeypatch, capsys, "split", leaves, "--output", leaves / "split.csv")
    assert (code, said.count("\n")) == (0, 1)
    assert f"herbzoo train --data '{leaves}/split.csv' --backbone NAME --head NAME" in said


def test_where_no_row_is_left_the_reason_is_told(tmp_path):
    text = csv_of("image,scientificName,locality", "Zürich")
    folder = table_folder(tmp_path, text, encoding="latin-1")
    assert "save it as UTF-8" in refusal(folder, skip_bad=True)
