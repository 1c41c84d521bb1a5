"""How far a model's scores can be trusted: a temperature, and thresholds that keep a promise.

`calibration.json` of a run holds what was learned on validation rows: by what logits are divided so
that probabilities are right on average, and from which probability on an answer at a rank is right
as often as was promised.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from herbzoo.errors import HerbzooError, RunError
from herbzoo.taxonomy import RANKS
from herbzoo.whole_file import write_whole

SCHEMA_VERSION = 1
FILE_NAME = "calibration.json"
CONFIDENCE = 0.9
"""Probability, over the choice of the validation rows, with which a promise holds."""
PRECISIONS = tuple(round(0.5 + 0.01 * step, 2) for step in range(50))
"""The promises for which thresholds are kept: 0.50 to 0.99."""

Thresholds = Mapping[str, float]
"""By rank, the least probability of an answer; no answers are given at a rank that is not there."""


@dataclass(frozen=True)
class Calibration:
    """What is known of a model's scores."""

    temperature: float
    """By which logits are divided before the softmax."""
    rows: int
    """Validation rows it was learned on."""
    source: str
    """Which rows these are."""
    domains: Mapping[str, int] = field(default_factory=dict)
    """How many of the rows are of each `basisOfRecord`."""
    before: Mapping[str, float] = field(default_factory=dict)
    """`nll` and `ece` of the rows without the temperature."""
    after: Mapping[str, float] = field(default_factory=dict)
    """The same with it."""
    promises: Mapping[str, Thresholds] = field(default_factory=dict)
    """By precision (`0.95`), the thresholds that keep it."""

    def thresholds(self, precision: float) -> Thresholds:
        """Returns the thresholds that keep a promise, or the next stricter one that is known.

        Raises:
            HerbzooError: if no such promise can be made.
        """
        if not 0 < precision <= PRECISIONS[-1]:
            raise HerbzooError(
                f"a precision of {precision} cannot be promised: give one above 0, up to "
                f"{PRECISIONS[-1]}"
            )
        name = next(f"{known:.2f}" for known in PRECISIONS if known >= precision - 1e-9)
        if name not in self.promises:
            raise HerbzooError(
                "this model's calibration.json makes no promises: make a new one with "
                "`herbzoo calibrate`"
            )
        return self.promises[name]

    def save(self, folder: Path) -> Path:
        """Writes `calibration.json`, whole or not at all; returns its path."""
        document = {"schema_version": SCHEMA_VERSION, "confidence": CONFIDENCE, **asdict(self)}
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        return write_whole(folder / FILE_NAME, text + "\n")

    @classmethod
    def load(cls, folder: Path) -> Calibration | None:
        """Reads `calibration.json`; `None` if there is none.

        Raises:
            RunError: if it is damaged, or from a newer herbzoo.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            return None
        try:
            document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            version = int(document.pop("schema_version"))
            if version > SCHEMA_VERSION:
                raise RunError(
                    f"{path} has schema {version}, this herbzoo reads up to {SCHEMA_VERSION}: "
                    "pip install --upgrade herbzoo"
                )
            document.pop("confidence")
            found = cls(**document)
            promised = [bound for each in found.promises.values() for bound in each.items()]
            sound = 0 < found.temperature < math.inf and all(
                rank in RANKS and 0 <= bound <= 1 for rank, bound in promised
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{path} is damaged: {type(error).__name__} {error}") from error
        if not sound:
            raise RunError(f"{path} is damaged: it has a temperature or threshold out of range")
        return found
