"""How data ask to be cited: the DOI that a download from GBIF or an archive states."""

from __future__ import annotations

import re
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CITATIONS = "citations.txt"
"""What GBIF puts into its downloads: the first DOI of GBIF's is that of the download."""
METADATA = ("metadata.xml", "eml.xml")
"""Ecological Metadata Language, of a download or of a publisher's archive."""
MOST_BYTES = 1_000_000
"""Of a file, beyond which nothing is read."""
_GBIF = re.compile(r"10\.15468/d[ld]\.[A-Za-z0-9]+")
"""Of a download (`dl`), or of a data set derived from one (`dd`): https://www.gbif.org/tool/81754."""
_OWN = re.compile(r"<alternateIdentifier>[^<]*?(10\.\d{4,9}/[^\s<]+)\s*</alternateIdentifier>")


@dataclass(frozen=True)
class DataCitation:
    """What was found beside the data; '' and false where nothing was."""

    doi: str = ""
    from_gbif: bool = False
    """Whether it is GBIF's, of a download, which stands for all data sets in it."""

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return asdict(self)


def cited(source: str) -> DataCitation:
    """Looks for a DOI in the files that come with a Darwin Core Archive.

    Files are read as text and nothing in them is followed: no XML is parsed.

    Args:
        source: what the data were opened by; anything but a folder or a zip states no DOI.
    """
    path = Path(source).expanduser()
    names = (CITATIONS, *METADATA)
    try:
        texts = _in_zip(path, names) if path.is_file() else _in_folder(path, names)
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        return DataCitation()  # no archive, or one that its reader has refused already
    for text in texts:
        if found := _GBIF.search(text):
            return DataCitation(found[0], from_gbif=True)
    for text in texts:
        if found := _OWN.search(text):
            return DataCitation(found[1])
    return DataCitation()


def _in_folder(path: Path, names: tuple[str, ...]) -> list[str]:
    found = [path / name for name in names if (path / name).is_file()]
    return [_beginning(file) for file in found]


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return _text(file.read(MOST_BYTES))


def _in_zip(path: Path, names: tuple[str, ...]) -> list[str]:
    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        there = set(archive.namelist())
        return [_text(archive.open(name).read(MOST_BYTES)) for name in names if name in there]


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")
