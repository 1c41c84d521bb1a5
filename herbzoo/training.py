"""From a recipe to a run folder: read, split, build, train, evaluate, write."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from torch.utils.tensorboard import SummaryWriter
from transformers import (
    CLIPImageProcessor,
    EarlyStoppingCallback,
    ProgressCallback,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.integrations import TensorBoardCallback

from herbzoo.build import LoadedRun, build, choose_device, image_spec_of, place
from herbzoo.data.batches import (
    UNKNOWN,
    FeatureRows,
    ImageRows,
    class_indices,
    image_errors_in_one_line,
)
from herbzoo.data.readers import open_collection
from herbzoo.data.records import Collection
from herbzoo.data.splits import Split, make_split
from herbzoo.data.transforms import Augment, Letterbox
from herbzoo.errors import DataError
from herbzoo.evaluation.evaluate import evaluate, write_metrics
from herbzoo.features import frozen_features
from herbzoo.hub.cards import write_card
from herbzoo.inference import Identifier
from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
from herbzoo.recipe import Recipe
from herbzoo.run_folder import RunFolder
from herbzoo.taxonomy import Taxonomy
from herbzoo.trainer import HeadFirst, HerbTrainer, Progress, TimedCheckpoint

logger = logging.getLogger(__name__)

EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Hardware:
    """Where and how to compute; it is no part of the recipe."""

    device: str = "auto"
    workers: int = -1
    """Processes that decode images; -1 for one a core."""
    dtype: str = "auto"
    """`float32`, `bfloat16` or `float16`; `auto` is mixed precision where the hardware has it."""

    @property
    def worker_count(self) -> int:
        """Processes to start."""
        return (os.cpu_count() or 1) if self.workers < 0 else self.workers


@dataclass(frozen=True)
class TrainResult:
    """A finished training."""

    run: Path
    """The run folder."""
    metrics: dict[str, Any] | None
    """What `metrics.json` holds; `None` if the data have no test rows."""
    seconds: float


@dataclass(frozen=True)
class _Prepared:
    """Everything that a training needs and that its recipe and data decide."""

    recipe: Recipe
    split: Split
    taxonomy: Taxonomy
    model: HerbForImageClassification
    processor: CLIPImageProcessor


def train(
    recipe: Recipe,
    *,
    resume: bool = False,
    group_by: tuple[str, ...] = (),
    hardware: Hardware | None = None,
    report: Callable[[str], None] = logger.info,
) -> TrainResult:
    """Trains a model, evaluates it on the test rows and writes the run folder.

    Args:
        recipe: what to do.
        resume: go on with the interrupted run in `recipe.output`.
        group_by: columns to also report the metrics by.
        hardware: where to compute.
        report: takes a line about what is going on.

    Raises:
        HerbzooError: on anything the user can put right, before anything is overwritten.
    """
    started = time.monotonic()
    hardware = hardware or Hardware()
    device = choose_device(hardware.device)
    collection = open_collection(recipe.data.source, name_column=recipe.data.name_column or None)
    prepared = _prepare(recipe, collection, group_by)
    run = RunFolder(Path(recipe.output).absolute())
    run.claim(resume)
    facts = _facts(prepared)
    if resume:
        run.check_unchanged(facts)
    else:
        recipe.save(run.work)
        run.remember(facts)
    report(_summary(prepared))
    place(prepared.model, device)
    with image_errors_in_one_line():
        _fit(prepared, run, device, hardware, report)
    metrics = _finish(prepared, run, device, hardware, group_by, time.monotonic() - started)
    return TrainResult(run.path, metrics, time.monotonic() - started)


def _prepare(recipe: Recipe, collection: Collection, group_by: tuple[str, ...]) -> _Prepared:
    for column in group_by:
        collection.column(column)
    split = make_split(
        collection,
        recipe.data.split_column or None,
        recipe.seed,
        validation_share=recipe.data.validation_share,
        test_share=recipe.data.test_share,
    )
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
    return _Prepared(recipe, split, taxonomy, model, processor)


def _facts(prepared: _Prepared) -> dict[str, Any]:
    """Returns what must not change between an interruption and its resume."""
    split = prepared.split
    facts: dict[str, Any] = {"species": len(prepared.taxonomy)}
    for name, part in (("train", split.train), ("validation", split.validation)):
        digest = hashlib.sha256()
        for key, species in zip(part.frame["image"], part.frame["scientificName"], strict=True):
            digest.update(f"{key}\0{species}\0".encode())
        facts[f"{name} rows"] = f"{len(part)}, digest {digest.hexdigest()[:12]}"
    return facts


def _summary(prepared: _Prepared) -> str:
    recipe, split = prepared.recipe, prepared.split
    parameters = sum(p.numel() for p in prepared.model.parameters())
    return (
        f"{recipe.backbone.name} x {recipe.head.name}, {parameters / 1e6:.1f} M parameters; "
        f"{len(prepared.taxonomy)} species; {len(split.train)} images to train on, "
        f"{len(split.validation)} to validate, {len(split.test)} to test ({split.rule}"
        + (f"; {split.left_out} left out)" if split.left_out else ")")
    )


def _fit(
    prepared: _Prepared,
    run: RunFolder,
    device: torch.device,
    hardware: Hardware,
    report: Callable[[str], None],
) -> None:
    recipe, model, split = prepared.recipe, prepared.model, prepared.split
    optim = recipe.training
    train_rows = _rows(prepared, split.train, Augment(recipe.image.augment))
    known = class_indices(split.validation, prepared.taxonomy) != UNKNOWN
    validation_rows = _rows(prepared, split.validation.select(known), None)
    workers = hardware.worker_count
    train_set: Dataset[Any] = train_rows
    validation_set: Dataset[Any] = validation_rows
    if optim.freeze_backbone:
        model.hold_backbone(True)
        report("computing the features of the frozen backbone, or reading those kept")
        views = optim.feature_views if recipe.image.augment > 0 else 1
        train_set = _features(prepared, train_rows, views, device, workers, report)
        validation_set = _features(prepared, validation_rows, 1, device, workers, report)
        workers = 0

    dtype = _mixed_precision(hardware.dtype, device)
    validates = len(validation_rows) > 0
    arguments = TrainingArguments(
        output_dir=str(run.checkpoints),
        use_cpu=device.type == "cpu",
        seed=recipe.seed,
        num_train_epochs=optim.epochs,
        max_steps=optim.max_steps or -1,
        per_device_train_batch_size=optim.batch_size,
        per_device_eval_batch_size=EVALUATION_BATCH,
        gradient_accumulation_steps=optim.accumulate,
        learning_rate=optim.lr,
        lr_scheduler_type="cosine",
        warmup_steps=optim.warmup_share,
        weight_decay=optim.weight_decay,
        max_grad_norm=optim.grad_clip,
        bf16=dtype == "bfloat16",
        fp16=dtype == "float16",
        dataloader_num_workers=workers,
        dataloader_pin_memory=device.type != "cpu",
        remove_unused_columns=False,
        label_names=["labels"],
        logging_strategy="epoch",
        eval_strategy="epoch" if validates else "no",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=validates and optim.patience > 0,
        metric_for_best_model="top1",
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        report_to="trackio" if optim.log == "trackio" else "none",
    )
    trainer = HerbTrainer(
        optim,
        model=model,
        args=arguments,
        train_dataset=train_set,
        eval_dataset=validation_set if validates else None,
    )
    steps_an_epoch = -(-len(train_rows) // (optim.batch_size * optim.accumulate))
    for callback in _callbacks(recipe, run, model, round(optim.head_epochs * steps_an_epoch)):
        trainer.add_callback(callback)
    if validates and optim.patience:
        trainer.add_callback(EarlyStoppingCallback(optim.patience))
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(Progress())

    checkpoint = run.last_checkpoint()
    if checkpoint is not None:
        report(f"going on from step {checkpoint.name.rpartition('-')[2]}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    model.eval()


def _callbacks(
    recipe: Recipe, run: RunFolder, model: HerbForImageClassification, head_steps: int
) -> list[TrainerCallback]:
    callbacks: list[TrainerCallback] = [TimedCheckpoint(recipe.training.checkpoint_minutes)]
    if not recipe.training.freeze_backbone:
        callbacks.append(HeadFirst(model, head_steps if recipe.backbone.pretrained else 0))
    if recipe.training.log == "tensorboard":
        callbacks.append(TensorBoardCallback(SummaryWriter(str(run.path / "logs"))))
    return callbacks


def _rows(prepared: _Prepared, part: Collection, augment: Augment | None) -> ImageRows:
    letterbox = Letterbox(image_spec_of(prepared.processor))
    labels = class_indices(part, prepared.taxonomy)
    return ImageRows(part, letterbox, labels, augment, prepared.recipe.seed)


def _features(
    prepared: _Prepared,
    rows: ImageRows,
    views: int,
    device: torch.device,
    workers: int,
    report: Callable[[str], None],
) -> FeatureRows:
    def tell(done: int, total: int) -> None:
        step = EVALUATION_BATCH * 16
        if done // step != (done - EVALUATION_BATCH) // step or done == total:
            report(f"features: {done} of {total} images")

    features = frozen_features(
        prepared.model,
        rows,
        views=views,
        device=device,
        batch_size=EVALUATION_BATCH,
        workers=workers,
        progress=tell,
    )
    return FeatureRows(features, rows.labels)


def _mixed_precision(dtype: str, device: torch.device) -> str:
    if dtype != "auto":
        return dtype
    if device.type != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


def _finish(
    prepared: _Prepared,
    run: RunFolder,
    device: torch.device,
    hardware: Hardware,
    group_by: tuple[str, ...],
    seconds: float,
) -> dict[str, Any] | None:
    """Writes the finished run beside, evaluates what was written, and moves it into place."""
    staged = run.stage()
    model = prepared.model
    model.hold_backbone(False)
    model.save_pretrained(staged)
    prepared.processor.save_pretrained(staged)
    prepared.taxonomy.save(staged)
    prepared.recipe.save(staged)
    metrics = None
    if len(prepared.split.test):
        identifier = Identifier.from_pretrained(
            staged,
            device=str(device),
            dtype="float32" if hardware.dtype == "auto" else hardware.dtype,
        )
        metrics = evaluate(
            identifier,
            prepared.split.test,
            group_by=group_by,
            train=prepared.split.train,
            batch_size=EVALUATION_BATCH,
            workers=hardware.worker_count,
        )
        write_metrics(staged, metrics)
    loaded = LoadedRun(model, prepared.processor, prepared.taxonomy, run.path.name)
    write_card(staged, prepared.recipe, loaded, prepared.split, metrics, seconds)
    run.publish(staged)
    return metrics
