"""Fixtures: a Hub of our own, and a process of a user whose Hub it is."""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import TOKEN, LoopbackHub, files_of
from loopback_user import FILES, fill


@pytest.fixture(scope="session")
def loopback() -> Iterator[LoopbackHub]:
    hub = LoopbackHub()
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture
def hub(loopback: LoopbackHub) -> Iterator[LoopbackHub]:
    """The Hub; a test fails if the Hub had no answer, or if a fault asked for did not happen."""
    loopback.forget()
    yield loopback
    assert loopback.unanswered == []
    assert (loopback.faults, loopback.to_cut, loopback.uploads_to_cut) == ([], set(), set())


@pytest.fixture(scope="session")
def settings(loopback: LoopbackHub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user whose Hub is ours, and who has fetched nothing so far."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_"))}
    home = tmp_path_factory.mktemp("home")
    return {
        **kept,
        "HF_ENDPOINT": loopback.url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",  # the client asks no Hub whether it has xet; ours has not
        "HERBZOO_CACHE": str(home / "herbzoo"),
        "NO_PROXY": "127.0.0.1,localhost",
    }


@pytest.fixture(scope="session")
def client(settings: dict[str, str]) -> Iterator[Callable[..., Any]]:
    """Calls a function of a test module, `client(function, *arguments)`, in a user's process.

    The clients of the Hub read its address when they are imported, which this process has done.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(settings)
        try:
            started = pool.submit(os.getpid)  # starts the process, which inherits them
        finally:
            os.environ.clear()
            os.environ.update(before)
        started.result()
        yield lambda function, *given: pool.submit(function, *given).result(timeout=100)


def with_token(token: str, function: Callable[..., Any], *given: Any) -> Any:
    """Calls a function while a token is set, in the process where it is called."""
    os.environ["HF_TOKEN"] = token
    try:
        return function(*given)
    finally:
        del os.environ["HF_TOKEN"]


@pytest.fixture(scope="session")
def member(client: Callable[..., Any]) -> Callable[..., Any]:
    """As `client`, but of somebody who is signed in as a member of `org`."""
    return functools.partial(client, with_token, TOKEN)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run folders that differ in their weights: `main` and `v1`."""
    import torch
    from tiny import save_run, tiny_model

    folder = tmp_path_factory.mktemp("runs")
    made = {}
    for seed, name in enumerate(["main", "v1"]):
        torch.manual_seed(seed)
        made[name] = save_run(folder / name, *tiny_model(head="arcface"))
    return made


@pytest.fixture(scope="session")
def arcface(loopback: LoopbackHub, runs: dict[str, Path]) -> str:
    """The id of a model on the Hub, whose revisions are the run folders."""
    loopback.add("org/herb-arcface", {name: files_of(run) for name, run in runs.items()})
    return "org/herb-arcface"


@pytest.fixture
def small_folder(tmp_path: Path) -> Path:
    """A folder with files of every sort."""
    return fill(tmp_path / "small", FILES)


@pytest.fixture
def small_repo(hub: LoopbackHub) -> Iterator[str]:
    """The id of a small model on the Hub that is our user's, for one test."""
    hub.add("org/small", {"main": {"config.json": b"{}"}})
    yield "org/small"
    del hub.repositories["models", "org/small"]
