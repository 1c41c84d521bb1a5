"""Reading large JSON in pieces gives what reading it whole gives."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import msgspec
import pytest

from herbzoo.data.readers import json_sections
from herbzoo.data.readers.json_sections import JsonSections
from herbzoo.errors import DataError


class Row(msgspec.Struct):
    id: int
    name: str = ""


def read(content: bytes, encoding: str = "utf-8") -> tuple[list[tuple[int, str]], list[str]]:
    sections = JsonSections(io.BytesIO(content), "f.json", {"rows": Row, "": Row})
    sections.encoding = encoding
    rows = [(row.id, row.name) for _, piece in sections for row in piece]
    return rows, [f"{bad.where} {bad.reason}" for bad in sections.bad]


def odd_record(rng: random.Random, number: int) -> dict[str, Any]:
    """A record whose name has the marks that end records and lists, and that may hold others."""
    name = "".join(rng.choice('ab]}{[",\\ \u00e9:') for _ in range(rng.randint(0, 6)))
    record: dict[str, Any] = {"id": number, "name": name}
    if rng.random() < 0.3:
        record["x"] = rng.choice([[1, 2], [{"y": [{}]}], {"z": {"w": name}}, None, [[]]])
    return record


@pytest.mark.parametrize("piece", [1, 3, 7, 50, 1000])
def test_pieces_of_any_size_give_the_same_records(monkeypatch, piece):
    monkeypatch.setattr(json_sections, "PIECE", piece)
    rng = random.Random(piece)
    for _ in range(120):
        rows = [odd_record(rng, i) for i in range(rng.randint(0, 6))]
        whole: Any = {
            "info": rng.choice([{"year": 1}, "x}", 3, None, [1, [2]]]),
            "rows": rows,
            "others": [odd_record(rng, i) for i in range(rng.randint(0, 3))],
        }
        whole = rows if rng.random() < 0.2 else whole
        indent, plain = rng.choice([None, 2]), rng.random() < 0.5
        content = json.dumps(whole, indent=indent, ensure_ascii=plain).encode()
        assert read(content) == ([(row["id"], row["name"]) for row in rows], [])
        with pytest.raises(DataError, match=r"f\.json is not JSON"):
            read(content[: rng.randint(0, len(content) - 1)])


def test_records_that_do_not_fit_are_told_from_their_neighbours():
    content = '{"rows": [{"id": 1, "name": "\u00e9"}, {"id": [2]}, {"name": "x"}, {"id": 3}]}'
    rows, bad = read(content.encode("latin-1"))
    assert rows == [(3, "")]
    assert bad[0] == "f.json: rows[0] is not UTF-8"
    assert bad[1].startswith("f.json: rows[1] does not fit") and "rows[2]" in bad[2]


def test_another_encoding_is_used_only_where_it_is_said():
    content = '{"rows": [{"id": 1, "name": "\u00e9"}]}'.encode("latin-1")
    assert read(content, "latin-1") == ([(1, "\u00e9")], [])
