"""One training in several processes is the same training: torchrun on CPUs, over gloo."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import coloured_leaves

from herbzoo.errors import RunError
from herbzoo.processes import batch_of_each, own_device

RECIPE = (
    *("--backbone", "convnextv2_atto", "--no-pretrained", "--head", "arcface", "--lr", "0.01"),
    *("--image-size", "32", "--workers", "0", "--device", "cpu", "--seed", "3"),
    *("--set", "data.validation_share=0", "--set", "data.test_share=0"),
    *("--set", "training.weight_decay=0"),
)


@pytest.fixture(scope="module")
def leaves(tmp_path_factory) -> Path:
    return coloured_leaves(tmp_path_factory.mktemp("data") / "leaves", images_a_species=8)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def launch(processes: int, *command: str, fails: bool = False) -> str:
    """Runs a Python script or module, alone or below torchrun; returns its stderr."""
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
        launcher += ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    done = subprocess.run(
        [*launcher, *command],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr


def train(run: Path, leaves: Path, processes: int, *options: str, fails: bool = False) -> str:
    """Trains with `herbzoo train` as it is."""
    command = ("-m", "herbzoo", "train", *RECIPE, "--data", str(leaves), "--output", str(run))
    return launch(processes, *command, *options, fails=fails)


def losses(run: Path) -> list[float]:
    events = EventAccumulator(str(run / "logs"))
    events.Reload()
    return [event.value for event in events.Scalars("train/loss")]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def assert_close(run: Path, other: Path) -> None:
    found, expected = weights(run), weights(other)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        # AdamW's first steps are as long for a gradient of rounding errors as for any other.
        torch.testing.assert_close(found[name], tensor, rtol=1e-2, atol=5e-3, msg=name)


@pytest.mark.slow
def test_two_processes_learn_what_one_does_with_twice_the_batch(leaves, tmp_path):
    rows = len(list(leaves.rglob("*.jpg")))
    assert rows % 8 == 0, "so that no batch is cut short"
    told = train(tmp_path / "two", leaves, 2, "--batch-size", "4", "--epochs", "3")
    train(tmp_path / "one", leaves, 1, "--batch-size", "8", "--epochs", "3")
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-3)
    assert len(losses(tmp_path / "two")) == 3
    assert losses(tmp_path / "one")[-1] < losses(tmp_path / "one")[0]
    assert_close(tmp_path / "two", tmp_path / "one")
    assert told.count("images to train on") == 1, "one process speaks for both"
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(
        p.name for p in (tmp_path / "one").iterdir()
    )


@pytest.mark.slow
def test_a_killed_run_of_two_processes_goes_on_in_one(tmp_path):
    leaves = coloured_leaves(tmp_path / "leaves", images_a_species=8)
    script, run = str(Path(__file__).with_name("killed_training.py")), tmp_path / "run"
    launch(2, script, str(leaves), str(run), "step:5", fails=True)
    facts = json.loads((run / ".training" / "facts.json").read_text())
    assert facts["images a step"] == 8
    checkpoints = run / ".training" / "checkpoints"
    last = max(checkpoints.glob("checkpoint-*/trainer_state.json"), key=str)
    state = json.loads(last.read_text())
    assert state["global_step"] == 4
    told = launch(1, script, str(leaves), str(run), "whole")
    assert "going on from step 4" in told
    assert (run / "metrics.json").is_file() and not (run / ".training").exists()


@pytest.mark.slow
def test_several_processes_refuse_a_taken_folder_with_one_line(leaves, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    told = train(tmp_path / "taken", leaves, 2, "--max-steps", "1", fails=True)
    assert told.count("already holds other files: choose another --output") == 1


def test_the_images_of_a_step_are_divided_evenly(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert batch_of_each(64, 32) == (32, 1)
    assert batch_of_each(64, 16) == (16, 2)
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert batch_of_each(64, 32) == (16, 1), "fewer each, as many together"
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert batch_of_each(64, 32) == (32, 2), "no more at a time than the recipe allows"
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(RunError, match="64 images a step, which 3 processes cannot divide"):
        batch_of_each(64, 32)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(RunError, match="process 2 of this machine has no GPU, as there are 1"):
        own_device(torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device(torch.device("cuda")) == torch.device("cuda", 1)


def test_processes_wait_for_hours_for_the_first(tmp_path):
    script = tmp_path / "joined.py"
    script.write_text(
        "import sys, torch; from torch.distributed import distributed_c10d as c10d\n"
        "from herbzoo.processes import join, leave\n"
        "join(torch.device('cpu'))\n"
        "group = c10d._get_default_group()\n"
        "print(group._get_backend(torch.device('cpu')).options._timeout, file=sys.stderr)\n"
        "leave()\n"
    )
    assert launch(2, str(script)).count("7 days") == 2
