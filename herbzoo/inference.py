"""From images to ranked taxa: the one way that command line, evaluation and index run a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from herbzoo.build import LoadedRun, choose_device, image_spec_of, load_run, place
from herbzoo.data.inputs import collect_images
from herbzoo.data.records import COLUMNS, Collection, SpecimenRecord
from herbzoo.data.transforms import Letterbox
from herbzoo.embedder import EmbeddedBatch, Embedder, choose_dtype, suitable_batch
from herbzoo.errors import HerbzooError
from herbzoo.identification import CandidateRanking, Identification, PromisedRanking
from herbzoo.image_batches import AUTO, Failure, core_count, image_batches, worker_count
from herbzoo.specimen_means import SpecimenMeans, specimen_numbers

if TYPE_CHECKING:
    from PIL.Image import Image

    ImageInput = str | Path | Image | Collection | Iterable[str | Path | Image]


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
        self.dtype = choose_dtype(dtype, self.device)
        self.model = place(run.model, self.device).eval()
        self.taxonomy = self.known = run.taxonomy
        """The classes; those it was trained on stay `known` when it is aimed at others."""
        self.source = run.source
        """The folder or Hub id the model was loaded from."""
        self.revision = run.revision
        """The commit on the Hub it was fetched at; '' for a folder."""
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
        specimens = specimen_numbers(collection, by_specimen)
        order = np.argsort(specimens, kind="stable")
        ordered = collection.select(order) if by_specimen else collection
        averaging = SpecimenMeans(np.sort(specimens))
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
        for batch in image_batches(
            collection,
            self.letterbox,
            batch_size,
            worker_count(workers, len(collection)),
            pin_memory=self.device.type == "cuda",
        ):
            logits, embeddings = self._score(batch.pixels)
            yield ScoredBatch(batch.rows, logits, embeddings, batch.failures)

    def embedded(
        self,
        collection: Collection,
        batch_size: int = 0,
        workers: int = AUTO,
        *,
        neck: bool = True,
    ) -> Iterator[EmbeddedBatch]:
        """Embeds a collection, in order, without running the head; faster than `scored`.

        An unreadable image does not end it.

        Args:
            collection: its names are not looked at.
            batch_size: rows in a batch, less those that cannot be read; 0 for what suits the
                device.
            workers: processes that decode images; 0 is none, `AUTO` (-1) chooses.
            neck: whether to run it; without it, embeddings are the backbone's features.
        """
        embed = Embedder(self.model.eval(), self.letterbox, self.device, self.dtype, neck)
        batches = image_batches(
            collection,
            self.letterbox,
            batch_size or suitable_batch(self.device.type, self.letterbox.spec),
            worker_count(workers, len(collection), core_count()),
            fingerprinted=True,
            pin_memory=self.device.type == "cuda",
        )
        return embed.over(batches)

    @torch.no_grad()  # inference mode would forbid training anything on the embeddings later
    def _score(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Maps uint8 `[B, 3, H, W]` to logits and embeddings; of no images makes none."""
        model = self.model.eval()
        if not len(pixels):
            width = model.neck.out_features
            return torch.empty(0, len(self.taxonomy)), torch.empty(0, width)
        normal = self.letterbox.normalise(pixels.to(self.device, non_blocking=True))
        placed = normal.contiguous(memory_format=torch.channels_last)
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


def _records(collection: Collection, rows: list[int]) -> list[SpecimenRecord]:
    chosen = collection.frame[list(COLUMNS)].iloc[rows]
    return [SpecimenRecord(*values) for values in chosen.itertuples(index=False, name=None)]
