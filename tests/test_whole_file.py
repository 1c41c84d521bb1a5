"""A file is there whole or not at all."""

from __future__ import annotations

import pytest

from herbzoo.whole_file import whole, write_whole


def test_a_file_is_replaced_at_once_and_its_line_ends_stay(tmp_path):
    path = tmp_path / "new" / "names.csv"
    assert write_whole(path, "a\r\nb\n") == path
    with whole(path) as partial:
        partial.write_text("c")
        assert path.read_bytes() == b"a\r\nb\n"
    assert path.read_text() == "c"
    assert [item.name for item in path.parent.iterdir()] == ["names.csv"]


def test_after_an_error_the_old_file_stays_and_nothing_lies_beside_it(tmp_path):
    path = write_whole(tmp_path / "names.csv", "old")
    with pytest.raises(ZeroDivisionError), whole(path) as partial:
        partial.write_text("half")
        1 / 0  # noqa: B018
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
