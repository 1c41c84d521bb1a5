"""README and guides cannot drift: their Python runs, their commands, keys and files exist."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest
import typer
from tiny import coloured_leaves

import herbzoo.cli
from herbzoo import registry
from herbzoo.recipe import Recipe, compose

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
GUIDES = [
    ROOT / "docs" / f"{name}.md"
    for name in (
        *("data", "training", "evaluation", "zero_shot", "publishing", "cards", "loading"),
        *("export", "index", "space", "review", "suspects", "novel"),
    )
]
CONSOLE = re.findall(
    r"^```console\n(.*?)^```",
    "\n".join([README, *(guide.read_text(encoding="utf-8") for guide in GUIDES)]),
    flags=re.DOTALL | re.MULTILINE,
)
COMMANDS = [
    line.removeprefix("$ ").partition(" #")[0].strip()
    for block in CONSOLE
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
    words = shlex.split(command)[1:]
    verb = typer.main.get_command(herbzoo.cli.app)
    while hasattr(verb, "commands"):
        assert words[0] in verb.commands
        verb = verb.commands[words.pop(0)]
    options = {
        name for parameter in verb.params for name in (*parameter.opts, *parameter.secondary_opts)
    }
    assert [w for w in words if w.startswith("--") and w not in options] == []
    if verb.name == "train" and "--recipe" not in words and "--resume" not in words:
        settings = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
        compose(None, settings, {"backbone": "any", "head": "any"})


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_its_make_targets_exist(command):
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_its_links_lead_somewhere():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert targets and all((ROOT / target).exists() for target in targets)


def test_the_keys_that_the_training_guide_names_exist():
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    keys = re.findall(r"`((?:data|image|training)\.\w+)", text)
    known = Recipe(backbone="any", head="any").to_dict()
    assert keys and all(key.split(".")[1] in known[key.split(".")[0]] for key in keys)
    for setting, head in re.findall(r"`head\.(\w+)=\S+` \((\w+)\)", text):
        part = registry.load("heads", head.lower())
        assert setting in inspect.signature(part).parameters, setting


def test_every_figure_is_filled_in():
    assert "@@" not in README
