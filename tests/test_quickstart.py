"""`herbzoo quickstart`, which is what `make demo` runs."""

from __future__ import annotations

import json
import shlex
import sys

import pytest

import herbzoo.cli
from herbzoo.cli import quickstart


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["herbzoo", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        herbzoo.cli.main()
    return ended.value.code or 0


def test_it_draws_trains_evaluates_and_says_what_works_next(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(quickstart, "SPECIES", 3)
    monkeypatch.setattr(quickstart, "IMAGES_PER_SPECIES", 8)
    output = tmp_path / "quick"
    arguments = ("quickstart", "--output", output, "--workers", "0", "--device", "cpu")
    assert run(monkeypatch, *arguments) == 0
    out = capsys.readouterr().out
    metrics = json.loads((output / "run" / "metrics.json").read_text())
    assert set(metrics["baselines"]) == {"margins_only", "colour_histogram", "chance"}
    assert "baseline: colour histogram" in out
    card = (output / "run" / "README.md").read_text()
    assert "knows no plant that exists" in card and "colour histogram" in card

    advice = [line.strip() for line in out.splitlines() if line.startswith("  herbzoo ")]
    assert len(advice) >= 3
    identify = next(line for line in advice if " identify " in line)
    assert run(monkeypatch, *shlex.split(identify)[1:]) == 0
    evaluate = next(line for line in advice if " evaluate " in line)
    assert run(monkeypatch, *shlex.split(evaluate)[1:], "--workers", "0") == 0
    assert (output / "field" / "metrics.json").is_file()

    assert run(monkeypatch, *arguments) == 2
    assert "not an empty folder" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_demo_names_nine_of_ten_held_out_sheets(tmp_path, monkeypatch):
    assert run(monkeypatch, "quickstart", "--output", tmp_path / "quick") == 0
    metrics = json.loads((tmp_path / "quick" / "run" / "metrics.json").read_text())
    assert metrics["overall"]["top1"] >= 0.9
    assert metrics["overall"]["top1"] > 2 * metrics["baselines"]["colour_histogram"]
