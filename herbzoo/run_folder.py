"""A run folder while it is made: claimed, filled beside, then moved into place.

While a training goes on, everything it needs to continue lies in `RUN/.training`; the finished
files are staged there too and renamed into the run folder, so that a run is either complete or
resumable, whenever it is killed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from herbzoo.errors import RunError
from herbzoo.whole_file import write_whole

COMPLETE = "complete.json"
"""Written into a checkpoint as its last file."""
NEARLY_FULL = 1_000_000
"""Bytes free on a disk below which a failed write is put down to it."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of one training run."""

    path: Path

    @property
    def work(self) -> Path:
        """Where an unfinished training keeps its state."""
        return self.path / ".training"

    @property
    def done(self) -> Path:
        """What the working state becomes while it is deleted."""
        return self.path / ".training-done"

    @property
    def checkpoints(self) -> Path:
        """Where the trainer's checkpoints are."""
        return self.work / "checkpoints"

    def check(self, resume: bool) -> None:
        """Refuses what `claim` would, before anything costs time.

        Raises:
            RunError: if it holds a run, other files, or, on a resume, nothing to go on from.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file: choose another --output")
        if resume:
            if self.work.is_dir():
                return
            if (self.path / "metrics.json").is_file():
                raise RunError(f"{self.path} holds a finished run: there is nothing to resume")
            raise RunError(f"{self.path} holds no interrupted run: train without --resume")
        if self.work.is_dir():
            raise RunError(
                f"{self.path} holds an interrupted run: go on with --resume, or choose another "
                "--output"
            )
        if self.path.is_dir() and any(item != self.done for item in self.path.iterdir()):
            held = "a run" if (self.path / "config.json").is_file() else "other files"
            raise RunError(f"{self.path} already holds {held}: choose another --output")

    def claim(self, resume: bool) -> None:
        """Makes the folder ours, or refuses.

        Raises:
            RunError: as `check` does.
        """
        self.check(resume)
        shutil.rmtree(self.done, ignore_errors=True)
        self.work.mkdir(parents=True, exist_ok=resume)

    def remember(self, facts: dict[str, Any]) -> None:
        """Keeps what a resumed training must find unchanged."""
        write_json(self.work / "facts.json", facts)

    def check_unchanged(self, facts: dict[str, Any]) -> None:
        """Compares with what was remembered.

        Raises:
            RunError: if the data changed since; the message says in what.
        """
        path = self.work / "facts.json"
        if not path.is_file():  # killed before it had begun
            self.remember(facts)
            return
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [key for key in facts if facts[key] != before.get(key)]
        if changed:
            raise RunError(
                f"{self.path} cannot be resumed: {', '.join(changed)} changed since it began "
                f"({before.get(changed[0])} then, {facts[changed[0]]} now)"
            )

    def recall(self, fact: str) -> Any:
        """Returns what was remembered under a name, or `None`."""
        path = self.work / "facts.json"
        return json.loads(path.read_text(encoding="utf-8")).get(fact) if path.is_file() else None

    def last_checkpoint(self) -> Path | None:
        """Returns the newest complete checkpoint, and deletes half-written ones."""
        complete: list[Path] = []
        for folder in self.checkpoints.glob("checkpoint-*"):
            if (folder / COMPLETE).is_file():
                complete.append(folder)
            else:
                shutil.rmtree(folder)
        return max(complete, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Tells a full disk from a fault: safetensors and torch each raise errors of their own.

        Raises:
            RunError: if the disk is full; nothing complete is lost.
        """
        try:
            yield
        except (OSError, RuntimeError, SafetensorError) as error:
            full = "No space left on device" in str(error)
            if not full and shutil.disk_usage(self.path).free > NEARLY_FULL:
                raise
            raise RunError(
                f"the disk is full while writing to {self.path}: free some space, then go on with "
                "--resume"
            ) from error

    def stage(self) -> Path:
        """Returns an empty folder beside, to write the finished files into."""
        staged = self.work / "finished"
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        return staged

    def publish(self, staged: Path) -> None:
        """Moves the staged files into the run folder and forgets the working state."""
        shared = 0o666 & ~_umask()
        for item in sorted(staged.iterdir()):
            if item.is_file():
                item.chmod(shared)  # safetensors makes files that only their owner can read
            target = self.path / item.name
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(item, target)
        os.replace(self.work, self.done)  # at once: what is left of it must not pass for a run
        shutil.rmtree(self.done)


def mark_complete(checkpoint: Path, step: int) -> None:
    """Declares a checkpoint complete; everything else in it has been written."""
    write_json(checkpoint / COMPLETE, {"step": step})


def write_json(path: Path, document: Any) -> None:
    """Writes a JSON file beside and renames it, so that it is never half there."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(path, text + "\n")


def _umask() -> int:
    """Returns the process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
