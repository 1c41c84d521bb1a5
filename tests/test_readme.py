"""The README cannot drift: its Python runs, its commands and files exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from tiny import coloured_leaves

import herbzoo.cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
COMMANDS = [
    line.removeprefix("$ ").partition(" #")[0].strip()
    for kind, block in BLOCKS
    if kind == "console"
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("$ ")
]


def test_its_python_runs_in_the_order_it_is_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    coloured_leaves(tmp_path / "leaves", images_a_species=4, size=(32, 32))
    scope: dict = {}
    for kind, block in BLOCKS:
        if kind == "python":
            exec(compile(block, "README.md", "exec"), scope)
    lines = capsys.readouterr().out.strip().splitlines()
    assert "leaves/Quercus_alba/0.jpg" in lines[0]
    assert lines[-1] in {"Acer rubrum", "Quercus alba", "Quercus rubra"}


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("herbzoo ")])
def test_its_commands_are_ones_that_exist(command):
    verb, *words = shlex.split(command)[1:]
    known = typer.main.get_command(herbzoo.cli.app).commands
    assert verb in known
    options = {
        name
        for parameter in known[verb].params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    assert [w for w in words if w.startswith("--") and w not in options] == []


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_its_make_targets_exist(command):
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_its_links_lead_somewhere():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert targets and all((ROOT / target).exists() for target in targets)


def test_every_figure_is_filled_in():
    assert "@@" not in README
