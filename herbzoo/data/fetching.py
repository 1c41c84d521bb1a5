"""Fetching the images of a collection ahead of their use, and writing them as a plain folder."""

from __future__ import annotations

import csv
import logging
import os
import queue
import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from herbzoo.data.encoding import Encoding, encoded_images
from herbzoo.data.image_cache import suffix_of
from herbzoo.data.records import Collection, Skipped
from herbzoo.data.remote import RemoteImages, is_link
from herbzoo.errors import DataError, ImageError
from herbzoo.whole_file import whole

logger = logging.getLogger(__name__)

TABLE = "metadata.csv"
LINK_COLUMN = "accessURI"
"""The column of the plain folder that says where each image is from."""


@dataclass(frozen=True)
class FetchPlan:
    """What is to be fetched, before anything is."""

    collection: Collection
    """The rows that were chosen; its images are `RemoteImages`."""
    links: tuple[str, ...]
    """Those that are not kept yet, each once, hosts taking turns."""
    kept: int
    """Images that are there already, in the cache or in files."""

    @property
    def hosts(self) -> Mapping[str, int]:
        """Images to fetch by host, most first."""
        return dict(Counter(_host(link) for link in self.links).most_common())

    @property
    def seconds(self) -> float:
        """The least that it takes at the rate that was set."""
        return max(self.hosts.values(), default=0) / self._source.rate

    @property
    def _source(self) -> RemoteImages:
        assert isinstance(self.collection.images, RemoteImages)
        return self.collection.images

    def run(
        self,
        *,
        workers: int = 4,
        again: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[Skipped, ...]:
        """Fetches the images; those that are there are never asked for again.

        Args:
            workers: images on their way at a time.
            again: also try those that failed not long ago.
            progress: told how many more are done.

        Returns:
            Those that could not be had, in the order of the rows.
        """
        reasons: dict[str, str] = {}
        for link, reason in _in_threads(self.links, self._source, workers, again):
            if reason:
                reasons[link] = reason
            if progress is not None:
                progress(1)
        rows = dict.fromkeys(self.collection.frame["image"])
        return tuple(Skipped(link, reasons[link]) for link in rows if link in reasons)


def plan_fetch(
    collection: Collection,
    *,
    size: int | None,
    rate: float,
    hosts: Sequence[str] = (),
    per_species: int = 0,
) -> FetchPlan:
    """Looks what there is to fetch.

    Args:
        collection: with links to images.
        size: pixels that the longer side of an image is bounded to; `None` for whole files.
        rate: requests a second to one host.
        hosts: further hosts that may be asked, also in a private network.
        per_species: images of a species at most, of as many specimens as it has; 0 for all.

    Raises:
        DataError: if none of its images is a link.
    """
    source = collection.images
    if not isinstance(source, RemoteImages) or not source.hosts:
        raise DataError(f"{collection.name} has no links to images, so there is nothing to fetch")
    trusted = source.trusted | {host.strip().lower() for host in hosts}
    source = replace(source, size=size, rate=rate, trusted=trusted)
    chosen = replace(_chosen(collection, per_species), images=source)
    keys = list(dict.fromkeys(chosen.frame["image"]))
    waiting = [key for key in keys if not source.is_kept(key)]
    return FetchPlan(chosen, tuple(_taking_turns(waiting)), len(keys) - len(waiting))


def write_folder(plan: FetchPlan, folder: Path) -> None:
    """Writes the images that are there and `metadata.csv` into a new folder.

    It appears only when complete. Every column is kept; `accessURI` says where an image is from.

    Raises:
        DataError: if the folder exists and holds anything, or nothing could be had.
    """
    refuse_full(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        _write(plan, partial)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_full(folder: Path) -> None:
    """Refuses to write into a folder that holds anything.

    Raises:
        DataError: if it does, or is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} exists and is not an empty folder; name a new one")


def write_failures(failures: Sequence[Skipped], path: Path) -> None:
    """Writes which images could not be had, and why, as CSV."""
    with whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["where", "reason"])
        table.writerows([failure.where, failure.reason] for failure in failures)


def _chosen(collection: Collection, per_species: int) -> Collection:
    if per_species <= 0:
        return collection
    frame = collection.frame
    specimen = frame["occurrenceID"].where(frame["occurrenceID"] != "", frame["image"])
    # First one image of each specimen, then the second ones: more plants for the same number.
    again = frame.groupby([frame["scientificName"], specimen]).cumcount()
    in_turn = frame.assign(**{"*again": again}).sort_values("*again", kind="stable")
    first = in_turn.groupby("scientificName").head(per_species).index
    return collection.select(sorted(first))


def _taking_turns(links: Sequence[str]) -> list[str]:
    before: Counter[str] = Counter()
    turns = []
    for link in links:
        host = _host(link)
        turns.append(before[host])
        before[host] += 1
    return [links[i] for i in sorted(range(len(links)), key=turns.__getitem__)]


def _host(link: str) -> str:
    return (urlsplit(link).hostname or "").lower()


def _in_threads(
    links: Sequence[str], source: RemoteImages, workers: int, again: bool
) -> Iterator[tuple[str, str]]:
    """Yields each link with what went wrong, or ''.

    The threads end with the process, so that Ctrl-C need not wait for the slowest host.
    """
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, str | BaseException]] = queue.SimpleQueue()
    for link in links:
        waiting.put(link)
    stopped = threading.Event()

    def work() -> None:
        while not stopped.is_set():
            try:
                link = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                source.kept(link, to_size=True, again=again)
                done.put((link, ""))
            except ImageError as error:
                done.put((link, str(error).removeprefix(f"{link}: ")))
            except BaseException as error:  # a full disk, or a fault of ours: raised below
                done.put((link, error))

    for _ in range(max(1, min(workers, len(links)))):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in links:
            link, outcome = done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            yield link, outcome
    finally:
        stopped.set()


def _write(plan: FetchPlan, folder: Path) -> None:
    source = plan._source
    frame = plan.collection.frame
    there = frame["image"].map(source.is_at_hand).astype(bool)
    chosen = frame[there].reset_index(drop=True)
    box = None if source.size is None else (source.size, source.size)
    catalogue = chosen["catalogNumber"].tolist()
    names: list[str] = []
    for image in encoded_images(source, chosen["image"].tolist(), Encoding(box)):
        if isinstance(image, ImageError):  # a file of the archive that is no image
            logger.warning("left out: %s", image)
            names.append("")
            continue
        names.append(_file_name(len(names), catalogue[len(names)], image.content))
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / names[-1]).write_bytes(image.content)
    if not any(names):
        raise DataError(f"{plan.collection.name}: none of its images could be had")
    links = [key if is_link(key) else "" for key in chosen["image"]]
    table = chosen.drop(columns=["image", LINK_COLUMN], errors="ignore")
    table.insert(0, "file_name", names)
    table.insert(1, LINK_COLUMN, links)
    table[table["file_name"] != ""].to_csv(folder / TABLE, index=False)


def _file_name(row: int, catalogue: str, content: bytes) -> str:
    """Names a file after its record, never after its species."""
    safe = re.sub(r"[^A-Za-z0-9]+", "-", catalogue).strip("-")[:40]
    return f"images/{safe or 'image'}-{row:06d}{suffix_of(content)}"
