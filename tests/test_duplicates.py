from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from data_samples import records_collection
from PIL import Image, ImageEnhance

from herbzoo.data.duplicates import exact_duplicates, near_duplicate_embeddings, near_duplicates
from herbzoo.data.image_hashes import close_pairs, image_hashes
from herbzoo.data.readers.folders import FolderImages
from herbzoo.data.records import Collection, SpecimenRecord
from herbzoo.errors import DataError

DATA = Path(os.environ.get("HERBZOO_DATA", Path(__file__).parents[2] / "shared" / "data"))


def leaf(seed: int, size: tuple[int, int] = (120, 160)) -> Image.Image:
    """Draws something as detailed as a plant: smooth noise, different for each seed."""
    noise = np.random.default_rng(seed).integers(0, 255, (20, 15, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def folder_of(root: Path, images: dict[str, Image.Image]) -> Collection:
    for name, image in images.items():
        image.save(root / name)
    return collection_at(root, *images)


def collection_at(root: Path, *names: str) -> Collection:
    records = [SpecimenRecord(name, "Rosa canina") for name in names]
    return Collection(records_collection(records).frame, FolderImages(root), str(root))


def test_exact_duplicates_are_the_same_file_byte_for_byte(tmp_path):
    collection = folder_of(tmp_path, {f"{i}.png": leaf(i % 3) for i in range(5)})
    leaf(2).save(tmp_path / "2.png", compress_level=0)  # the same picture in another file
    told = []
    assert exact_duplicates(collection, progress=told.append) == [(0, 3), (1, 4)]
    assert sum(told) == 5


def test_rows_that_name_one_image_are_exact_duplicates(tmp_path):
    folder_of(tmp_path, {"a.png": leaf(0), "b.png": leaf(1)})
    assert exact_duplicates(collection_at(tmp_path, "a.png", "b.png", "a.png")) == [(0, 2)]


class Drawn:
    """A source that has pictures but no files."""

    def open(self, key, min_size=None):
        return leaf(int(key))


def test_pixels_are_compared_where_there_are_no_files(tmp_path):
    frame = records_collection(SpecimenRecord(key, "x") for key in ("1", "2", "01")).frame
    assert exact_duplicates(Collection(frame, Drawn(), "drawn")) == [(0, 2)]
    assert near_duplicates(Collection(frame, Drawn(), "drawn")) == [(0, 2)]


@pytest.mark.parametrize("workers", [0, 2])
def test_copies_in_another_size_quality_or_light_are_near_duplicates(tmp_path, workers):
    images = {f"{i}.png": leaf(i) for i in range(8)}
    images["small.jpg"] = leaf(3).resize((60, 80))
    images["dark.png"] = ImageEnhance.Brightness(leaf(5)).enhance(0.85)
    collection = folder_of(tmp_path, images)
    leaf(3).save(tmp_path / "poor.jpg", quality=40)
    collection = collection_at(tmp_path, *images, "poor.jpg")
    assert near_duplicates(collection, workers=workers) == [(3, 8, 10), (5, 9)]


def test_unreadable_images_are_left_out_and_counted(tmp_path, caplog):
    folder_of(tmp_path, {"a.png": leaf(0), "b.png": leaf(0)})
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "broken too.png").write_bytes(b"no image at all")
    collection = collection_at(
        tmp_path, "broken.png", "a.png", "gone.png", "b.png", "broken too.png"
    )
    assert near_duplicates(collection) == [(1, 3)]
    assert "3 images cannot be read" in caplog.text
    assert exact_duplicates(collection) == [(1, 3)]
    assert near_duplicates(collection_at(tmp_path, "gone.png")) == []


def test_hashes_are_kept_until_an_image_changes(tmp_path, monkeypatch):
    collection = folder_of(tmp_path, {"a.png": leaf(0), "b.png": leaf(1)})
    before = image_hashes(collection)
    opened: list[str] = []
    real = FolderImages.open

    def spy(self, key, min_size=None):
        opened.append(key)
        return real(self, key, min_size)

    monkeypatch.setattr(FolderImages, "open", spy)
    assert np.array_equal(image_hashes(collection).bits, before.bits) and not opened
    leaf(7).save(tmp_path / "b.png", compress_level=0)
    changed = image_hashes(collection)
    assert opened and np.array_equal(changed.bits[0], before.bits[0])
    assert not np.array_equal(changed.bits[1], before.bits[1])


def test_damaged_cache_is_computed_again(tmp_path, monkeypatch):
    monkeypatch.setenv("HERBZOO_CACHE", str(tmp_path / "cache"))
    collection = folder_of(tmp_path, {"a.png": leaf(0)})
    before = image_hashes(collection)
    (kept,) = (tmp_path / "cache").rglob("*.npy")
    kept.write_bytes(b"half a fi")
    assert np.array_equal(image_hashes(collection).bits, before.bits)


@pytest.mark.parametrize("threshold", [0, 3, 8, 24, 31])
def test_close_pairs_are_all_pairs_within_the_threshold(threshold):
    chance = np.random.default_rng(threshold)
    base = chance.random((60, 256)) < 0.5
    flips = [chance.random((60, 256)) < rate for rate in (0.01, 0.05, 0.1, 0.13)]
    single = np.concatenate([base, *(base ^ flip for flip in flips)])
    bits = np.unique(np.packbits(single, axis=1).view(np.uint64), axis=0)
    apart = np.bitwise_count(bits[:, None] ^ bits[None]).sum(axis=2)
    expected = np.argwhere(np.triu(apart <= threshold, 1))
    assert threshold == 0 or len(expected) > 10
    assert np.array_equal(close_pairs(bits, threshold), expected)


def test_close_pairs_of_many_hashes_do_not_take_all_pairs(monkeypatch):
    compared = 0
    real = np.bitwise_count

    def counting(values):
        nonlocal compared
        compared += len(values)
        return real(values)

    monkeypatch.setattr(np, "bitwise_count", counting)
    bits = np.random.default_rng(0).integers(0, 2**63, (10_000, 4)).astype(np.uint64)
    close_pairs(bits, 24)
    assert compared < 10_000 * 10_000 / 2 / 100


def test_near_embeddings_are_those_of_almost_one_direction():
    chance = np.random.default_rng(0)
    base = chance.normal(size=(3000, 16))
    base[2999] = 7 * base[5] + 0.01  # in another block
    base[10] = base[9] = 0
    base[11] = np.nan
    assert near_duplicate_embeddings(base, 0.99) == [(5, 2999)]
    assert near_duplicate_embeddings(base[:20], 0.99) == []
    doubled = np.concatenate([base[:5], base[:5]]).astype(np.float32)
    assert near_duplicate_embeddings(doubled, 1.0) == [(i, i + 5) for i in range(5)]
    assert near_duplicate_embeddings(np.zeros((0, 4))) == []


def test_thresholds_out_of_range_are_refused(tmp_path):
    collection = folder_of(tmp_path, {"a.png": leaf(0)})
    for bits in (-1, 32):
        with pytest.raises(DataError, match="0 to 31"):
            near_duplicates(collection, threshold=bits)
    for cosine in (0.0, 1.1):
        with pytest.raises(DataError, match="cosine"):
            near_duplicate_embeddings(np.ones((2, 2)), cosine)


@pytest.mark.realdata
@pytest.mark.skipif(not (DATA / "leafsnap").is_dir(), reason="no leafsnap in HERBZOO_DATA")
def test_field_photos_filed_under_two_species_are_found():
    root = DATA / "leafsnap"
    names = sorted(str(p.relative_to(root)) for p in root.glob("field/p[ir]*_*/*.jpg"))
    collection = collection_at(root, *names)
    same = exact_duplicates(collection)
    assert any(len({Path(names[row]).parent for row in group}) > 1 for group in same)
    near = near_duplicates(collection)
    assert all(any(set(group) <= set(wide) for wide in near) for group in same)
    assert sum(map(len, near)) < 0.2 * len(names)


@pytest.mark.realdata
@pytest.mark.skipif(not (DATA / "dsah").is_dir(), reason="no dsah in HERBZOO_DATA")
def test_sheets_of_one_layout_are_no_near_duplicates():
    names = [path.name for path in sorted((DATA / "dsah" / "sheets-512").iterdir())]
    assert near_duplicates(collection_at(DATA / "dsah" / "sheets-512", *names)) == []
