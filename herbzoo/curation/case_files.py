"""The cases of a results folder: `cases.jsonl`, the pictures they show, and the known taxa."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image

from herbzoo.curation.case import Case, NearSheet
from herbzoo.data.looking import look_over
from herbzoo.data.records import ImageSource, SpecimenRecord
from herbzoo.errors import DataError
from herbzoo.index.thumbnails import small_copy
from herbzoo.taxonomy import Taxon
from herbzoo.whole_file import whole, write_whole

CASES_FILE, TAXA_FILE, THUMBNAILS = "cases.jsonl", "taxa.csv", "thumbnails"
SUMMARY_FILE, DECISIONS_FILE = "summary.json", "decisions.csv"
SIDE, LARGE_SIDE = 480, 960
"""Pixels of the longer side at most: of a sheet shown for comparison, and of one in question."""
NEAR, NEAR_OTHERS, PROPOSALS = 4, 2, 5
"""Sheets shown of the present name and of the first proposal, of each other one, and proposals."""
_QUALITY = 75
_TAXON = ("scientificName", "scientificNameAuthorship", "genus", "family", "taxonID")


def write_cases(
    folder: Path,
    cases: Sequence[Case],
    images: ImageSource,
    workers: int = -1,
    *,
    taxa: Iterable[Taxon] = (),
    progress: Callable[[int], object] | None = None,
) -> None:
    """Writes the cases of a results folder with the pictures they show; those of before go.

    Args:
        folder: of the results; it is made if it is not there.
        cases: in the order of the list.
        images: where the pictures come from, by the keys of the records. One that cannot be read
            is not shown.
        workers: processes that decode; 0 for none but this one, -1 for as many as suit.
        taxa: the names that a reviewer may choose from, beside those of the cases.
        progress: told how many more pictures are done.
    """
    shown = [shown_part(case) for case in cases]
    _write_thumbnails(folder / THUMBNAILS, shown, images, workers, progress)
    _write_taxa(folder / TAXA_FILE, taxa)
    lines = "".join(_line(case) + "\n" for case in shown)
    write_whole(folder / CASES_FILE, lines)


def read_cases(folder: Path) -> list[Case]:
    """Reads the cases of a results folder.

    Raises:
        DataError: if it is none, or its cases are damaged.
    """
    path = folder / CASES_FILE
    if not path.is_file():
        raise DataError(
            f"{folder} holds no cases to review: it has no {CASES_FILE}; name a folder that "
            "`herbzoo suspects` or `herbzoo novel` wrote"
        )
    decoder = msgspec.json.Decoder(Case)
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            found.append(decoder.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DataError(f"{path}, line {number}: no case can be read from it ({error})") from (
                error
            )
    return found


def copy_cases(folder: Path, target: Path) -> None:
    """Copies what a review needs of a results folder: the cases, what they show, and decisions."""
    target.mkdir(parents=True)
    for name in (CASES_FILE, TAXA_FILE, SUMMARY_FILE, DECISIONS_FILE):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
    (target / THUMBNAILS).mkdir()
    for case in read_cases(folder):
        for record in case.sheets():
            if (content := read_thumbnail(folder, record.image)) is not None:
                thumbnail_path(target, record.image).write_bytes(content)


def read_summary(folder: Path) -> dict[str, Any]:
    """Reads what a results folder says of itself; {} where it says nothing.

    Raises:
        DataError: if the file is damaged.
    """
    path = folder / SUMMARY_FILE
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error})") from error
    return found if isinstance(found, dict) else {}


def read_taxa(folder: Path, cases: Iterable[Case]) -> list[Taxon]:
    """Returns the names that a reviewer may choose from, by name: those kept, and of the cases.

    Raises:
        DataError: if the file of names is damaged.
    """
    found: dict[str, Taxon] = {}
    path = folder / TAXA_FILE
    if path.is_file():
        try:
            with path.open(encoding="utf-8", newline="") as stream:
                for row in csv.DictReader(stream, strict=True):
                    found.setdefault(row["scientificName"], _taxon(row))
        except (csv.Error, KeyError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is damaged ({error})") from error
    for case in cases:
        for record in case.sheets():
            if record.scientificName:
                found.setdefault(record.scientificName, _taxon(asdict(record)))
    return [found[name] for name in sorted(found)]


def thumbnail_digest(key: str) -> str:
    """Returns what the thumbnail of an image is called; no key becomes part of a path."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def thumbnail_path(folder: Path, key: str) -> Path:
    """Returns where the thumbnail of an image is, if it has one."""
    return folder / THUMBNAILS / f"{thumbnail_digest(key)}.webp"


def read_thumbnail(folder: Path, key: str) -> bytes | None:
    """Returns the thumbnail of an image, if it has one.

    A file that is no WebP is none: in a folder of a stranger it may be a link to anything.
    """
    try:
        content = thumbnail_path(folder, key).read_bytes()
    except OSError:  # an image that could not be read has none
        return None
    return content if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


def shown_part(case: Case) -> Case:
    """Returns a case with no more proposals and sheets than are shown."""
    proposals = tuple(
        replace(one, near=one.near[: NEAR if place == 0 else NEAR_OTHERS])
        for place, one in enumerate(case.proposals[:PROPOSALS])
    )
    return replace(case, proposals=proposals, near_present=case.near_present[:NEAR])


def plain_case(case: Case) -> dict[str, Any]:
    """Returns a case as plain values; what is '' in a record is left out."""
    return {
        "id": case.id,
        "list": case.list,
        "score": case.score,
        "group": case.group,
        "record": _plain_record(case.record),
        "reasons": list(case.reasons),
        "proposals": [
            {"candidate": asdict(one.candidate), "near": [_plain_near(near) for near in one.near]}
            for one in case.proposals
        ],
        "near_present": [_plain_near(near) for near in case.near_present],
        "notes": dict(case.notes),
    }


def _line(case: Case) -> str:
    return json.dumps(plain_case(case), ensure_ascii=False, allow_nan=False)


def _plain_near(near: NearSheet) -> dict[str, Any]:
    return {"record": _plain_record(near.record), "similarity": near.similarity}


def _plain_record(record: SpecimenRecord) -> dict[str, str]:
    return {name: value for name, value in asdict(record).items() if value}


def _taxon(row: Mapping[str, str]) -> Taxon:
    name, authorship, genus, family, taxon_id = (row.get(term) or "" for term in _TAXON)
    return Taxon(name, authorship, genus, family, taxon_id)


def _write_taxa(path: Path, taxa: Iterable[Taxon]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_TAXON)
    writer.writerows([getattr(taxon, name) for name in _TAXON] for taxon in taxa)
    write_whole(path, text.getvalue())


def _write_thumbnails(
    folder: Path,
    cases: Iterable[Case],
    images: ImageSource,
    workers: int,
    progress: Callable[[int], object] | None,
) -> None:
    """Makes each picture once, large if its sheet is in question anywhere."""
    cases = list(cases)
    large = dict.fromkeys(case.record.image for case in cases)
    every = dict.fromkeys(record.image for case in cases for record in case.sheets())
    folder.mkdir(parents=True, exist_ok=True)
    kept: set[str] = set()
    for side, keys in (
        (LARGE_SIDE, list(large)),
        (SIDE, [key for key in every if key not in large]),
    ):
        made = look_over(
            images,
            keys,
            partial(_webp, side=side),
            (side, side),
            workers=workers,
            progress=progress,
        )
        for key, content in zip(keys, made, strict=True):
            if isinstance(content, bytes):
                name = f"{thumbnail_digest(key)}.webp"
                with whole(folder / name) as partial_file:
                    partial_file.write_bytes(content)
                kept.add(name)
    for old in folder.glob("*.webp"):
        if old.name not in kept:
            old.unlink()


def _webp(picture: Image.Image, side: int) -> bytes:
    buffer = io.BytesIO()
    small_copy(picture, side).save(buffer, "WEBP", quality=_QUALITY, method=4)
    return buffer.getvalue()
