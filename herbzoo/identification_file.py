"""A file of identifications that grows as they come and survives being cut off."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from herbzoo.data.records import Collection
from herbzoo.errors import RunError
from herbzoo.identification import Identification
from herbzoo.identification_output import (
    OutputFormat,
    ResumableFormat,
    Subject,
    csv_text,
    printable,
)

FAILURES_SUFFIX = ".failures.csv"
"""What the name of an output file is followed by in that of its list of unreadable images."""
FAILURE_COLUMNS = ("file", "reason")


@dataclass(frozen=True)
class Progress:
    """What a file holds already."""

    subjects: tuple[Subject, ...] = ()
    """Those of which all rows are there."""
    end: int = 0
    """Bytes up to the end of the last of them; what follows was cut off."""


def failures_path(output: Path) -> Path:
    """Returns where the unreadable images of an output file are listed."""
    return output.with_name(output.name + FAILURES_SUFFIX)


def refuse_in_the_way(output: Path, resume: bool) -> None:
    """Checks that a file may be begun, or gone on with.

    Raises:
        RunError: if it is there and not to be resumed, or is a folder.
    """
    if output.is_dir():
        raise RunError(f"{output} is a folder: give --output a file")
    if output.exists() and not resume:
        raise RunError(f"{output} exists: go on with it with --resume, or choose another --output")


def read_progress(output: Path, form: ResumableFormat) -> Progress:
    """Finds out how far a file has got.

    A row or line that was cut off at the end, and the rows of a last image that are not all there,
    do not count.

    Raises:
        RunError: if it is damaged elsewhere, or is of another format, model, rank or `--top-k`.
    """
    if not output.exists():
        return Progress()
    with output.open("rb") as stream:
        return _read(_Lines(stream), output, form)


def remaining(
    output: Path, progress: Progress, collection: Collection, by_specimen: bool
) -> Collection:
    """Returns the rows whose identification a file does not hold yet.

    Raises:
        RunError: if the file holds others besides: it belongs to another command.
    """
    frame = collection.frame
    asked = [
        _whole(Subject(name, printable(key)), by_specimen)
        for name, key in zip(frame["occurrenceID"], frame["image"], strict=True)
    ]
    done = {_whole(subject, by_specimen) for subject in progress.subjects}
    if strange := done.difference(asked):
        first = " ".join(min(strange)).strip()
        raise RunError(
            f"{output} holds {len(strange):,} answers that are not asked for here, such as that "
            f"for {first}: give the same images and options as before, or choose another --output"
        )
    return collection.select([row for row, subject in enumerate(asked) if subject not in done])


def _whole(subject: Subject, by_specimen: bool) -> Subject:
    """Returns the same for all images of a specimen, if these are answered together."""
    return Subject(subject.occurrenceID, "") if by_specimen and subject.occurrenceID else subject


def read_failures(output: Path) -> list[tuple[str, str]]:
    """Returns file and reason of the unreadable images listed beside an output file."""
    path = failures_path(output)
    if not path.exists():
        return []
    whole = path.read_bytes().rpartition(b"\n")[0].decode("utf-8", "replace")
    rows = list(csv.reader(io.StringIO(whole)))[1:]
    return [(row[0], row[1]) for row in rows if len(row) == 2]


@dataclass
class _Lines:
    """The whole lines of a file, and how many bytes were taken so far."""

    stream: BinaryIO
    taken: int = 0
    at_end: bool = False

    def __iter__(self) -> Iterator[str]:
        for line in self.stream:
            if not line.endswith(b"\n"):
                break
            self.taken += len(line)
            yield line.decode("utf-8")
        self.at_end = True


def _read(lines: _Lines, output: Path, form: ResumableFormat) -> Progress:
    done: list[Subject] = []
    end, rows, previous = 0, 0, None
    entries = form.entries(iter(lines))
    while True:
        before = lines.taken
        try:
            entry = next(entries, None)
        except ValueError as error:
            if lines.at_end:  # a quoted field was cut off at a line feed within
                break
            raise RunError(
                f"{output} cannot be resumed, as it is not what this command writes ({error} "
                f"after byte {before:,}): choose another --output"
            ) from error
        if entry is None:
            break
        if (entry.maker, entry.rank) != (form.maker, form.rank):
            raise RunError(
                f"{output} holds answers of {entry.maker} at rank {entry.rank}, and this would "
                f"add {form.maker} at rank {form.rank}: choose another --output"
            )
        if (entry.subject == previous) == (rows == form.rows) and previous is not None:
            raise RunError(_other_length(output, form))
        rows = rows + 1 if entry.subject == previous else 1
        previous = entry.subject
        if rows == form.rows:
            done.append(entry.subject)
            end = lines.taken
    if not lines.taken:
        _refuse_foreign(lines, output, form)
    header = len(form.header().encode())
    return Progress(tuple(done), end or (header if lines.taken >= header else 0))


def _refuse_foreign(lines: _Lines, output: Path, form: ResumableFormat) -> None:
    """Refuses a file without one whole line whose beginning is not that of the format."""
    lines.stream.seek(0)
    opening = form.opening.encode()
    begun = lines.stream.read(len(opening))
    if not opening.startswith(begun):
        raise RunError(
            f"{output} cannot be resumed, as it is not what this command writes: choose another "
            "--output"
        )


def _other_length(output: Path, form: ResumableFormat) -> str:
    return (
        f"{output} does not have {form.rows} rows for each image: it was written with another "
        "--top-k; give the same, or choose another --output"
    )


@dataclass
class IdentificationFile:
    """Writes identifications to a file, and beside it the images that cannot be read.

    Used as a context manager; `add` writes through, so that a killed process loses one batch.
    """

    output: Path
    form: OutputFormat
    start: int = 0
    """Bytes to keep of the file that is there."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """File and reason of the images that could not be read; those of before when resuming."""
    _stream: BinaryIO = field(init=False, repr=False)
    _failure_stream: BinaryIO | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> IdentificationFile:
        """Opens the file and cuts off what is not to be kept."""
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self.output.open("r+b" if self.output.exists() else "wb")
        self._stream.truncate(self.start)
        self._stream.seek(self.start)
        if not self.start:
            self._stream.write(self.form.header().encode())
        before, self.failures = self.failures, []
        failures_path(self.output).unlink(missing_ok=True)
        self._add_failures(before)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the files."""
        self._stream.close()
        if self._failure_stream is not None:
            self._failure_stream.close()

    def add(self, batch: list[Identification]) -> None:
        """Writes a batch and flushes it."""
        self._add_failures(
            (printable(found.record.image), printable(found.problem))
            for found in batch
            if found.problem
        )
        text = "".join(self.form.text(found) for found in batch if not found.problem)
        self._stream.write(text.encode())
        self._stream.flush()

    def _add_failures(self, failures: Iterable[tuple[str, str]]) -> None:
        """Writes them before the rows, so that none is lost of a specimen that counts as done."""
        rows = list(failures)
        if not rows:
            return
        if self._failure_stream is None:
            self._failure_stream = failures_path(self.output).open("wb")
            self._failure_stream.write(csv_text([FAILURE_COLUMNS]).encode())
        self._failure_stream.write(csv_text(rows).encode())
        self._failure_stream.flush()
        self.failures += rows
