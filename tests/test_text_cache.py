"""Encoded texts on disk: encoded once, by whichever process, and never a hindrance."""

from __future__ import annotations

import logging
import multiprocessing
import resource
import signal
import sqlite3
import time
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from herbzoo.text_cache import ENCODED_AT_ONCE, CachedEncoder, cache_folder

WIDTH = 6


class Tower:
    """Encodes a text to what only that text has, and remembers what it was given."""

    def __init__(self, key: str = "a" * 64, width: int = WIDTH) -> None:
        self.key = key
        self.width = width
        self.given: list[str] = []

    def encoder_key(self) -> str:
        return self.key

    def encode_texts(self, texts, progress=lambda done: None) -> torch.Tensor:
        self.given += texts
        progress(len(texts))
        return vectors_of(texts, self.width)


def vectors_of(texts, width: int = WIDTH) -> torch.Tensor:
    seeds = [hash_of(text) for text in texts]
    rows = torch.tensor(seeds, dtype=torch.float64).reshape(len(texts), 1)
    return torch.sin(rows * torch.arange(1, width + 1)).float()


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode()[-6:], "big") % 100_003


def names(number: int, prefix: str = "Aus bus") -> list[str]:
    return [f"{prefix} {place}" for place in range(number)]


def test_what_was_encoded_once_is_read_back_bit_for_bit():
    texts = ["Quercus alba", "", "🌿", "Acer rubrum", "Quercus alba"]
    first = CachedEncoder(Tower())(texts)
    tower = Tower()
    again = CachedEncoder(tower)(texts)
    assert tower.given == []
    assert again.dtype == torch.float32
    assert torch.equal(again, first) and torch.equal(again, vectors_of(texts))


def test_only_what_is_missing_is_encoded_and_stands_in_its_place():
    CachedEncoder(Tower())(names(10))
    tower = Tower()
    mixed = ["new one", *names(10)[::-1], "new two"]
    assert torch.equal(CachedEncoder(tower)(mixed), vectors_of(mixed))
    assert tower.given == ["new one", "new two"]


def test_each_encoder_has_a_database_of_its_own():
    CachedEncoder(Tower("a" * 64))(names(3))
    other = Tower("b" * 64, width=3)
    assert CachedEncoder(other)(names(3)).shape == (3, 3)
    assert other.given == names(3)
    assert len([*cache_folder().iterdir()]) == 2


def test_no_texts_are_no_vectors():
    assert CachedEncoder(Tower())([]).shape == (0, WIDTH)


def test_progress_counts_what_is_found_and_what_is_encoded():
    told = []

    @contextmanager
    def bar(total):
        told.append(total)
        yield told.append

    CachedEncoder(Tower())(names(4))
    CachedEncoder(Tower(), progress=bar)(names(7))
    assert told[0] == 7 and told[1:] == [4, 3]


class Interrupted(Tower):
    """Is cut off in its second chunk."""

    def encode_texts(self, texts, progress=lambda done: None):
        if self.given:
            raise KeyboardInterrupt
        return super().encode_texts(texts, progress)


def test_an_interrupted_run_keeps_the_chunks_it_has_done():
    texts = names(ENCODED_AT_ONCE + 5)
    with pytest.raises(KeyboardInterrupt):
        CachedEncoder(Interrupted())(texts)
    tower = Tower()
    assert torch.equal(CachedEncoder(tower)(texts), vectors_of(texts))
    assert tower.given == texts[ENCODED_AT_ONCE:]


def encode_forever(folder: str) -> None:
    for start in range(10**6):
        CachedEncoder(Tower(), Path(folder))(names(50, f"killed {start}"))


def test_a_process_that_is_killed_while_it_writes_leaves_a_sound_database(tmp_path):
    context = multiprocessing.get_context("fork")
    process = context.Process(target=encode_forever, args=(str(tmp_path),))
    process.start()
    path = CachedEncoder(Tower(), tmp_path).path
    deadline = time.monotonic() + 30
    while not path.exists() or path.stat().st_size < 200_000:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    tower = Tower()
    kept = names(50, "killed 0")
    assert torch.equal(CachedEncoder(tower, tmp_path)(kept), vectors_of(kept))
    assert tower.given == []


def encode_all(folder: str, start: int, results) -> None:
    warned = []
    logging.getLogger("herbzoo.text_cache").addFilter(lambda record: warned.append(record) or True)
    right = True
    for shift in range(12):
        texts = names(300)[start : start + 150 + shift] + names(20, f"of {start}")
        right &= torch.equal(CachedEncoder(Tower(), Path(folder))(texts), vectors_of(texts))
    results.put((right, len(warned)))


def test_processes_may_encode_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [
        context.Process(target=encode_all, args=(str(tmp_path), start, results))
        for start in (0, 60, 120)
    ]
    for process in processes:
        process.start()
    outcomes = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert outcomes == [(True, 0)] * 3
    tower = Tower()
    CachedEncoder(tower, tmp_path)(names(260))
    assert tower.given == []


def overwrite(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 1000)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40_000])


def scramble(path: Path) -> None:
    """Leaves the first pages, so that it is seen only when rows are read."""
    content = bytearray(path.read_bytes())
    content[32_768:] = b"\xa5" * (len(content) - 32_768)
    path.write_bytes(content)


def other_tables(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE vectors (something TEXT)")


@pytest.mark.parametrize("damage", [overwrite, cut_off, scramble, other_tables])
def test_a_damaged_database_is_set_aside_and_begun_anew(damage, caplog):
    texts = names(2000)
    encoder = CachedEncoder(Tower())
    encoder(texts)
    damage(encoder.path)
    assert torch.equal(CachedEncoder(Tower())(texts), vectors_of(texts))
    (record,) = caplog.records
    assert "is damaged" in record.getMessage() and "begins anew" in record.getMessage()
    assert encoder.path.with_name(encoder.path.name + ".damaged").is_file()
    tower = Tower()
    CachedEncoder(tower)(texts)
    assert tower.given == [] and len(caplog.records) == 1


@pytest.mark.parametrize("wrong", [b"", b"abc", b"\0" * 4, b"\xff" * 4 * WIDTH], ids=len)
def test_a_vector_that_cannot_be_is_encoded_anew(wrong, caplog):
    encoder = CachedEncoder(Tower())
    encoder(names(5))
    with sqlite3.connect(encoder.path) as database:
        key = database.execute("SELECT key FROM vectors ORDER BY rowid").fetchall()[3][0]
        database.execute("UPDATE vectors SET vector = ? WHERE key = ?", (wrong, key))
    tower = Tower()
    assert torch.equal(CachedEncoder(tower)(names(5)), vectors_of(names(5)))
    assert tower.given == [names(5)[3]]
    assert not caplog.records


def test_where_there_can_be_no_folder_nothing_is_kept_and_one_warning_says_so(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    encoder = CachedEncoder(Tower(), tmp_path / "file" / "texts")
    texts = names(2 * ENCODED_AT_ONCE)
    assert torch.equal(encoder(texts), vectors_of(texts))
    (record,) = caplog.records
    assert "are not kept in" in record.getMessage()


@contextmanager
def small_files(size: int):
    """Lets no file grow beyond a size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_on_a_full_disk_encoding_goes_on_and_what_is_there_is_read(caplog):
    CachedEncoder(Tower())(names(500))
    tower = Tower()
    texts = names(500 + 3 * ENCODED_AT_ONCE)
    with small_files(200_000):
        assert torch.equal(CachedEncoder(tower)(texts), vectors_of(texts))
    assert tower.given == texts[500:]
    (record,) = caplog.records
    assert "are not kept in" in record.getMessage()
    caplog.clear()
    tower = Tower()
    assert torch.equal(CachedEncoder(tower)(texts), vectors_of(texts))
    assert tower.given == texts[500:] and not caplog.records


def test_twenty_thousand_names_take_seconds_and_little_more_than_their_vectors():
    texts = names(20_000)
    encoder = CachedEncoder(Tower(width=384))
    started = time.perf_counter()
    for _ in range(2):
        tracemalloc.start()
        vectors = encoder(texts)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2 * vectors.numel() * 4  # of which one is the result
    assert time.perf_counter() - started < 30
