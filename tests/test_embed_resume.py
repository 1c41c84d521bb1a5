from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from embed_samples import parts_of, read_rows
from identify_samples import IMAGES, CommandLine, write_pictures, write_run
from PIL import Image
from tiny import save_run, tiny_model

from herbzoo.data.readers import open_images
from herbzoo.embedder import EmbeddedBatch
from herbzoo.errors import HerbzooError, RunError
from herbzoo.index import EmbeddingModel, EmbeddingTable, embed_collection, embedding_parts
from herbzoo.index.vector_scratch import VectorScratch


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def sheets(tmp_path) -> Path:
    return write_pictures(tmp_path / "sheets")


@pytest.fixture
def output(tmp_path) -> Path:
    return tmp_path / "out.parquet"


@pytest.fixture
def embed(monkeypatch, capsys, run, output):
    command = CommandLine(monkeypatch, capsys)

    def embed(data, output=output, model=run):
        return command("embed", model, "--data", data, "--output", output)

    return embed


def killed(*arguments: object) -> None:
    script = Path(__file__).with_name("killed_embedding.py")
    done = subprocess.run([sys.executable, script, *map(str, arguments)], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.parametrize(
    ("how", "kept"), [("part:0", 0), ("part:2", 4), ("finish", IMAGES)], ids=str
)
def test_a_killed_command_loses_only_the_part_it_was_at(
    embed, run, sheets, output, tmp_path, how, kept
):
    killed(run, sheets, output, how)
    assert not output.exists()
    assert sum(EmbeddingTable.open(part).rows for part in parts_of(output).glob("part-*")) == kept
    code, out, err = embed(sheets)
    assert code == 0
    assert f"{IMAGES - kept} images embedded now" in out
    assert (f"{kept} images are embedded already" in err) == (kept > 0)
    assert not parts_of(output).exists()
    embed(sheets, output=tmp_path / "whole.parquet")
    frame, found = read_rows(output)
    expected_frame, expected = read_rows(tmp_path / "whole.parquet")
    assert frame.equals(expected_frame)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_only_new_and_changed_images_are_embedded(embed, sheets, output, tmp_path):
    embed(sheets)
    before, old = read_rows(output)
    Image.new("RGB", (50, 40), "green").save(sheets / "1.png")
    Image.new("RGB", (50, 40), "red").save(sheets / "00.png")
    (sheets / "5.png").unlink()
    code, out, err = embed(sheets)
    assert (code, "2 images embedded now" in out) == (0, True)
    assert "4 images are embedded already, 2 are left" in err
    frame, found = read_rows(output)
    assert frame["image"].tolist() == ["0.png", "00.png", "1.png", "2.png", "3.png", "4.png"]
    embed(sheets, output=tmp_path / "whole.parquet")
    np.testing.assert_allclose(found, read_rows(tmp_path / "whole.parquet")[1], atol=1e-6)
    assert np.abs(found[2] - old[1]).max() > 1e-3
    assert frame["imageFingerprint"][2] != before["imageFingerprint"][1]


def test_records_are_those_of_now_though_no_image_is_embedded(embed, sheets, output):
    table = sheets / "metadata.csv"
    table.write_text("file_name,scientificName\n0.png,Acer rubrum\n3.png,Acer nigrum\n")
    embed(sheets)
    _, before = read_rows(output)
    table.write_text("file_name,scientificName,sex\n3.png,Acer saccharum,f\n0.png,Acer rubrum,m\n")
    _, out, _ = embed(sheets)
    assert "0 images embedded now, 2 were there already" in out
    frame, found = read_rows(output)
    assert frame["scientificName"].tolist() == ["Acer saccharum", "Acer rubrum"]
    assert frame["sex"].tolist() == ["f", "m"]
    assert (found == before[::-1]).all()


def test_a_collection_without_fingerprints_is_known_by_what_it_is(embed, output):
    embed("synthetic:species=2,images_per_species=4,seed=1")
    _, first = read_rows(output)
    _, out, _ = embed("synthetic:species=2,images_per_species=4,seed=1")
    assert "0 images embedded now" in out
    _, out, _ = embed("synthetic:species=2,images_per_species=4,seed=2")
    assert "were there already" not in out
    assert not np.allclose(first, read_rows(output)[1])


def test_parts_of_another_model_are_refused(embed, run, sheets, output, tmp_path):
    killed(run, sheets, output, "part:2")
    other = save_run(tmp_path / "other", *tiny_model(embedding=8))
    code, _, err = embed(sheets, model=other)
    assert code == 2
    assert str(parts_of(output)) in err
    assert str(run) in err
    assert len(list(parts_of(output).glob("part-*"))) == 2


def test_a_damaged_part_is_named(embed, run, sheets, output):
    killed(run, sheets, output, "part:2")
    (parts_of(output) / "part-000001.parquet").write_bytes(b"PAR1 and nothing else")
    code, _, err = embed(sheets)
    assert code == 2
    assert "part-000001.parquet" in err
    assert f"delete {parts_of(output)} to begin anew" in err


def test_a_second_process_on_one_output_is_refused(embed, run, sheets, output):
    model = EmbeddingModel.of(_identifier(run))
    with embedding_parts.EmbeddingParts(str(output), model):
        code, _, err = embed(sheets)
        assert (code, "another process writes" in err) == (2, True)
    assert embed(sheets)[0] == 0


def test_a_full_disk_is_one_line_and_what_was_complete_is_kept(
    embed, run, sheets, output, monkeypatch
):
    monkeypatch.setattr(embedding_parts, "PART_ROWS", 2)
    write = embedding_parts.EmbeddingParts._write
    calls = []

    def full(self, where, tables, schema):
        calls.append(where)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, where, tables, schema)

    engine = _twos(_identifier(run))
    model = EmbeddingModel.of(_identifier(run))
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(embedding_parts.EmbeddingParts, "_write", full)
        embed_collection(open_images(sheets), engine, model, str(output))
    assert len(calls) == 3
    code, out, _ = embed(sheets)
    assert (code, "2 images embedded now, 4 were there already" in out) == (0, True)


def test_an_interruption_writes_what_was_embedded(run, sheets, output):
    def interrupted(collection):
        yield from list(_twos(_identifier(run))(collection))[:2]
        raise KeyboardInterrupt

    model = EmbeddingModel.of(_identifier(run))
    with pytest.raises(KeyboardInterrupt):
        embed_collection(open_images(sheets), interrupted, model, str(output))
    summary = embed_collection(open_images(sheets), _twos(_identifier(run)), model, str(output))
    assert (summary.embedded, summary.reused, summary.rows) == (2, 4, 6)


def test_batches_may_come_in_any_order(run, sheets, output, tmp_path):
    model = EmbeddingModel.of(_identifier(run))
    engine = _twos(_identifier(run))
    embed_collection(open_images(sheets), engine, model, str(tmp_path / "whole.parquet"))
    backwards = lambda collection: reversed(list(engine(collection)))  # noqa: E731
    embed_collection(open_images(sheets), backwards, model, str(output))
    frame, found = read_rows(output)
    expected_frame, expected = read_rows(tmp_path / "whole.parquet")
    assert frame.equals(expected_frame)
    assert (found == expected).all()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_killed_worker_is_one_line(run, tmp_path, monkeypatch):
    sheets = write_pictures(tmp_path / "many", 40)
    monkeypatch.setattr(
        "herbzoo.image_batches.read_image",
        lambda *arguments: os.kill(os.getpid(), signal.SIGKILL),
    )
    with pytest.raises(HerbzooError, match="fewer --workers"):
        list(_identifier(run).embedded(open_images(sheets), workers=1))


def test_a_model_that_differs_from_the_files_is_refused_before_work(run, sheets, output):
    model = EmbeddingModel.of(_identifier(run))
    embed_collection(open_images(sheets), _twos(_identifier(run)), model, str(output))
    other = EmbeddingModel("other", "", "0" * 64, 16)
    with pytest.raises(RunError, match="holds embeddings of"):
        embed_collection(open_images(sheets), _never, other, str(output))


def test_ctrl_c_ends_the_command_with_130_and_it_goes_on(embed, run, tmp_path, output):
    sheets = write_pictures(tmp_path / "many", 400)
    command = [sys.executable, "-m", "herbzoo", "embed", run, "--data", sheets, "--output", output]
    process = subprocess.Popen(
        [*map(str, command), "--workers", "1", "--batch-size", "1"],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while process.poll() is None and not parts_of(output).exists():
        time.sleep(0.05)
    time.sleep(0.4)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, the workers as well
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    assert b"Traceback" not in err
    code, out, _ = embed(sheets)
    assert (code, "400 rows" in out) == (0, True)


@pytest.mark.parametrize("seed", range(3))
def test_scratch_gives_back_vectors_in_any_order(seed, tmp_path):
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(50, 3)).astype(np.float32)
    order = generator.permutation(50)
    with VectorScratch(3, tmp_path) as scratch:
        scratch.write(order[:20], vectors[order[:20]])
        scratch.write(order[20:], vectors[order[20:]])
        asked = generator.integers(0, 50, 80)
        assert (scratch.read(asked) == vectors[asked]).all()
        assert scratch.read(np.array([], np.int64)).shape == (0, 3)
    assert not list(tmp_path.iterdir())


def _identifier(run: Path):
    from herbzoo.inference import Identifier

    return Identifier.from_pretrained(run, "cpu")


def _twos(identifier):
    return lambda collection: identifier.embedded(collection, batch_size=2, workers=0)


def _never(collection) -> list[EmbeddedBatch]:
    raise AssertionError("nothing is to be embedded")
