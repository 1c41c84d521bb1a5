"""From a recipe to a run folder: read, split, build, train, evaluate, write."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from herbzoo.build import build, choose_device, place
from herbzoo.calibration import Calibration
from herbzoo.closed_form import Settled, check_closed_form, settle
from herbzoo.data.batches import UNKNOWN, class_indices, image_errors_in_one_line
from herbzoo.data.corrections import FACT, told
from herbzoo.data.records import Collection, Skipped
from herbzoo.data.splits import make_split
from herbzoo.data.unreadable import unreadable
from herbzoo.errors import DataError, RunError
from herbzoo.evaluation.calibrate import FEWEST, calibrate
from herbzoo.evaluation.evaluate import write_metrics
from herbzoo.evaluation.new_names import reads_names
from herbzoo.evaluation.protocols import Trial, protocol
from herbzoo.fitting import IMAGES_A_STEP, check_hardware, fit
from herbzoo.hub.cards import write_card
from herbzoo.hub.training_facts import Effort, write_training_facts
from herbzoo.inference import Identifier
from herbzoo.prepared import EVALUATION_BATCH, Hardware, Prepared
from herbzoo.processes import (
    first_goes_first,
    from_first,
    is_first,
    join,
    leave,
    own_device,
    process_count,
)
from herbzoo.recipe import FILE_NAME as RECIPE_FILE
from herbzoo.recipe import Recipe
from herbzoo.run_folder import RunFolder, write_json
from herbzoo.source import (
    CORRECTIONS_FILE,
    SKIPPED_FILE,
    corrected,
    open_source,
    read_corrections,
    read_skipped,
    without_images,
    write_skipped,
)
from herbzoo.taxonomy import Taxonomy
from herbzoo.whole_file import whole

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """A finished training."""

    run: Path
    """The run folder."""
    metrics: dict[str, Any] | None
    """What `metrics.json` holds; `None` if the data have no test rows."""
    seconds: float


def train(
    recipe: Recipe,
    *,
    resume: bool = False,
    hardware: Hardware | None = None,
    report: Callable[[str], None] = logger.info,
) -> TrainResult:
    """Trains a model, evaluates it on the test rows and writes the run folder.

    Args:
        recipe: what to do.
        resume: go on with the interrupted run in `recipe.output`.
        hardware: where to compute.
        report: takes a line about what is going on.

    Raises:
        HerbzooError: on anything the user can put right, before anything is overwritten.
    """
    started = time.monotonic()
    hardware = hardware or Hardware()
    device = own_device(choose_device(hardware.device))
    check_hardware(recipe, device, hardware)
    collection = open_source(recipe.data)
    run = RunFolder(Path(recipe.output).absolute())
    decisions = read_corrections(recipe.data, run.work) if recipe.data.corrections else b""
    join(device)
    report = report if is_first() else _say_nothing
    if recipe.data.skip_bad:
        if is_first():
            run.check(resume)  # before minutes of decoding
        collection = _readable(collection, run, device, hardware, report)
    prepared = _prepare(recipe, collection, decisions)
    check_closed_form(prepared)
    with first_goes_first():
        if is_first():
            _begin(prepared, run, resume, collection.skipped, decisions)
    if (made := prepared.split.train.facts.get(FACT)) is not None:
        report(f"names corrected by {made['file']}: {told(made)}")
    report(_summary(prepared))
    place(prepared.model, device)
    with run.writing(), image_errors_in_one_line():
        if recipe.training.epochs or recipe.training.max_steps:
            fit(prepared, run, device, hardware, report)
        leave()
        if not is_first():
            return TrainResult(run.path, None, time.monotonic() - started)
        settled = None
        if recipe.training.discriminant:
            settled = settle(prepared, device, hardware, report)
        metrics = _finish(
            prepared, run, device, hardware, settled, time.monotonic() - started, resume
        )
    return TrainResult(run.path, metrics, time.monotonic() - started)


def _readable(
    collection: Collection,
    run: RunFolder,
    device: torch.device,
    hardware: Hardware,
    report: Callable[[str], None],
) -> Collection:
    """Leaves out images that cannot be decoded; a resumed run keeps to the list it began with."""

    def listed() -> list[tuple[str, str]]:
        if run.recall(IMAGES_A_STEP) is not None:  # written last: the list is complete
            found: Sequence[Skipped] = read_skipped(run.work)
        else:
            report(f"looking for unreadable images among {len(collection):,}")
            found = unreadable(collection, workers=hardware.worker_count)
        keys = set(collection.frame["image"])
        return [(item.where, item.reason) for item in found if item.where in keys]

    kept = without_images(collection, [Skipped(*item) for item in from_first(listed, device)])
    if kept.skipped:
        report(
            f"skipping {len(kept.skipped):,} rows and images that cannot be used, such as "
            f"{kept.skipped[0].where} ({kept.skipped[0].reason}); {SKIPPED_FILE} lists them"
        )
    return kept


def _begin(
    prepared: Prepared,
    run: RunFolder,
    resume: bool,
    skipped: Sequence[Skipped],
    decisions: bytes,
) -> None:
    """Takes the run folder and writes down what the training is, or checks that it still is."""
    run.claim(resume)
    facts = _facts(prepared)
    if resume:
        _refuse_another_recipe(prepared.recipe, run)
        run.check_unchanged(facts)
    else:
        prepared.recipe.save(run.work)
        if skipped:
            write_skipped(run.work, skipped)
        if decisions:
            with whole(run.work / CORRECTIONS_FILE) as partial:
                partial.write_bytes(decisions)
        optim = prepared.recipe.training
        facts[IMAGES_A_STEP] = optim.batch_size * optim.accumulate * process_count()
        run.remember(facts)


def _say_nothing(line: str) -> None:
    """Takes a line of a process that is not the first."""


def _refuse_another_recipe(recipe: Recipe, run: RunFolder) -> None:
    """Compares with the recipe the run began with, key by key."""
    began = _flat(Recipe.load(run.work / RECIPE_FILE).to_dict())
    now = _flat(recipe.to_dict())
    changed = [key for key in now if now[key] != began.get(key) and key != "output"]
    if changed:
        key = changed[0]
        raise RunError(
            f"{run.path} began with {key} {began.get(key)!r}, not {now[key]!r}: resume without "
            "changing it, or train into another --output"
        )


def _flat(values: dict[str, Any], place: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{place}{key}.") if isinstance(value, dict) else {place + key: value}
    return flat


def _prepare(recipe: Recipe, collection: Collection, decisions: bytes) -> Prepared:
    for column in recipe.data.group_by:
        collection.column(column)
    split = make_split(
        collection,
        recipe.data.split_column or None,
        recipe.seed,
        validation_share=recipe.data.validation_share,
        test_share=recipe.data.test_share,
    )
    if decisions:
        split = corrected(split, recipe.data, decisions)
    taxonomy = Taxonomy.from_collection(split.train)
    if len(taxonomy) < 2:
        raise DataError(
            f"{collection.name} has one species in its training rows, "
            f"{taxonomy.taxa[0].scientificName}: there is nothing to tell apart"
        )
    set_seed(recipe.seed)
    model, processor = build(
        recipe.backbone.spec,
        recipe.neck.spec,
        recipe.head.spec,
        taxonomy,
        image_size=recipe.image.size,
        pretrained_backbone=recipe.backbone.pretrained,
        pretrained_head=recipe.head.pretrained,
    )
    return Prepared(recipe, split, taxonomy, model, processor)


def _facts(prepared: Prepared) -> dict[str, Any]:
    """Returns what must not change between an interruption and its resume."""
    split = prepared.split
    facts: dict[str, Any] = {"species": len(prepared.taxonomy)}
    for name, part in (("train", split.train), ("validation", split.validation)):
        digest = hashlib.sha256()
        for key, species in zip(part.frame["image"], part.frame["scientificName"], strict=True):
            digest.update(f"{key}\0{species}\0".encode())
        facts[f"{name} rows"] = f"{len(part)}, digest {digest.hexdigest()[:12]}"
    return facts


def _summary(prepared: Prepared) -> str:
    recipe, split = prepared.recipe, prepared.split
    parameters = sum(p.numel() for p in prepared.model.parameters())
    return (
        f"{recipe.backbone.name} x {recipe.head.name}, {parameters / 1e6:.1f} M parameters; "
        f"{len(prepared.taxonomy)} species; {len(split.train)} images to train on, "
        f"{len(split.validation)} to validate, {len(split.test)} to test ({split.rule}"
        + (f"; {split.left_out} left out)" if split.left_out else ")")
    )


def _finish(
    prepared: Prepared,
    run: RunFolder,
    device: torch.device,
    hardware: Hardware,
    settled: Settled | None,
    seconds: float,
    resumed: bool,
) -> dict[str, Any] | None:
    """Writes the finished run beside, evaluates what was written, and moves it into place."""
    staged = run.stage()
    model = prepared.model
    model.hold_backbone(False)
    model.save_pretrained(staged)
    prepared.processor.save_pretrained(staged)
    prepared.taxonomy.save(staged)
    prepared.recipe.save(staged)
    for name in (SKIPPED_FILE, CORRECTIONS_FILE):
        if (run.work / name).is_file():
            shutil.copyfile(run.work / name, staged / name)
    if settled is not None:
        write_json(staged / "stacking.json", settled.stacking.to_dict())
    metrics = None
    identifier = Identifier.from_pretrained(
        staged,
        device=str(device),
        dtype="float32" if hardware.dtype == "auto" else hardware.dtype,
    )
    identifier.calibration = _calibration(prepared, identifier, hardware, settled)
    if identifier.calibration is not None:
        identifier.calibration.save(staged)
    if len(prepared.split.test):
        trial = Trial(
            identifier,
            prepared.split.test,
            prepared.split.train,
            group_by=prepared.recipe.data.group_by,
            batch_size=EVALUATION_BATCH,
            workers=hardware.worker_count,
        )
        unknown = (class_indices(prepared.split.test, prepared.taxonomy) == UNKNOWN).any()
        which = "zero_shot" if unknown and reads_names(identifier) else "standard"
        metrics = protocol(which)(trial).metrics
        write_metrics(staged, metrics)
    effort = Effort(seconds, resumed, device, hardware.dtype, process_count())
    write_training_facts(staged, prepared.recipe, prepared.split, model, effort)
    write_card(staged, model_id=prepared.recipe.output)
    run.publish(staged)
    return metrics


def _calibration(
    prepared: Prepared, identifier: Identifier, hardware: Hardware, settled: Settled | None
) -> Calibration | None:
    """Learns how far scores can be trusted, from validation rows or else from withheld ones."""
    validation = prepared.split.validation
    known = class_indices(validation, prepared.taxonomy) != UNKNOWN
    if known.sum() < FEWEST:
        return settled.calibration if settled is not None else None
    try:
        return calibrate(
            identifier,
            validation,
            f"validation rows ({prepared.split.rule})",
            batch_size=EVALUATION_BATCH,
            workers=hardware.worker_count,
        )
    except DataError as error:  # scores that are no numbers, say; the run is kept all the same
        logger.warning("the run is not calibrated: %s", error)
        return None
