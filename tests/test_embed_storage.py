from __future__ import annotations

import io
import pickle
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
from embed_samples import read_rows
from identify_samples import IMAGES, CommandLine, rows_of, write_pictures, write_run

from herbzoo.data.readers import open_collection, open_images
from herbzoo.data.readers.storage_tree import StorageImages
from herbzoo.data.storage import is_url, open_to_read
from herbzoo.errors import DataError, ImageError
from herbzoo.index import EmbeddingTable


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def storage():
    storage = fsspec.filesystem("memory")
    storage.store.clear()
    storage.pseudo_dirs[:] = [""]
    return storage


@pytest.fixture
def sheets(tmp_path, storage) -> Path:
    """Pictures here, and the same on storage."""
    sheets = write_pictures(tmp_path / "sheets")
    storage.put(f"{sheets}/", "/bucket/sheets/", recursive=True)
    return sheets


@pytest.fixture
def embed(monkeypatch, capsys, run):
    command = CommandLine(monkeypatch, capsys)
    return lambda data, output: command("embed", run, "--data", data, "--output", output)


def rows_at(storage, where: str):
    return read_rows(io.BytesIO(storage.cat_file(where)))


def test_a_folder_and_an_output_on_storage_give_what_those_here_do(
    embed, sheets, storage, tmp_path
):
    code, out, _ = embed("memory://bucket/sheets/", "memory://bucket/out.parquet")
    assert (code, "6 rows" in out) == (0, True)
    embed(sheets, tmp_path / "here.parquet")
    frame, found = rows_at(storage, "/bucket/out.parquet")
    expected_frame, expected = read_rows(tmp_path / "here.parquet")
    different = ["imageFingerprint"]
    assert frame.drop(columns=different).equals(expected_frame.drop(columns=different))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert sorted(storage.find("/bucket")) == [
        "/bucket/out.parquet",
        *(f"/bucket/sheets/{number}.png" for number in range(IMAGES)),
    ]


def test_only_what_changed_on_storage_is_embedded_anew(embed, sheets, storage):
    embed("memory://bucket/sheets", "memory://bucket/out.parquet")
    storage.pipe_file("/bucket/sheets/2.png", (sheets / "0.png").read_bytes())
    storage.pipe_file("/bucket/sheets/3.png", b"broken")
    code, out, err = embed("memory://bucket/sheets", "memory://bucket/out.parquet")
    assert (code, "1 images embedded now, 4 were there already" in out) == (0, True)
    assert "listed in memory://bucket/out.parquet.failures.csv" in err
    listed = storage.cat_file("/bucket/out.parquet.failures.csv").decode()
    assert [row["file"] for row in rows_of(listed)] == ["3.png"]
    frame, found = rows_at(storage, "/bucket/out.parquet")
    assert frame["image"].tolist() == ["0.png", "1.png", "2.png", "4.png", "5.png"]
    np.testing.assert_allclose(found[2], found[0], atol=1e-6)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_on_storage_names_images_beside_it(embed, sheets, storage, tmp_path, kind):
    table = pd.DataFrame(
        {"file_name": ["4.png", "1.png"], "scientificName": ["Acer rubrum", "Quercus alba"]}
    )
    file = tmp_path / f"metadata.{kind}"
    table.to_csv(file, index=False) if kind == "csv" else table.to_parquet(file)
    storage.put_file(str(file), f"/bucket/sheets/metadata.{kind}")
    output = tmp_path / "out.parquet"
    assert embed(f"memory://bucket/sheets/metadata.{kind}", output)[0] == 0
    assert read_rows(output)[0]["image"].tolist() == ["4.png", "1.png"]
    assert read_rows(output)[0]["genus"].tolist() == ["Acer", "Quercus"]
    collection = open_collection("memory://bucket/sheets")
    assert collection.frame["scientificName"].tolist() == ["Acer rubrum", "Quercus alba"]
    assert collection.facts["reader"] == "table"


@pytest.mark.parametrize(
    "path",
    [
        "../secret.png",
        "/etc/passwd",
        "memory://bucket/secret.png",
        "a/../../secret.png",
        "/b/c.png",
    ],
)
def test_a_table_on_storage_reaches_nothing_outside_of_its_folder(storage, sheets, path):
    storage.pipe_file("/bucket/secret.png", (sheets / "0.png").read_bytes())
    table = f"file_name,scientificName\n{path},Acer rubrum\n0.png,Acer rubrum\n"
    storage.pipe_file("/bucket/sheets/metadata.csv", table.encode())
    with pytest.raises(DataError, match="row 1 names a"):
        open_images("memory://bucket/sheets")


@pytest.mark.parametrize(
    "key", ["../secret.png", "/etc/passwd", "memory://bucket/a.png", "zip://a::b", "a/../../b", ""]
)
def test_images_on_storage_are_those_below_the_root(storage, sheets, key):
    images = StorageImages("memory://bucket/sheets")
    for ask in (images.open, images.encoded, images.fingerprint):
        with pytest.raises(ImageError, match="lies outside of"):
            ask(key)


def test_the_source_can_be_sent_to_another_process_and_knows_changes(storage, sheets):
    images = pickle.loads(pickle.dumps(StorageImages("memory://bucket/sheets")))
    before = images.fingerprint("1.png")
    assert images.fingerprint("1.png") == before
    assert images.open("1.png").size == (60, 80)
    storage.pipe_file("/bucket/sheets/1.png", (sheets / "0.png").read_bytes())
    assert images.fingerprint("1.png") != before
    with pytest.raises(ImageError, match="there is no such file"):
        images.open("9.png")


def test_file_urls_are_read_by_the_rules_for_folders(embed, sheets, tmp_path):
    output = tmp_path / "out.parquet"
    assert embed(f"file://{sheets}", f"file://{output}")[0] == 0
    assert len(read_rows(output)[1]) == IMAGES
    outside = tmp_path / "outside.png"
    (sheets / "0.png").rename(outside)
    (sheets / "0.png").symlink_to(outside)
    with pytest.raises(DataError, match="is a link to"):
        open_images(f"file://{sheets}")


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("s3://bucket/sheets", "pip install s3fs"),
        ("herb://bucket/sheets", "nothing reads herb://"),
        ("memory://bucket/nowhere", "there is nothing at"),
        ("memory://bucket/sheets/0.png", "is no folder and no table"),
    ],
)
def test_what_cannot_be_read_is_one_line(embed, sheets, storage, tmp_path, where, said):
    code, _, err = embed(where, tmp_path / "out.parquet")
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_an_output_on_storage_that_is_not_set_up_is_one_line(embed, sheets):
    code, _, err = embed(sheets, "s3://bucket/out.parquet")
    assert (code, "pip install s3fs" in err) == (2, True)


def test_a_table_is_opened_by_url_and_by_path(embed, sheets, tmp_path):
    embed(sheets, "memory://bucket/out.parquet")
    table = EmbeddingTable.open("memory://bucket/out.parquet")
    assert (len(table), table.model.dimension) == (IMAGES, 16)
    assert [len(batch) for batch in table.batches(["image"], rows=4)] == [4, 2]
    assert "imageFingerprint" not in table.columns
    with pytest.raises(DataError, match="there is no file"):
        EmbeddingTable.open("memory://bucket/other.parquet")
    with pytest.raises(DataError, match="there is no file"), open_to_read(str(tmp_path / "no")):
        pass


def test_web_pages_and_paths_are_no_storage():
    assert not any(
        map(is_url, ["https://a.org/b", "sheets/a.csv", "C:\\sheets", "synthetic:seed=1"])
    )
    assert all(map(is_url, ["s3://bucket/a", "memory://a", "file:///tmp/a"]))
