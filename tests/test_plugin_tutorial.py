"""The tutorial in plugins/README.md, built, installed and run as it stands there."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parent.parent / "plugins" / "README.md"
FILE_BLOCK = re.compile(r"^\*\*`([\w.]+)`\*\*\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CONSOLE_LINE = re.compile(r"^\$ (.+)$", re.MULTILINE)

RUN = """
import sys
from herbzoo import cli
for line in {lines}:
    sys.argv = line
    try:
        cli.main()
    except SystemExit as end:
        assert not end.code, (line, end.code)

import test_meadow
for name, function in vars(test_meadow).items():
    if name.startswith("test_"):
        function()
"""


def blocks() -> list[tuple[str, str]]:
    """The code blocks that are headed by a file's name, in their order."""
    return FILE_BLOCK.findall(TUTORIAL.read_text(encoding="utf-8"))


def console() -> list[list[str]]:
    return [shlex.split(line) for line in CONSOLE_LINE.findall(TUTORIAL.read_text("utf-8"))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed what the tutorial's blocks add up to."""
    project, folder = tmp_path_factory.mktemp("meadow"), tmp_path_factory.mktemp("site")
    for name, text in blocks():
        with open(project / name, "a", encoding="utf-8") as file:
            file.write(text)
    (project / "test_meadow.py").rename(folder / "test_meadow.py")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", folder]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, project], check=True)
    return folder


def test_the_first_class_has_ten_lines():
    (head,) = [n for n in ast.parse(blocks()[0][1]).body if isinstance(n, ast.ClassDef)]
    head.body = head.body[1:]  # the docstring
    assert len([line for line in ast.unparse(head).splitlines() if line.strip()]) == 10


def test_python_and_toml_come_before_any_theory():
    start = TUTORIAL.read_text(encoding="utf-8").partition("## ")[0]
    assert [name for name, _ in FILE_BLOCK.findall(start)] == [
        "herbzoo_meadow.py",
        "pyproject.toml",
    ]
    prose = re.sub(r"```.*?```", "", start.partition("**`pyproject")[0], flags=re.DOTALL)
    assert len(prose.split()) < 12


def test_every_python_and_toml_block_is_part_of_a_file_and_so_is_run():
    fences = re.findall(r"^```(python|toml)$", TUTORIAL.read_text("utf-8"), re.MULTILINE)
    assert len(fences) == len(blocks())


@pytest.mark.slow
def test_its_commands_and_its_tests_run(site: Path):
    ours = [line for line in console() if line[0] == "herbzoo" and line[1] != "train"]
    assert len(ours) >= 4
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(lines=ours)],
        env=os.environ | {"PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nnearest " in done.stdout
    assert "patches (backbones): keeps the contract" in done.stdout
    assert "FAILED" not in done.stdout
