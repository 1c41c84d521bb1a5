"""Determinations from a table, in Darwin Core terms."""

from __future__ import annotations

import csv
import logging
from dataclasses import fields
from pathlib import Path

from herbzoo.data.decisions import NEEDED, read_decisions
from herbzoo.errors import DataError
from herbzoo.index.determinations import KEYS, Determination

_COLUMNS = tuple(field.name for field in fields(Determination))

logger = logging.getLogger(__name__)


def read_determinations(path: Path) -> list[Determination]:
    """Reads a CSV of determinations; columns it does not know are passed over.

    The decisions of a review are such a table. Of these, one counts for each sheet, and those that
    give no name are passed over with a warning that counts them.

    Raises:
        DataError: if it is not there or no CSV, lacks the columns that it needs, is empty, or a
            row has no name or does not say which sheet it is of.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            columns = reader.fieldnames or []
            if set(NEEDED) <= set(columns):
                return _of_decisions(path)
            if "scientificName" not in columns or not set(KEYS) & set(columns):
                raise DataError(
                    f"{path} needs the columns scientificName, and {', '.join(KEYS)} or one of "
                    f"these; it has {', '.join(columns) or 'none'}"
                )
            found = [_determination(row, f"{path}, line {reader.line_num}") for row in reader]
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no CSV in UTF-8 ({error})") from error
    if not found:
        raise DataError(f"{path} has no rows")
    return found


def _of_decisions(path: Path) -> list[Determination]:
    decisions = read_decisions(path)
    named = [one for one in decisions if one.scientificName]
    if nameless := len(decisions) - len(named):
        logger.warning("%s: %d decisions give no name, and are passed over", path, nameless)
    return [Determination(**{name: getattr(one, name) for name in _COLUMNS}) for one in named]


def _determination(row: dict[str, str], where: str) -> Determination:
    given = {name: (row.get(name) or "").strip() for name in _COLUMNS}
    if not given["scientificName"]:
        raise DataError(f"{where}: there is no scientificName")
    if not any(given[key] for key in KEYS):
        raise DataError(f"{where}: it does not say which sheet ({', '.join(KEYS)} are blank)")
    return Determination(**given)
