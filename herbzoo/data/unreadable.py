"""Which images of a collection cannot be decoded."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from herbzoo.data.records import Collection, ImageSource, Skipped
from herbzoo.errors import ImageError

_BATCH = 32
"""Images that a process is given at a time."""
_PER_PROCESS = 64
"""Images that are worth the start of a process."""
_SMALLEST = (1, 1)
"""A JPEG is decoded at an eighth of its size: all of it is read, at a fraction of the cost."""

_source: ImageSource | None = None  # of this worker process


def unreadable(
    collection: Collection, *, workers: int = -1, progress: Callable[[int], object] | None = None
) -> list[Skipped]:
    """Decodes every image once, and returns those that fail, in the order of the collection.

    Each file is opened once, even if several rows name it. An image on which a decoder ends its
    process, or for which there is not enough memory, fails like any other.

    Args:
        collection: rows and images.
        workers: processes that decode; 0 for none but this one, -1 for as many as suit.
        progress: told how many more images are done.

    Returns:
        The images, as the collection's column `image` names them, and what is wrong.
    """
    keys = list(dict.fromkeys(collection.frame["image"]))
    processes = workers
    if workers < 0:
        processes = min(os.cpu_count() or 1, len(keys) // _PER_PROCESS)
    batches = [keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH)]
    outcomes = (
        (_problems(collection.images, batch) for batch in batches)
        if processes < 2
        else _by_processes(collection.images, batches, processes)
    )
    found: list[Skipped] = []
    for batch, problems in zip(batches, outcomes, strict=True):
        found.extend(
            Skipped(key, problem) for key, problem in zip(batch, problems, strict=True) if problem
        )
        if progress is not None:
            progress(len(batch))
    return found


def _by_processes(
    source: ImageSource, batches: Sequence[Sequence[str]], processes: int
) -> Iterator[list[str]]:
    """Yields the problems of each batch in order."""
    done = 0
    while done < len(batches):
        with _pool(source, processes) as pool:
            waiting: list[Future[list[str]]] = [
                pool.submit(_problems_here, batch) for batch in batches[done:]
            ]
            try:
                for one in waiting:
                    yield one.result()
                    done += 1
            except BrokenProcessPool:
                pass
        if done < len(batches):  # one of the images ended its process: find out which
            yield [_alone(source, key) for key in batches[done]]
            done += 1


def _pool(source: ImageSource, processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context(),
        initializer=_begin,
        initargs=(source,),
    )


def _alone(source: ImageSource, key: str) -> str:
    with _pool(source, 1) as pool:
        try:
            return pool.submit(_problems_here, [key]).result()[0]
        except BrokenProcessPool:
            return f"{key}: the process that decoded it was ended by the system"


def _begin(source: ImageSource) -> None:
    global _source
    _source = source


def _problems_here(keys: Sequence[str]) -> list[str]:
    assert _source is not None
    return _problems(_source, keys)


def _problems(source: ImageSource, keys: Sequence[str]) -> list[str]:
    return [_problem(source, key) for key in keys]


def _problem(source: ImageSource, key: str) -> str:
    try:
        source.open(key, _SMALLEST)
    except ImageError as error:
        return str(error)
    return ""
