"""The loop itself: a prepared model learns its rows, through the Trainer.

What goes in is decided by recipe and data (`Prepared`) and by the machine (`Hardware`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.utils.tensorboard import SummaryWriter
from transformers import (
    CLIPImageProcessor,
    EarlyStoppingCallback,
    ProgressCallback,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)
from transformers.integrations.integration_utils import TensorBoardCallback

from herbzoo.build import image_spec_of
from herbzoo.data.batches import UNKNOWN, FeatureRows, ImageRows, class_indices
from herbzoo.data.records import Collection
from herbzoo.data.splits import Split
from herbzoo.data.transforms import Augment, Letterbox
from herbzoo.errors import HerbzooError, RecipeError
from herbzoo.features import frozen_features
from herbzoo.inference import DTYPES
from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
from herbzoo.recipe import Recipe
from herbzoo.run_folder import RunFolder
from herbzoo.taxonomy import Taxonomy
from herbzoo.trainer import HeadFirst, HerbTrainer, Progress, TimedCheckpoint

EVALUATION_BATCH = 64
MOST_OF_IT_FREE = 4
"""The backbone is held for a quarter of the steps at most, however short the training."""


@dataclass(frozen=True)
class Hardware:
    """Where and how to compute; it is no part of the recipe."""

    device: str = "auto"
    workers: int = -1
    """Processes that decode images; -1 for one a core."""
    dtype: str = "auto"
    """`float32`, `bfloat16` or `float16`; `auto` is mixed precision where the hardware has it."""

    def __post_init__(self) -> None:
        """Refuses what cannot be, before anything is loaded.

        Raises:
            HerbzooError: if there is no such dtype.
        """
        if self.dtype not in DTYPES:
            raise HerbzooError(f"there is no dtype {self.dtype!r}; there are {', '.join(DTYPES)}")

    @property
    def worker_count(self) -> int:
        """Processes to start."""
        return (os.cpu_count() or 1) if self.workers < 0 else self.workers


@dataclass(frozen=True)
class Prepared:
    """Everything that a training needs and that its recipe and data decide."""

    recipe: Recipe
    split: Split
    taxonomy: Taxonomy
    model: HerbForImageClassification
    processor: CLIPImageProcessor


def fit(
    prepared: Prepared,
    run: RunFolder,
    device: torch.device,
    hardware: Hardware,
    report: Callable[[str], None],
) -> None:
    """Trains the prepared model in place, going on from the run's last checkpoint if it has one.

    Args:
        prepared: the model, on its device, and the rows.
        run: where checkpoints and logs go.
        device: where to compute.
        hardware: workers and precision.
        report: takes a line about what is going on.

    Raises:
        ImageError: if an image cannot be read; the run can be resumed.
    """
    recipe, model = prepared.recipe, prepared.model
    optim = recipe.training
    checkpoint = run.last_checkpoint()
    finished = None if checkpoint is None else finished_weights(checkpoint)
    if finished is not None:  # killed after the training: the Trainer would go on for an epoch
        model.load_state_dict(load_file(finished))
        if hasattr(model.head, "refresh"):
            model.head.refresh()
        model.eval()
        return
    known = class_indices(prepared.split.validation, prepared.taxonomy) != UNKNOWN
    validation = prepared.split.validation.select(known)
    images = [
        _rows(prepared, prepared.split.train, Augment(recipe.image.augment)),
        *([_rows(prepared, validation, None)] if len(validation) else []),
    ]
    rows: list[ImageRows] | list[FeatureRows] = images
    if optim.freeze_backbone:
        model.hold_backbone(True)
        report("computing the features of the frozen backbone, or reading those kept")
        rows = [_features(prepared, part, device, hardware, report) for part in images]
    train_rows, validation_rows = rows[0], next(iter(rows[1:]), None)
    trainer = HerbTrainer(
        optim,
        model=model,
        args=_arguments(recipe, run, device, hardware, validation_rows is not None),
        train_dataset=train_rows,
        eval_dataset=validation_rows,
    )
    trainer.remove_callback(ProgressCallback)
    steps_an_epoch = -(-len(train_rows) // (optim.batch_size * optim.accumulate))
    steps = optim.max_steps or round(optim.epochs * steps_an_epoch)
    head_steps = min(round(optim.head_epochs * steps_an_epoch), steps // MOST_OF_IT_FREE)
    for callback in [*_callbacks(recipe, run, model, head_steps), Progress(report)]:
        trainer.add_callback(callback)
    if validation_rows is not None and optim.patience:
        trainer.add_callback(EarlyStoppingCallback(optim.patience))

    if checkpoint is not None:
        report(f"going on from step {checkpoint.name.rpartition('-')[2]}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    model.eval()


def _arguments(
    recipe: Recipe, run: RunFolder, device: torch.device, hardware: Hardware, validates: bool
) -> TrainingArguments:
    optim = recipe.training
    dtype = _mixed_precision(hardware.dtype, device)
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
        dataloader_num_workers=0 if optim.freeze_backbone else hardware.worker_count,
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
    # With several GPUs the Trainer would quietly take nn.DataParallel and a larger batch.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def finished_weights(checkpoint: Path) -> Path | None:
    """Returns the weights that a training ended with, or `None` if it had not ended there."""
    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    control = state.stateful_callbacks["TrainerControl"]
    if not control["args"]["should_training_stop"]:
        return None
    best = state.best_model_checkpoint
    stops_early = "EarlyStoppingCallback" in state.stateful_callbacks
    kept = checkpoint.with_name(Path(best).name) if stops_early and best else checkpoint
    return kept / "model.safetensors"


def check_hardware(recipe: Recipe, device: torch.device, hardware: Hardware) -> None:
    """Refuses what the Trainer could not do, before anything is written.

    Raises:
        HerbzooError: if the device is not the first GPU, or does not know the dtype.
        RecipeError: if the log asked for is not installed.
    """
    if recipe.training.log == "trackio" and find_spec("trackio") is None:
        raise RecipeError("training.log is trackio, which is not installed: pip install trackio")
    if device.index:
        raise HerbzooError(
            f"training uses the first GPU it sees, not {device}: set CUDA_VISIBLE_DEVICES="
            f"{device.index} and leave out --device"
        )
    wants_bfloat16 = device.type == "cuda" and hardware.dtype == "bfloat16"
    if wants_bfloat16 and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise HerbzooError("this GPU has no bfloat16: give --dtype float16 or float32")


def _callbacks(
    recipe: Recipe, run: RunFolder, model: HerbForImageClassification, head_steps: int
) -> list[TrainerCallback]:
    callbacks: list[TrainerCallback] = [TimedCheckpoint(recipe.training.checkpoint_minutes)]
    if not recipe.training.freeze_backbone:
        callbacks.append(HeadFirst(model, head_steps if recipe.backbone.pretrained else 0))
    if recipe.training.log == "tensorboard":
        callbacks.append(TensorBoardCallback(SummaryWriter(str(run.path / "logs"))))
    return callbacks


def _rows(prepared: Prepared, part: Collection, augment: Augment | None) -> ImageRows:
    letterbox = Letterbox(image_spec_of(prepared.processor))
    labels = class_indices(part, prepared.taxonomy)
    return ImageRows(part, letterbox, labels, augment, prepared.recipe.seed)


def _features(
    prepared: Prepared,
    rows: ImageRows,
    device: torch.device,
    hardware: Hardware,
    report: Callable[[str], None],
) -> FeatureRows:
    def tell(done: int, total: int) -> None:
        step = EVALUATION_BATCH * 16
        if done // step != (done - EVALUATION_BATCH) // step or done == total:
            report(f"features: {done} of {total} views")

    drawn = rows.augment is not None and rows.augment.strength > 0
    features = frozen_features(
        prepared.model,
        rows,
        views=prepared.recipe.training.feature_views if drawn else 1,
        device=device,
        batch_size=EVALUATION_BATCH,
        workers=hardware.worker_count,
        progress=tell,
    )
    return FeatureRows(features, rows.labels)


def _mixed_precision(dtype: str, device: torch.device) -> str:
    if dtype != "auto":
        return dtype
    if device.type != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
