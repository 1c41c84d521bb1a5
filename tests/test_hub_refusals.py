"""What the command line says of models on the Hub that cannot be had: one line, whatever it is."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from data_samples import write_image
from loopback_hub import files_of

pytest_plugins = ["hub_fixtures"]


def herbzoo(*arguments: str) -> tuple[int, str, str]:
    """Runs the command line; returns exit code and all that came on stdout and stderr."""
    from herbzoo import cli

    sys.argv = ["herbzoo", *arguments]
    code: object = None
    kept = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            cli.main()
        except SystemExit as exit:
            code = exit.code
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for target, descriptor in enumerate(kept, start=1):
                os.dup2(descriptor, target)
                os.close(descriptor)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode())
    return int(code or 0), texts[0], texts[1]


@pytest.fixture
def refusal(client, tmp_path):
    """Runs `herbzoo identify` on an image, which must fail with one line; returns the line."""
    write_image(tmp_path / "sheet.png")

    def call(run: str) -> str:
        given = ["identify", run, str(tmp_path / "sheet.png"), "--device", "cpu", "--workers", "0"]
        code, out, err = client(herbzoo, *given)
        assert (code, out) == (2, "")
        assert err.startswith("herbzoo: ") and err.count("\n") == 1
        return err

    return call


def test_a_hub_id_works_in_the_command_line(client, arcface, tmp_path):
    write_image(tmp_path / "sheet.png")
    given = ["identify", arcface, str(tmp_path / "sheet.png"), "--format", "csv", "--device", "cpu"]
    code, out, err = client(herbzoo, *given)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 1 + 3


def test_an_unknown_repository_is_one_line_from_a_fresh_process(hub, settings, tmp_path):
    write_image(tmp_path / "sheet.png")
    command = [sys.executable, "-m", "herbzoo", "identify", "org/nope", tmp_path / "sheet.png"]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "org/nope is no folder here, and the Hub did not give it" in done.stderr
    assert "Repository Not Found" in done.stderr and "hf auth login" in done.stderr


def test_an_unknown_revision_is_one_line(refusal, arcface):
    message = refusal(f"{arcface}@v9")
    assert f"{arcface}@v9 is no folder here" in message
    assert "Revision Not Found" in message and "branch, tag or commit" in message


def test_a_gated_repository_is_one_line(refusal, hub, runs):
    hub.add("org/gated", {"main": files_of(runs["main"])}, gated=True)
    message = refusal("org/gated")
    assert "Cannot access gated repo" in message and "ask for access on its page" in message


def test_a_hub_that_cannot_be_reached_is_one_line(refusal, hub):
    with hub.stopped():
        message = refusal("org/anything")
    assert "Connection refused" in message and "go online once" in message


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_pickle_is_neither_fetched_nor_opened(refusal, hub, runs, tmp_path):
    trapped = tmp_path / "unpickled"
    files = files_of(runs["main"])
    del files["model.safetensors"]
    files["pytorch_model.bin"] = pickle.dumps(Trap(trapped))
    hub.add("org/pickled", {"main": files})
    message = refusal("org/pickled")
    assert "org/pickled holds no model: it has no model.safetensors" in message
    assert not hub.has_sent(files["pytorch_model.bin"])
    assert [one for one in hub.requests if "pytorch_model.bin" in one] == []
    for path, content in files.items():
        (tmp_path / path).write_bytes(content)
    assert "no model.safetensors" in refusal(str(tmp_path)), "nor from a folder"
    assert not trapped.exists()


def test_truncated_weights_are_one_line(refusal, hub, runs):
    files = files_of(runs["main"])
    weights = files["model.safetensors"]
    hub.add("org/truncated", {"main": files | {"model.safetensors": weights[: len(weights) // 2]}})
    assert "org/truncated does not load: " in refusal("org/truncated")


def test_a_repository_of_something_else_is_one_line(refusal, hub, runs):
    files = files_of(runs["main"])
    hub.add("org/empty", {"main": {"README.md": b"# Nothing yet"}})
    assert "org/empty holds no model: it has no config.json" in refusal("org/empty")
    del files["taxonomy.json"]
    hub.add("org/other", {"main": files})
    assert "has no taxonomy.json" in refusal("org/other")
