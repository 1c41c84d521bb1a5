"""What the conformance kit found: named checks, each passed or not, with the reason."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


class Nonconformity(Exception):
    """A part breaks the contract; the message says how."""


@dataclass(frozen=True)
class Check:
    """One statement of the contract."""

    name: str
    passed: bool
    detail: str = ""

    def __str__(self) -> str:
        """Returns one line: `ok` or `FAILED`, the statement, the detail."""
        line = f"{'ok' if self.passed else 'FAILED':<6}  {self.name}"
        return f"{line}: {self.detail}" if self.detail else line


@dataclass(frozen=True)
class Report:
    """All checks of one part, in the order they ran."""

    kind: str
    part: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def verdict(self) -> str:
        """One line that sums up."""
        failed = len(self.failures)
        end = f"{failed} of {len(self.checks)} checks failed" if failed else "keeps the contract"
        return f"{self.part} ({self.kind}): {end}"

    def __str__(self) -> str:
        """Returns a line a check and the verdict."""
        return "\n".join([*map(str, self.checks), self.verdict])


Listener = Callable[[Check], None]
"""Told of every check as it ends."""


def run(
    subject: Any,
    essential: Iterable[Callable[[Any], str | None]],
    further: Iterable[Callable[[Any], str | None]],
    listener: Listener,
) -> tuple[Check, ...]:
    """Runs checks on a subject; the first essential one to fail ends the run.

    A check is named by its function, passes by returning (a detail, or nothing), and fails by
    raising. The global random generators are as they were afterwards.
    """
    done: list[Check] = []
    with _generators_kept():
        for function in essential:
            done.append(_run_one(function, subject, listener))
            if not done[-1].passed:
                return tuple(done)
        done.extend(_run_one(function, subject, listener) for function in further)
    return tuple(done)


def _run_one(function: Callable[[Any], str | None], subject: Any, listener: Listener) -> Check:
    name = function.__name__.replace("_", " ")
    torch.manual_seed(0)
    try:
        check = Check(name, True, function(subject) or "")
    except Nonconformity as fault:
        check = Check(name, False, str(fault))
    except Exception as error:  # a stranger's code may raise anything
        message = " ".join(str(error).split())
        check = Check(name, False, f"{type(error).__name__}: {message}")
    listener(check)
    return check


@contextmanager
def _generators_kept() -> Iterator[None]:
    numpys, pythons = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        yield
    np.random.set_state(numpys)
    random.setstate(pythons)
