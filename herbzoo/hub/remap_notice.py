"""The card of a run whose classes were renamed or lumped after it was written."""

from __future__ import annotations

import re

import yaml

from herbzoo.errors import RunError

BEGIN, END = "<!-- names -->", "<!-- /names -->"
_HEADER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
_RESULTS = "## Results"
_OLD_RESULTS = "## Results before the remap"


def renewed_card(text: str, notice: str) -> str:
    """Returns a card with a notice below its title, which no longer claims the old results.

    `model-index`, from which the Hub shows results, is taken out of its metadata; the results
    further down are headed as what they are.

    Args:
        text: the card.
        notice: one paragraph; it takes the place of an earlier one.

    Raises:
        RunError: if the metadata are no YAML.
    """
    header = _HEADER.match(text)
    body = text[header.end() :] if header else text
    body = re.sub(f"{BEGIN}.*?{END}\n\n?", "", body, flags=re.DOTALL)
    body = re.sub(rf"^{_RESULTS}$", _OLD_RESULTS, body, flags=re.MULTILINE)
    plain = notice.replace("<", "&lt;")  # names are user text
    block = f"{BEGIN}\n> {plain}\n{END}\n\n"
    title = re.search(r"^# .*\n+", body, flags=re.MULTILINE)
    at = title.end() if title else 0
    body = f"{body[:at]}{block}{body[at:]}"
    return f"{_without_results(header[1])}{body}" if header else body


def _without_results(header: str) -> str:
    try:
        metadata = dict(yaml.safe_load(header) or {})
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise RunError(f"the metadata at the top of README.md are damaged: {error}") from error
    metadata.pop("model-index", None)
    return f"---\n{yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)}---\n"
