"""A tiny run, a few pictures, and the command line in this process."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny import save_run, tiny_model

from herbzoo import cli

IMAGES = 6


def write_run(folder: Path) -> Path:
    """Writes a model of random weights that are always the same."""
    torch.manual_seed(0)
    return save_run(folder, *tiny_model())


def write_pictures(folder: Path, images: int = IMAGES, seed: int = 0) -> Path:
    """Writes `0.png` and so on, different enough to be scored differently."""
    folder.mkdir()
    generator = np.random.default_rng(seed)
    for number in range(images):
        small = generator.integers(0, 255, (5, 4, 3), dtype=np.uint8)
        Image.fromarray(small).resize((60, 80)).save(folder / f"{number}.png")
    return folder


def write_specimens(folder: Path) -> Path:
    """Writes pictures with a table: three specimens, one of three images that stand apart."""
    rows = {
        "file_name": [f"{number}.png" for number in range(IMAGES)],
        "occurrenceID": ["a", "b", "a", "", "a", "b"],
    }
    pd.DataFrame(rows).to_csv(write_pictures(folder) / "metadata.csv", index=False)
    return folder


class CommandLine:
    """Runs `herbzoo`; returns exit code, stdout and stderr."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        argv = ["herbzoo", *map(str, arguments), "--device", "cpu", "--workers", "0"]
        self.monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = self.capsys.readouterr()
        return int(exit.value.code or 0), out, err


def rows_of(text: str) -> list[dict[str, str]]:
    """Reads CSV."""
    return list(csv.DictReader(io.StringIO(text)))
