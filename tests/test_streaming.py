"""Data sets on the Hub that are read from there: little is fetched, and nothing twice."""

from __future__ import annotations

import io
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loopback_hub import files_of
from PIL import Image

from herbzoo.data.convert import convert
from herbzoo.data.readers import open_collection
from herbzoo.data.records import Collection
from herbzoo.data.table_cache import TableCache, stream_cache
from herbzoo.errors import DataError, ImageError

pytest_plugins = ["hub_fixtures"]

OPENED: dict[str, Collection] = {}
"""In the user's process: what it has opened."""


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    """Three hundred pictures of noise, 4 MB, in two shards of train and one of test."""
    root = tmp_path_factory.mktemp("flora")
    lines = ["file_name,scientificName,split,recordedBy"]
    for row in range(300):
        pixels = np.random.default_rng(row).integers(0, 256, (72, 64, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"{row}.png")
        lines.append(f"{row}.png,Acer a{row % 9},{'test' if row >= 250 else 'train'},nobody {row}")
    (root / "metadata.csv").write_text("\n".join(lines))
    out = tmp_path_factory.mktemp("shards") / "flora"
    convert(open_collection(root), out, shard_bytes=2_500_000)
    return out


def opened(data: str) -> list[list[str]]:
    OPENED[data] = open_collection(data, streaming=True)
    return OPENED[data].frame[["scientificName", "split", "recordedBy", "image"]].values.tolist()


def pixel_sums(data: str, rows: list[int]) -> list[int]:
    images, keys = OPENED[data].images, OPENED[data].frame["image"]
    return [int(np.asarray(images.open(keys[row])).sum()) for row in rows]


def sums_by_workers(data: str) -> list[int]:
    images, keys = OPENED[data].images, OPENED[data].frame["image"].tolist()
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        return list(pool.map(partial(one_sum, images), keys[::30]))


def one_sum(images, key: str) -> int:
    return int(np.asarray(images.open(key)).sum())


def problem(data: str, row: int) -> str:
    with patch("time.sleep"):  # the client of the Hub tries again for half a minute
        try:
            pixel_sums(data, [row])
        except ImageError as error:
            return str(error)
    return ""


def expected_sums(shards: Path, rows: list[int]) -> list[int]:
    local = open_collection(shards)
    return [one_sum(local.images, local.frame["image"][row]) for row in rows]


def test_opening_fetches_the_text_and_looking_fetches_a_row_group(client, hub, shards):
    size = sum(len(content) for content in files_of(shards).values())
    assert size > 4_000_000
    hub.add("org/flora", {"main": files_of(shards)}, "datasets")
    rows = client(opened, "org/flora")
    local = open_collection(shards)
    assert rows == local.frame[["scientificName", "split", "recordedBy", "image"]].values.tolist()
    assert hub.bytes_sent < size / 10
    hub.bytes_sent = 0
    assert client(pixel_sums, "org/flora", [0, 5, 99]) == expected_sums(shards, [0, 5, 99])
    assert 1_200_000 < hub.bytes_sent < 1_800_000, "a hundred pictures of three hundred"
    hub.bytes_sent = 0
    assert client(pixel_sums, "org/flora", [7]) == expected_sums(shards, [7])
    assert hub.bytes_sent == 0


def test_processes_share_what_was_fetched(client, hub, shards):
    hub.add("org/shared", {"main": files_of(shards)}, "datasets")
    client(opened, "org/shared")
    hub.bytes_sent = 0
    expected = expected_sums(shards, list(range(0, 300, 30)))
    assert client(sums_by_workers, "org/shared") == expected
    once = hub.bytes_sent
    assert once < 6_000_000, "twice would be more than eight"
    assert client(sums_by_workers, "org/shared") == expected
    assert hub.bytes_sent - once < 500_000


def test_what_is_open_stays_at_its_commit(client, hub, shards, tmp_path):
    repository = hub.add("org/moving", {"main": files_of(shards)}, "datasets")
    before = client(opened, "org/moving")
    other = open_collection(shards).select(slice(0, 3))
    convert(other, tmp_path / "other")
    repository.commit(files_of(tmp_path / "other"))
    assert client(pixel_sums, "org/moving", [120]) == expected_sums(shards, [120])
    assert len(client(opened, "org/moving")) == 3 != len(before)


def test_a_network_that_goes_away_is_one_line(client, hub, shards):
    hub.add("org/away", {"main": files_of(shards)}, "datasets")
    client(opened, "org/away")
    with hub.stopped():
        told = client(problem, "org/away", 0)
    assert "org/away: data/train-00000-of-00002.parquet" in told and "cannot be fetched" in told
    assert "\n" not in told
    assert client(problem, "org/away", 0) == "", "it goes on when the network is back"
    with hub.stopped(), pytest.raises(DataError, match="Hub cannot be reached"):
        client(opened, "org/away")


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, "PNG")
    return buffer.getvalue()


def labelled(colours: list[str]) -> bytes:
    """A Parquet file with class numbers, as the Hub makes them of folders of images."""
    import datasets

    names = datasets.ClassLabel(names=["Acer rubrum", "Rosa canina"])
    features = datasets.Features({"image": datasets.Image(), "label": names})
    images = [{"bytes": png(colour), "path": None} for colour in colours]
    table = {"image": images, "label": [row % 2 for row in range(len(colours))]}
    buffer = io.BytesIO()
    pq.write_table(pa.table(table, schema=features.arrow_schema), buffer)
    return buffer.getvalue()


def test_other_formats_are_streamed_by_the_export_of_the_hub_or_refused(client, hub):
    files = {"Acer rubrum/a.png": png("red"), "Rosa canina/b.png": png("blue")}
    exported = {
        "default/train/0000.parquet": labelled(["red", "blue"]),
        "default/test/0000.parquet": labelled(["red"]),
    }
    branches = {"main": files, "refs/convert/parquet": exported}
    hub.add("org/exported", branches, "datasets")
    rows = client(opened, "org/exported")
    assert [row[:2] for row in rows] == [
        ["Acer rubrum", "train"],
        ["Rosa canina", "train"],
        ["Acer rubrum", "test"],
    ]
    assert client(pixel_sums, "org/exported", [1]) == [8 * 8 * 255]
    hub.add("org/folders", {"main": files}, "datasets")
    with pytest.raises(DataError, match=r"no export .*: leave out --streaming") as refused:
        client(opened, "org/folders")
    assert "\n" not in str(refused.value)


def test_what_may_not_be_read_or_has_no_images_is_one_line(client, hub):
    hub.add(
        "org/locked", {"main": {"data/train.parquet": labelled(["red"])}}, "datasets", gated=True
    )
    with pytest.raises(DataError, match=r"'?org/locked'?.*cannot be (fetched|listed)") as locked:
        client(opened, "org/locked")
    words = io.BytesIO()
    pq.write_table(pa.table({"species": ["Acer rubrum"]}), words)
    hub.add("org/words-only", {"main": {"train.parquet": words.getvalue()}}, "datasets")
    with pytest.raises(DataError, match="org/words-only has no image column") as imageless:
        client(opened, "org/words-only")
    with pytest.raises(DataError, match="the Hub shows no data set") as unknown:
        client(opened, "org/nothing")
    assert all("\n" not in str(one.value) for one in (locked, imageless, unknown))


def test_offline_and_what_is_not_on_the_hub_say_to_leave_streaming_out(tmp_path):
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set: leave out --streaming"):
        open_collection("org/name", streaming=True)
    (tmp_path / "leaves").mkdir()
    for local in (str(tmp_path / "leaves"), "synthetic"):
        with pytest.raises(DataError, match=r"cannot be streamed.*leave out --streaming"):
            open_collection(local, streaming=True)


def test_a_folder_of_shards_streams_like_the_hub(shards):
    streamed = open_collection(shards, streaming=True)
    assert streamed.frame.equals(open_collection(shards).frame)
    keys = streamed.frame["image"].tolist()
    blocks = streamed.images.blocks(keys)
    groups = [key.rpartition("#")[0] for key in keys]
    assert len(set(blocks.tolist())) == len(set(groups)) == 4
    assert all(
        (blocks[i] == blocks[j]) == (groups[i] == groups[j])
        for i in (0, 99, 260)
        for j in range(300)
    )
    prints = [streamed.images.fingerprint(key) for key in keys]
    assert len(set(prints)) == 300
    for key in (
        "data/no.parquet#0#0",
        "nonsense",
        f"{keys[0]}500",
        f"{keys[0][:-1]}-1",
        "../x#0#0",
        keys[0].replace("#0#", "#9#"),
    ):
        with pytest.raises(ImageError, match=r"there is no such|No such file|lies outside"):
            streamed.images.open(key)


def table(size: int) -> pa.Table:
    return pa.table({"image": [b"x" * size]})


def test_the_cache_keeps_what_was_used_last_within_its_bytes(tmp_path):
    cache = TableCache(tmp_path, 5_000)
    made: list[str] = []

    def get(key: str) -> None:
        cache.get(key, lambda: made.append(key) or table(1_000))
        for path in tmp_path.glob("*.arrow"):  # times of use may be too coarse for a test
            found = path.stat()
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns - 10**9))

    for key in ("a", "b", "a", "c", "a", "d", "a", "b"):
        get(key)
        assert sum(path.stat().st_size for path in tmp_path.glob("*.arrow")) <= 5_000
    assert made == ["a", "b", "c", "d", "b"]


def test_a_damaged_file_of_the_cache_is_made_anew(tmp_path):
    cache = TableCache(tmp_path, 10_000)
    cache.get("a", lambda: table(1_000))
    kept = next(tmp_path.glob("*.arrow"))
    kept.write_bytes(kept.read_bytes()[:300])
    assert cache.get("a", lambda: table(9)).column("image")[0].as_py() == b"x" * 9


def test_a_full_disk_costs_the_cache_and_not_the_image(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert TableCache(tmp_path, 10_000).get("a", lambda: table(7)).num_rows == 1
    assert not list(tmp_path.glob("*.arrow*"))


def test_the_bytes_of_the_cache_are_the_users_to_say(monkeypatch):
    monkeypatch.setenv("HERBZOO_STREAM_CACHE", "1.5 GiB")
    assert stream_cache().limit == 3 * 2**29
    monkeypatch.setenv("HERBZOO_STREAM_CACHE", "plenty")
    with pytest.raises(DataError, match="HERBZOO_STREAM_CACHE is 'plenty'"):
        stream_cache()
