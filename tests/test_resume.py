"""A run that is killed and resumed ends where an uninterrupted one does."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import coloured_leaves

SCRIPT = Path(__file__).with_name("killed_training.py")


def start(data: Path, output: Path, how: str) -> subprocess.Popen:
    command = [sys.executable, str(SCRIPT), str(data), str(output), how]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run(data: Path, output: Path, how: str) -> int:
    process = start(data, output, how)
    _, errors = process.communicate(timeout=300)
    assert process.returncode in (0, -signal.SIGKILL), errors[-3000:]
    return process.returncode


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return coloured_leaves(tmp_path_factory.mktemp("data") / "leaves", size=(32, 32))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "run"
    assert run(data, output, "whole") == 0
    return output


def assert_same(output: Path, whole: Path) -> None:
    assert not (output / ".training").exists()
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (output, whole)]
    assert metrics[0] == metrics[1]
    tensors, expected = (load_file(folder / "model.safetensors") for folder in (output, whole))
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensors[name], tensor), name


@pytest.mark.slow
def test_killed_in_a_step_in_a_checkpoint_and_at_the_end_it_still_finishes_the_same(
    data, whole, tmp_path
):
    output = tmp_path / "run"
    assert run(data, output, "step:3") == -signal.SIGKILL
    assert run(data, output, "save:5") == -signal.SIGKILL
    half_written = output / ".training" / "checkpoints" / "checkpoint-5"
    assert half_written.is_dir() and not (half_written / "complete.json").exists()
    assert run(data, output, "finish") == -signal.SIGKILL
    assert run(data, output, "whole") == 0
    assert_same(output, whole)


@pytest.mark.slow
def test_killed_at_random_moments_it_still_finishes_the_same(data, whole, tmp_path):
    output = tmp_path / "run"
    choose = random.Random(int(time.time()))
    kills = 0
    while True:
        process = start(data, output, "whole")
        try:
            _, errors = process.communicate(timeout=choose.uniform(5, 11) if kills < 6 else 300)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0, errors[-3000:]
        break
    assert kills
    assert_same(output, whole)


def test_ctrl_c_leaves_a_run_that_can_be_resumed(data, tmp_path):
    output = tmp_path / "run"
    command = "train --backbone timm:test_convnext --head softmax --no-pretrained --device cpu"
    options = ["--data", str(data), "--output", str(output), "--image-size", "32", "--workers", "0"]
    options += ["--set", "training.checkpoint_minutes=0", "--set", "data.test_share=0.25"]
    cli = [sys.executable, "-m", "herbzoo"]
    process = subprocess.Popen(
        [*cli, *command.split(), *options, "--epochs", "400"], stderr=subprocess.PIPE, text=True
    )
    checkpoints = output / ".training" / "checkpoints"
    deadline = time.monotonic() + 120
    while not list(checkpoints.glob("*/complete.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors[-3000:]
    assert "Traceback" not in errors
    assert "--resume" in errors
    refused = subprocess.run(
        [*cli, *command.split(), *options], capture_output=True, text=True, timeout=120
    )
    assert refused.returncode == 2
    assert "interrupted run" in refused.stderr and "--resume" in refused.stderr
