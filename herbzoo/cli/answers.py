"""Where identifications go: to the screen, or to a file that can be gone on with."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

import typer

from herbzoo.errors import DataError, HerbzooError

if TYPE_CHECKING:
    from herbzoo.data.records import Collection
    from herbzoo.identification import Identification
    from herbzoo.identification_file import IdentificationFile
    from herbzoo.identification_output import OutputFormat, ResumableFormat

Form = Literal["table", "csv", "json", "dwc"]
_SUFFIXES: dict[str, Form] = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".txt": "table"}


class Ranking(Protocol):
    """What makes answers: at which rank, and how many for each image."""

    @property
    def rank(self) -> str:
        """The rank of the candidates."""
        ...

    @property
    def length(self) -> int:
        """Number of candidates that every answer has."""
        ...


def form_of(output: Path | None) -> Form:
    """Returns the format that the ending of a file asks for."""
    return "table" if output is None else _SUFFIXES.get(output.suffix.lower(), "csv")


def refuse_early(output: Path | None, resume: bool, form: Form) -> None:
    """Refuses what cannot work, before anything is loaded."""
    from herbzoo.identification_file import refuse_in_the_way

    if output is not None:
        refuse_in_the_way(output, resume)
    if resume and output is None:
        raise HerbzooError("--resume goes on with a file: give its --output too")
    if resume and form == "table":
        raise HerbzooError("a table cannot be resumed: give --format csv, json or dwc")


def output_format(
    form: Form,
    maker: str,
    ranking: Ranking,
    collection: Collection,
    calibrated: bool,
    scores: str = "",
) -> OutputFormat:
    """Returns the writer of a format."""
    from herbzoo import __version__
    from herbzoo.identification_output import CsvFormat, DarwinCoreFormat, JsonFormat, TableFormat

    if form == "csv":
        with_occurrences = bool((collection.column("occurrenceID") != "").any())
        return CsvFormat(maker, ranking.rank, ranking.length, with_occurrences)
    if form == "json":
        return JsonFormat(maker, ranking.rank, ranking.length)
    if form == "dwc":
        maker = f"herbzoo {__version__} {maker}"
        return DarwinCoreFormat(maker, ranking.rank, calibrated, scores)
    return TableFormat()


def open_file(
    output: Path, writing: OutputFormat, resume: bool, collection: Collection, by_specimen: bool
) -> tuple[IdentificationFile, Collection, int]:
    """Returns the file to write, the images that it lacks, and how many answers it has."""
    from herbzoo.identification_file import (
        IdentificationFile,
        read_failures,
        read_progress,
        remaining,
    )
    from herbzoo.identification_output import printable

    if not resume:
        return IdentificationFile(output, writing), collection, 0
    progress = read_progress(output, cast("ResumableFormat", writing))
    rest = remaining(output, progress, collection, by_specimen)
    retried = {printable(key) for key in rest.frame["image"]}
    kept = [failure for failure in read_failures(output) if failure[0] not in retried]
    done = len(progress.subjects)
    typer.echo(f"{output} has {done:,} answers; {len(rest):,} images are left", err=True)
    return IdentificationFile(output, writing, progress.end, kept), rest, done


def report_failures(
    failures: list[tuple[str, str]], images: int, identified: int, output: Path | None
) -> None:
    """Says how many images could not be read.

    Raises:
        DataError: if none could.
    """
    from herbzoo.identification_file import failures_path

    if not identified:
        first = ": ".join(failures[0])
        raise DataError(f"none of the {images:,} images can be read; the first: {first}")
    if failures:
        listed = "" if output is None else f", listed in {failures_path(output)}"
        share = f"{len(failures):,} of {images:,} images"
        typer.echo(f"{share} could not be read{listed}", err=True)


def tolerant_stdout() -> None:
    """Lets names be written that hold what a terminal cannot show."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@dataclass
class Screen:
    """Answers to stdout, unreadable images to stderr: an `IdentificationFile` without a file."""

    form: OutputFormat
    failures: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> Screen:
        """Writes what stands at the top."""
        tolerant_stdout()
        sys.stdout.write(self.form.header())
        return self

    def __exit__(self, *error: object) -> None:
        """Leaves stdout as it is."""

    def add(self, batch: list[Identification]) -> None:
        """Writes a batch."""
        for found in batch:
            if found.problem:
                self.failures.append((found.record.image, found.problem))
                typer.echo(f"{found.record.image}: {found.problem}", err=True)
            else:
                sys.stdout.write(self.form.text(found))
        sys.stdout.flush()
