"""Fixtures of the demo: a model of the synthetic flora with its index, and a browser."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from served_demo import calibrated, indexed

from herbzoo.data.synthetic import synthetic_collection, write_collection
from herbzoo.prepared import Hardware
from herbzoo.recipe import compose
from herbzoo.recipe_files import find_recipe
from herbzoo.training import train

SPECIES, IMAGES = 6, 16


@dataclass(frozen=True)
class FloraRun:
    """A model, what it has learned from, and an index of that."""

    run: Path
    data: Path
    index: Path

    def picture(self, kind: str, number: int = 0) -> Path:
        """Returns a picture of `sheets` or `field`."""
        return sorted((self.data / kind).glob("*.jpg"))[number]


@pytest.fixture(scope="session")
def flora(tmp_path_factory) -> FloraRun:
    folder = tmp_path_factory.mktemp("flora")
    data, run = folder / "collection", folder / "flora"
    write_collection(synthetic_collection(SPECIES, 0, IMAGES), data, min_size=(160, 160))
    options = {
        "data.source": str(data),
        "output": str(run),
        "image.size": 64,
        "training.epochs": 12,
        "training.feature_views": 1,
        "training.log": "none",
    }
    train(compose(find_recipe("quickstart"), [], options), hardware=Hardware("cpu", 0, "float32"))
    calibrated(run)
    return FloraRun(run, data, indexed(run, data, folder / "index"))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a browser; tests that need one are left out where there is none."""
    pytest.importorskip("playwright", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    return found
