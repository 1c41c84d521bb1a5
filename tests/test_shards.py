"""Folders of Parquet shards: which files count, and what is said of damaged ones."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import refusal, write_image

from herbzoo.data.convert import convert
from herbzoo.data.readers import open_collection
from herbzoo.data.readers.shard_names import ShardName, exported_names, shard_names
from herbzoo.errors import DataError


def named(*paths: str, card: str = "") -> list[tuple[str, str]]:
    return [(shard.path, shard.split) for shard in shard_names(paths, card, "d")]


def test_names_tell_the_splits_and_train_comes_first():
    assert named("test-00000-of-00001.parquet", "data/train-00000-of-00001.parquet") == [
        ("data/train-00000-of-00001.parquet", "train"),
        ("test-00000-of-00001.parquet", "test"),
    ]
    assert named("val/0.parquet", "training/0.parquet", "contest.parquet", "README.md") == [
        ("training/0.parquet", "train"),
        ("val/0.parquet", "validation"),
        ("contest.parquet", ""),
    ]
    numbered = "data/valid-00000-of-00001.parquet"
    assert named(numbered, "test/index.parquet", ".cache/x.parquet") == [(numbered, "validation")]
    assert named("a.csv", "b.png") == []


CONFIGS = """---
configs:
- config_name: {first}
  data_files:
  - split: train
    path: [one/**/*.parquet, '**.parquet', https://elsewhere.org/x.parquet, ../../secret.parquet]
  - split: val
    path: two/*.parquet
- config_name: other
  data_files: {files}
---
"""
PATHS = ("one/deep/a.parquet", "two/b.parquet", "two/deep/c.parquet", "x.csv")


def test_a_card_names_the_files_but_none_outside_of_the_data_set():
    card = CONFIGS.format(first="default", files="x.csv")
    assert named(*PATHS, card=card) == [
        ("one/deep/a.parquet", "train"),
        ("two/b.parquet", "validation"),
    ]
    chosen = CONFIGS.format(first="default", files="x.csv\n  default: true")
    assert named(*PATHS, card=chosen) == []
    with pytest.raises(DataError, match=r"several data sets \(first, other\)"):
        named(*PATHS, card=CONFIGS.format(first="first", files="x.csv"))
    assert named("a.parquet", card="---\nconfigs: [{\n---\n") == [("a.parquet", "")]
    assert named("a.parquet", card="---\nconfigs: 5\n---\nWords.") == [("a.parquet", "")]


def test_the_export_of_the_hub_names_configuration_and_split():
    paths = ["plain/partial-train/0000.parquet", "plain/test/0000.parquet", "README.md"]
    assert exported_names(paths, "d") == [
        ShardName("plain/partial-train/0000.parquet", "train"),
        ShardName("plain/test/0000.parquet", "test"),
    ]
    with pytest.raises(DataError, match="several data sets"):
        exported_names([*paths, "other/test/0000.parquet"], "d")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images in three shards."""
    for row in range(6):
        write_image(tmp_path / "d" / f"Acer {'ab'[row % 2]}" / f"{row}.jpg")
    one = (tmp_path / "d" / "Acer a" / "0.jpg").stat().st_size
    convert(open_collection(tmp_path / "d"), tmp_path / "out", shard_bytes=2 * one)
    assert len(list((tmp_path / "out" / "data").iterdir())) == 3
    return tmp_path / "out"


def test_a_missing_or_damaged_shard_is_refused_or_skipped_and_listed(folder):
    data = folder / "data"
    (data / "train-00001-of-00003.parquet").unlink()
    assert "data/train-00001-of-00003.parquet is missing" in refusal(folder)
    (data / "train-00000-of-00003.parquet").write_bytes(b"PAR1 and no more")
    kept = open_collection(folder, skip_bad=True)
    assert len(kept) == 2
    reasons = {one.where.rpartition("/")[2]: one.reason for one in kept.skipped}
    assert reasons["train-00001-of-00003.parquet"] == "is missing"
    assert "cannot be read as Parquet" in reasons["train-00000-of-00003.parquet"]
    (data / "train-00002-of-00003.parquet").write_bytes(b"")
    with pytest.raises(DataError, match="has no rows"):
        open_collection(folder, skip_bad=True)


def test_a_shard_without_the_image_column_is_named(folder):
    odd = folder / "data" / "train-00002-of-00003.parquet"
    pq.write_table(pq.read_table(odd).drop_columns(["image"]), odd)
    assert "train-00002-of-00003.parquet has no column 'image'" in refusal(folder)


def test_a_link_that_leads_out_is_refused(folder, tmp_path):
    shard = folder / "data" / "train-00002-of-00003.parquet"
    shard.rename(tmp_path / "elsewhere.parquet")
    shard.symlink_to(tmp_path / "elsewhere.parquet")
    assert "outside of" in refusal(folder)


def test_parquet_files_without_images_are_no_shards(tmp_path):
    write_image(tmp_path / "Acer a" / "a.jpg")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "numbers.parquet")
    assert open_collection(tmp_path).facts["reader"] == "class_folders"


def test_rows_without_an_image_fail_by_name_when_they_are_opened(tmp_path):
    import datasets

    kinds = datasets.Features({"image": datasets.Image(), "species": datasets.Value("string")})
    images = [None, {"bytes": None, "path": "/etc/hostname"}, {"bytes": b"", "path": None}]
    rows = {"image": images, "species": ["Acer a"] * 3}
    pq.write_table(pa.table(rows, schema=kinds.arrow_schema), tmp_path / "train.parquet")
    collection = open_collection(tmp_path)
    told = []
    for key in collection.frame["image"]:
        with pytest.raises(DataError) as error:
            collection.images.open(key)
        told.append(str(error.value))
    assert "has no image" in told[0] and "has no image" in told[2]
    assert "only names a file (/etc/hostname)" in told[1]
