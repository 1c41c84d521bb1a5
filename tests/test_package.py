"""The wheel holds everything that is read at run time, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_both_packages_with_their_data_are_in_the_wheel(wheel):
    names = set(wheel.namelist())
    tracked = [
        path.relative_to(root).as_posix()
        for root, package in ((ROOT, "herbzoo"), (ROOT / "plugins", "herbzoo_plugins"))
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert set(tracked) <= names
    assert {"herbzoo/recipes/baseline.yaml", "herbzoo/hub/templates/card.md.jinja"} <= names
    assert {"herbzoo/py.typed", "herbzoo_plugins/py.typed"} <= names


def test_nothing_else_is_in_the_wheel(wheel):
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"herbzoo", "herbzoo_plugins"}
    assert not any(name.endswith((".pyc", ".jpg", ".png")) for name in wheel.namelist())


def test_the_wheel_declares_licence_script_and_entry_points(wheel):
    folder = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = wheel.read(folder).decode()
    points = wheel.read(folder.replace("METADATA", "entry_points.txt")).decode()
    assert "License-Expression: Apache-2.0" in metadata
    for extra in ("all", "dev", "offline", "search", "curation", "demo", "scale"):
        assert f"Provides-Extra: {extra}" in metadata
    for group in ("[console_scripts]", "[herbzoo.backbones]", "[herbzoo.heads]"):
        assert group in points


def test_the_lock_file_pins_versions_and_names_no_registry():
    lines = (ROOT / "constraints.txt").read_text().split()
    assert lines and all("==" in line and "/" not in line for line in lines)
