from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from embed_samples import parts_of, read_rows
from identify_samples import IMAGES, CommandLine, rows_of, write_pictures, write_run
from PIL import Image
from tiny import coloured_leaves, save_run, tiny_model
from transformers import AutoImageProcessor, AutoModel

import herbzoo
from herbzoo.data.inputs import collect_images
from herbzoo.data.readers import open_images
from herbzoo.errors import DataError, RunError
from herbzoo.image_batches import Failure
from herbzoo.index import EmbeddingModel, EmbeddingTable


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def sheets(tmp_path) -> Path:
    return write_pictures(tmp_path / "sheets")


@pytest.fixture
def command(monkeypatch, capsys) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def embed(command, run, tmp_path):
    def embed(data, *options, model=run, output=tmp_path / "out.parquet"):
        return command("embed", model, "--data", data, "--output", output, *options)

    return embed


@pytest.fixture
def output(tmp_path) -> Path:
    return tmp_path / "out.parquet"


def test_embeddings_are_those_of_auto_model(embed, run, sheets, output):
    assert embed(sheets)[0] == 0
    frame, found = read_rows(output)
    pictures = [Image.open(sheets / name).convert("RGB") for name in frame["image"]]
    pixels = AutoImageProcessor.from_pretrained(run)(pictures, return_tensors="pt")
    with torch.no_grad():
        expected = AutoModel.from_pretrained(run)(**pixels).pooler_output.numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.allclose(np.linalg.norm(found, axis=1), 1)


def test_every_column_of_the_collection_is_kept(embed, sheets, output):
    table = pd.DataFrame(
        {
            "file_name": [f"{number}.png" for number in range(IMAGES)][::-1],
            "scientificName": "Acer rubrum",
            "habitat": [f"bog {number}" for number in range(IMAGES)],
            "altitude": range(IMAGES),
        }
    )
    table.to_csv(sheets / "metadata.csv", index=False)
    assert embed(sheets)[0] == 0
    frame, vectors = read_rows(output)
    assert frame["image"].tolist() == table["file_name"].tolist()
    assert frame["habitat"].tolist() == table["habitat"].tolist()
    assert frame["altitude"].tolist() == [str(number) for number in range(IMAGES)]
    assert set(frame["genus"]) == {"Acer"}
    assert len(vectors) == IMAGES


def test_folders_of_species_name_their_images(embed, tmp_path, output):
    embed(coloured_leaves(tmp_path / "leaves", 1))
    assert read_rows(output)[0]["scientificName"].tolist() == [
        "Acer rubrum",
        "Quercus alba",
        "Quercus rubra",
    ]


def test_folders_that_are_laid_out_otherwise_name_nothing(embed, tmp_path, output):
    (tmp_path / "all" / "2024").mkdir(parents=True)
    write_pictures(tmp_path / "all" / "2024" / "may", 1)
    write_pictures(tmp_path / "all" / "2024" / "june", 1)
    assert embed(tmp_path / "all")[0] == 0
    frame, _ = read_rows(output)
    assert frame["image"].tolist() == ["2024/june/0.png", "2024/may/0.png"]
    assert set(frame["scientificName"]) == {""}


def test_the_file_says_which_model_made_it_and_holds_nothing_pickled(embed, run, sheets, output):
    embed(sheets)
    schema = pq.read_schema(output)
    facts = json.loads(schema.metadata[b"herbzoo"])
    model = EmbeddingModel.of(herbzoo.Identifier.from_pretrained(run, "cpu"))
    assert facts == {
        "schema_version": 1,
        "model": str(run),
        "revision": "",
        "model_digest": model.digest,
        "dimension": 16,
        "herbzoo": herbzoo.__version__,
    }
    assert set(schema.metadata) == {b"herbzoo"}
    assert schema.field("embedding").type == pa.list_(pa.float32(), 16)
    assert EmbeddingTable.open(output).model == model


def test_the_head_does_not_count_in_the_digest_and_all_else_does(tmp_path):
    def digest(change=lambda model, processor: None):
        torch.manual_seed(0)
        model, processor = tiny_model()
        change(model, processor)
        folder = save_run(tmp_path / os.urandom(4).hex(), model, processor)
        return EmbeddingModel.of(herbzoo.Identifier.from_pretrained(folder, "cpu")).digest

    def nudge(part):
        return lambda model, _: next(getattr(model, part).parameters()).data.add_(1e-3)

    def mean(_, processor):
        processor.image_mean = [0.4, 0.4, 0.4]

    assert digest() == digest() == digest(nudge("head"))
    assert len({digest(), digest(nudge("backbone")), digest(nudge("neck")), digest(mean)}) == 4


def test_unreadable_images_are_listed_and_do_not_end_it(embed, sheets, output):
    whole = (sheets / "1.png").read_bytes()
    (sheets / "1.png").write_bytes(whole[: len(whole) // 2])
    (sheets / "2.png").write_text("a label, not a picture")
    code, out, err = embed(sheets)
    assert code == 0
    assert f"{IMAGES - 2} rows" in out
    listed = Path(f"{output}.failures.csv")
    assert f"2 images could not be read, listed in {listed}" in err
    rows = rows_of(listed.read_text())
    assert [row["file"] for row in rows] == ["1.png", "2.png"]
    assert "cut short" in rows[0]["reason"]
    assert "not an image" in rows[1]["reason"]
    assert read_rows(output)[0]["image"].tolist() == ["0.png", "3.png", "4.png", "5.png"]
    (sheets / "1.png").write_bytes(whole)
    (sheets / "2.png").unlink()
    embed(sheets)
    assert not listed.exists()
    assert read_rows(output)[0]["image"].tolist() == ["0.png", "1.png", "3.png", "4.png", "5.png"]


def test_an_image_that_a_table_names_and_that_is_not_there_is_a_failure(embed, sheets, output):
    names = ["0.png", "lost.png", "1.png"]
    pd.DataFrame({"file_name": names}).to_csv(sheets / "metadata.csv", index=False)
    assert embed(sheets)[0] == 0
    assert read_rows(output)[0]["image"].tolist() == ["0.png", "1.png"]
    assert rows_of(Path(f"{output}.failures.csv").read_text())[0]["file"] == "lost.png"


def test_without_one_readable_image_it_is_refused_with_the_first_reason(embed, sheets, output):
    for path in sheets.iterdir():
        path.write_text("no picture")
    code, _, err = embed(sheets)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert "none of the 6 images" in err
    assert "0.png" in err
    assert not output.exists()
    assert not parts_of(output).exists()


def test_an_image_of_several_rows_is_embedded_once(embed, sheets, output):
    rows = {"file_name": ["0.png", "1.png", "0.png"], "scientificName": ["a b", "c d", "e f"]}
    pd.DataFrame(rows).to_csv(sheets / "metadata.csv", index=False)
    _, out, _ = embed(sheets)
    assert "3 rows" in out
    assert "2 images embedded now" in out
    frame, vectors = read_rows(output)
    assert frame["scientificName"].tolist() == ["a b", "c d", "e f"]
    assert (vectors[0] == vectors[2]).all()
    assert (vectors[0] != vectors[1]).any()


@pytest.mark.parametrize("batch_size", [1, 4, 0])
def test_the_size_of_batches_changes_nothing(embed, sheets, output, tmp_path, batch_size):
    embed(sheets, output=tmp_path / "whole.parquet")
    embed(sheets, "--batch-size", batch_size)
    np.testing.assert_allclose(
        read_rows(output)[1], read_rows(tmp_path / "whole.parquet")[1], atol=1e-5
    )


def test_worker_processes_give_the_same_in_the_same_order(run, tmp_path):
    sheets = write_pictures(tmp_path / "many", 24)
    (sheets / "7.png").write_text("broken")
    identifier = herbzoo.Identifier.from_pretrained(run, "cpu")
    batches = list(identifier.embedded(open_images(sheets), batch_size=5, workers=2))
    alone = list(identifier.embedded(open_images(sheets), batch_size=24, workers=0))
    rows = np.concatenate([batch.rows for batch in batches])
    assert rows.tolist() == [row for row in range(24) if row != alone[0].failures[0].row]
    np.testing.assert_allclose(
        np.concatenate([batch.embeddings for batch in batches]), alone[0].embeddings, atol=1e-5
    )
    failed = [failure for batch in batches for failure in batch.failures]
    assert failed == list(alone[0].failures)
    assert isinstance(failed[0], Failure)
    assert failed[0].key == "7.png"


def test_embeddings_are_those_that_scoring_gives(run, sheets):
    identifier = herbzoo.Identifier.from_pretrained(run, "cpu")
    collection = collect_images(sheets)
    (scored,) = identifier.scored(collection, workers=0)
    (embedded,) = identifier.embedded(collection, batch_size=32, workers=0)
    np.testing.assert_allclose(embedded.embeddings, scored.embeddings.numpy(), atol=1e-6)


def test_batches_are_halved_until_the_accelerator_has_room(run, sheets, monkeypatch):
    identifier = herbzoo.Identifier.from_pretrained(run, "cpu")
    (expected,) = identifier.embedded(open_images(sheets), batch_size=IMAGES, workers=0)
    forward, sizes = identifier.model.backbone.forward, []

    def short_of_memory(pixels):
        sizes.append(len(pixels))
        if len(pixels) > 2:
            raise torch.OutOfMemoryError("too large")
        return forward(pixels)

    monkeypatch.setattr(identifier.model.backbone, "forward", short_of_memory)
    (found,) = identifier.embedded(open_images(sheets), batch_size=IMAGES, workers=0)
    assert sizes == [6, 3, 1, 1, 1, 1, 1, 1]
    np.testing.assert_allclose(found.embeddings, expected.embeddings, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [("no Parquet", "it is not Parquet"), (None, "does not say which model")],
)
def test_another_file_in_the_way_is_refused_and_kept(embed, sheets, output, text, said):
    if text is None:
        pd.DataFrame({"image": ["0.png"]}).to_parquet(output)
    else:
        output.write_text(text)
    before = output.read_bytes()
    code, _, err = embed(sheets)
    assert code == 2
    assert said in err
    assert "choose another --output" in err
    assert output.read_bytes() == before
    assert not parts_of(output).exists()


def test_another_model_is_refused_and_both_are_named(embed, run, sheets, output, tmp_path):
    embed(sheets)
    before = output.read_bytes()
    torch.manual_seed(1)
    other = save_run(tmp_path / "other", *tiny_model())
    code, _, err = embed(sheets, model=other)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert str(run) in err
    assert str(other) in err
    assert output.read_bytes() == before


def test_a_folder_and_a_place_that_cannot_be_written_are_refused(embed, sheets, tmp_path):
    code, _, err = embed(sheets, output=tmp_path)
    assert (code, "choose another --output" in err) == (2, True)
    code, _, err = embed(sheets, output=sheets / "0.png" / "out.parquet")
    assert (code, "is no folder" in err) == (2, True)


def test_a_newer_file_asks_for_an_upgrade(embed, sheets, output):
    embed(sheets)
    table = pq.read_table(output)
    facts = json.loads(table.schema.metadata[b"herbzoo"]) | {"schema_version": 99}
    pq.write_table(table.replace_schema_metadata({"herbzoo": json.dumps(facts)}), output)
    with pytest.raises(DataError, match="pip install -U herbzoo"):
        EmbeddingTable.open(output)


def test_models_are_compared_by_digest_alone():
    one = EmbeddingModel("runs/a", "", "a" * 64, 8)
    EmbeddingModel("org/a", "c0ffee", "a" * 64, 8).check_same(one, "here")
    with pytest.raises(RunError, match=r"here holds embeddings of runs/a .* runs/b@abc"):
        one.check_same(EmbeddingModel("runs/b", "abc", "b" * 64, 8), "here")


def test_the_commit_of_a_run_from_the_hub_is_kept(run, tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    fetched = tmp_path / "models--org--leaves" / "snapshots" / commit
    fetched.parent.mkdir(parents=True)
    fetched.symlink_to(run)
    identifier = herbzoo.Identifier.from_pretrained(fetched, "cpu")
    assert EmbeddingModel.of(identifier).revision == commit


def test_the_guides_python_runs(run, sheets, tmp_path, monkeypatch):
    guide = (Path(__file__).parent.parent / "docs" / "index.md").read_text(encoding="utf-8")
    section = guide.split("## Embedding a collection")[1].split("\n## ")[0]
    reads, writes = re.findall(r"^```python\n(.*?)^```", section, flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "leaves").symlink_to(run)
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    exec(compile(writes, "index.md", "exec"), scope)
    exec(compile(reads, "index.md", "exec"), scope)
    assert scope["vectors"].shape == (IMAGES, 16)
    assert scope["model"]["model"] == "runs/leaves"
