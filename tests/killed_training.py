"""Trains a tiny model and, if asked, kills itself without warning: `test_resume` runs it.

Usage: killed_training.py DATA OUTPUT HOW, with HOW `whole`, `step:N` (in the middle of that step),
`save:N` (with the checkpoint of that step half-written) or `finish` (with the run half-moved).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

from herbzoo.prepared import Hardware
from herbzoo.recipe import compose
from herbzoo.run_folder import RunFolder
from herbzoo.trainer import HerbTrainer
from herbzoo.training import train


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(how: str) -> None:
    kind, _, number = how.partition(":")
    if kind == "step":
        step = HerbTrainer.training_step

        def training_step(self, *args):
            if self.state.global_step == int(number):
                die()
            return step(self, *args)

        HerbTrainer.training_step = training_step
    if kind == "save":
        save = HerbTrainer._save_rng_state

        def save_rng(self, folder):
            if self.state.global_step == int(number):
                die()
            save(self, folder)

        HerbTrainer._save_rng_state = save_rng
    if kind == "finish":

        def half(self, staged):
            os.replace(staged / "config.json", self.path / "config.json")
            die()

        RunFolder.publish = half


def main() -> None:
    data, output, how = sys.argv[1:]
    torch.set_num_threads(1)
    if how != "whole":
        arm(how)
    recipe = compose(
        None,
        [
            "neck.options={embedding_size: 8, dropout: 0.3}",
            "head.options={margin_warmup_steps: 6}",
            "training.checkpoint_minutes=0",
            "training.head_epochs=0.5",
            "training.log=none",
            "data.test_share=0.25",
        ],
        {
            "backbone": "efficientnet_lite0",
            "head": "arcface",
            "data.source": data,
            "output": output,
            "image.size": 32,
            # Not a whole number of epochs, of which each has four steps.
            "training.max_steps": 7,
            "training.batch_size": 4,
        },
    )
    resume = (Path(output) / ".training").is_dir()
    say = lambda line: print(line, file=sys.stderr)  # noqa: E731
    train(recipe, resume=resume, hardware=Hardware("cpu", workers=0), report=say)


main()
