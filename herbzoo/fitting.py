"""The loop itself: a prepared model learns its rows, through the Trainer.

What goes in is in `herbzoo.prepared`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.utils.tensorboard import SummaryWriter
from transformers import (
    EarlyStoppingCallback,
    ProgressCallback,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)
from transformers.integrations.integration_utils import TensorBoardCallback

from herbzoo.data.batches import UNKNOWN, FeatureRows, ImageRows, class_indices
from herbzoo.data.sampling import Order
from herbzoo.errors import HerbzooError, RecipeError
from herbzoo.heap import KeptHeap
from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
from herbzoo.prepared import EVALUATION_BATCH, Hardware, Prepared, kept_features
from herbzoo.processes import batch_of_each, first_goes_first, is_first, process_count
from herbzoo.recipe import Recipe
from herbzoo.run_folder import RunFolder
from herbzoo.stacking import withheld
from herbzoo.trainer import HeadFirst, HerbTrainer, Progress, TimedCheckpoint

MOST_OF_IT_FREE = 4
"""The backbone is held for a quarter of the steps at most, however short the training."""
IMAGES_A_STEP = "images a step"
"""Under which a run remembers them, over all processes."""


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
    with first_goes_first():
        checkpoint = run.last_checkpoint()
    finished = None if checkpoint is None else finished_weights(checkpoint)
    if finished is not None:  # killed after the training: the Trainer would go on for an epoch
        model.load_state_dict(load_file(finished))
        if hasattr(model.head, "refresh"):
            model.head.refresh()
        model.eval()
        return
    train = prepared.split.train
    if optim.stacking_species:  # what will be measured on must not be learned from
        train = train.select(~withheld(prepared, 0).hidden)
    known = class_indices(prepared.split.validation, prepared.taxonomy) != UNKNOWN
    validation = prepared.split.validation.select(known)
    images = [
        prepared.training_rows(train),
        *([prepared.rows(validation)] if len(validation) else []),
    ]
    rows: list[ImageRows] | list[FeatureRows] = images
    if optim.freeze_backbone:
        model.hold_backbone(True)
        report("computing the features of the frozen backbone, or reading those kept")
        with first_goes_first():  # the others read what it has kept
            rows = [kept_features(prepared, part, device, hardware, report) for part in images]
    train_rows, validation_rows = rows[0], next(iter(rows[1:]), None)
    # A resumed run may have another number of processes, and keeps its images a step.
    images_a_step = run.recall(IMAGES_A_STEP) or (
        optim.batch_size * optim.accumulate * process_count()
    )
    batch_size, accumulate = batch_of_each(images_a_step, optim.batch_size)
    trainer = HerbTrainer(
        optim,
        model=model,
        args=_arguments(
            recipe, run, device, hardware, batch_size, accumulate, validation_rows is not None
        ),
        train_dataset=train_rows,
        eval_dataset=validation_rows,
        draw=Order.of(optim.sampling, train, images[0].labels).draw,
    )
    trainer.remove_callback(ProgressCallback)
    steps_an_epoch = -(-len(train_rows) // images_a_step)
    steps = optim.max_steps or round(optim.epochs * steps_an_epoch)
    head_steps = min(round(optim.head_epochs * steps_an_epoch), steps // MOST_OF_IT_FREE)
    for callback in [*_callbacks(recipe, run, model, head_steps), Progress(report)]:
        trainer.add_callback(callback)
    if validation_rows is not None and optim.patience:
        trainer.add_callback(EarlyStoppingCallback(optim.patience))

    if checkpoint is not None:
        report(f"going on from step {checkpoint.name.rpartition('-')[2]}")
    heap = KeptHeap()
    trainer.add_callback(heap)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        heap.release()
    model.eval()


def _arguments(
    recipe: Recipe,
    run: RunFolder,
    device: torch.device,
    hardware: Hardware,
    batch_size: int,
    accumulate: int,
    validates: bool,
) -> TrainingArguments:
    optim = recipe.training
    dtype = _mixed_precision(hardware.dtype, device)
    arguments = TrainingArguments(
        output_dir=str(run.checkpoints),
        use_cpu=device.type == "cpu",
        seed=recipe.seed,
        num_train_epochs=optim.epochs,
        max_steps=optim.max_steps or -1,
        per_device_train_batch_size=batch_size,
        per_device_eval_batch_size=EVALUATION_BATCH,
        gradient_accumulation_steps=accumulate,
        learning_rate=optim.lr,
        lr_scheduler_type="cosine",
        warmup_steps=optim.warmup_share,
        weight_decay=optim.weight_decay,
        max_grad_norm=optim.grad_clip,
        bf16=dtype == "bfloat16",
        fp16=dtype == "float16",
        dataloader_num_workers=0 if optim.freeze_backbone else hardware.worker_count,
        dataloader_pin_memory=device.type != "cpu",
        # The backbone is held at first, and its parameters have no gradient then.
        ddp_find_unused_parameters=not optim.freeze_backbone and recipe.backbone.pretrained,
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
    if device.index and process_count() == 1:
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
    if recipe.training.log == "tensorboard" and is_first():
        callbacks.append(TensorBoardCallback(SummaryWriter(str(run.path / "logs"))))
    return callbacks


def _mixed_precision(dtype: str, device: torch.device) -> str:
    if dtype != "auto":
        return dtype
    if device.type != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
