"""Embeds a folder and kills itself without warning: `test_embed_resume` runs it.

Usage: killed_embedding.py RUN DATA OUTPUT HOW, with HOW `part:N` (before part N is complete) or
`finish` (with the finished file half-written).
"""

from __future__ import annotations

import os
import signal
import sys

from herbzoo import cli
from herbzoo.index import embedding_parts

run, data, output, how = sys.argv[1:]
kind, _, number = how.partition(":")
write, parts = embedding_parts.EmbeddingParts._write, [0]


def killed_write(self, where, tables, schema):
    if where == self.output if kind == "finish" else parts[0] == int(number):
        self.storage.mv = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
    parts[0] += 1
    write(self, where, tables, schema)


embedding_parts.EmbeddingParts._write = killed_write
embedding_parts.PART_ROWS = 2
sys.argv = ["herbzoo", "embed", run, "--data", data, "--output", output]
sys.argv += ["--workers", "0", "--batch-size", "2"]
cli.main()
