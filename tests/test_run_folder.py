"""A run folder is complete or resumable, whatever happens to it."""

from __future__ import annotations

import pytest
from safetensors import SafetensorError

from herbzoo.errors import RunError
from herbzoo.run_folder import RunFolder, mark_complete, write_json


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.claim(resume=False)
    return folder


@pytest.mark.parametrize(
    "error",
    [
        SafetensorError("Error while serializing: I/O error: No space left on device"),
        OSError(28, "No space left on device"),
    ],
)
def test_a_full_disk_is_told_from_a_fault(run, error):
    with pytest.raises(RunError, match=r"disk is full .* --resume"), run.writing():
        raise error


def test_a_fault_stays_a_fault(run):
    with pytest.raises(RuntimeError, match="shapes"), run.writing():
        raise RuntimeError("shapes do not match")


def test_half_written_checkpoints_are_never_gone_on_from(run):
    for step in (2, 10, 9, 11):
        folder = run.checkpoints / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        if step != 11:
            mark_complete(folder, step)
    assert run.last_checkpoint() == run.checkpoints / "checkpoint-10"
    assert not (run.checkpoints / "checkpoint-11").exists()


def test_a_finished_run_has_no_working_state_and_cannot_be_resumed(run):
    staged = run.stage()
    write_json(staged / "metrics.json", {"n": 1})
    (staged / "figures").mkdir()
    run.publish(staged)
    assert {path.name for path in run.path.iterdir()} == {"metrics.json", "figures"}
    with pytest.raises(RunError, match="finished run"):
        run.claim(resume=True)


def test_what_must_not_change_is_compared(run):
    run.remember({"species": 3, "train rows": "5, digest a"})
    run.check_unchanged({"species": 3, "train rows": "5, digest a"})
    with pytest.raises(RunError, match=r"train rows changed .*5, digest a then, 6, digest b now"):
        run.check_unchanged({"species": 3, "train rows": "6, digest b"})


def test_json_that_is_no_json_is_refused_and_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "m.json", {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "m.json", {"a": float("nan")})
    assert "1" in (tmp_path / "m.json").read_text()
