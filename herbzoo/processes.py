"""One training in several processes, as torchrun and accelerate launch start them.

The first process owns the run folder: it claims, writes, evaluates and talks. The others compute.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from herbzoo.errors import RunError

PATIENCE = timedelta(days=7)
"""How long the others wait for the first process, which may decode or embed all images before."""


def process_count() -> int:
    """Returns how many processes train together, by what their launcher has set."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Tells whether this is the first process, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0


def own_device(device: torch.device) -> torch.device:
    """Returns the device of this process: with several GPUs, that of its number on the machine.

    Raises:
        RunError: if there are more processes than GPUs.
    """
    if process_count() == 1 or device.type != "cuda":
        return device
    number, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= there:
        raise RunError(
            f"process {number + 1} of this machine has no GPU, as there are {there}: start as many "
            "processes as GPUs, or give --device cpu"
        )
    return torch.device("cuda", number)


def join(device: torch.device) -> None:
    """Connects to the other processes, if there are any."""
    if process_count() > 1:
        from accelerate import PartialState

        if device.type == "cuda":
            torch.cuda.set_device(device)
        # The Trainer finds and uses it. The launcher ends all processes when one fails.
        PartialState(cpu=device.type == "cpu", timeout=PATIENCE)


def leave() -> None:
    """Disconnects: what follows is the first process's alone."""
    if distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


@contextmanager
def first_goes_first() -> Iterator[None]:
    """Lets the first process through, and the others once it is done."""
    if process_count() > 1 and not is_first():
        distributed.barrier()
    yield
    if process_count() > 1 and is_first():
        distributed.barrier()


def from_first(make: Callable[[], Any], device: torch.device) -> Any:
    """Returns what the first process makes, in all of them; it must be plain enough for JSON."""
    if process_count() == 1:
        return make()
    text = json.dumps(make()).encode() if is_first() else b""
    size = torch.tensor(len(text), device=device)
    distributed.broadcast(size, 0)
    content = torch.empty(int(size), dtype=torch.uint8, device=device)
    if is_first():
        content.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
    distributed.broadcast(content, 0)
    return json.loads(bytes(content.tolist()))


def agree(decision: bool, device: torch.device) -> bool:
    """Returns the first process's decision in all of them."""
    if process_count() == 1:
        return decision
    flag = torch.tensor(int(decision), device=device)
    distributed.broadcast(flag, 0)
    return bool(flag)


def batch_of_each(total: int, batch_size: int) -> tuple[int, int]:
    """Divides the images of an optimiser step among the processes.

    Args:
        total: images a step.
        batch_size: most that a process takes at a time.

    Returns:
        Images a batch and batches a step, of each process.

    Raises:
        RunError: if they cannot be divided evenly.
    """
    share, rest = divmod(total, process_count())
    if rest:
        raise RunError(
            f"the run has {total} images a step, which {process_count()} processes cannot divide: "
            "use a number of processes that divides them"
        )
    batch = max(size for size in range(1, min(batch_size, share) + 1) if share % size == 0)
    return batch, share // batch
