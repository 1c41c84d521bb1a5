from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from fake_distribution import write

from herbzoo import cli
from herbzoo.errors import HerbzooError

HERBZOO = [sys.executable, "-m", "herbzoo"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["herbzoo", *arguments])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    return exit.value.code or 0


def run_raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    return run(monkeypatch)


def commands(group: object, path: str = "herbzoo") -> dict[str, object]:
    """Every command and group by what is typed for it."""
    found = {path: group}
    for name, command in getattr(group, "commands", {}).items():
        found |= commands(command, f"{path} {name}")
    return found


ALL = commands(typer.main.get_command(cli.app))


@pytest.mark.parametrize("command", ALL)
def test_every_command_says_what_it_does_and_shows_an_example(command: str):
    text = ALL[command].help
    first, _, rest = text.partition("\n")
    assert first.endswith("."), "the first line is the summary in `herbzoo --help`"
    examples = re.findall(r"herbzoo( .*)?$", rest.partition("For example:")[2], re.MULTILINE)
    assert examples
    assert all(parameter.help for parameter in ALL[command].params if parameter.name != "help")


@pytest.mark.parametrize("command", ALL)
def test_examples_use_options_there_are(command: str):
    """Only the parser is asked: nothing is run."""
    for example in re.findall(r"(herbzoo [a-z].*)$", ALL[command].help, re.MULTILINE):
        words = shlex.split(example)
        used = max((path for path in ALL if example.startswith(path)), key=len)
        known = {option for p in ALL[used].params for option in (*p.opts, *p.secondary_opts)}
        given = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert used != "herbzoo", example
        assert given <= known | {"--help"}, example


def test_summaries_fit_into_the_help_of_eighty_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert run(monkeypatch, "--help") == 0
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_help_lists_every_verb(monkeypatch, capsys):
    assert run(monkeypatch, "--help") == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in ALL["herbzoo"].commands)


def test_without_a_verb_help_is_shown(monkeypatch, capsys):
    assert run(monkeypatch) == 0
    assert "Usage: herbzoo" in capsys.readouterr().out


def test_version_is_the_installed_one(monkeypatch, capsys):
    from herbzoo import __version__

    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"herbzoo {__version__}\n"


def test_importing_all_verbs_imports_nothing_heavy():
    code = "import herbzoo.cli, sys; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    modules = set(printed.split())
    assert "herbzoo.cli.list" in modules
    assert not modules & {"torch", "transformers", "timm", "pandas", "numpy", "PIL", "rich", "yaml"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["lst"], "Did you mean 'list'"),
        (["list", "--fromat", "csv"], "--format"),
        (["list", "--format", "xml"], "csv"),
        (["list", "backbone"], "no 'backbone'"),
        (["list", "heads", "zzz*"], "'zzz*'"),
        (["plugin", "check"], "NAME"),
        (["plugin", "check", "arcfase"], "did you mean 'arcface'"),
        (["plugin", "check", "arcface", "--set", "margin"], "OPTION=VALUE"),
        (["plugin", "check", "arcface", "--set", "margin=["], "not YAML"),
        (["plugin", "check", "arcface", "--set", "mragin=1"], "no option 'mragin'; it has scale"),
        (["plugin", "check", "arcface", "--kind", "neck"], "no 'neck'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(monkeypatch, capsys, arguments, expected):
    assert run(monkeypatch, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("herbzoo: ") and err.count("\n") == 1
    assert expected.lower() in err.lower()


def test_an_error_of_many_lines_is_printed_as_one(monkeypatch, capsys):
    assert run_raising(monkeypatch, HerbzooError("the sheet\n  is upside down")) == 2
    assert capsys.readouterr().err == "herbzoo: the sheet is upside down\n"


def test_an_interrupt_exits_130(monkeypatch):
    assert run_raising(monkeypatch, KeyboardInterrupt()) == 130


def test_a_full_disk_is_one_line_that_names_the_file(monkeypatch, capfd):
    error = OSError(errno.ENOSPC, "No space left on device", "runs/model.safetensors")
    assert run_raising(monkeypatch, error) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert "disk is full while writing runs/model.safetensors" in err


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    def fail(**_: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(KeyError):
        cli.main()


def test_ctrl_c_in_the_middle_of_a_command_exits_130_without_traceback():
    code = (
        "import time, herbzoo.cli as cli\n"
        "@cli.app.command()\n"
        "def wait(): print('waiting', flush=True); time.sleep(30)\n"
        "import sys; sys.argv = ['herbzoo', 'wait']; cli.main()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe) as process:
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert b"Traceback" not in err


def test_a_reader_that_leaves_early_is_no_error():
    pipe = subprocess.PIPE
    command = [*HERBZOO, "--help"]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert err == b""
    assert process.returncode == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run([*HERBZOO, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "disk is full" in done.stderr


def test_list_as_csv_has_a_row_a_part(monkeypatch, capsys):
    assert run(monkeypatch, "list", "heads", "--format", "csv") == 0
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert {"arcface", "clip_text", "softmax"} <= set(rows)
    assert rows["softmax"]["distribution"] == "herbzoo"
    assert rows["softmax"]["parameters"] == "513000"
    assert rows["softmax"]["problem"] == ""
    assert "sample_rate=1.0" in rows["arcface"]["options"]


def test_list_as_json_takes_a_pattern(monkeypatch, capsys):
    assert run(monkeypatch, "list", "backbones", "*atto", "--format", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["name"] == "convnextv2_atto"
    assert row["kind"] == "backbones"
    assert row["parameters"] > 3e6


def test_list_as_a_table_cuts_no_name_when_piped(tmp_path: Path, monkeypatch, capsys):
    name = "a_head_with_a_name_that_is_longer_than_any_terminal_is_wide_" + "x" * 60
    write(tmp_path, "longwinded-head", {"herbzoo.heads": {name: "Anyhead"}})
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    assert run(monkeypatch, "list", "heads", "a*") == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith(name)]
    assert "longwinded-head 1.2" in line and "A head nobody needs." in line


def test_a_broken_plugin_is_a_row_of_the_list_and_not_its_end(tmp_path, monkeypatch, capsys):
    write(tmp_path, "withered-head", {"herbzoo.heads": {"a_withered": "H"}}, "import gone_module")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(monkeypatch, "list", "heads") == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith("a_withered")]
    assert "BROKEN" in line and "withered-head" in line and "gone_module" in line
    assert "\nsoftmax" in out


def test_list_shows_recipes_without_importing_torch(monkeypatch, capsys):
    from herbzoo.recipe_files import shipped_recipes

    code = "import sys; from herbzoo.cli.list import list_parts; list_parts('recipes')"
    code += "; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert run(monkeypatch, "list", "recipes", "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(shipped_recipes())
    assert all(row["summary"] for row in rows), "a recipe's first line is a comment that says what"


def test_plugin_check_prints_a_line_a_check(monkeypatch, capsys):
    assert run(monkeypatch, "plugin", "check", "softmax", "--set", "label_smoothing=0") == 0
    *checks, verdict = capsys.readouterr().out.splitlines()
    assert len(checks) > 10 and all(line.startswith("ok ") for line in checks)
    assert verdict == "softmax (heads): keeps the contract"


def test_plugin_check_of_a_faulty_part_exits_1(tmp_path: Path, monkeypatch, capsys):
    write(tmp_path, "faulty-head", {"herbzoo.heads": {"faulty": "H"}}, "class H: ...")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(monkeypatch, "plugin", "check", "faulty") == 1
    out = capsys.readouterr().out
    assert "FAILED" in out and "checks failed" in out


def test_plugin_check_of_a_name_of_both_kinds_asks_which(tmp_path, monkeypatch, capsys):
    groups = {"herbzoo.heads": {"ambi": "Anyhead"}, "herbzoo.backbones": {"ambi": "Anyhead"}}
    write(tmp_path, "ambiguous-parts", groups)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(monkeypatch, "plugin", "check", "ambi") == 2
    assert "--kind" in capsys.readouterr().err
