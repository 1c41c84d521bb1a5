"""What all sheets of other folds make of each sheet: which taxon, and how sure.

A sheet is judged at the deepest rank at which its present name has other gatherings: a species of
one gathering is judged by its genus, and one whose genus has no other by its family.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from herbzoo.curation.confident import confident_issues
from herbzoo.curation.fold_view import FoldView, Opinions
from herbzoo.curation.named_rows import UNNAMED, NamedRows
from herbzoo.curation.naming import NO_RANK, Naming
from herbzoo.curation.pooling import ENOUGH_ROWS, Pool
from herbzoo.curation.slips import KINDS, Slips
from herbzoo.errors import DataError
from herbzoo.text_cache import Bar, no_bar

CANDIDATES = 5
"""Species that are kept for each sheet, the likeliest first."""
NEAREST = 5
"""Nearest sheets whose names are counted."""
_BLOCK = 1024
"""Rows whose scores for all species are in memory at once."""


@dataclass(frozen=True)
class Judgements:
    """What is thought of `N` rows; numbers are those of a `NamedRows`."""

    rank: np.ndarray
    """`[N]`, the position in `RANKS` at which each is judged; `NO_RANK` where it cannot be."""
    own: np.ndarray
    """`[N]`, probability of the present name at that rank."""
    other: np.ndarray
    """`[N]`, that of the likeliest other one at that rank."""
    candidates: np.ndarray
    """`[N, K]`, likeliest species, best first; `UNNAMED` where there are no more."""
    scores: np.ndarray
    """`[N, K]`, their probabilities."""
    nearest: np.ndarray
    """`[N, M]`, the nearest rows of other gatherings, the nearest first."""
    similar: np.ndarray
    """`[N, 2]`, similarity to the prototypes of the present name and of the best candidate; NaN
    where there is none."""
    likelihoods: np.ndarray
    """`[N, 4]`, see `herbzoo.curation.slips.name_likelihoods`; NaN where it cannot be judged."""
    issue: np.ndarray
    """`[N]`, whether confident learning calls the present species wrong."""

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.rank)

    @property
    def margin(self) -> np.ndarray:
        """How much better another name fits: the logarithm of their odds, `[N]`.

        NaN where a row cannot be judged.
        """
        return np.log(np.maximum(self.other, _TINY)) - np.log(np.maximum(self.own, _TINY))

    def probability(self, row: int, species: int) -> float:
        """Returns the probability that a row is a species, as far as it was kept.

        One that is not among the candidates gets what these leave over, or the last one's if that
        is less.
        """
        place = np.flatnonzero(self.candidates[row] == species)
        if len(place):
            return float(self.scores[row, place[0]])
        return max(min(float(self.scores[row, -1]), 1 - float(self.scores[row].sum())), _TINY)


_TINY = 1e-12

Look = Callable[[FoldView, np.ndarray, Judgements], None]
"""Is shown each fold while it is in memory: the view, its rows, and what is thought so far."""


_Waiting = tuple[FoldView, np.ndarray, np.ndarray, list[Opinions]]
"""A fold, its rows, those of them that temperatures are found on, and the opinions of these."""


class Judging:
    """Judges the rows of a collection, a fold at a time.

    Args:
        values: features `[N, F]`, float32.
        names: of the rows.
        folds: of each row, `[N]`, from 0.
        field: whether each is a field photo, `[N]`.

    Raises:
        DataError: if all names without doubt are of one species, or of none.
    """

    def __init__(
        self, values: np.ndarray, names: NamedRows, folds: np.ndarray, field: np.ndarray
    ) -> None:
        self.values, self.names, self.folds, self.field = values, names, folds, field
        self._vouching = (names.species != UNNAMED) & ~names.doubtful
        if not self._vouching.any():
            raise DataError(
                "no name says without doubt what species a sheet is, so there is nothing to judge "
                "others by: add sheets that are named to species"
            )
        if len(np.unique(names.species[self._vouching])) < 2:
            raise DataError(
                "all names without doubt are of one species, so there is no other to confuse it "
                "with: add sheets of others to the collection"
            )
        self._naming = Naming(names)
        count, most = len(values), min(CANDIDATES, len(names.taxa))
        self.found = Judgements(
            rank=np.full(count, NO_RANK),
            own=np.full(count, np.nan),
            other=np.full(count, np.nan),
            candidates=np.full((count, most), UNNAMED),
            scores=np.zeros((count, most)),
            nearest=np.full((count, NEAREST), UNNAMED),
            similar=np.full((count, 2), np.nan),
            likelihoods=np.full((count, len(KINDS)), np.nan),
            issue=np.zeros(count, dtype=bool),
        )

    def run(self, look: Look, *, progress: Bar = no_bar, scratch: Path | None = None) -> Judgements:
        """Judges all rows.

        Args:
            look: shown each fold.
            progress: opens a bar over the rows.
            scratch: folder for a temporary file; the system's place if not given.
        """
        pool: Pool | None = None
        waiting: list[_Waiting] = []
        with (
            progress(len(self.folds)) as advance,
            tempfile.TemporaryFile(dir=scratch) as file,
        ):
            kept = _Kept(file, len(self.names.taxa))
            for fold in range(int(self.folds.max()) + 1):
                rows = np.flatnonzero(self.folds == fold)
                view = self._view(fold)
                if pool is None:
                    # Of a very large fold some rows, evenly spread, are enough for temperatures.
                    some = rows[:: max(1, len(rows) // ENOUGH_ROWS)]
                    waiting.append((view, rows, some, [*self._opinions(view, some)]))
                    seen = sum(len(some) for _, _, some, _ in waiting)
                    if seen < min(ENOUGH_ROWS, len(self.folds)):
                        continue
                    pool = self._pool(waiting)
                    for view, rows, some, blocks in waiting:
                        whole = blocks if len(some) == len(rows) else self._opinions(view, rows)
                        self._settle(view, rows, whole, pool, kept, look, advance)
                    waiting = []
                else:
                    self._settle(view, rows, self._opinions(view, rows), pool, kept, look, advance)
            self.found.issue[kept.issues()] = True
        return self.found

    def _view(self, fold: int) -> FoldView:
        learned = self._vouching & (self.folds != fold)
        if len(np.unique(self.names.species[learned])) < 2:
            raise DataError(
                "but for one gathering all names are of one species, so there is nothing to "
                "compare with: add sheets of others to the collection"
            )
        return FoldView(self.values, self.names.species, len(self.names.taxa), self.field, learned)

    def _opinions(self, view: FoldView, rows: np.ndarray) -> Iterator[Opinions]:
        for start in range(0, len(rows), _BLOCK):
            yield view.opinions(rows[start : start + _BLOCK])

    def _pool(self, waiting: Sequence[_Waiting]) -> Pool:
        blocks = [block for *_, blocks in waiting for block in blocks]
        scores = [np.concatenate([block.scores[k] for block in blocks]) for k in range(3)]
        rows = np.concatenate([some for _, _, some, _ in waiting])

        def explained(some: np.ndarray, logs: np.ndarray) -> np.ndarray:
            """Returns how likely the names of some rows are, right or slips, `[B]`."""
            probabilities = np.exp(logs.astype(np.float64))
            found = self._naming(rows[some], probabilities, np.isfinite(logs).any(axis=0))
            return Slips.fit(found.likelihoods).likelihood(found.likelihoods)

        return Pool.fit(scores, self._labels(rows), explained)

    def _labels(self, rows: np.ndarray) -> np.ndarray:
        return np.where(self._vouching[rows], self.names.species[rows], UNNAMED)

    def _settle(
        self,
        view: FoldView,
        rows: np.ndarray,
        opinions: Iterable[Opinions],
        pool: Pool,
        kept: _Kept,
        look: Look,
        advance: Callable[[int], object],
    ) -> None:
        done = 0
        for block in opinions:
            some = rows[done : done + len(block.nearest)]
            self._judge(some, block, pool(block.scores), kept)
            done += len(some)
            advance(len(some))
        look(view, rows, self.found)

    def _judge(self, rows: np.ndarray, opinions: Opinions, logs: np.ndarray, kept: _Kept) -> None:
        found, names, places = self.found, self.names, np.arange(len(rows))
        probabilities = np.exp(logs.astype(np.float64))
        judged = self._naming(rows, probabilities, np.isfinite(logs[0]))
        found.rank[rows] = judged.rank
        found.own[rows] = judged.own
        found.other[rows] = judged.other
        found.likelihoods[rows] = judged.likelihoods
        width = found.candidates.shape[1]
        best = np.argpartition(-probabilities, width - 1, axis=1)[:, :width]
        best = np.take_along_axis(
            best, np.argsort(-np.take_along_axis(probabilities, best, 1), axis=1, kind="stable"), 1
        )
        found.scores[rows] = np.take_along_axis(probabilities, best, 1)
        found.candidates[rows] = np.where(found.scores[rows] > 0, best, UNNAMED)
        many = min(found.nearest.shape[1], opinions.nearest.shape[1])
        found.nearest[rows, :many] = opinions.nearest[:, :many]
        prototypes = opinions.scores[1]
        own = names.species[rows]
        for column, species in enumerate((own, best[:, 0])):
            similarity = prototypes[places, np.maximum(species, 0)]
            known = (species != UNNAMED) & np.isfinite(similarity)
            found.similar[rows, column] = np.where(known, similarity, np.nan)
        kept.add(rows[found.rank[rows] == 0], own, probabilities, found.rank[rows] == 0)


class _Kept:
    """Probabilities of the rows judged as species, on disk, for confident learning."""

    def __init__(self, file: IO[bytes], classes: int) -> None:
        self._file, self._classes = file, classes
        self._rows: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def add(
        self, rows: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, chosen: np.ndarray
    ) -> None:
        self._rows.append(rows)
        self._labels.append(labels[chosen])
        self._file.write(probabilities[chosen].astype(np.float16).tobytes())

    def _blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        self._file.seek(0)
        for labels in self._labels:
            if len(labels):
                data = self._file.read(2 * len(labels) * self._classes)
                half = np.frombuffer(data, dtype=np.float16).reshape(len(labels), self._classes)
                yield labels, half.astype(np.float32)

    def issues(self) -> np.ndarray:
        """Returns the rows whose name confident learning calls wrong."""
        rows = np.concatenate([*self._rows, np.empty(0, dtype=np.int64)])
        return rows[confident_issues(self._blocks, self._classes)].astype(np.int64)
