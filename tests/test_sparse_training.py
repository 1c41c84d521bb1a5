"""Class vectors with sparse gradients: optimiser, clipping, checkpoints and several processes."""

from __future__ import annotations

import pytest
import torch
import two_processes
from tiny import tiny_model
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset
from transformers import TrainingArguments

from herbzoo.build import build
from herbzoo.interfaces import PartSpec
from herbzoo.optimisation import DenseAndSparse, clip_gradients, create_optimizer
from herbzoo.recipe import OptimRecipe
from herbzoo.taxonomy import Taxonomy
from herbzoo.trainer import HerbTrainer

CLASSES, WIDTH, IMAGES = 40, 32, 160
RECIPE = OptimRecipe(lr=1e-2)


def sampled_model(**options):
    torch.manual_seed(0)
    head = PartSpec("arcface", {"sample_rate": 0.3, "margin_warmup_steps": 5, **options})
    parts = (PartSpec("timm:test_convnext"), PartSpec("linear_bn", {"embedding_size": 16}), head)
    names = Taxonomy.from_names(f"Genus species{number}" for number in range(CLASSES))
    model = build(*parts, names, image_size=WIDTH, pretrained_backbone=False)[0]
    model.hold_backbone(True)
    return model


class Features(Dataset):
    """Four features around a centre for each class."""

    def __init__(self, width: int) -> None:
        generator = torch.Generator().manual_seed(1)
        self.labels = torch.arange(IMAGES) % CLASSES
        centres = torch.randn(CLASSES, width, generator=generator)
        noise = torch.randn(IMAGES, width, generator=generator)
        self.features = centres[self.labels] + 0.3 * noise

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, drawn):
        row = getattr(drawn, "row", drawn)
        return {"features": self.features[row], "labels": self.labels[row]}


def trainer_of(model, folder, steps, recipe=RECIPE, **arguments) -> HerbTrainer:
    settings = {
        "use_cpu": True,
        "max_steps": steps,
        "per_device_train_batch_size": 16,
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "dataloader_pin_memory": False,
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "lr_scheduler_type": "cosine",
        "disable_tqdm": True,
        **arguments,
    }
    rows = Features(model.backbone.out_features)
    return HerbTrainer(
        recipe,
        model=model,
        args=TrainingArguments(output_dir=str(folder), **settings),
        train_dataset=rows,
    )


def accuracy(model) -> float:
    rows = Features(model.backbone.out_features)
    with torch.no_grad():
        logits = model.eval()(features=rows.features).logits
    return (logits.argmax(1) == rows.labels).float().mean().item()


def test_without_sparse_parameters_it_is_the_dense_optimiser_alone():
    model, _ = tiny_model(head="arcface")
    optimiser = create_optimizer(model, RECIPE, torch.optim.AdamW, {})
    assert type(optimiser) is torch.optim.AdamW
    held = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters()}


def test_every_parameter_is_in_one_group_and_sparse_ones_are_not_decayed():
    model = sampled_model()
    optimiser = create_optimizer(model, RECIPE, torch.optim.AdamW, {})
    held = [id(p) for group in optimiser.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    (sparse,) = [g for g in optimiser.param_groups if g["params"][0] is model.head.weight]
    assert sparse["weight_decay"] == 0


def test_a_schedule_moves_the_rates_of_both():
    model = sampled_model()
    optimiser = create_optimizer(model, RECIPE, torch.optim.AdamW, {})
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0 / (1 + step))
    before = [group["lr"] for group in optimiser.param_groups]
    optimiser.load_state_dict(optimiser.state_dict())  # as accelerate does
    optimiser.step()
    schedule.step()
    inner = [*optimiser.dense.param_groups, *optimiser.sparse.param_groups]
    assert [group["lr"] for group in inner] == pytest.approx([rate / 2 for rate in before])


def test_a_step_touches_the_sampled_rows_alone():
    model = sampled_model().train()
    optimiser = create_optimizer(model, RECIPE, torch.optim.AdamW, {})
    before = model.head.weight.detach().clone()
    rows = Features(model.backbone.out_features)
    model(features=rows.features[:8], labels=rows.labels[:8]).loss.backward()
    touched = model.head.weight.grad.coalesce().indices()[0]
    optimiser.step()
    moved = (model.head.weight != before).any(dim=1).nonzero().flatten()
    assert torch.equal(moved, touched)
    assert len(moved) == round(0.3 * CLASSES)
    assert not optimiser.sparse.state, "what it keeps for a million classes"


@pytest.mark.parametrize("max_norm", [0.5, float("inf"), 1e6])
def test_clipping_is_that_of_torch_on_dense_gradients(max_norm):
    torch.manual_seed(0)
    table, dense = nn.Parameter(torch.randn(10, 4)), nn.Parameter(torch.randn(3))
    parts = [(torch.tensor([1, 5, 1]), True), (torch.tensor([2, 5]), True)]
    norms, gradients = [], []
    for sparse in (True, False):
        table.grad = dense.grad = None
        for rows, _ in parts:  # two backward passes add up, with rows in common
            taken = F.embedding(rows, table, sparse=sparse)
            (taken.square().sum() * 3 + dense.square().sum()).backward()
        clip = clip_gradients if sparse else nn.utils.clip_grad_norm_
        norms.append(clip(iter([table, dense]), max_norm))
        gradients.append((table.grad.to_dense(), dense.grad))
    torch.testing.assert_close(norms[0], norms[1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_a_gradient_scaler_scales_both_and_skips_both_when_one_overflows():
    results = []
    for scale in (1.0, 1024.0):
        model = sampled_model().train()
        optimiser = create_optimizer(model, RECIPE, torch.optim.AdamW, {})
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        rows = Features(model.backbone.out_features)
        for _ in range(2):
            loss = model(features=rows.features[:8], labels=rows.labels[:8]).loss
            scaler.scale(loss).backward()
            scaler.unscale_(optimiser)
            clip_gradients(model.parameters(), 1.0)
            scaler.step(optimiser)
            scaler.update()
            optimiser.zero_grad()
        results.append(model.head.weight.detach().clone())
        before = {name: value.clone() for name, value in model.state_dict().items()}
        scaler.scale(model(features=rows.features[:8], labels=rows.labels[:8]).loss).backward()
        model.head.weight.grad._values()[0, 0] = torch.inf
        scaler.step(optimiser)
        assert torch.equal(model.head.weight, before["head.weight"])
        assert torch.equal(model.neck.linear.weight, before["neck.linear.weight"])
    torch.testing.assert_close(*results)


def test_a_sampled_head_learns_as_a_whole_one_does(tmp_path):
    reached = []
    for rate in (1.0, 0.3):
        model = sampled_model(sample_rate=rate)
        trainer_of(model, tmp_path, 80).train()
        reached.append(accuracy(model))
    assert reached[0] > 0.9
    assert reached[1] > reached[0] - 0.1, reached


def test_accumulated_batches_are_one_batch(tmp_path):
    """Two batches of eight move the same vectors as far as their mean gradient says."""
    model = sampled_model()
    trainer = trainer_of(
        *(model, tmp_path, 3),
        per_device_train_batch_size=8,
        gradient_accumulation_steps=2,
    )
    seen = []
    original = trainer._clip_grad_norm

    def spy(wrapped):
        seen.append(model.head.weight.grad.coalesce().indices().shape[1])
        return original(wrapped)

    trainer._clip_grad_norm = spy
    trainer.train()
    assert model.head.steps == 6
    assert len(seen) == 3 and max(seen) > round(0.3 * CLASSES), "rows of two samples"


@pytest.mark.parametrize("clip", [1.0, 0.0])
def test_a_resumed_training_ends_in_the_same_weights(tmp_path, clip):
    saving = {"save_strategy": "steps", "save_steps": 4, "max_grad_norm": clip}
    whole = sampled_model(rare_margin=0.5)
    trainer_of(whole, tmp_path / "run", 9, **saving).train()
    resumed = sampled_model(rare_margin=0.5)
    nn.init.zeros_(resumed.head.weight)  # what it has must come from the checkpoint
    trainer = trainer_of(resumed, tmp_path / "run", 9, **saving)
    trainer.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-4"))
    assert isinstance(trainer.optimizer.optimizer, DenseAndSparse)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.slow
def test_two_processes_equal_one_with_both_batches(tmp_path):
    torch.multiprocessing.spawn(two_processes.work, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["present"].tolist() == second["present"].tolist() == [2, 5, 9]
    for name, value in first["state"].items():
        assert torch.equal(value, second["state"][name]), name
    alone = two_processes.new_model()
    losses = two_processes.learn(alone, alone, slice(None))
    together = [sum(pair) / 2 for pair in zip(first["losses"], second["losses"], strict=True)]
    assert together == pytest.approx(losses, rel=1e-4)
    fresh = two_processes.new_model().state_dict()
    moved = (first["state"]["head.weight"] - fresh["head.weight"]).norm()
    apart = (first["state"]["head.weight"] - alone.head.weight).norm()
    assert apart < 1e-4 * moved
