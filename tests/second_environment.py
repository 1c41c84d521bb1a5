"""A fixture: an environment in which herbzoo is not installed, and a process of it."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import without_herbzoo
from without_herbzoo import Failed


def environment(folder: Path) -> Path:
    """Makes an environment with all that is installed here but herbzoo; returns its Python.

    Installed packages are links to those here. What other folders add by `.pth` files, such as
    herbzoo installed for its development, is not among them.
    """
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    below = Path("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
    for item in (Path(sys.prefix) / below).iterdir():
        if not item.name.startswith(("herbzoo", "_herbzoo")) and item.suffix != ".pth":
            (folder / below / item.name).symlink_to(item)
    return folder / "bin" / "python"


class Elsewhere:
    """A process in the other environment that calls functions of `without_herbzoo`."""

    def __init__(self, python: Path, settings: Mapping[str, str]) -> None:
        own = {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"}
        environment = {key: value for key, value in settings.items() if key not in own}
        self._process = subprocess.Popen(
            [python, without_herbzoo.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )

    def __call__(self, function: Any, *arguments: Any, **options: Any) -> Any:
        """Returns what the function returns there; raises `Failed` if it raises."""
        assert self._process.stdin is not None and self._process.stdout is not None
        call = {"function": function.__name__, "arguments": arguments, "options": options}
        self._process.stdin.write(json.dumps(call).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "it died", "kind": ""}')
        if "error" in answer:
            raise Failed(f"{answer['kind']}: {answer['error']}")
        return answer["value"]

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="session")
def elsewhere(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Elsewhere]:
    process = Elsewhere(environment(tmp_path_factory.mktemp("elsewhere")), settings)
    yield process
    process.close()
