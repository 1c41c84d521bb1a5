"""Whether every number on a card comes from somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from herbzoo.hub.cards import TEMPLATE, amount, duration

_NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w])")
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_DIGITS = (1, 2, 3, 6)


def untraced(text: str, facts: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for each line of a card with a number that no fact and no template has.

    Numbers are looked for as the template shows them: counts with and without separators, shares
    to a few digits or in percent, times. Code blocks are passed over, for they are run.

    Args:
        text: the whole card.
        facts: as of `facts_of`.
    """
    known = set(_numbers_of(facts)) | set(_words(_template()))
    blanked = _FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)
    for number, line in enumerate(blanked.splitlines(), start=1):
        strange = [word for word in _words(line.replace("\\", "")) if word not in known]
        if strange:
            more = f" (and {len(strange) - 1} more)" if len(strange) > 1 else ""
            yield f"README.md line {number}: {strange[0]}{more} is in no file of the run"


def _template() -> str:
    return files("herbzoo.hub").joinpath("templates", TEMPLATE).read_text(encoding="utf-8")


def _words(text: str) -> list[str]:
    return [word.rstrip(",") for word in _NUMBER.findall(text)]


def _numbers_of(fact: Any) -> Iterator[str]:
    """Yields every way in which the numbers of a fact, and those within its texts, are shown."""
    if isinstance(fact, Mapping):
        for key, value in fact.items():
            yield from _numbers_of(key)
            yield from _numbers_of(value)
    elif isinstance(fact, str):
        yield from _words(fact)
    elif isinstance(fact, list | tuple):
        yield str(len(fact))
        for value in fact:
            yield from _numbers_of(value)
    elif isinstance(fact, int | float) and not isinstance(fact, bool):
        yield from _shown(fact)


def _shown(value: float) -> Iterator[str]:
    yield from (str(value), repr(float(value)), amount(value))
    yield from _words(duration(value))
    if isinstance(value, float):
        for digits in _DIGITS:
            yield f"{value:.{digits}f}"
            yield str(round(value, digits))
        yield f"{value:.1%}".rstrip("%")
