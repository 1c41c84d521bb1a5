"""Checks of a head: embeddings in, scores and a loss out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from herbzoo.conformance import module
from herbzoo.conformance.report import Check, Listener, Nonconformity, run
from herbzoo.conformance.subject import (
    FACTS,
    IN_FEATURES,
    NUM_CLASSES,
    OTHER_FACTS,
    Subject,
)
from herbzoo.interfaces import Head, LabelAware, SparselyTrained

TOY_STEPS = 30


def check_head_subject(subject: Subject, listener: Listener) -> tuple[Check, ...]:
    """Runs the checks of a head; on the meta device, those that need no values."""
    essential: tuple[Callable[[Any], str | None], ...] = (
        module.spells_out_its_options,
        module.constructs_without_network,
        offers_what_a_head_must,
    )
    if subject.device == "meta":
        return run(subject, essential, (), listener)
    further: tuple[Callable[[Any], str | None], ...] = (
        module.seeds_no_global_generator,
        gives_finite_scores_without_labels,
        module.answers_each_item_alone_in_eval,
        module.differs_in_training_only_by_dropout_and_norm,
        resets_every_parameter,
        sends_gradients_to_every_parameter,
        names_its_sparse_gradients,
        learns_a_separable_batch,
        loss_is_finite_with_one_class_in_the_batch,
        loss_is_finite_for_a_single_item,
        loss_is_finite_for_embeddings_of_zeros,
        loss_is_finite_for_embeddings_of_huge_norm,
        loss_is_finite_in_bfloat16,
        module.saves_to_safetensors_and_comes_back,
        module.loads_through_the_meta_device,
    )
    if issubclass(subject.part, LabelAware):
        further += (prepares_for_other_names, refreshes_to_the_same_scores)
    return run(subject, essential, further, listener)


def offers_what_a_head_must(subject: Subject) -> None:
    """It has the members of `herbzoo.interfaces.Head`."""
    part = subject.outline()
    members = ("reset_parameters", "logits", "loss")
    missing = [name for name in members if not callable(getattr(part, name, None))]
    if missing or not isinstance(part, Head):
        raise Nonconformity(f"it lacks {', '.join(missing)}")
    if hasattr(part, "prepare") != hasattr(part, "refresh"):
        raise Nonconformity("a head that reads labels has both prepare and refresh")


def gives_finite_scores_without_labels(subject: Subject) -> str:
    """`logits` maps `[B, D]` to `[B, C]`, with no labels."""
    with torch.no_grad():
        scores = subject.build().eval().logits(subject.inputs(3))
    module.expect_finite(scores, "scores")
    return _expect_scores(scores, 3, NUM_CLASSES)


def resets_every_parameter(subject: Subject) -> None:
    """A loader calls `reset_parameters` on empty memory: nothing may be left as it was.

    Layers from torch have a `reset_parameters` of their own, which is called first.
    """
    part = subject.build()
    owned = [*part.named_parameters(), *part.named_buffers(recurse=False)]
    tensors = {name: tensor for name, tensor in owned if tensor.is_floating_point()}
    with torch.no_grad():
        for tensor in tensors.values():
            tensor.fill_(torch.nan)
    for child in list(part.modules())[1:]:
        if hasattr(child, "reset_parameters"):
            child.reset_parameters()
    part.reset_parameters()
    left = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if left:
        raise Nonconformity(f"reset_parameters() leaves out {', '.join(left)}")


def sends_gradients_to_every_parameter(subject: Subject) -> str:
    """No trainable parameter is left out of the loss."""
    part = subject.build().train()
    embeddings, labels = _separable_batch()
    part.loss(embeddings, labels).backward()
    return module.expect_gradients(part)


def names_its_sparse_gradients(subject: Subject) -> str:
    """`sparse_parameters()` lists what has sparse gradients in training, and nothing else has.

    The trainer gives them an optimiser of their own, and DDP leaves them to the head.
    """
    part = subject.build().train()
    named = set(part.sparse_parameters()) if isinstance(part, SparselyTrained) else set()
    unknown = sorted(named - {name for name, _ in part.named_parameters()})
    if unknown:
        raise Nonconformity(f"it names {', '.join(unknown)}, but has no such parameter")
    embeddings, labels = _separable_batch()
    part.loss(embeddings, labels).backward()
    sparse = {n for n, p in part.named_parameters() if p.grad is not None and p.grad.is_sparse}
    if sparse != named:
        raise Nonconformity(
            f"sparse_parameters() names {sorted(named) or 'none'}, "
            f"but sparse are the gradients of {sorted(sparse) or 'none'}"
        )
    return ", ".join(sorted(named)) or "it has none"


def learns_a_separable_batch(subject: Subject) -> str:
    """Thirty steps of Adam lower the loss and name a toy batch better than chance.

    They go through a linear layer that stands for the rest of the network, so that a head which is
    frozen itself can pass.
    """
    part = subject.build().train()
    rest = nn.Linear(IN_FEATURES, IN_FEATURES)
    embeddings, labels = _separable_batch()
    trainable = [p for p in [*rest.parameters(), *part.parameters()] if p.requires_grad]
    optimizer = torch.optim.Adam(trainable, lr=1e-3)
    losses = []
    for _ in range(TOY_STEPS):
        loss = part.loss(rest(embeddings), labels)
        optimizer.zero_grad()
        loss.backward()
        for parameter in trainable:
            if parameter.grad is not None and parameter.grad.is_sparse:  # Adam takes none
                parameter.grad = parameter.grad.to_dense()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        named = part.eval().logits(rest(embeddings)).argmax(dim=1)
    accuracy = (named == labels).float().mean().item()
    detail = f"loss from {losses[0]:.3f} to {losses[-1]:.3f}, top-1 {accuracy:.2f}"
    if not (losses[-1] < losses[0] and accuracy > 1 / NUM_CLASSES):
        raise Nonconformity(f"{detail} after {TOY_STEPS} steps")
    return detail


def loss_is_finite_with_one_class_in_the_batch(subject: Subject) -> None:
    """A batch may hold one species only."""
    _expect_finite_loss(subject, subject.inputs(4), torch.full((4,), 2))


def loss_is_finite_for_a_single_item(subject: Subject) -> None:
    """The last batch of an epoch may hold one image."""
    _expect_finite_loss(subject, subject.inputs(1), torch.tensor([0]))


def loss_is_finite_for_embeddings_of_zeros(subject: Subject) -> None:
    """A zero vector has no direction, and a naive cosine no gradient there."""
    _expect_finite_loss(subject, torch.zeros(4, IN_FEATURES), torch.arange(4))


def loss_is_finite_for_embeddings_of_huge_norm(subject: Subject) -> None:
    """Embeddings of norm 10,000 occur early in training."""
    embeddings = 1e4 * nn.functional.normalize(subject.inputs(4), dim=-1)
    _expect_finite_loss(subject, embeddings, torch.arange(4))


def loss_is_finite_in_bfloat16(subject: Subject) -> None:
    """Autocast hands the head embeddings of eight bits' precision."""
    embeddings = subject.inputs(4).to(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _expect_finite_loss(subject, embeddings, torch.arange(4))


def prepares_for_other_names(subject: Subject) -> str:
    """`prepare` aims the head at other names, fewer of them here, and `loss` follows."""
    part = subject.build().eval()
    before = part.logits(subject.inputs(2))
    _expect_scores(before, 2, NUM_CLASSES)
    part.prepare(OTHER_FACTS)
    part.refresh()
    detail = _expect_scores(part.logits(subject.inputs(2)), 2, len(OTHER_FACTS.names))
    loss = part.loss(subject.inputs(3), torch.arange(3))
    module.expect_finite(loss, "loss after prepare")
    return detail


def refreshes_to_the_same_scores(subject: Subject) -> None:
    """`refresh` twice is `refresh` once, and preparing for the same names changes nothing."""
    part, embeddings = subject.build().eval(), subject.inputs(2)
    with torch.no_grad():
        once = part.logits(embeddings)
        part.refresh()
        module.expect_same(once, part.logits(embeddings), "scores before and after refresh")
        part.prepare(FACTS)
        part.refresh()
        module.expect_same(once, part.logits(embeddings), "scores of the same names prepared twice")


def _separable_batch() -> tuple[Tensor, Tensor]:
    """Returns embeddings `[20, D]` that lie around a centre for each class, and their labels."""
    labels = torch.arange(NUM_CLASSES).repeat(4)
    centres = torch.randn(NUM_CLASSES, IN_FEATURES)
    return centres[labels] + 0.1 * torch.randn(len(labels), IN_FEATURES), labels


def _expect_scores(scores: Tensor, batch: int, classes: int) -> str:
    if list(scores.shape) != [batch, classes]:
        raise Nonconformity(
            f"{batch} embeddings and {classes} classes give scores {list(scores.shape)}"
        )
    return f"{classes} classes"


def _expect_finite_loss(subject: Subject, embeddings: Tensor, labels: Tensor) -> None:
    part = subject.build().train()
    embeddings.requires_grad_()
    loss = part.loss(embeddings, labels)
    if loss.ndim != 0:
        raise Nonconformity(f"the loss has shape {list(loss.shape)}; it must be a scalar")
    module.expect_finite(loss, "the loss")
    loss.backward()
    if embeddings.grad is None:
        raise Nonconformity("the loss sends no gradient to the embeddings")
    module.expect_finite(embeddings.grad, "gradient of the embeddings")
    for name, parameter in part.named_parameters():
        if parameter.grad is not None:
            module.expect_finite(parameter.grad, f"gradient of {name}")
