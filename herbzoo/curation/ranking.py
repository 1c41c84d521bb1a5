"""In which order doubtful names are listed."""

from __future__ import annotations

import numpy as np

from herbzoo.curation.judging import Judgements
from herbzoo.curation.named_rows import UNNAMED, NamedRows
from herbzoo.taxonomy import RANKS

LISTED = 0.5
"""Suspicion from which on a name is listed as doubtful: it is as likely wrong as right."""
_GRAVITY = {"": 0, "species": 1, "genus": 2, "family": 3}


def likeliest_other(judged: Judgements, names: NamedRows, row: int) -> list[tuple[int, float]]:
    """Returns the species that a row may be other than it is named, best first, with scores."""
    pairs = zip(judged.candidates[row], judged.scores[row], strict=True)
    own = names.species[row]
    return [(int(one), float(score)) for one, score in pairs if one not in (own, UNNAMED)]


def differing_rank(names: NamedRows, row: int, species: int) -> str:
    """Returns the highest rank at which a species differs from the present name of a row.

    Of another family is graver than of another genus, and that than of another species of one
    genus. '' where the name stops above species and the species is of its taxon.
    """
    for rank in reversed(RANKS):
        own, other = names.at(rank)[row], names.pools(rank)[species]
        if UNNAMED not in (own, other) and own != other:
            return rank
    return "species" if names.species[row] != UNNAMED else ""


def ranked(
    judged: Judgements, names: NamedRows, rows: np.ndarray, suspicion: np.ndarray
) -> np.ndarray:
    """Sorts rows by suspicion; listed ones to a tenth, and then the graver first.

    Args:
        judged: of all rows.
        names: of all rows.
        rows: `[B]`, those to sort.
        suspicion: of these, `[B]`; NaN comes last.

    Returns:
        The rows, the most suspicious first.
    """
    listed = suspicion >= LISTED
    tier = np.where(listed, np.round(suspicion, 1), suspicion)
    gravity = [
        _gravity(judged, names, row) if graver else 0
        for row, graver in zip(rows.tolist(), listed, strict=True)
    ]
    return rows[np.lexsort((-judged.margin[rows], -suspicion, -np.array(gravity), -tier))]


def _gravity(judged: Judgements, names: NamedRows, row: int) -> int:
    others = likeliest_other(judged, names, row)
    return _GRAVITY[differing_rank(names, row, others[0][0]) if others else ""]
