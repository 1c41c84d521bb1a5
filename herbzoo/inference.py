"""From images to ranked taxa: the one way that command line, evaluation and index run a model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from herbzoo.build import LoadedRun, choose_device, image_spec_of, load_run, place
from herbzoo.data.batches import UNKNOWN, ImageRows
from herbzoo.data.inputs import collect_images
from herbzoo.data.records import COLUMNS, Collection, SpecimenRecord
from herbzoo.data.transforms import Letterbox
from herbzoo.errors import HerbzooError, ImageError
from herbzoo.identification import CandidateRanking, Identification, PromisedRanking

if TYPE_CHECKING:
    from PIL.Image import Image

    ImageInput = str | Path | Image | Collection | Iterable[str | Path | Image]

DTYPES = ("auto", "float32", "bfloat16", "float16")
AUTO = -1
"""As a number of workers: as many as suit the images and the machine."""
MOST_WORKERS = 4
HANDFUL = 16
"""Up to so many images, starting worker processes costs more than they save."""


@dataclass(frozen=True)
class Failure:
    """An image that could not be read."""

    row: int
    """Position in the collection."""
    key: str
    reason: str


@dataclass(frozen=True)
class ScoredBatch:
    """What the model says of the readable images among some consecutive rows; `B` of them."""

    rows: np.ndarray
    """Positions in the collection `[B]`, ascending."""
    logits: Tensor
    """`[B, C]`, float32, on the CPU."""
    embeddings: Tensor
    """`[B, D]`, float32, on the CPU, not normalised."""
    failures: tuple[Failure, ...] = ()

    @property
    def end(self) -> int:
        """The position after the last row, readable or not."""
        return 1 + max([*self.rows[-1:].tolist(), *(failure.row for failure in self.failures)])


class Identifier:
    """A trained model, ready to say which taxon an image shows.

    Args:
        run: the model with its processor and taxonomy.
        device: where to run it.
        dtype: `float32`, or `bfloat16` or `float16` for the backbone alone. Neck and head always
            compute in float32: among thousands of classes half precision makes ties.
            `auto` is bfloat16 on a CUDA device that has it, else float32.
    """

    def __init__(self, run: LoadedRun, device: torch.device | str = "auto", dtype: str = "auto"):
        self.device = choose_device(str(device))
        self.dtype = _choose_dtype(dtype, self.device)
        self.model = place(run.model, self.device).eval()
        self.taxonomy = self.known = run.taxonomy
        """The classes; those it was trained on stay `known` when it is aimed at others."""
        self.source = run.source
        """The folder or Hub id the model was loaded from."""
        self.calibration = run.calibration
        self.letterbox = Letterbox(image_spec_of(run.processor))
        """What makes images into what the model sees."""

    @classmethod
    def from_pretrained(
        cls, run: str | Path, device: torch.device | str = "auto", dtype: str = "auto"
    ) -> Identifier:
        """Loads a run folder, or a Hub id (`org/name`, `org/name@revision`).

        Raises:
            RunError: if it is no herbzoo run, is damaged, or cannot be fetched.
            PluginError: if a part's plugin is not installed.
            HerbzooError: if there is no such device or dtype here.
        """
        return cls(load_run(run), device, dtype)

    def __call__(
        self,
        images: ImageInput,
        top_k: int = 5,
        rank: str = "species",
        batch_size: int = 32,
        workers: int = 0,
        precision: float | None = None,
    ) -> list[Identification]:
        """Identifies images.

        Scores are the softmax of the model's logits, at the temperature of its calibration if it
        has one.

        Args:
            images: a path (an image, a folder, a table, an archive), a Pillow image, a list of
                these, or a collection.
            top_k: the most candidates for each image.
            rank: `species`, `genus` or `family`; scores are summed to it.
            batch_size: images that go through the model together.
            workers: processes that decode images; 0 is none, `AUTO` (-1) chooses.
            precision: answer once, at the deepest rank at which this share of answers is right, or
                `unknown`; `top_k` and `rank` then do not matter.

        Returns:
            One identification an image, in order. One that cannot be read has no candidates and
            says why in `problem`; asking for its `best` raises.

        Raises:
            DataError: if a path leads nowhere or to no images.
            HerbzooError: if a precision is asked of a model that can promise none.
        """
        collection = images if isinstance(images, Collection) else collect_images(images)
        ranking = self.ranking(rank, top_k, precision)
        batches = self.identify(collection, ranking, batch_size=batch_size, workers=workers)
        return [identification for batch in batches for identification in batch]

    def identify(
        self,
        collection: Collection,
        ranking: CandidateRanking | PromisedRanking,
        *,
        by_specimen: bool = False,
        batch_size: int = 32,
        workers: int = AUTO,
    ) -> Iterator[list[Identification]]:
        """Identifies the images of a collection a batch at a time, in bounded memory.

        Args:
            collection: its names are not looked at.
            ranking: the rank and number of candidates.
            by_specimen: average the probabilities over the images of one `occurrenceID`; rows
                without one stand alone. Specimens come in the order of their first rows. Images
                that cannot be read still come one by one.
            batch_size: images that go through the model together.
            workers: processes that decode images; 0 is none, `AUTO` (-1) chooses.
        """
        specimens = _specimens(collection, by_specimen)
        order = np.argsort(specimens, kind="stable")
        ordered = collection.select(order) if by_specimen else collection
        averaging = _Averaging(np.sort(specimens))
        keys: list[str] = ordered.frame["image"].tolist()
        for batch in self.scored(ordered, batch_size, workers):
            probabilities = torch.softmax(batch.logits / self.temperature, dim=1).numpy()
            rows_of, means = averaging.take(batch.rows, probabilities, batch.end)
            answers = zip(rows_of, ranking(means), strict=True)
            found = [(rows, candidates, "") for rows, candidates in answers]
            found += [([failure.row], (), failure.reason) for failure in batch.failures]
            found.sort(key=lambda one: one[0][0])
            records = _records(ordered, [rows[0] for rows, _, _ in found])
            yield [
                Identification(record, candidates, tuple(keys[row] for row in rows), problem)
                for record, (rows, candidates, problem) in zip(records, found, strict=True)
            ]

    def ranking(
        self, rank: str = "species", top_k: int = 5, precision: float | None = None
    ) -> CandidateRanking | PromisedRanking:
        """Returns what makes answers of probabilities; see `__call__`.

        Raises:
            HerbzooError: if a precision is asked of a model that can promise none.
        """
        if precision is None:
            return CandidateRanking(self.taxonomy, rank, top_k)
        if self.calibration is None:
            raise HerbzooError(
                f"{self.source} has no calibration.json, so it can promise no precision: make one "
                "with `herbzoo calibrate`"
            )
        return PromisedRanking(self.taxonomy, self.calibration.thresholds(precision))

    @property
    def temperature(self) -> float:
        """By what logits are divided before the softmax; 1 without a calibration."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    def scored(
        self, collection: Collection, batch_size: int = 32, workers: int = AUTO
    ) -> Iterator[ScoredBatch]:
        """Runs the model over a collection, in order; an unreadable image does not end it.

        Args:
            collection: its names are not looked at.
            batch_size: rows in a batch, less those that cannot be read.
            workers: processes that decode images; 0 is none, `AUTO` (-1) chooses.
        """
        loader = DataLoader(
            _ReadableRows(collection, self.letterbox),
            batch_size=batch_size,
            num_workers=_worker_count(workers, len(collection)),
            collate_fn=_collate,
            pin_memory=self.device.type == "cuda",
        )
        for batch in loader:
            logits, embeddings = self._score(batch["pixels"])
            yield ScoredBatch(
                np.array(batch["rows"], dtype=np.int64), logits, embeddings, batch["failures"]
            )

    @torch.no_grad()  # inference mode would forbid training anything on the embeddings later
    def _score(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Maps `[B, 3, H, W]` to logits and embeddings; of no images makes none."""
        model = self.model.eval()
        if not len(pixels):
            width = model.neck.out_features
            return torch.empty(0, len(self.taxonomy)), torch.empty(0, width)
        placed = pixels.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        halved = self.dtype is not torch.float32
        try:
            with torch.autocast(self.device.type, dtype=self.dtype, enabled=halved):
                features = model.backbone(placed)
            features = features.float()
            embeddings = model.embed(None, features)
            return model.score(embeddings, features).float().cpu(), embeddings.cpu()
        except torch.OutOfMemoryError as error:
            raise HerbzooError(
                f"{self.device} has too little memory for {len(pixels)} images at once: "
                "give a smaller --batch-size"
            ) from error


class _ReadableRows(Dataset[tuple[int, Tensor | str, str]]):
    """Rows that come as pixels or, where the image cannot be read, as the reason."""

    def __init__(self, collection: Collection, letterbox: Letterbox) -> None:
        unlabelled = np.full(len(collection), UNKNOWN)
        self._rows = ImageRows(collection, letterbox, unlabelled)
        self._keys: list[str] = collection.frame["image"].tolist()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> tuple[int, Tensor | str, str]:
        try:
            return row, self._rows[row]["pixel_values"], self._keys[row]
        except ImageError as error:
            return row, str(error).removeprefix(f"{self._keys[row]}: "), self._keys[row]


def _collate(items: list[tuple[int, Tensor | str, str]]) -> dict[str, Any]:
    readable = [(row, pixels) for row, pixels, _ in items if isinstance(pixels, Tensor)]
    return {
        "rows": [row for row, _ in readable],
        "pixels": torch.stack([pixels for _, pixels in readable]) if readable else torch.empty(0),
        "failures": tuple(
            Failure(row, key, reason) for row, reason, key in items if isinstance(reason, str)
        ),
    }


@dataclass
class _Averaging:
    """Averages probabilities over the rows of a specimen, which come one after the other.

    Holds the sum of one unfinished specimen and nothing else from one batch to the next.
    """

    specimens: np.ndarray
    """Number of the specimen of each row, ascending."""
    _rows: list[int] = field(default_factory=list)
    _sum: np.ndarray | None = None

    def take(
        self, rows: np.ndarray, probabilities: np.ndarray, end: int
    ) -> tuple[list[list[int]], np.ndarray]:
        """Adds rows `[B]` with probabilities `[B, C]`; every row before `end` has been seen.

        Returns:
            The rows of the specimens that are finished, and their means `[specimens, C]`.
        """
        finished: list[list[int]] = []
        means: list[np.ndarray] = []

        def finish() -> None:
            if self._sum is not None:
                finished.append(self._rows)
                means.append(self._sum / len(self._rows))
            self._rows, self._sum = [], None

        for row, probability in zip(rows.tolist(), probabilities, strict=True):
            if self._rows and self.specimens[self._rows[0]] != self.specimens[row]:
                finish()
            self._rows.append(row)
            own = probability.astype(np.float64)
            self._sum = own if self._sum is None else self._sum + own
        ends_here = end == len(self.specimens) or (
            self._rows and self.specimens[end] != self.specimens[self._rows[0]]
        )
        if ends_here:
            finish()
        return finished, np.array(means).reshape(len(means), probabilities.shape[1])


def _specimens(collection: Collection, by_specimen: bool) -> np.ndarray:
    """Numbers the specimen of each row by its first row; every image its own unless asked."""
    rows = np.arange(len(collection))
    if not by_specimen:
        return rows
    first: dict[str, int] = {}
    ids = collection.column("occurrenceID").tolist()
    return np.array(
        [first.setdefault(name, row) if name else row for row, name in enumerate(ids)],
        dtype=np.int64,
    )


def _records(collection: Collection, rows: list[int]) -> list[SpecimenRecord]:
    chosen = collection.frame[list(COLUMNS)].iloc[rows]
    return [SpecimenRecord(*values) for values in chosen.itertuples(index=False, name=None)]


def _worker_count(asked: int, images: int) -> int:
    if asked >= 0:
        return asked
    return 0 if images <= HANDFUL else min(os.cpu_count() or 1, MOST_WORKERS)


def _choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    if wanted not in DTYPES:
        raise HerbzooError(f"there is no dtype {wanted!r}; there are {', '.join(DTYPES)}")
    if wanted != "auto":
        return getattr(torch, wanted)
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float32
