"""The model card: a data sheet computed from the run, rendered from plain facts."""

from __future__ import annotations

import json
import logging
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from herbzoo.hub.card_facts import facts_of, has_code
from herbzoo.hub.card_metadata import header
from herbzoo.hub.training_facts import FILE_NAME as TRAINING_FILE
from herbzoo.hub.training_facts import note_change
from herbzoo.whole_file import write_whole

FILE_NAME = "README.md"
TEMPLATE = "card.md.jinja"
_LINK = re.compile(r"https?://[\w.~:/?#@!$&'()+,;=%-]+")
_MARKUP = "\\`*_[]<>|#~$&"

logger = logging.getLogger(__name__)


def write_card(
    folder: Path, target: Path | None = None, *, model_id: str = "", license_id: str = ""
) -> Path:
    """Renders the card of a run from its files; returns the path of the `README.md` written.

    Args:
        folder: the run.
        target: where to write, if elsewhere; the card says how to load the code that lies there.
        model_id: as in `facts_of`.
        license_id: as in `facts_of`.

    Raises:
        RunError: as `facts_of`.
    """
    path = (target or folder) / FILE_NAME
    facts = facts_of(folder, model_id=model_id, license_id=license_id)
    text = render(facts | {"remote_code": has_code(path.parent)})
    return write_whole(path, text)


def renew_card(folder: Path, kind: str, notice: str, model_id: str) -> None:
    """Writes the card of a run that was made of another without training.

    A run that was trained before there was a `training.json` has no card to make: then there is
    none, as the old one would speak of the run as it was.

    Args:
        folder: the new run, with the `training.json` of the old one.
        kind: as in `note_change`.
        notice: as in `note_change`.
        model_id: as in `facts_of`.

    Raises:
        RunError: as `facts_of`.
    """
    if not (folder / TRAINING_FILE).is_file():
        logger.warning("%s gets no %s: it has no %s", model_id, FILE_NAME, TRAINING_FILE)
        return
    note_change(folder, kind, notice)
    write_card(folder, model_id=model_id)


def render(facts: Mapping[str, Any]) -> str:
    """Renders a card; every word of it comes from the facts or the template."""
    body = environment().get_template(TEMPLATE).render(facts)
    body = re.sub(r" +$", "", body, flags=re.MULTILINE)
    body = re.sub(r"\n{3,}", "\n\n", body).strip()
    return f"---\n{header(facts)}\n---\n\n{body}\n"


def environment() -> jinja2.Environment:
    """Returns what renders the template; a name that the facts lack is an error."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("herbzoo.hub"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown; what is user text goes through `escaped`
    )
    made.filters |= {
        "escaped": escaped,
        "amount": amount,
        "figure": figure,
        "setting": setting,
        "duration": duration,
        "percent": lambda share: f"{share:.1%}",
        "round2": lambda value: f"{value:.2f}",
        "round3": lambda value: f"{value:.3f}",
        "literal": lambda text: json.dumps(text, ensure_ascii=False),
        "shell": lambda text: shlex.quote(" ".join(text.split())),
        "article": lambda noun: f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}",
    }
    return made


def escaped(value: Any) -> str:
    """Keeps user text from becoming markup or leaving its line or table cell; links still work."""
    text = " ".join(str(value).split())
    parts, end = [], 0
    for link in _LINK.finditer(text):
        parts += [_plain(text[end : link.start()]), link[0]]
        end = link.end()
    return "".join([*parts, _plain(text[end:])])


def _plain(text: str) -> str:
    return "".join(f"\\{letter}" if letter in _MARKUP else letter for letter in text)


def amount(value: float) -> str:
    """Returns a count as `12,345`, and a share as `0.562`."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def figure(found: Mapping[str, Any]) -> str:
    """Returns a figure with its interval, if it has one: `0.562 [0.520, 0.604]`."""
    shown = amount(found["value"])
    if found.get("low") is None:
        return shown
    return f"{shown} [{found['low']:.3f}, {found['high']:.3f}]"


def setting(value: Any) -> str:
    """Returns the value of an option for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escaped("none" if value is None or value == [] else value)


def duration(seconds: float) -> str:
    """Returns a time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.1f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
