"""Whether a card may be shown: what of it is wrong, a line each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from herbzoo.errors import RunError
from herbzoo.hub.card_facts import facts_of
from herbzoo.hub.card_metadata import body_of, metadata_of, metadata_problems
from herbzoo.hub.card_traces import untraced
from herbzoo.hub.cards import FILE_NAME, render

_PICTURE = re.compile(r"!\[[^\n]*?\]\(([^)\s]+)\)")
_ADDRESS = re.compile(r'from_pretrained\(\s*"((?:[^"\\]|\\.)+)"')


def card_problems(folder: Path, model_id: str = "") -> list[str]:
    """Checks the card of a run against the run; returns a line for each failing matter.

    Args:
        folder: the run.
        model_id: what the card is to call the model; that which it does call it if empty.

    Raises:
        RunError: if the run says too little for a card, or there is none.
    """
    text = _read(folder)
    facts = facts_of(folder, model_id=model_id or address_of(text))
    licence = (metadata_of(text) or {}).get("license")
    if not facts["stated"]["license"] and licence:  # as `herbzoo push --license` was told it
        facts = facts_of(folder, model_id=facts["model_id"], license_id=str(licence))
    return [*difference(text, render(facts)), *readme_problems(folder), *untraced(text, facts)]


def readme_problems(folder: Path) -> list[str]:
    """Checks what the card of a folder says by itself: metadata, licence, pictures.

    Raises:
        RunError: if there is none.
    """
    text = _read(folder)
    return [f"{FILE_NAME}: {problem}" for problem in metadata_problems(text)] + [
        f"{FILE_NAME} shows {name}, which is not there" for name in _missing(folder, text)
    ]


def check_card(folder: Path) -> None:
    """Refuses a folder whose card is not fit to be published.

    Raises:
        RunError: naming the first failing matter, and how many more there are.
    """
    problems = readme_problems(folder)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise RunError(f"the card is not fit to be published: {problems[0]}{more}")


def difference(text: str, expected: str) -> Iterator[str]:
    """Yields the first line in which a card is not what its facts render to, if there is one."""
    ours, wanted = text.splitlines(), expected.splitlines()
    for number in range(max(len(ours), len(wanted))):
        own = ours[number] if number < len(ours) else "(the end)"
        other = wanted[number] if number < len(wanted) else "(the end)"
        if own != other:
            yield (
                f"{FILE_NAME} line {number + 1} is {_short(own)!r}, and the run renders "
                f"{_short(other)!r}: herbzoo card RUN writes it anew"
            )
            return


def address_of(text: str) -> str:
    """Returns what a card gives `from_pretrained`; '' if it does not call it."""
    found = _ADDRESS.search(body_of(text))
    return re.sub(r"\\(.)", r"\1", found[1]) if found else ""


def _read(folder: Path) -> str:
    path = folder / FILE_NAME
    if not path.is_file():
        raise RunError(f"{folder} has no {FILE_NAME}: herbzoo card {folder} makes one")
    return path.read_text(encoding="utf-8", errors="replace")


def _missing(folder: Path, text: str) -> Iterator[str]:
    for target in dict.fromkeys(_PICTURE.findall(text)):
        name = unquote(target)
        if not re.match(r"https?://", name) and not (folder / name).is_file():
            yield name


def _short(line: str) -> str:
    return line if len(line) <= 80 else f"{line[:77]}..."
