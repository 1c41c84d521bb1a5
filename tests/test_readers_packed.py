"""Archives, Arrow tables and the drawn collection: images that are not files in a folder."""

from __future__ import annotations

import multiprocessing
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
from data_samples import write_image, write_images
from PIL import Image

from herbzoo.data.readers import archives, open_collection, open_images
from herbzoo.errors import DataError, ImageError

COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255)}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "flora"
    for i, colour in enumerate(["red", "blue", "red"]):
        write_image(root / "Acer_rubrum" / f"{i}.png", colour=colour)
    write_image(root / "Rosa_canina" / "0.jpg")
    return root


def pack(folder: Path, target: Path, wrap: str = "") -> Path:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as archive:
            for path in files:
                archive.write(path, wrap + path.relative_to(folder).as_posix())
    else:
        kind = {".gz": "gz", ".tgz": "gz", ".bz2": "bz2", ".xz": "xz"}.get(target.suffix, "")
        with tarfile.open(target, f"w:{kind}") as archive:
            for path in files:
                archive.add(path, wrap + path.relative_to(folder).as_posix())
    return target


KINDS = ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrap", ["", "flora/", "./"])
def test_class_folders_in_an_archive(folder, tmp_path, kind, wrap):
    if kind.endswith("zip") and wrap == "./":
        wrap = "flora/2021/"
    before = sorted(tmp_path.rglob("*"))
    collection = open_collection(pack(folder, tmp_path / kind, wrap))
    assert list(collection.frame["scientificName"]) == ["Acer rubrum"] * 3 + ["Rosa canina"]
    for image, colour in zip(collection.frame["image"], ["red", "blue", "red"], strict=False):
        assert collection.images.open(image).getpixel((0, 0)) == COLOURS[colour]
    first = collection.images.open(collection.frame["image"].iloc[0])
    assert first.getpixel((0, 0)) == COLOURS["red"]
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / kind])


@pytest.mark.parametrize("kind", KINDS[:3])
def test_table_in_an_archive(folder, tmp_path, kind):
    text = "image,species,occurrenceID\nRosa_canina/0.jpg,Rosa canina,occ-1\n"
    (folder / "metadata.csv").write_text(text)
    collection = open_collection(pack(folder, tmp_path / kind, "flora/"))
    assert list(collection.frame["occurrenceID"]) == ["occ-1"]
    assert collection.images.open("Rosa_canina/0.jpg").size == (32, 48)
    (folder / "metadata.csv").write_text(text + "gone.jpg,Rosa,occ-2\n/etc/a.jpg,Rosa,occ-3\n")
    with pytest.raises(DataError, match="row 3"):
        open_collection(pack(folder, tmp_path / kind))


def test_one_species_in_an_archive_is_no_wrapper(folder, tmp_path):
    write_images(tmp_path / "one", ["Acer_rubrum/1.jpg"])
    collection = open_collection(pack(tmp_path / "one", tmp_path / "one.zip"))
    assert list(collection.frame["scientificName"]) == ["Acer rubrum"]


@pytest.mark.parametrize("kind", KINDS)
def test_images_in_an_archive_to_identify(folder, tmp_path, kind):
    collection = open_images(pack(folder, tmp_path / kind))
    assert len(collection) == 4 and set(collection.frame["scientificName"]) == {""}


def reads_alike(source: object, key: str, expected: bytes, results: object) -> None:
    try:
        same = [source.open(key).tobytes() == expected for _ in range(40)]  # type: ignore[attr-defined]
    except ImageError:
        same = [False]
    results.put(all(same))  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["a.zip", "a.tar", "a.tar.gz"])
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_archives_are_read_by_forked_and_pickled_readers(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 255, (2, 200, 300, 3)).astype(np.uint8)
    (tmp_path / "noise" / "Acer").mkdir(parents=True)
    for i in range(2):
        Image.fromarray(noise[i]).save(tmp_path / "noise" / "Acer" / f"{i}.bmp")
    images = open_collection(pack(tmp_path / "noise", tmp_path / kind)).images
    assert pickle.loads(pickle.dumps(images)).open("Acer/1.bmp").tobytes() == noise[1].tobytes()
    images.open("Acer/0.bmp")  # so that a handle is open before the fork
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [
        context.Process(
            target=reads_alike, args=(images, f"Acer/{i}.bmp", noise[i].tobytes(), results)
        )
        for i in (0, 1, 0, 1)
    ]
    for worker in workers:
        worker.start()
    assert [results.get(timeout=30) for _ in workers] == [True] * 4
    for worker in workers:
        worker.join()


OUTSIDE = ["../evil.jpg", "/evil.jpg", "a/../../evil.jpg", "..\\evil.jpg", "C:/e.jpg"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_that_name_files_outside_are_refused(tmp_path, name, kind):
    image = write_image(tmp_path / "a.jpg")
    target = tmp_path / f"evil.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(target, "w") as archive:
            archive.write(image, "Acer/ok.jpg")
            archive.writestr(zipfile.ZipInfo("x" * len(name)), image.read_bytes())
        target.write_bytes(target.read_bytes().replace(b"x" * len(name), name.encode()))
    else:
        with tarfile.open(target, "w") as archive:
            member = tarfile.TarInfo(name)
            member.size = image.stat().st_size
            with image.open("rb") as stream:
                archive.addfile(member, stream)
    with pytest.raises(DataError, match="not safe to read") as error:
        open_collection(target)
    assert "\n" not in str(error.value)


def test_encrypted_zip_is_refused(folder, tmp_path):
    path = pack(folder, tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    for signature, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        data[at + flag] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="is encrypted"):
        open_collection(path)


@pytest.mark.parametrize("kind", ["a.zip", "a.tar", "a.tar.gz"])
def test_members_that_unpack_too_large_are_refused(folder, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 1024**2)
    (folder / "Acer_rubrum" / "bomb.jpg").write_bytes(bytes(2 * 1024**2))
    with pytest.raises(DataError, match=r"bomb\.jpg unpacks to 2 MiB, more than the 1 MiB"):
        open_collection(pack(folder, tmp_path / kind))


def test_zip_whose_header_lies_about_its_size_reads_no_more_than_it_says(folder, tmp_path):
    (folder / "Acer_rubrum" / "0.png").write_bytes(bytes(5 * 1024**2))
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "Acer_rubrum" / "0.png", "Acer_rubrum/0.png")
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 5 * 1024**2), struct.pack("<I", 1000)))
    collection = open_collection(path)
    with pytest.raises(ImageError, match=r"Acer_rubrum/0\.png"):
        collection.images.open("Acer_rubrum/0.png")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_archive_or_is_cut_short_is_said(folder, tmp_path, kind):
    path = tmp_path / kind
    path.write_text("no archive at all")
    with pytest.raises(DataError, match="cannot be read as an archive"):
        open_collection(path)
    whole = pack(folder, path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises((DataError, ImageError)) as error:
        collection = open_collection(path)
        for image in collection.frame["image"]:
            collection.images.open(image)
    assert "\n" not in str(error.value)


def test_damaged_member_is_an_image_error(folder, tmp_path):
    path = pack(folder, tmp_path / "a.zip")
    data = path.read_bytes()
    at = data.find(b"IDAT")
    path.write_bytes(data[:at] + b"XXXX" + data[at + 4 :])
    collection = open_collection(path)
    with pytest.raises(ImageError, match=r"a\.zip: Acer_rubrum/0\.png"):
        collection.images.open("Acer_rubrum/0.png")
    with pytest.raises(ImageError, match="no such file in the archive"):
        collection.images.open("Acer_rubrum/7.png")


def saved_parts(folder: Path) -> dict[str, datasets.Dataset]:
    paths = sorted(str(path) for path in folder.rglob("*.png"))
    features = datasets.Features(
        {
            "photo": datasets.Image(),
            "label": datasets.ClassLabel(names=["Acer rubrum", "Rosa canina"]),
            "recordNumber": datasets.Value("int64"),
        }
    )
    columns = {"photo": paths, "label": [0, 1, 0], "recordNumber": [7, None, 9]}
    whole = datasets.Dataset.from_dict(columns, features=features)
    return {"train": whole.select([0, 1]), "test": whole.select([2])}


def test_saved_dataset_with_splits(folder, tmp_path):
    parts = datasets.DatasetDict(saved_parts(folder))
    parts.save_to_disk(tmp_path / "saved")
    collection = open_collection(tmp_path / "saved")
    assert list(collection.frame["scientificName"]) == ["Acer rubrum", "Rosa canina", "Acer rubrum"]
    assert list(collection.frame["split"]) == ["train", "train", "test"]
    assert list(collection.frame["recordNumber"]) == ["7", "", "9"]
    copy = pickle.loads(pickle.dumps(collection))
    assert [copy.images.open(key).getpixel((0, 0)) for key in copy.frame["image"]] == [
        COLOURS["red"],
        COLOURS["blue"],
        COLOURS["red"],
    ]
    with pytest.raises(ImageError, match="no such row"):
        copy.images.open("train/99")


def test_saved_dataset_without_splits(folder, tmp_path):
    saved_parts(folder)["train"].save_to_disk(tmp_path / "saved")
    collection = open_collection(tmp_path / "saved")
    assert list(collection.frame["image"]) == ["0", "1"]
    assert collection.images.open("1").getpixel((0, 0)) == COLOURS["blue"]


def test_saved_dataset_without_images_or_names_or_sense(folder, tmp_path):
    train = saved_parts(folder)["train"]
    train.remove_columns("photo").save_to_disk(tmp_path / "no-images")
    with pytest.raises(DataError, match="no image column: it has label, recordNumber"):
        open_collection(tmp_path / "no-images")
    train.remove_columns("label").save_to_disk(tmp_path / "no-names")
    with pytest.raises(DataError, match="no name column"):
        open_collection(tmp_path / "no-names")
    assert len(open_images(tmp_path / "no-names")) == 2
    (tmp_path / "no-names" / "state.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read as a datasets folder"):
        open_collection(tmp_path / "no-names")


def test_parquet_may_hold_the_images_themselves(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    data = (folder / "Acer_rubrum" / "1.png").read_bytes()
    frame = pd.DataFrame({"image": [{"bytes": data, "path": "1.png"}], "species": ["Acer rubrum"]})
    frame.to_parquet(tmp_path / "train.parquet")
    collection = open_collection(tmp_path / "train.parquet")
    assert list(collection.frame["scientificName"]) == ["Acer rubrum"]
    assert collection.images.open("0").getpixel((0, 0)) == COLOURS["blue"]


def test_hub_that_cannot_be_reached_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="'some-museum/no-such-flora'") as error:
        open_collection("some-museum/no-such-flora")
    assert "\n" not in str(error.value)


def test_a_path_below_a_folder_that_is_there_is_no_hub_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match="no file or folder 'data/gone'"):
        open_collection("data/gone")


def test_synthetic_takes_settings():
    collection = open_collection("synthetic:species=4,images_per_species=6,seed=2")
    assert collection.frame["scientificName"].nunique() >= 3
    assert collection.images.open(collection.frame["image"].iloc[0], (64, 64)).mode == "RGB"
    for wrong in ("synthetic:colour=3", "synthetic:species=many", "synthetic:species"):
        with pytest.raises(DataError, match="is no setting with a whole number"):
            open_collection(wrong)
