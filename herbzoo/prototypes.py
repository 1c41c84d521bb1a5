"""Class means of embeddings: another way to score, and a way to new species without retraining.

Each function takes a run and leaves it as it was: a run goes in, a run comes out.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from herbzoo.build import LoadedRun, folder_of, load_run
from herbzoo.data.batches import UNKNOWN, class_indices
from herbzoo.data.records import Collection
from herbzoo.errors import DataError, RunError
from herbzoo.hub.card_yaml import FILE_NAME as STATED_FILE
from herbzoo.hub.cards import renew_card
from herbzoo.hub.training_facts import FILE_NAME as TRAINING_FILE
from herbzoo.image_batches import AUTO
from herbzoo.inference import Identifier, ScoredBatch
from herbzoo.interfaces import Extensible
from herbzoo.recipe import FILE_NAME as RECIPE_FILE
from herbzoo.run_folder import RunFolder
from herbzoo.taxonomy import BEFORE_REMAP, Taxonomy

logger = logging.getLogger(__name__)

KEPT = (RECIPE_FILE, BEFORE_REMAP, TRAINING_FILE, STATED_FILE)
"""What is as true of the new run as of the one it is made of."""
Progress = Callable[[int, int], None]
"""Is called with images done and images in all."""


def fit_prototypes(
    run: str | Path,
    collection: Collection,
    output: str | Path,
    *,
    device: str = "auto",
    batch_size: int = 32,
    workers: int = AUTO,
    progress: Progress | None = None,
) -> Path:
    """Writes a run that scores by the mean embedding of each species instead of its class vector.

    A species without images in the collection keeps its class vector; rows of species that the
    run does not know are passed over.

    Args:
        run: a run folder or Hub id.
        collection: the images to take the means of; as a rule, what the run was trained on.
        output: the new run folder.
        device: where to compute.
        batch_size: images at a time.
        workers: processes that decode images; `AUTO` (-1) chooses.
        progress: told how far it is.

    Returns:
        The new run folder.

    Raises:
        RunError: if there is something at `output`, or the run cannot be changed so.
        DataError: if no row is of a species that the run knows.
    """
    with _derived(run, Path(output)) as (loaded, write):
        classes = class_indices(collection, loaded.taxonomy)
        known = collection.select(classes != UNKNOWN)
        if not len(known):
            raise DataError(f"{collection.name} has no image of a species that {run} knows")
        classes = classes[classes != UNKNOWN]
        batches = Identifier(loaded, device, "float32").scored(known, batch_size, workers)
        sums, images = _class_sums(batches, classes, len(loaded.taxonomy), progress)
        present = images.nonzero().squeeze(1)
        loaded.model.head.set_prototypes(sums[present], present)
        options = loaded.model.config.head["options"]
        if "prototypes" in options:  # the head makes room for them only when it is told
            options["prototypes"] = True
        write(
            loaded,
            f"This run scores {len(present):,} of its {len(loaded.taxonomy):,} classes by the mean "
            f"embedding of {int(images.sum()):,} images, and the others by their class vectors. "
            "What was measured before was measured without these means; `herbzoo evaluate` "
            "measures it as it is.",
        )
    return Path(output)


def add_species(
    run: str | Path,
    collection: Collection,
    output: str | Path,
    *,
    device: str = "auto",
    batch_size: int = 32,
    workers: int = AUTO,
    progress: Progress | None = None,
) -> Path:
    """Writes a run that also knows the other species of a collection, without retraining.

    The mean embedding of a species' images becomes its class vector (Qi et al. 2018,
    arXiv:1712.07136). Rows of species that the run knows already are passed over.

    Args:
        run: a run folder or Hub id.
        collection: images of the new species; a few each will do.
        output: the new run folder, with the new species at the end of `taxonomy.json`.
        device: where to compute.
        batch_size: images at a time.
        workers: processes that decode images; `AUTO` (-1) chooses.
        progress: told how far it is.

    Returns:
        The new run folder.

    Raises:
        RunError: if there is something at `output`, or the run cannot be changed so.
        DataError: if there is no new species, or one without a readable image.
    """
    with _derived(run, Path(output)) as (loaded, write):
        before, names = loaded.taxonomy, collection.column("scientificName")
        fresh = (class_indices(collection, before) == UNKNOWN) & (names != "").to_numpy(dtype=bool)
        if not fresh.any():
            raise DataError(f"{collection.name} has no species that {run} does not know already")
        rows = collection.select(fresh)
        added = Taxonomy.from_collection(rows)
        batches = Identifier(loaded, device, "float32").scored(rows, batch_size, workers)
        sums, images = _class_sums(batches, class_indices(rows, added), len(added), progress)
        unseen = (images == 0).nonzero().flatten().tolist()
        if unseen:
            raise DataError(
                f"no image of {added.taxa[unseen[0]].scientificName} can be read, and of "
                f"{len(unseen) - 1} more species: mend the images, or leave the species out"
            )
        loaded.model.head.add_classes(sums)
        after = Taxonomy((*before.taxa, *added.taxa), name_table=before.name_table)
        labels = after.labels_in_order()
        config = loaded.model.config
        config.num_classes = len(after)
        config.id2label = dict(enumerate(labels))
        config.label2id = {name: index for index, name in enumerate(labels)}
        write(
            LoadedRun(loaded.model, loaded.processor, after, loaded.source),
            f"{len(added):,} of the {len(after):,} species were added after training, each as the "
            f"mean embedding of its images ({int(images.sum()):,} in all). Rows are counted below "
            "without theirs; `herbzoo evaluate` measures all.",
        )
    return Path(output)


@contextmanager
def _derived(
    run: str | Path, output: Path
) -> Iterator[tuple[LoadedRun, Callable[[LoadedRun, str], None]]]:
    """Yields the loaded run, and what writes the new one; the folder is ours or refused at once."""
    source, loaded = folder_of(run), load_run(run)
    config = loaded.model.config
    if not isinstance(loaded.model.head, Extensible):
        raise RunError(
            f"{run} has the head {config.head['name']!r}, which does not score by class means "
            "and takes no new species: train one that has set_prototypes and add_classes"
        )
    if config.class_map is not None:
        raise RunError(
            f"{run} was remapped to other names, so its head has other classes than its taxonomy: "
            "begin with the run that it was made from, and remap the result"
        )
    folder = RunFolder(output.absolute())
    folder.claim(resume=False)

    def write(changed: LoadedRun, notice: str) -> None:
        with folder.writing():
            staged = folder.stage()
            _save(source, loaded.taxonomy, changed, staged)
            renew_card(staged, "class vectors", notice, str(output))
            load_run(staged)
            folder.publish(staged)

    try:
        yield loaded, write
    finally:
        shutil.rmtree(folder.work, ignore_errors=True)
        if not any(folder.path.iterdir()):
            folder.path.rmdir()


def _save(source: Path, before: Taxonomy, run: LoadedRun, staged: Path) -> None:
    run.model.save_pretrained(staged)
    run.processor.save_pretrained(staged)
    run.taxonomy.save(staged)
    for name in KEPT:
        if (source / name).is_file():
            shutil.copyfile(source / name, staged / name)
    if run.taxonomy != before and not (staged / BEFORE_REMAP).is_file():
        before.save(staged, BEFORE_REMAP)  # by these its training rows are known again


def _class_sums(
    batches: Iterable[ScoredBatch], classes: np.ndarray, count: int, progress: Progress | None
) -> tuple[Tensor, Tensor]:
    """Adds up the directions of the embeddings of each class, in memory of one vector a class.

    Returns:
        Sums `[count, D]` and numbers of readable images `[count]`.
    """
    sums, images = torch.zeros(count, 0), torch.zeros(count, dtype=torch.long)
    for batch in batches:
        of = torch.from_numpy(classes[batch.rows])
        if not sums.shape[1]:
            sums = torch.zeros(count, batch.embeddings.shape[1])
        sums.index_add_(0, of, F.normalize(batch.embeddings, dim=-1))
        images += torch.bincount(of, minlength=count)
        for failure in batch.failures:
            logger.warning("left out: %s: %s", failure.key, failure.reason)
        if progress is not None:
            progress(batch.end, len(classes))
    return sums, images
