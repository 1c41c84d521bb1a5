"""The example plugin, really installed into a folder of its own and used from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "plugins" / "example_third_party"

TRAIN = """
import sys

import torch
from transformers import AutoModelForImageClassification, Trainer, TrainingArguments

from herbzoo import registry
from herbzoo.build import build
from herbzoo.interfaces import PartSpec
from herbzoo.taxonomy import Taxonomy

assert "cosface" in registry.names("heads")
small = {"image_size": 32, "depths": [1, 1, 1, 1], "dims": [4, 8, 12, 16]}
model, _ = build(
    PartSpec("convnextv2_atto", small),
    PartSpec("linear_bn", {"embedding_size": 8}),
    PartSpec("cosface", {"scale": 8.0}),
    Taxonomy.from_names(["Acer campestre", "Betula pendula"]),
    pretrained_backbone=False,
)
torch.manual_seed(0)
labels = torch.arange(16) % 2
images = 0.3 * torch.randn(16, 3, 32, 32) + labels.view(-1, 1, 1, 1)
rows = [{"pixel_values": x, "labels": y} for x, y in zip(images, labels)]
arguments = TrainingArguments(
    sys.argv[1], max_steps=12, learning_rate=1e-2, report_to=[], use_cpu=True, disable_tqdm=True,
    logging_steps=1, save_strategy="no", remove_unused_columns=False,
)
trainer = Trainer(model, arguments, train_dataset=rows)
trainer.train()
losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
assert float(losses[-1]) < float(losses[0]), losses
model.save_pretrained(sys.argv[1])

model.eval()
loaded = AutoModelForImageClassification.from_pretrained(sys.argv[1]).eval()
assert type(loaded.head).__module__ == "herbzoo_cosface"
assert loaded.config.head == {"name": "cosface", "options": {"scale": 8.0, "margin": 0.35}}
assert loaded.config.requires["heads"] == {"distribution": "herbzoo-cosface", "version": "0.1.0"}
with torch.no_grad():
    assert torch.allclose(model(images).logits, loaded(images).logits, atol=1e-5)
"""

LOAD = """
import sys
import herbzoo
from transformers import AutoModelForImageClassification
AutoModelForImageClassification.from_pretrained(sys.argv[1])
"""


def python(*arguments: str, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    paths = {"PYTHONPATH": str(site)} if site else {}
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=inherited | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"} | paths,
        cwd=ROOT / "tests",
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the example."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = python("-m", "pip", "install", *options, "--target", str(folder), str(EXAMPLE))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def run(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained with the example's head by the stock Trainer, and loaded again."""
    folder = tmp_path_factory.mktemp("run")
    done = python("-c", TRAIN, str(folder), site=site)
    assert done.returncode == 0, done.stderr
    return folder


def test_it_is_listed_once_installed_and_not_before(site: Path):
    names = ["-c", "from herbzoo import registry; print(registry.names('heads'))"]
    assert "'cosface'" in python(*names, site=site).stdout
    assert "'cosface'" not in python(*names).stdout


def test_it_trains_saves_and_loads_as_our_own_do(run: Path):
    assert (run / "model.safetensors").is_file()


def test_without_it_a_model_that_needs_it_says_what_to_install(run: Path):
    done = python("-c", LOAD, str(run))
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "pip install herbzoo-cosface" in last
    assert "'cosface'" in last


def test_its_own_tests_pass_and_the_conformance_kit_among_them(site: Path):
    own = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    done = python(*own, str(EXAMPLE / "tests"), site=site)
    assert done.returncode == 0, done.stdout
