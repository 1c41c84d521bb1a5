"""The command line in this process, without what only verbs with a model take."""

from __future__ import annotations

import sys

import pytest

from herbzoo import cli


def run_herbzoo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """Runs `herbzoo`; returns exit code, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["herbzoo", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    out, err = capsys.readouterr()
    return int(exit.value.code or 0), out, err
