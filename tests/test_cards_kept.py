"""model_cards/: the cards that are kept are what their reviewed facts render to."""

from __future__ import annotations

from pathlib import Path

import pytest
from card_runs import card_run
from terminal import run_herbzoo

from herbzoo.hub.kept_facts import kept_problems, read_facts

FOLDER = Path(__file__).parent.parent / "model_cards"
KEPT = sorted(FOLDER.glob("*.yaml"))


def test_there_are_some_and_each_card_has_its_facts():
    assert "quickstart" in {path.stem for path in KEPT}
    cards = {path.stem for path in FOLDER.glob("*.md")} - {"README"}
    assert cards == {path.stem for path in KEPT}


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_kept_card_is_rendered_from_its_facts_and_valid(path):
    assert kept_problems(path) == []


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_kept_card_states_its_licence_and_no_path_of_a_machine(path):
    assert read_facts(path)["stated"]["license"]
    text = path.read_text(encoding="utf-8") + path.with_suffix(".md").read_text(encoding="utf-8")
    assert "/tmp/" not in text and "/home/" not in text


def test_facts_are_written_rendered_and_checked_by_the_command(tmp_path, monkeypatch, capsys):
    run = card_run(tmp_path / "leaves")
    (run / "card.yaml").write_text("license: mit\n")
    kept = tmp_path / "kept" / "leaves.yaml"
    command = ("card", run, "--facts", kept, "--model-id", "org/leaves")
    assert run_herbzoo(monkeypatch, capsys, *command)[0] == 0
    assert run_herbzoo(monkeypatch, capsys, "card", kept)[0] == 0
    card = kept.with_suffix(".md")
    assert card.read_text() == (run / "README.md").read_text()
    assert run_herbzoo(monkeypatch, capsys, "card", kept, "--check")[0] == 0

    kept.write_text(kept.read_text().replace("0.7071", "0.8888"))
    code, _, err = run_herbzoo(monkeypatch, capsys, "card", kept, "--check")
    assert code == 2 and "README.md line" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- x", "holds no facts"),
        ("schema_version: 99", "newer herbzoo"),
        ("schema_version: 1", "lacks a fact"),
    ],
)
def test_a_damaged_file_of_facts_is_one_line(tmp_path, monkeypatch, capsys, text, said):
    path = tmp_path / "facts.yaml"
    path.write_text(text)
    code, _, err = run_herbzoo(monkeypatch, capsys, "card", path)
    assert code == 2 and said in err and len(err.strip().splitlines()) == 1
