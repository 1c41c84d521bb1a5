"""Builds that were killed: nothing that was committed is lost, and running them again finishes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from index_samples import sheets, write

from herbzoo.errors import RunError
from herbzoo.index import SpecimenIndex, intake

pytest.importorskip("lancedb", reason='the index needs pip install "herbzoo[search]"')

SCRIPT = Path(__file__).with_name("killed_index.py")
ROWS = 10_000


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "sheets.parquet", sheets(ROWS))


@pytest.mark.parametrize(("how", "committed"), [("add:3", 8192), ("columns", ROWS), ("plan", ROWS)])
def test_a_killed_build_goes_on_where_it_was(embeddings, tmp_path, monkeypatch, how, committed):
    where = tmp_path / "index"
    done = subprocess.run([sys.executable, SCRIPT, embeddings, where, how], capture_output=True)
    assert done.returncode == -9, done.stderr
    with pytest.raises(RunError, match="was not built to the end"):
        SpecimenIndex.open(where)
    written = []
    ready = intake.Intake._ready
    monkeypatch.setattr(
        intake.Intake,
        "_ready",
        lambda self, rows: [written.append(len(rows)), ready(self, rows)][1],
    )
    index = SpecimenIndex.create(where, embeddings)
    assert sum(written) == ROWS - committed
    assert len(index) == len(index.counts("image")) == ROWS
    assert index.rows(limit=ROWS)["image"].tolist() == sheets(ROWS)["image"]


def test_a_half_built_index_of_other_rows_is_not_gone_on_with(embeddings, tmp_path):
    where = tmp_path / "index"
    subprocess.run([sys.executable, SCRIPT, embeddings, where, "add:2"], capture_output=True)
    other = write(tmp_path / "other.parquet", sheets(ROWS, first=5))
    with pytest.raises(RunError, match="part of an index of other embeddings"):
        SpecimenIndex.create(where, other)
    with pytest.raises(RunError, match="begun with --thumbnails none"):
        SpecimenIndex.create(where, embeddings, thumbnails="linked", data="somewhere")
