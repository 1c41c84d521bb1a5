"""`card.yaml`: what only a person can say of a model, for its card."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from herbzoo.data.dataset_card import hub_licence
from herbzoo.data.licences import parse_licence
from herbzoo.errors import RunError
from herbzoo.hub.licence_ids import LICENCE_IDS

FILE_NAME = "card.yaml"
EMPTY = """\
# What only a person can say of this model; herbzoo card puts it into README.md.
# All of it may stay empty but the licence, without which a model is not published.

# An identifier of https://huggingface.co/docs/hub/repositories-licenses, such as cc-by-4.0
license:

# What the owners of the training images ask: terms, agreements, credit
data_terms:

# Who made it, one a line: - Ada Lovelace
authors:

# BibTeX, indented below a bar: |
citation:

# For whom, and for what
intended_use:

# What it cannot do, beyond what the card says by itself
limits:

# Where questions go: a page, a mail address
contact:
"""
MEANING = {
    "license": "the licence of the model",
    "data_terms": "the terms under which the training images were had",
    "authors": "who made it",
    "citation": "how to cite it (BibTeX)",
    "intended_use": "for whom and what it is meant",
    "limits": "what is known of its limits",
    "contact": "where questions go",
}
"""What each key says."""


@dataclass(frozen=True)
class Stated:
    """What a person says of a model; '' where nothing is said."""

    license: str = ""
    """The Hub's identifier."""
    data_terms: str = ""
    authors: tuple[str, ...] = ()
    citation: str = ""
    intended_use: str = ""
    limits: str = ""
    contact: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return {**asdict(self), "authors": list(self.authors)}

    @property
    def unsaid(self) -> list[str]:
        """Returns the keys that say nothing."""
        return [key for key, value in self.to_dict().items() if not value]


def read_stated(folder: Path) -> Stated:
    """Reads `card.yaml` of a run; without one nothing is said.

    Raises:
        RunError: if it is no YAML, has a key or value that cannot be, or a licence that the Hub
            does not know.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return Stated()
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(plain, dict | None):
        raise RunError(f"{path} must hold keys such as license, not {type(plain).__name__}")
    known = [field.name for field in fields(Stated)]
    said: dict[str, Any] = {}
    for key, value in (plain or {}).items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise RunError(f"{path} has no key {key}: {hint}")
        if value is not None:
            said[key] = _authors(path, value) if key == "authors" else _text(path, key, value)
    if said.get("license"):
        said["license"] = licence_id(said["license"])
    if "```" in said.get("citation", ""):
        raise RunError(f"{path}: citation must be BibTeX alone, without a fence of its own")
    return Stated(**said)


def licence_id(text: str) -> str:
    """Returns the Hub's identifier of a licence, given as that or in other words.

    Raises:
        RunError: if the Hub has no such licence.
    """
    flat = text.strip().lower()
    found = flat if flat in LICENCE_IDS else hub_licence(parse_licence(text).name)
    if found is None:
        near = difflib.get_close_matches(flat, LICENCE_IDS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise RunError(
            f"the Hub knows no licence {text.strip()!r}: {hint}Its identifiers are at "
            "https://huggingface.co/docs/hub/repositories-licenses; for any other write other, "
            "and put its words into a file LICENSE"
        )
    return found


def write_empty(folder: Path) -> Path:
    """Writes a `card.yaml` to fill in; returns its path.

    Raises:
        RunError: if there is one.
    """
    path = folder / FILE_NAME
    if path.exists():
        raise RunError(f"{path} is there already: edit it, or delete it first")
    path.write_text(EMPTY, encoding="utf-8")
    return path


def _text(path: Path, key: str, value: Any) -> str:
    if isinstance(value, dict | list | bool):
        raise RunError(f"{path}: {key} must be text, not {value!r}")
    return str(value).strip()


def _authors(path: Path, value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RunError(f"{path}: authors must be a name, or a list of names, not {value!r}")
    return tuple(name.strip() for name in names)
