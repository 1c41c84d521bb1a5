"""`herbzoo card`, and what it finds wrong with a card."""

from __future__ import annotations

import shutil

import pytest
import yaml
from card_runs import card_run
from terminal import run_herbzoo

from herbzoo.errors import RunError
from herbzoo.hub.card_checks import card_problems, check_card
from herbzoo.hub.card_yaml import MEANING, read_stated
from herbzoo.hub.cards import write_card


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = card_run(tmp_path_factory.mktemp("runs") / "leaves")
    (folder / "card.yaml").write_text("license: cc-by-4.0\n")
    (folder / "figures").mkdir()
    (folder / "figures" / "reliability.png").write_bytes(b"png")
    write_card(folder)
    return folder


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "leaves")


def edit(run, old, new):
    path = run / "README.md"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_card_as_it_was_rendered_has_no_problem(run, monkeypatch, capsys):
    assert card_problems(run) == []
    code, out, err = run_herbzoo(monkeypatch, capsys, "card", run, "--check")
    assert (code, err) == (0, "") and "says what there is to say" in out


def test_a_number_that_somebody_changed_is_told_in_a_line_each(run, monkeypatch, capsys):
    edit(run, "| 4 | 0.707", "| 4 | 0.991")
    code, _, err = run_herbzoo(monkeypatch, capsys, "card", run, "--check")
    lines = err.strip().splitlines()
    assert code == 2 and len(lines) == 2
    assert "0.991" in lines[0] and "0.707" in lines[0] and "herbzoo card RUN" in lines[0]
    assert "0.991 is in no file of the run" in lines[1]


def test_a_number_in_the_metadata_is_traced_too(run):
    edit(run, "value: 0.7071", "value: 0.9971")
    assert any("0.9971 is in no file" in problem for problem in card_problems(run))


def test_results_that_came_later_make_the_card_differ(run):
    text = (run / "metrics.json").read_text().replace("0.7071", "0.6123")
    (run / "metrics.json").write_text(text)
    first, *_ = card_problems(run)
    assert "0.7071" in first and "0.6123" in first
    write_card(run)
    assert card_problems(run) == []


def test_a_figure_that_is_gone_is_told(run):
    (run / "figures" / "reliability.png").unlink()
    assert "README.md shows figures/reliability.png, which is not there" in card_problems(run)
    with pytest.raises(RunError, match=r"shows figures/reliability\.png"):
        check_card(run)


def test_a_missing_licence_is_told_and_refused(run):
    (run / "card.yaml").unlink()
    write_card(run)
    (problem,) = card_problems(run)
    assert "no licence is stated" in problem
    with pytest.raises(RunError, match=r"not fit to be published: .*no licence"):
        check_card(run)
    write_card(run, license_id="mit")
    assert card_problems(run) == [], "the card says it itself, as after `herbzoo push --license`"


def test_a_run_that_was_moved_keeps_a_right_card(run, tmp_path):
    moved = shutil.move(run, tmp_path / "elsewhere")
    assert card_problems(moved) == []


def test_a_card_for_the_hub_is_checked_under_its_name_there(run):
    write_card(run, model_id='org/le"aves')
    assert card_problems(run) == []
    assert any("le" in problem for problem in card_problems(run, model_id="org/other"))


def test_rendering_says_what_a_person_could_add(run, monkeypatch, capsys):
    code, out, err = run_herbzoo(monkeypatch, capsys, "card", run, "--model-id", "org/leaves")
    assert code == 0 and "README.md" in out
    assert "card.yaml could say authors" in err and "could say license" not in err
    assert '"org/leaves"' in (run / "README.md").read_text()


def test_a_card_yaml_to_fill_in_is_valid_and_never_overwritten(run, monkeypatch, capsys):
    (run / "card.yaml").unlink()
    code, out, _ = run_herbzoo(monkeypatch, capsys, "card", run, "--init")
    assert code == 0 and "fill it in" in out
    assert set(yaml.safe_load((run / "card.yaml").read_text())) == set(MEANING)
    assert read_stated(run).unsaid == list(MEANING)
    code, _, err = run_herbzoo(monkeypatch, capsys, "card", run, "--init")
    assert code == 2 and "is there already" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "is no run folder here"),
        (["nowhere.yaml"], "there is no file"),
        ([".", "--check"], "has no README.md"),
        ([".", "--check", "--init"], "--check writes nothing"),
        (["."], "has no training.json"),
        (["x.yaml", "--init"], "give it alone"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, _, err = run_herbzoo(monkeypatch, capsys, "card", *arguments)
    assert code == 2 and said in err and len(err.strip().splitlines()) == 1
