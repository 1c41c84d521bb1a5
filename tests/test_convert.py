"""Collections as Parquet shards: nothing lost, nothing half done, read by the datasets library."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import multiprocessing
import os
import signal
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from data_samples import quarters, table_folder, write_image
from PIL import Image

from herbzoo.cli import main
from herbzoo.data import convert as conversion
from herbzoo.data.convert import convert
from herbzoo.data.encoding import Encoding
from herbzoo.data.readers import open_collection
from herbzoo.data.records import Collection
from herbzoo.data.shard_file import ShardFile
from herbzoo.errors import DataError, ImageError

REAL = Path(os.environ.get("HERBZOO_DATA", Path(__file__).parents[2] / "shared" / "data"))


def noise(path: Path, seed: int, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def leaves(tmp_path: Path) -> Collection:
    """Thirty images in three splits, with a column of their own and names beyond ASCII."""
    lines = ["file_name,scientificName,split,license,Höhe"]
    for row in range(30):
        split = "test" if row % 5 == 0 else "val" if row % 7 == 0 else "train"
        name = f"{'ab'[row % 2]}/Blüte {row}.png"
        noise(tmp_path / "leaves" / name, row)
        lines.append(f"{name},Acer {'rubrum' if row % 3 else 'opalus'},{split},CC BY 4.0,{row}")
    (tmp_path / "leaves" / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
    return open_collection(tmp_path / "leaves")


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def pixels(collection: Collection) -> list[np.ndarray]:
    return [np.asarray(collection.images.open(key)) for key in collection.frame["image"]]


def test_what_was_converted_reads_back_with_the_same_rows_and_pixels(leaves, tmp_path):
    made = convert(leaves, tmp_path / "out", shard_bytes=20_000)
    assert made.splits == {"train": 20, "validation": 4, "test": 6} and made.shards > 3
    back = open_collection(tmp_path / "out")
    order = [p for part in made.splits for p in np.flatnonzero(leaves.frame["split"] == part)]
    before = leaves.select(order)
    assert back.frame.columns.tolist() == before.frame.columns.tolist()
    assert back.frame.drop(columns="image").equals(before.frame.drop(columns="image"))
    assert all(map(np.array_equal, pixels(back), pixels(before)))
    assert [back.images.encoded(key) for key in back.frame["image"]] == [
        before.images.encoded(key) for key in before.frame["image"]
    ]


def test_the_datasets_library_streams_the_folder_as_pictures(leaves, tmp_path):
    import datasets

    out = tmp_path / "out"
    convert(leaves, out, shard_bytes=20_000)
    rows = datasets.load_dataset(str(out), streaming=True, cache_dir=str(tmp_path / "cache"))
    assert list(rows) == ["train", "validation", "test"]
    first, *_ = test = list(rows["test"])
    assert len(test) == 6 and isinstance(first["image"], Image.Image)
    assert first["image"].size == (40, 30) and first["scientificName"] == "Acer opalus"
    alone = str(next((out / "data").glob("test-00000-*")))
    streamed = datasets.load_dataset("parquet", data_files=alone, split="train", streaming=True)
    assert next(iter(streamed))["image"].size == (40, 30)


def test_the_card_says_where_the_splits_are_and_what_may_be_done_with_the_images(leaves, tmp_path):
    convert(leaves, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    card = yaml.safe_load(text.split("---")[1])
    files = {one["split"]: one["path"] for one in card["configs"][0]["data_files"]}
    assert files == {split: f"data/{split}-*.parquet" for split in ("train", "validation", "test")}
    assert card["license"] == "cc-by-4.0" and card["size_categories"] == ["n<1K"]
    assert {"name": "image", "dtype": "image"} in card["dataset_info"]["features"]
    assert "| CC BY 4.0 | 30 |" in text and "30 images of 2 species" in text


def test_the_same_rows_give_the_same_bytes_with_any_number_of_workers(leaves, tmp_path):
    for workers in (1, 4):
        convert(leaves, tmp_path / str(workers), shard_bytes=20_000, workers=workers)
    assert digests(tmp_path / "1") == digests(tmp_path / "4")


def kill_after(data: Path, out: Path, images: int) -> None:
    left = iter(range(images))

    def count(done: int) -> None:
        if done and next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    convert(open_collection(data), out, shard_bytes=20_000, progress=count)


def killed(data: Path, out: Path, images: int) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=kill_after, args=(data, out, images)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_a_killed_conversion_keeps_its_complete_shards_and_ends_in_the_same_bytes(leaves, tmp_path):
    out = tmp_path / "out"
    killed(Path(leaves.name), out, 17)
    assert not (out / "data").exists()
    complete = {path: path.stat().st_mtime_ns for path in (out / ".convert/data").glob("*.parquet")}
    assert complete
    with pytest.raises(DataError, match="unfinished conversion: repeat"):
        open_collection(out)
    with pytest.raises(DataError, match="another shard size") as other:
        convert(leaves, out, shard_bytes=30_000)
    assert "\n" not in str(other.value)
    shards = json.loads((out / ".convert/manifest.json").read_text())["shards"]
    asked: list[int] = []
    convert(leaves, out, shard_bytes=20_000, progress=asked.append)
    assert asked[0] == sum(s["seen"] for s in shards if s["split"] == "train") > 0
    assert sum(asked) == 30
    convert(leaves, tmp_path / "whole", shard_bytes=20_000)
    assert digests(out) == digests(tmp_path / "whole")


@pytest.mark.parametrize("step", range(6))
def test_a_conversion_that_stops_while_it_is_published_is_finished_by_the_next(
    leaves, tmp_path, monkeypatch, step
):
    out, renamed = tmp_path / "out", iter(range(100))
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        # From the first shard's final name on, one step later each time.
        published = "-of-" in target.name or ".convert" not in target.parts
        if published and next(renamed) == step:
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", replace)
        convert(leaves, out)
    assert (out / "data").is_dir() == (step == 5)
    convert(leaves, out)
    convert(leaves, tmp_path / "whole")
    assert digests(out) == digests(tmp_path / "whole")


def test_a_damaged_complete_shard_is_not_taken_for_one(leaves, tmp_path):
    def stop(_: int, left: list[int] = [17]) -> None:  # noqa: B006
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(leaves, tmp_path / "out", shard_bytes=20_000, progress=stop)
    shard = next((tmp_path / "out" / ".convert" / "data").glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(DataError, match="missing or damaged: delete"):
        convert(leaves, tmp_path / "out", shard_bytes=20_000)


def test_a_folder_with_anything_else_in_it_is_refused_and_left_alone(leaves, tmp_path):
    out = tmp_path / "out"
    convert(leaves, out)
    before = digests(out)
    with pytest.raises(DataError, match="already holds a data set: choose another output"):
        convert(leaves, out)
    assert digests(out) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="already holds other files"):
        convert(leaves, tmp_path / "mine")
    with pytest.raises(DataError, match="is a file"):
        convert(leaves, tmp_path / "mine" / "thesis.txt")


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(leaves, tmp_path, monkeypatch):
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(DataError, match="disk is full") as error:
        patch.setattr(os, "fsync", full)
        convert(leaves, tmp_path / "out")
    assert "\n" not in str(error.value) and "repeat the command" in str(error.value)
    assert not list((tmp_path / "out").rglob("*.partial"))
    assert convert(leaves, tmp_path / "out").splits["train"] == 20


def test_row_groups_are_small_in_rows_and_in_bytes(leaves, tmp_path, monkeypatch):
    monkeypatch.setattr("herbzoo.data.shard_file.ROW_GROUP_ROWS", 7)
    convert(leaves.select(slice(0, 20)), tmp_path / "rows")
    groups = pq.ParquetFile(next((tmp_path / "rows/data").glob("train-*"))).metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [7, 7]
    monkeypatch.setattr("herbzoo.data.shard_file.ROW_GROUP_BYTES", 10_000)
    convert(leaves, tmp_path / "bytes")
    groups = pq.ParquetFile(next((tmp_path / "bytes/data").glob("train-*"))).metadata
    assert groups.num_row_groups > 4
    assert groups.row_group(0).column(0).path_in_schema == "image.bytes"
    assert groups.row_group(0).column(0).compression == "UNCOMPRESSED"


def test_images_keep_their_orientation_whether_scaled_or_not(tmp_path):
    table_folder(tmp_path / "d", "file_name,species\nsheets/a.jpg,A b\nsheets/b.jpg,A b\n")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees to see it upright
    lying = quarters((64, 96)).transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "d/sheets/a.jpg", exif=exif, quality=95)
    source = open_collection(tmp_path / "d")
    convert(source, tmp_path / "kept")
    convert(source, tmp_path / "scaled", encoding=Encoding((48, 48)))
    for folder, size in (("kept", (64, 96)), ("scaled", (32, 48))):
        table = pq.read_table(next((tmp_path / folder / "data").glob("*")))
        cell = table.column("image")[0].as_py()
        assert (Image.open(BytesIO(cell["bytes"])).getexif().get(0x0112) == 6) == (folder == "kept")
        back = open_collection(tmp_path / folder)
        upright = back.images.open(back.frame["image"][0])
        assert upright.size == size
        red, _, blue = upright.getpixel((size[0] // 4, size[1] // 4))
        assert red > 200 and blue < 60
    small = source.images.encoded("sheets/b.jpg")
    assert back.images.encoded(back.frame["image"][1]) == small, "one that fits is left alone"


def test_an_image_of_exactly_twice_the_size_is_scaled_too(tmp_path):
    write_image(tmp_path / "d" / "A b" / "a.jpg", (96, 96))
    convert(open_collection(tmp_path / "d"), tmp_path / "o", encoding=Encoding((48, 48), 50))
    back = open_collection(tmp_path / "o")
    assert back.images.open(back.frame["image"][0]).size == (48, 48)


def test_drawn_images_are_kept_without_loss_and_still_called_drawn(tmp_path):
    drawn = open_collection("synthetic:species=2,seed=3,images_per_species=4").select([0, 7])
    convert(drawn, tmp_path / "out")
    back = open_collection(tmp_path / "out")
    assert all(map(np.array_equal, pixels(back), pixels(drawn)))
    assert back.facts["synthetic"] == drawn.facts["synthetic"] and back.facts["seed"] == 3
    assert "no real plants" in (tmp_path / "out" / "README.md").read_text()


def broken(leaves: Collection) -> Path:
    root = Path(leaves.name)
    (root / "b" / "Blüte 3.png").write_bytes(b"not a picture")
    whole = (root / "a" / "Blüte 8.png").read_bytes()
    (root / "a" / "Blüte 8.png").write_bytes(whole[: len(whole) // 2])
    return root


def test_a_broken_image_is_refused_by_name_or_left_out_and_listed(leaves, tmp_path):
    root = broken(leaves)
    with pytest.raises(ImageError, match=r"Blüte 3.png.*--skip-bad") as refused:
        convert(open_collection(root), tmp_path / "out")
    assert "\n" not in str(refused.value)
    made = convert(open_collection(root), tmp_path / "out", skip_bad=True)
    assert sum(made.splits.values()) == 28 and len(open_collection(tmp_path / "out")) == 28
    with (tmp_path / "out" / "skipped.csv").open(encoding="utf-8") as stream:
        where = [row["where"] for row in csv.DictReader(stream)]
    assert [Path(place).name for place in where] == ["Blüte 3.png", "Blüte 8.png"]


def test_nothing_but_broken_images_is_no_data_set(tmp_path):
    (tmp_path / "d" / "A b").mkdir(parents=True)
    (tmp_path / "d" / "A b" / "a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"no image of .* can be read"):
        convert(open_collection(tmp_path / "d"), tmp_path / "out", skip_bad=True)


def test_the_split_column_decides_and_other_values_are_left_out_and_counted(leaves, tmp_path):
    frame = leaves.frame.assign(fold=["Train", "TEST", "later"] * 10)
    other = Collection(frame, leaves.images, leaves.name)
    made = convert(other, tmp_path / "out", split_column="fold")
    assert made.splits == {"train": 10, "test": 10} and made.left_out == 10
    assert open_collection(tmp_path / "out").column("split").value_counts()["train"] == 10
    with pytest.raises(DataError, match="must say train, validation"):
        convert(other, tmp_path / "names", split_column="scientificName")
    some = Collection(leaves.frame.assign(split=["train", ""] * 15), leaves.images, leaves.name)
    assert convert(some, tmp_path / "some").splits == {"train": 15, "other": 15}


def test_two_conversions_into_one_folder_are_refused(leaves, tmp_path, monkeypatch):
    def nested(*_: object) -> None:
        convert(leaves, tmp_path / "out")

    with monkeypatch.context() as patch, pytest.raises(DataError, match="another process"):
        patch.setattr(ShardFile, "close", nested)
        convert(leaves, tmp_path / "out")


def test_the_command_converts_lists_and_refuses_in_one_line(leaves, tmp_path, monkeypatch, capsys):
    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["herbzoo", "data", "convert", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    root, out = str(broken(leaves)), str(tmp_path / "out")
    assert run(root, out, "--shard-size", "20 parrots") == 2
    assert "such as 500MB" in capsys.readouterr().err
    assert run(root, out, "--shard-size", "20kB", "--skip-bad", "--image-size", "20") == 0
    told = capsys.readouterr()
    assert "wrote 18 train, 4 validation, 6 test images" in told.out
    assert "2 bad rows are left out" in told.err
    assert run(root, out) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.realdata
@pytest.mark.skipif(not (REAL / "leafsnap").is_dir(), reason="no images in HERBZOO_DATA")
def test_real_leaves_read_back_equal(tmp_path):
    leafsnap = open_collection(REAL / "leafsnap").select(slice(0, 300))
    convert(leafsnap, tmp_path / "out", shard_bytes=500_000)
    back = open_collection(tmp_path / "out")
    same = back.frame.drop(columns="image").equals(leafsnap.frame.drop(columns="image"))
    assert same and all(map(np.array_equal, pixels(back)[::30], pixels(leafsnap)[::30]))
    assert conversion.DEFAULT_SHARD_BYTES == 500_000_000
