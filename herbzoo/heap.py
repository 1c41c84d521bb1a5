"""Memory that a training step frees and the next one takes again, kept from the system meanwhile.

glibc gives every freed block of more than 32 MB back at once, and gets it anew as pages that the
kernel must fill with zeros: on a CPU that was a fifth of a step of a small network and more.
"""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

# malloc.h of glibc, and the values that it starts with or, for the last two, arrives at by itself.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_NEVER = -1
_MOST_MAPPED = 65_536
_MAPPED_FROM = 32 * 1024 * 1024
STEPS_TO_TRIM = 50
"""Steps after which what is free is given back, lest a heap in pieces grow all epoch long."""


class KeptHeap(TrainerCallback):
    """Keeps freed memory during the steps of an epoch, on a CPU with glibc.

    It begins after the loader has started its workers and ends with the epoch: a worker holds on
    to no image it is done with, and no process is forked from a heap full of what it never reads.
    """

    def __init__(self) -> None:
        self.kept = False
        self.steps = 0

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begins to keep, or starts anew every so many steps."""
        libc = _glibc()
        if libc is None or args.device.type != "cpu":
            return
        if not self.kept:
            libc.mallopt(_MMAP_MAX, 0)
            libc.mallopt(_TRIM_THRESHOLD, _NEVER)
            self.kept, self.steps = True, 0
        elif self.steps % STEPS_TO_TRIM == 0:
            libc.malloc_trim(0)
        self.steps += 1

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Gives everything back."""
        self.release()

    def release(self) -> None:
        """Gives what is free back, and has it given back from now on."""
        libc = _glibc()
        if self.kept and libc is not None:
            libc.mallopt(_MMAP_MAX, _MOST_MAPPED)
            libc.mallopt(_MMAP_THRESHOLD, _MAPPED_FROM)
            libc.mallopt(_TRIM_THRESHOLD, 2 * _MAPPED_FROM)
            libc.malloc_trim(0)
            self.kept = False


@cache
def _glibc() -> ctypes.CDLL | None:
    """Returns the C library if it is glibc and the user has not tuned it."""
    tuned = any(name.startswith("MALLOC_") for name in os.environ)
    tuned = tuned or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if tuned or platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.CDLL(None)
