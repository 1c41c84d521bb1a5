"""The specimen index at a million vectors: build, recall, latency, filters, changes; against faiss.

    pip install faiss-cpu
    python benchmarks/index.py --vectors 1000000

    python benchmarks/index.py --vectors 50000

Vectors are made up, clustered as embeddings of specimens are: families, in these genera, in these
species (50 sheets each on average, frequencies falling as 1 / rank ** 0.7), and a sheet is its
species' centre with noise as long as a species lies from its genus. The generator is fixed: the
same vectors with every run. Queries are further draws, one at a time, after warming up. All times
are of one run on one machine, and ratios are of figures of that run. Filters by institution cut
across the species, so that near sheets are left; those by family leave none near to most queries,
which is harder. Truth is the exact search by numpy.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from herbzoo.index import EmbeddingModel, SpecimenIndex
from herbzoo.index.determinations import Determination
from herbzoo.index.embedding_table import as_column, schema_of
from herbzoo.index.filters import to_sql

SHARES = {"A": 0.5, "B": 0.1, "C": 0.01, "D": 0.005, "E": 0.001}
"""Institutions, and which share of the sheets each has; others have the rest."""
COLUMNS = ("image", "scientificName", "genus", "family", "institutionCode", "catalogNumber")
NEAREST = 10
WARMING = 20
BLOCK = 50_000


@dataclass(frozen=True)
class Flora:
    """Vectors `[N, D]` of length 1, and the columns of their rows."""

    vectors: np.ndarray
    columns: dict[str, np.ndarray]


class Generator:
    """Draws sheets of a made-up flora."""

    def __init__(self, vectors: int, dimension: int) -> None:
        self._rng = np.random.default_rng(0)
        species = max(10, vectors // 50)
        genera, families = max(5, species // 8), max(3, species // 48)
        family = self._normal(families, dimension)
        self._family = self._rng.integers(0, families, genera)
        genus = family[self._family] + 0.9 * self._normal(genera, dimension)
        self._genus = self._rng.integers(0, genera, species)
        self._centre = genus[self._genus] + 0.8 * self._normal(species, dimension)
        weight = 1 / np.arange(1, species + 1) ** 0.7
        self._share = weight / weight.sum()

    def _normal(self, rows: int, dimension: int) -> np.ndarray:
        return self._rng.standard_normal((rows, dimension), dtype=np.float32)

    def draw(self, rows: int, first: int = 0) -> Flora:
        """Draws further sheets, whose images are numbered from `first`."""
        species = self._rng.choice(len(self._share), rows, p=self._share)
        vectors = np.empty((rows, self._centre.shape[1]), dtype=np.float32)
        for start in range(0, rows, BLOCK):
            own = species[start : start + BLOCK]
            vectors[start : start + BLOCK] = self._centre[own] + 0.8 * self._normal(
                len(own), vectors.shape[1]
            )
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        names = [*SHARES, *(f"Z{number}" for number in range(20))]
        rest = (1 - sum(SHARES.values())) / 20
        institution = self._rng.choice(len(names), rows, p=[*SHARES.values(), *[rest] * 20])
        genus = self._genus[species]
        number = np.arange(first, first + rows).astype(str)
        columns = {
            "image": np.char.add(np.char.add("sheets/", np.char.zfill(number, 9)), ".jpg"),
            "scientificName": np.char.add("Species s", species.astype(str)),
            "genus": np.char.add("Genus", genus.astype(str)),
            "family": np.char.add("Family", self._family[genus].astype(str)),
            "institutionCode": np.array(names)[institution],
            "catalogNumber": np.char.add("C", number),
        }
        return Flora(vectors, columns)


def write(flora: Flora, path: Path) -> None:
    """Writes the file that `herbzoo embed` would have written."""
    model = EmbeddingModel("made-up", "", "0" * 64, flora.vectors.shape[1])
    schema = schema_of(COLUMNS, model)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(flora.vectors), BLOCK):
            part = slice(start, start + BLOCK)
            texts = [pa.array(flora.columns[name][part].tolist()) for name in COLUMNS]
            vectors = as_column(flora.vectors[part])
            blank = pa.array([""] * len(vectors))
            writer.write_table(pa.table([*texts, blank, vectors], schema=schema))


def build(where: Path, embeddings: Path) -> tuple[float, float]:
    """Builds an index in a process of its own; returns seconds and peak memory in GB."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_build, (str(where), str(embeddings)))


def _build(where: str, embeddings: str) -> tuple[float, float]:
    start = time.perf_counter()
    SpecimenIndex.create(where, embeddings)
    return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def truth(flora: Flora, queries: np.ndarray, among: np.ndarray | None = None) -> list[set[int]]:
    """Returns the rows that an exact search finds."""
    rows = np.arange(len(flora.vectors)) if among is None else np.flatnonzero(among)
    best = np.empty((len(queries), 0), dtype=np.float32)
    names = np.empty((len(queries), 0), dtype=np.int64)
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        scores = queries @ flora.vectors[part].T
        best = np.concatenate([best, scores], axis=1)
        names = np.concatenate([names, np.broadcast_to(part, scores.shape)], axis=1)
        keep = np.argsort(-best, axis=1)[:, :NEAREST]
        best, names = np.take_along_axis(best, keep, 1), np.take_along_axis(names, keep, 1)
    return [set(row) for row in names.tolist()]


@dataclass(frozen=True)
class Timing:
    """What a way of searching found, and how long a query took."""

    recall: float
    p50: float
    p95: float

    def __str__(self) -> str:
        return f"recall@10 {self.recall:.3f}, p50 {self.p50:6.1f} ms, p95 {self.p95:6.1f} ms"


def timed(
    search: Callable[[np.ndarray], set[int]], queries: np.ndarray, wanted: list[set[int]]
) -> Timing:
    """Asks one query after the other."""
    for query in queries[:WARMING]:
        search(query)
    times, found, there = [], 0, 0
    for query, rows in zip(queries, wanted, strict=True):
        start = time.perf_counter()
        answer = search(query)
        times.append(1000 * (time.perf_counter() - start))
        found, there = found + len(answer & rows), there + len(rows)
    p50, p95 = np.percentile(times, [50, 95])
    return Timing(found / there, float(p50), float(p95))


def of_index(index: SpecimenIndex, where: str = "", exact: bool = False) -> Callable:
    """Returns a search in an index; rows by the number in their image's name."""

    def search(query: np.ndarray) -> set[int]:
        matches = index.search(query, NEAREST, where, exact)[0]
        return {int(match.record.image[7:16]) for match in matches}

    return search


def filters(flora: Flora) -> list[tuple[str, np.ndarray]]:
    """Returns filters with the rows that they leave."""
    found = []
    for name in SHARES:
        rows = flora.columns["institutionCode"] == name
        found.append((f"institutionCode = '{name}'", rows))
    families, counts = np.unique(flora.columns["family"], return_counts=True)
    order = np.argsort(-counts)
    for chosen in (order[:40], order[:1], order[-1:]):
        names = families[chosen].tolist()
        listed = ", ".join(f"'{name}'" for name in names)
        found.append((f"family in ({listed})", np.isin(flora.columns["family"], names)))
    return found


def changes(index: SpecimenIndex, generator: Generator, flora: Flora, folder: Path) -> None:
    """Adds, renames and deletes rows, and says how long each takes."""
    more = generator.draw(1_000, len(flora.vectors))
    write(more, folder / "more.parquet")
    start = time.perf_counter()
    added = index.add(folder / "more.parquet")
    seconds = time.perf_counter() - start
    hits = sum(
        match.record.image == image
        for image, (match,) in zip(
            more.columns["image"][:100], index.search(more.vectors[:100], 1), strict=True
        )
    )
    print(f"add {added.new:,} rows: {seconds:.2f} s, {hits} of 100 found at once")
    start = time.perf_counter()
    done = index.determine([Determination("Quercus alba L.", catalogNumber="C17")])
    print(f"determine {done.rows} row: {time.perf_counter() - start:.2f} s")
    start = time.perf_counter()
    gone = index.delete("institutionCode = 'E'")
    print(f"delete {gone:,} rows: {time.perf_counter() - start:.2f} s")


def against_faiss(flora: Flora, queries: np.ndarray, wanted: list[set[int]], ours: Timing) -> None:
    """Searches the same vectors by faiss: flat, and IVF-PQ with its best re-ranked."""
    import faiss

    faiss.omp_set_num_threads(os.cpu_count() or 1)
    dimension = flora.vectors.shape[1]
    flat = faiss.IndexFlatIP(dimension)
    flat.add(flora.vectors)
    one = timed(lambda q: set(flat.search(q[None], NEAREST)[1][0].tolist()), queries, wanted)
    print(f"faiss flat                  {one}; its p50 is {one.p50 / ours.p50:.2f} times ours")
    partitions = max(1, len(flora.vectors) // 2_000)
    metric = faiss.METRIC_INNER_PRODUCT
    coarse = faiss.IndexIVFPQ(
        faiss.IndexFlatIP(dimension), dimension, partitions, dimension // 8, 8, metric
    )
    start = time.perf_counter()
    rows = np.random.default_rng(1).choice(
        len(flora.vectors), min(len(flora.vectors), max(20_000, 64 * partitions)), replace=False
    )
    coarse.train(flora.vectors[rows])
    coarse.add(flora.vectors)
    refined = faiss.IndexRefine(coarse, flat)
    seconds = time.perf_counter() - start

    def search(query: np.ndarray, sel: object = None) -> set[int]:
        inner = faiss.SearchParametersIVF(sel=sel, nprobe=partitions if sel else coarse.nprobe)
        params = faiss.IndexRefineSearchParameters(
            k_factor=refined.k_factor, base_index_params=inner
        )
        found = refined.search(query[None], NEAREST, params=params)[1][0]
        return {row for row in found.tolist() if row >= 0}

    for refined.k_factor, coarse.nprobe in ((10, 8), (10, 32), (50, 8), (50, 32), (200, 32)):
        one = timed(search, queries, wanted)
        how = f"{coarse.nprobe:2} probes, x{refined.k_factor:<3.0f}"
        print(f"faiss IVF-PQ {how}  {one}; p50 {one.p50 / ours.p50:.2f} times ours", flush=True)
        if one.recall >= 0.95:
            break
    print(f"faiss IVF-PQ was built in {seconds:.0f} s, in memory, without records")
    for where, among in filters(flora):
        mask = np.packbits(among, bitorder="little")
        sel = faiss.IDSelectorBitmap(mask)
        some = queries[:100]
        one = timed(lambda q, sel=sel: search(q, sel), some, truth(flora, some, among))
        print(f"faiss IVF-PQ {among.mean():7.2%}        {one}  {where[:40]}", flush=True)


def main() -> None:
    """Prints all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--no-faiss", action="store_true")
    options = parser.parse_args()
    generator = Generator(options.vectors, options.dimension)
    flora = generator.draw(options.vectors)
    queries = generator.draw(options.queries).vectors
    wanted = truth(flora, queries)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(flora, folder / "made-up.parquet")
        seconds, memory = build(folder / "index", folder / "made-up.parquet")
        size = sum(file.stat().st_size for file in (folder / "index").rglob("*") if file.is_file())
        print(f"{options.vectors:,} vectors of {options.dimension} numbers, {os.cpu_count()} cores")
        print(f"built in {seconds:.0f} s, peak memory {memory:.1f} GB, {size / 1e9:.2f} GB on disk")
        index = SpecimenIndex.open(folder / "index")
        print(index.describe(), flush=True)
        ours = timed(of_index(index), queries, wanted)
        print(f"unfiltered                  {ours}", flush=True)
        for where, among in filters(flora):
            to_sql(where, index.columns)
            some = queries[:100]
            one = timed(of_index(index, where), some, truth(flora, some, among))
            print(f"filtered {among.mean():7.2%}            {one}  {where[:40]}", flush=True)
        few = queries[:10]
        print(f"exact                       {timed(of_index(index, exact=True), few, wanted[:10])}")
        if not options.no_faiss:
            against_faiss(flora, queries, wanted, ours)
        changes(index, generator, flora, folder)


if __name__ == "__main__":
    main()
