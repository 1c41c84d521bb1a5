"""Facts of a card, kept as YAML for a person to review, and the card rendered from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import yaml

from herbzoo.errors import RunError
from herbzoo.hub.card_checks import difference
from herbzoo.hub.card_facts import SCHEMA_VERSION
from herbzoo.hub.card_metadata import metadata_problems
from herbzoo.hub.card_traces import untraced
from herbzoo.hub.cards import render
from herbzoo.whole_file import write_whole


def write_facts(path: Path, facts: dict[str, Any]) -> Path:
    """Writes facts as YAML, whole or not at all; returns the path.

    Args:
        path: ends in `.yaml`.
        facts: as of `facts_of`.

    Raises:
        RunError: if the path ends otherwise.
    """
    if path.suffix != ".yaml":
        raise RunError(f"{path} must end in .yaml, by which facts are known again")
    text = yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=100)
    return write_whole(path, text)


def write_kept(path: Path) -> Path:
    """Renders the card of a file of facts beside it; returns the card's path.

    Raises:
        RunError: if the file is damaged or from a newer herbzoo.
    """
    return write_whole(path.with_suffix(".md"), _rendered(path, read_facts(path)))


def kept_problems(path: Path) -> list[str]:
    """Compares the card beside a file of facts with what these render to.

    Returns:
        A line for each failing matter.

    Raises:
        RunError: if the file is damaged or from a newer herbzoo, or has no card beside it.
    """
    facts, target = read_facts(path), path.with_suffix(".md")
    if not target.is_file():
        raise RunError(f"{target} is not there: herbzoo card {path} makes it")
    text = target.read_text(encoding="utf-8")
    return [
        *difference(text, _rendered(path, facts)),
        *metadata_problems(text),
        *untraced(text, facts),
    ]


def read_facts(path: Path) -> dict[str, Any]:
    """Reads a file of facts.

    Raises:
        RunError: if it is not there, damaged or from a newer herbzoo.
    """
    if not path.is_file():
        raise RunError(f"there is no file {path}")
    try:
        facts = yaml.safe_load(path.read_text(encoding="utf-8"))
        newer = int(facts["schema_version"]) > SCHEMA_VERSION
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path} holds no facts of a card: {' '.join(str(error).split())}"
        ) from error
    if newer:
        raise RunError(f"{path} is from a newer herbzoo: pip install --upgrade herbzoo")
    return facts


def _rendered(path: Path, facts: dict[str, Any]) -> str:
    try:
        return render(facts)
    except (jinja2.UndefinedError, KeyError, TypeError) as error:
        raise RunError(f"{path} lacks a fact that a card needs: {error}") from error
