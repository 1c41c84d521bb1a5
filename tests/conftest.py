"""What every test shares: few threads, no network, a cache of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keeps tests from reading or writing the user's cache."""
    monkeypatch.setenv("HERBZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
