"""What every test shares: few threads, no network, a cache of its own."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

hypothesis.settings.register_profile("herbzoo", deadline=None)  # machines are shared
hypothesis.settings.load_profile("herbzoo")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is in a shell's background job, and programs started by tests would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keeps tests from reading or writing the user's cache."""
    monkeypatch.setenv("HERBZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
