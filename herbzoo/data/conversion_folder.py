"""The folder of a data set while it is made: whatever stops it, it is complete or can go on.

Until the end everything lies in `FOLDER/.convert`: complete shards, and a manifest that names them
and the rows they hold. A shard that the manifest does not name does not count. At the end the
shards appear in `FOLDER/data` all at once, so that half a data set never passes for a whole one.
"""

from __future__ import annotations

import csv
import errno
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from herbzoo.data.records import Skipped
from herbzoo.errors import DataError
from herbzoo.whole_file import whole

WORK = ".convert"
"""Folder inside of the output that marks an unfinished conversion."""
DATA = "data"
"""Folder inside of the output that the finished shards are in."""


@dataclass(frozen=True)
class Shard:
    """One complete shard."""

    split: str
    number: int
    """Of its split, from 0."""
    rows: int
    bytes: int
    """Of the file."""
    seen: int
    """Rows of the split that it used up: its own, and those that were skipped among them."""
    skipped: tuple[Skipped, ...] = ()


@dataclass
class Progress:
    """What the manifest says."""

    plan: dict[str, str]
    """What decides the content of the shards, by its name."""
    shards: list[Shard] = field(default_factory=list)

    def of_split(self, split: str) -> list[Shard]:
        """Returns the complete shards of a split."""
        return [shard for shard in self.shards if shard.split == split]


class ConversionFolder:
    """The output of one conversion."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / WORK
        self.shards = self.work / DATA
        self._done = path / f"{WORK}-done"
        self._manifest = self.work / "manifest.json"

    @contextmanager
    def claimed(self, plan: Mapping[str, str]) -> Iterator[Progress]:
        """Makes the folder ours, for this process alone.

        Args:
            plan: what decides the content of the shards, by its name.

        Yields:
            What an interrupted conversion of the same plan has completed.

        Raises:
            DataError: if it holds anything else, another process is at it, or the disk is full.
        """
        from filelock import FileLock, Timeout

        shutil.rmtree(self._done, ignore_errors=True)
        self._refuse_others()
        with self._full_disk_in_one_line():
            self.shards.mkdir(parents=True, exist_ok=True)
            try:
                with FileLock(self.work / "lock", timeout=0):
                    yield self._progress(dict(plan))
            except Timeout as error:
                raise DataError(
                    f"another process is converting into {self.path}: wait for it, or choose "
                    "another output"
                ) from error
            os.replace(self.work, self._done)  # at once: a part of it would look unfinished
            shutil.rmtree(self._done)

    def record(self, progress: Progress, shard: Shard) -> None:
        """Counts a shard whose file is complete."""
        import msgspec

        progress.shards.append(shard)
        with whole(self._manifest) as partial:
            partial.write_bytes(msgspec.json.encode(progress))

    def publish(
        self, progress: Progress, files: Mapping[str, str], skipped: Sequence[Skipped]
    ) -> None:
        """Gives the shards their final names and shows them.

        Args:
            progress: all shards.
            files: names and texts of files that come first, the card among them.
            skipped: what `skipped.csv` lists.
        """
        for name, text in files.items():
            (self.work / name).write_text(text, encoding="utf-8")
            os.replace(self.work / name, self.path / name)
        if skipped:
            with (self.work / "skipped.csv").open("w", newline="", encoding="utf-8") as stream:
                lines = csv.writer(stream)
                lines.writerow(("where", "reason"))
                lines.writerows((one.where, one.reason) for one in skipped)
            os.replace(self.work / "skipped.csv", self.path / "skipped.csv")
        if self.shards.is_dir():
            for shard, name in final_names(progress.shards).items():
                working = self.shards / working_name(shard.split, shard.number)
                if working.exists():
                    os.replace(working, self.shards / name)
            os.replace(self.shards, self.path / DATA)

    def _refuse_others(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise DataError(f"{self.path} is a file: choose another output")
        if self.work.is_dir() or not self.path.is_dir():
            return
        if (self.path / DATA).is_dir() and (self.path / "README.md").is_file():
            raise DataError(f"{self.path} already holds a data set: choose another output")
        if any(self.path.iterdir()):
            raise DataError(f"{self.path} already holds other files: choose another output")

    def _progress(self, plan: dict[str, str]) -> Progress:
        import msgspec

        try:
            progress = msgspec.json.decode(self._manifest.read_bytes(), type=Progress)
        except FileNotFoundError:  # new, or killed before the first shard was complete
            progress = Progress(plan)
        except (OSError, msgspec.MsgspecError) as error:
            raise DataError(
                f"{self._manifest} is damaged ({error}): delete {self.path} and begin anew"
            ) from error
        changed = [key for key in plan if plan[key] != progress.plan.get(key)]
        if changed:
            before, now = progress.plan.get(changed[0]), plan[changed[0]]
            raise DataError(
                f"{self.path} holds an interrupted conversion with another {changed[0]} ({before} "
                f"then, {now} now): repeat the command as it was, or delete {self.path}"
            )
        self._forget_others(progress.shards)
        return progress

    def _forget_others(self, shards: list[Shard]) -> None:
        """Deletes what is not complete, once it is sure that what should be there is."""
        if (self.path / DATA).is_dir():  # killed when only the cleaning up was left to do
            shutil.rmtree(self.shards)
            return
        names = final_names(shards)
        for shard in shards:
            places = [
                self.shards / working_name(shard.split, shard.number),
                self.shards / names[shard],
            ]
            if not any(place.is_file() and place.stat().st_size == shard.bytes for place in places):
                raise DataError(
                    f"{places[0]} is missing or damaged: delete {self.path} and begin anew"
                )
        complete = {working_name(shard.split, shard.number) for shard in shards} | set(
            names.values()
        )
        for path in self.shards.iterdir():
            if path.name not in complete:
                path.unlink()

    @contextmanager
    def _full_disk_in_one_line(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise DataError(
                f"the disk is full while writing to {self.path}: free some space, then repeat the "
                "command; complete shards are kept"
            ) from error


def working_name(split: str, number: int) -> str:
    """Returns what a shard's file is called while it is not known how many there will be."""
    return f"{split}-{number:05d}.parquet"


def final_names(shards: Sequence[Shard]) -> dict[Shard, str]:
    """Returns the names that the shards of a complete data set have."""
    totals = Counter(shard.split for shard in shards)
    return {
        shard: f"{shard.split}-{shard.number:05d}-of-{totals[shard.split]:05d}.parquet"
        for shard in shards
    }
