"""`herbzoo taxonomy` as a user runs it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from tiny import coloured_leaves, save_run, tiny_model
from typer.testing import CliRunner

from herbzoo.cli import app
from herbzoo.errors import DataError, RunError
from herbzoo.taxonomy import Taxonomy

TABLE = """\
scientificName,authorship,acceptedName,family
Acer rubrum,L.,Acer one,
Acer rubrum,L.,Acer two,
Quercus alba,L.,,Fagaceae
Quercus rubra,L.,Quercus alba L.,Fagaceae
"""


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def called(*arguments: object):
    return CliRunner().invoke(app, ["taxonomy", *map(str, arguments)], catch_exceptions=True)


def resolved(form: str, names: Path, table: Path) -> str:
    result = called("resolve", names, "--table", table, "--format", form, "--table-version", "7")
    assert result.exit_code == 0, result.exception
    assert "by a table of names 7: " in result.stderr
    return result.stdout


@pytest.fixture
def names(tmp_path) -> Path:
    path = tmp_path / "names.txt"
    lines = ["Quercus rubra", "", "Acer rubrum L.", "Quercus albus", "Quercus rubra", "12"]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_list_of_names_is_resolved_as_table_csv_and_json(names, table):
    lines = resolved("table", names, table).splitlines()
    assert lines[0].split() == ["name", "status", "accepted", "name", "family"]
    assert lines[1].split() == ["Quercus", "rubra", "synonym", "Quercus", "alba", "L.", "Fagaceae"]
    assert "like it: Quercus alba" in lines[3]
    rows = list(csv.DictReader(io.StringIO(resolved("csv", names, table))))
    assert [row["status"] for row in rows] == ["synonym", "ambiguous", "unmatched", "unmatched"]
    assert rows[1]["candidates"] == "Acer one|Acer two"
    answers = json.loads(resolved("json", names, table))
    assert answers[0]["accepted"] == "Quercus alba"
    assert answers[3]["reason"] == "it is a number, not a name"


def test_the_names_of_a_collection_are_resolved(tmp_path, table):
    leaves = coloured_leaves(tmp_path / "leaves", images_a_species=1)
    rows = list(csv.DictReader(io.StringIO(resolved("csv", leaves, table))))
    assert {row["name"]: row["status"] for row in rows} == {
        "Acer rubrum": "ambiguous", "Quercus alba": "accepted", "Quercus rubra": "synonym"
    }  # fmt: skip


def test_an_empty_list_and_one_in_another_encoding_are_refused(tmp_path, table):
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    assert isinstance(called("resolve", empty, "--table", table).exception, DataError)
    latin = tmp_path / "latin.txt"
    latin.write_bytes("Acer rubrum Mérat".encode("latin-1"))
    assert "not UTF-8" in str(called("resolve", latin, "--table", table).exception)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return save_run(tmp_path_factory.mktemp("run"), *tiny_model())


def test_a_run_is_remapped(run, table, tmp_path):
    result = called("remap", run, "--table", table, "--output", tmp_path / "new")
    assert result.exit_code == 0, result.exception
    assert result.stdout.splitlines()[0].startswith("3 classes become 2: 1 accepted, 1 synonym")
    assert "Quercus alba + Quercus rubra -> Quercus alba" in result.stdout
    assert "Acer rubrum L. (ambiguous: " in result.stdout
    assert [taxon.status for taxon in Taxonomy.load(tmp_path / "new").taxa] == [
        "ambiguous", "accepted"
    ]  # fmt: skip


def test_a_dry_run_writes_nothing_and_needs_no_output(run, table, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    dry = called("remap", run, "--table", table, "--dry-run", "--output", tmp_path / "new")
    assert dry.exit_code == 0 and "3 classes become 2" in dry.stdout
    assert called("remap", run, "--table", table, "--dry-run").exit_code == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert isinstance(called("remap", run, "--table", table).exception, DataError)


def test_ambiguous_names_can_stop_it(run, table, tmp_path):
    new = tmp_path / "new"
    result = called("remap", run, "--table", table, "--output", new, "--on-ambiguous", "error")
    assert isinstance(result.exception, RunError)
    assert "1 ambiguous, such as" in str(result.exception)
    assert not new.exists()
