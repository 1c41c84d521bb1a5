"""Checks that hold for backbones and heads alike, because both are modules that get saved."""

from __future__ import annotations

import copy
import random
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from transformers import PreTrainedModel

from herbzoo.conformance.report import Nonconformity
from herbzoo.conformance.subject import Subject


def spells_out_its_options(subject: Subject) -> str:
    """Every option has a name, a default and a place in JSON: config.json holds them all."""
    variable = [p.name for p in subject.parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if variable:
        raise Nonconformity(f"the constructor takes *{', *'.join(variable)}: name each option")
    needed = [p.name for p in subject.parameters if p.default is p.empty]
    missing = [name for name in needed if name not in subject.options]
    if missing:
        raise Nonconformity(f"no default for {', '.join(missing)}")
    try:
        options = subject.all_options()
    except TypeError as error:
        raise Nonconformity(f"an option does not go into JSON: {error}") from error
    return ", ".join(options) or "it has none"


def constructs_without_network(subject: Subject) -> str:
    """Constructing allocates; weights are fetched by `load_pretrained` or not at all."""
    with _connections_noted() as attempts:
        part = subject.outline() if subject.device == "meta" else subject.construct()
    if attempts:
        raise Nonconformity(f"the constructor asked the network for {', '.join(attempts)}")
    if not isinstance(part, nn.Module):
        raise Nonconformity(f"{subject.part.__name__} is no torch.nn.Module")
    return f"{sum(p.numel() for p in part.parameters()):,} parameters"


def seeds_no_global_generator(subject: Subject) -> None:
    """The constructor may draw random numbers; it may not make them the same for everybody."""
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        subject.construct()
        states.append((str(torch.get_rng_state().tolist()), _numpy_state(), str(random.getstate())))
    owners = ("torch", "numpy", "random")
    seeded = [o for o, one, other in zip(owners, *states, strict=True) if one == other]
    if seeded:
        raise Nonconformity(f"the constructor seeds {' and '.join(seeded)} for the whole process")


def answers_each_item_alone_in_eval(subject: Subject) -> None:
    """What stands beside an image in its batch does not change its output."""
    part, inputs = subject.build().eval(), subject.inputs(3)
    with torch.no_grad():
        together = subject.outputs(part, inputs)
        alone = torch.cat([subject.outputs(part, row.unsqueeze(0)) for row in inputs])
    expect_same(together, alone, "an item in a batch and alone")


def differs_in_training_only_by_dropout_and_norm(subject: Subject) -> None:
    """With dropout and normalisation silenced, train and eval mode give the same output."""
    part, inputs = subject.build(), subject.inputs(2)
    quiet = _silenced(part)
    with torch.no_grad():
        expect_same(
            subject.outputs(part.eval(), inputs),
            subject.outputs(quiet, inputs),
            "train mode without dropout and eval mode",
        )


def saves_to_safetensors_and_comes_back(subject: Subject) -> str:
    """All there is to save are tensors, none shared, and loading them restores the outputs."""
    part, inputs = subject.build(seed=1).eval(), subject.inputs(2)
    fresh = subject.construct().eval()
    _to_safetensors(fresh)  # a copy such as `part` no longer shares memory
    blob = _to_safetensors(part)
    fresh.load_state_dict(load(blob))
    with torch.no_grad():
        expect_same(
            subject.outputs(part, inputs), subject.outputs(fresh, inputs), "saved and loaded"
        )
    return f"{len(blob):,} bytes"


def loads_through_the_meta_device(subject: Subject) -> None:
    """`from_pretrained` builds models on the meta device, where no value survives.

    What is not in the state dict must be set by a submodule's `init_non_persistent_buffers`, or
    belong to a transformers model, which knows how to initialise itself.
    """
    part, inputs = subject.build(seed=1).eval(), subject.inputs(2)
    hollow = subject.construct("meta").to_empty(device="cpu").eval()
    _spoil(hollow)
    for module in hollow.modules():
        if isinstance(module, PreTrainedModel):
            module.initialize_weights()
        if hasattr(module, "init_non_persistent_buffers"):
            module.init_non_persistent_buffers()
    hollow.load_state_dict(part.state_dict())
    lost = _differing_buffers(part, hollow)
    if lost:
        raise Nonconformity(
            f"buffers are lost: {', '.join(lost)}; make them persistent, or let a method "
            "init_non_persistent_buffers() set them"
        )
    with torch.no_grad():
        expect_same(
            subject.outputs(part, inputs), subject.outputs(hollow, inputs), "built and loaded"
        )


def expect_same(one: Tensor, other: Tensor, what: str) -> None:
    """Raises unless two outputs agree to four digits of the larger's scale."""
    if one.shape != other.shape:
        raise Nonconformity(f"{what}: shapes {list(one.shape)} and {list(other.shape)}")
    one, other = one.float(), other.float()
    bound = 1e-4 * max(1.0, one.abs().max().item())
    difference = (one - other).abs().max().item()
    if not difference <= bound:  # written so that NaN fails
        raise Nonconformity(f"{what} differ by {difference:.3g}")


def expect_finite(values: Tensor, what: str) -> None:
    """Raises if there is an infinite value or one that is no number."""
    if values.is_sparse:
        values = values.coalesce().values()
    wrong = int((~values.isfinite()).sum())
    if wrong:
        raise Nonconformity(f"{what}: {wrong} of {values.numel()} values are not finite")


def expect_gradients(part: nn.Module) -> str:
    """Raises unless the last backward pass reached every trainable parameter."""
    trainable = {name: p for name, p in part.named_parameters() if p.requires_grad}
    unreached = [name for name, p in trainable.items() if p.grad is None]
    if unreached:
        raise Nonconformity(f"no gradient for {', '.join(unreached)}")
    for name, parameter in trainable.items():
        if parameter.grad is not None:
            expect_finite(parameter.grad, f"gradient of {name}")
    return f"{len(trainable)} tensors"


def _to_safetensors(part: nn.Module) -> bytes:
    return save({name: value.contiguous() for name, value in part.state_dict().items()})


def _numpy_state() -> str:
    return str(np.random.get_state(legacy=False)["state"]["key"].tolist())


@contextmanager
def _connections_noted() -> Iterator[list[str]]:
    """Refuses connections and look-ups, and notes them even where the caller swallows the error."""
    attempts: list[str] = []

    def refuse(*arguments: Any, **_: Any) -> None:
        asked = [str(a) for a in arguments if not isinstance(a, socket.socket)]
        attempts.append(asked[0] if asked else "a connection")
        raise ConnectionRefusedError("the conformance kit allows no network in a constructor")

    with (
        patch.object(socket, "getaddrinfo", refuse),
        patch.object(socket.socket, "connect", refuse),
    ):
        yield attempts


def _silenced(part: nn.Module) -> nn.Module:
    """Returns a copy in train mode whose dropout and normalisation layers behave as in eval."""
    quiet = copy.deepcopy(part).train()
    for module in quiet.modules():
        if re.search("drop|norm|stochastic", type(module).__name__, re.IGNORECASE):
            module.eval()
        for name, value in vars(module).items():  # `attn_drop_prob` and the like, used in place
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
    return quiet


def _spoil(part: nn.Module) -> None:
    """Fills memory that nobody set with what betrays its use."""
    for tensor in [*part.parameters(), *part.buffers()]:
        with torch.no_grad():
            tensor.fill_(torch.nan if tensor.is_floating_point() else 1)


def _differing_buffers(one: nn.Module, other: nn.Module) -> list[str]:
    buffers = dict(other.named_buffers())
    return [
        name
        for name, buffer in one.named_buffers()
        if name not in buffers or not torch.equal(buffer, buffers[name])
    ]
