"""Builds an index and kills itself without warning: `test_index_killed` runs it.

Usage: killed_index.py EMBEDDINGS INDEX HOW, with HOW `add:N` (before commit N of rows),
`columns` (before the columns are indexed) or `plan` (before it is said to be complete).
"""

from __future__ import annotations

import os
import signal
import sys

from herbzoo.index import SpecimenIndex, intake, upkeep
from herbzoo.index.database import IndexFacts


def die(*args: object, **options: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    embeddings, index, how = sys.argv[1:]
    kind, _, number = how.partition(":")
    intake.COMMITTED_BYTES = 4 * 8 * 4096  # a commit for every batch that is read
    if kind == "add":
        commits = 0
        ready = intake.Intake._ready

        def counted(self, rows):
            nonlocal commits
            commits += 1
            if commits == int(number):
                die()
            return ready(self, rows)

        intake.Intake._ready = counted
    if kind == "columns":
        upkeep.index_columns = die
    if kind == "plan":
        IndexFacts.keep = die
    SpecimenIndex.create(index, embeddings)


if __name__ == "__main__":
    main()
