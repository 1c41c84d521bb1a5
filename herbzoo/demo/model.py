"""The model behind the demo: one for all visitors, asked by one of them at a time."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from herbzoo.calibration import PRECISIONS
from herbzoo.demo.among import Among, among
from herbzoo.demo.pictures import Picture, collection_of, shown_size, thumbnail
from herbzoo.errors import ImageError
from herbzoo.explanations.explainer import Explainer
from herbzoo.identification import Candidate, CandidateRanking, Identification
from herbzoo.image_batches import Failure
from herbzoo.inference import Identifier
from herbzoo.taxonomy import RANKS, Taxonomy

if TYPE_CHECKING:
    from herbzoo.data.taxa_list import TaxaList
    from herbzoo.explanations.explanation import Explanation

AT_ONCE = 8
"""Pictures that go through the model together; between, other visitors get their turn."""
TOP = {"species": 5, "genus": 3, "family": 3}
"""Candidates that are shown at each rank."""


@dataclass(frozen=True)
class Examined:
    """A picture and what the model makes of it: enough to answer again without the model."""

    name: str
    shown: bytes
    """The picture as WebP, at the size at which it is shown."""
    size: tuple[int, int]
    """Its width and height."""
    logits: Tensor
    """`[C]`."""
    embedding: np.ndarray
    """`[D]`, not normalised."""


@dataclass(frozen=True)
class Answer:
    """What is said of a picture."""

    by_rank: dict[str, tuple[Candidate, ...]]
    """Candidates at `species`, `genus` and `family`, best first; a rank that the taxonomy does not
    know is not there."""
    promised: Candidate | None
    """The one answer that keeps `precision`, or `unknown`; None if no precision was asked."""
    precision: float | None
    calibrated: bool
    """Whether scores are probabilities."""
    among: Among | None = None
    """The taxa that were chosen among, if not all."""

    @property
    def best(self) -> Candidate:
        """What is answered: the promised name, or the first candidate."""
        if self.promised is not None:
            return self.promised
        return next(iter(self.by_rank.values()))[0]


@dataclass(frozen=True)
class BatchAnswer:
    """One of many pictures, and its name."""

    name: str
    """What the picture is called."""
    identification: Identification | None
    """The answer, at the precision that was asked."""
    ranked: Identification | None
    """The likeliest species."""
    problem: str = ""
    """Why it could not be read."""
    thumbnail: bytes = b""
    """As WebP."""


class DemoModel:
    """A run that visitors ask.

    Args:
        run: folder or Hub id.
        device: where to run it.

    Raises:
        RunError: if it does not load.
    """

    def __init__(self, run: str | Path, device: str = "auto") -> None:
        self.identifier = Identifier.from_pretrained(run, device)
        self.source = str(run).rstrip("/")
        self.name = _name_of(run)
        self.taxonomy: Taxonomy = self.identifier.taxonomy
        self._lock = threading.RLock()
        """An explanation hooks into the model, and aiming it changes it."""
        self._aimed: tuple[Taxonomy, Identifier] | None = None
        self._explainer: Explainer | None = None

    @property
    def revision(self) -> str:
        """The commit on the Hub, or ''."""
        return str(getattr(self.identifier, "revision", ""))

    @property
    def reference(self) -> str:
        """What a determination refers to: the model, and which version of it."""
        name = self.source if "/" in self.name else self.name
        return f"{name}@{self.revision}" if self.revision and "@" not in name else name

    @property
    def reads_names(self) -> bool:
        """Whether it can choose among taxa that it has not learned."""
        return bool(getattr(self.identifier.model.head, "reads_names", False))

    @property
    def calibrated(self) -> bool:
        """Whether its scores are probabilities."""
        return self.identifier.calibration is not None

    @property
    def precisions(self) -> tuple[float, ...]:
        """The shares of right answers that it can promise; few, if it was calibrated on little."""
        calibration = self.identifier.calibration
        promises = {} if calibration is None else calibration.promises
        return tuple(p for p in PRECISIONS if promises.get(f"{p:.2f}"))

    def examine(self, picture: Picture) -> Examined:
        """Runs the model over a picture.

        Raises:
            ImageError: if it cannot be read.
        """
        with self._lock:
            (batch,) = self.identifier.scored(collection_of([picture]), 1, workers=0)
        for failure in batch.failures:
            raise ImageError(f"{failure.key}: {failure.reason}")
        shown, size = shown_size(picture.content, picture.name)
        return Examined(
            picture.name, shown, size, batch.logits[0].clone(), batch.embeddings[0].numpy()
        )

    def identify(
        self, pictures: Sequence[Picture], precision: float | None = None
    ) -> list[BatchAnswer]:
        """Names pictures, in order; one that cannot be read says why.

        Args:
            pictures: as many as fit into memory together.
            precision: as in `answer`.
        """
        collection = collection_of(pictures)
        records = list(collection.records())
        names = CandidateRanking(self.taxonomy, "species", TOP["species"])
        answers = self.identifier.ranking("species", 1, precision)
        found: dict[int, BatchAnswer] = {}
        with self._lock:
            batches = list(self.identifier.scored(collection, len(pictures), workers=0))
        for batch in batches:
            for failure in batch.failures:
                found[failure.row] = BatchAnswer(failure.key, None, None, failure.reason)
            chances = torch.softmax(batch.logits / self.identifier.temperature, dim=1).numpy()
            both = zip(batch.rows.tolist(), answers(chances), names(chances), strict=True)
            for row, answer, candidates in both:
                record = records[row]
                files = (record.image,)
                small = thumbnail(pictures[row].content, record.image)
                found[row] = BatchAnswer(
                    record.image,
                    Identification(record, answer, files),
                    Identification(record, candidates, files),
                    thumbnail=small,
                )
        return [found[row] for row in range(len(pictures))]

    def embedded(self, pictures: Sequence[Picture]) -> tuple[np.ndarray, np.ndarray]:
        """Embeds pictures, a few at a time.

        Returns:
            Which of them can be read `[B]`, and their embeddings `[B, D]`.
        """
        rows, vectors = [], []
        for start in range(0, len(pictures), AT_ONCE):
            collection = collection_of(pictures[start : start + AT_ONCE])
            with self._lock:
                (batch,) = self.identifier.scored(collection, AT_ONCE, workers=0)
            rows.append(batch.rows + start)
            vectors.append(batch.embeddings.numpy())
        return np.concatenate(rows), np.concatenate(vectors)

    def restricted(self, listed: TaxaList) -> Among:
        """Returns how to choose among the taxa of a list.

        Raises:
            HerbzooError: if the model can make nothing of it.
        """
        return among(listed, self.taxonomy, self.reads_names)

    def answer(
        self, examined: Examined, precision: float | None = None, chosen: Among | None = None
    ) -> Answer:
        """Ranks the taxa of a picture.

        Args:
            examined: the picture.
            precision: the share of answers that are to be right, if it is to be kept.
            chosen: the taxa to choose among; then no precision is kept, as it was measured among
                all the model's own.

        Raises:
            HerbzooError: if a precision is asked of a model that can promise none.
        """
        if chosen is None:
            scores = torch.softmax(examined.logits / self.identifier.temperature, dim=0)
            chances = scores.numpy()[None]
            promised = None
            if precision is not None:
                promised = self.identifier.ranking(precision=precision)(chances)[0][0]
            return Answer(ranked(self.taxonomy, chances), promised, precision, self.calibrated)
        chances = self._chances_among(examined, chosen)[None]
        return Answer(ranked(chosen.taxonomy, chances), None, None, False, chosen)

    def explain(
        self, examined: Examined, candidate: Candidate, chosen: Among | None
    ) -> Explanation:
        """Says where the model looked for a species.

        Raises:
            HerbzooError: if the model does not know it any more.
        """
        with self._lock:
            if chosen is not None and chosen.positions is None:
                explainer = Explainer(self._aim(chosen))
            else:
                self._explainer = self._explainer or Explainer(self.identifier)
                explainer = self._explainer
            collection = collection_of([Picture(examined.name, examined.shown)])
            (found,) = explainer.explained(collection, candidate.scientificName, workers=0)
        if isinstance(found, Failure):
            raise ImageError(f"{found.key}: {found.reason}")
        return found

    def _chances_among(self, examined: Examined, chosen: Among) -> np.ndarray:
        """Returns the probabilities of the taxa of a list `[taxa]`."""
        if chosen.positions is not None:
            logits = examined.logits[torch.from_numpy(chosen.positions)]
            return torch.softmax(logits / self.identifier.temperature, dim=0).numpy()
        with self._lock, torch.no_grad():
            aimed = self._aim(chosen)
            embedding = torch.from_numpy(examined.embedding)[None].to(aimed.device)
            logits = aimed.model.score(embedding).float().cpu()[0]
        return torch.softmax(logits, dim=0).numpy()

    def _aim(self, chosen: Among) -> Identifier:
        """Returns the model aimed at a list; a copy, of which there is one, shares the backbone."""
        from herbzoo.retargeting import aim

        if self._aimed is not None and self._aimed[0] is chosen.taxonomy:
            return self._aimed[1]
        own = self.identifier
        if self._aimed is None:
            shared: dict[int, Any] = {id(own.model.backbone): own.model.backbone}
            model = copy.deepcopy(own.model, shared)
            aimed = copy.copy(own)
            aimed.model = model
        else:
            aimed = self._aimed[1]
        self._aimed = None  # if aiming fails, the copy is of no use any more
        aim(aimed, chosen.taxonomy, chosen.name)
        self._aimed = (chosen.taxonomy, aimed)
        return aimed


def _name_of(run: str | Path) -> str:
    """Returns what a run is called; the quickstart's folder is named for what it is in."""
    folder = Path(run)
    if not folder.is_dir():
        return str(run)
    folder = folder.resolve()
    return folder.parent.name if folder.name == "run" else folder.name


def ranked(taxonomy: Taxonomy, chances: np.ndarray) -> dict[str, tuple[Candidate, ...]]:
    """Returns the candidates of a picture at every rank that a taxonomy knows.

    Args:
        taxonomy: the classes.
        chances: their probabilities `[1, C]`.

    Raises:
        RunError: if a probability is not a number.
    """
    found = {}
    for rank in RANKS:
        if rank != "species" and not any(taxon.at_rank(rank) for taxon in taxonomy.taxa):
            continue
        found[rank] = CandidateRanking(taxonomy, rank, TOP[rank])(chances)[0]
    return found
