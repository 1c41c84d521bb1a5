from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from data_samples import write_image
from PIL import Image
from tiny import coloured_leaves
from typer.testing import CliRunner

from herbzoo.cli import app
from herbzoo.data.readers import open_collection
from herbzoo.data.splits import by_column, make_split
from herbzoo.errors import DataError

DATA = Path(os.environ.get("HERBZOO_DATA", Path(__file__).parents[2] / "shared" / "data"))


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["data", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def refusal(*arguments: object) -> str:
    with pytest.raises(DataError) as error:
        run(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def sheets(tmp_path: Path) -> Path:
    """Sheets of four species in two herbaria; gathering 0 of each is in both."""
    root = tmp_path / "sheets"
    rows = []
    for s in range(4):
        for i in range(6):
            for herbarium in ("B", "NY") if i == 0 else ("B" if i % 2 else "NY",):
                name = f"images/{s}-{i}-{herbarium}.png"
                write_image(root / name, colour=f"#{s * 50 + 20:02x}{i * 40:02x}80")
                rows.append((name, f"Genus{s // 2} species{s}", herbarium, f"{s}{i}"))
    header = ("file_name", "scientificName", "institutionCode", "recordNumber", "recordedBy")
    header += ("eventDate", "basisOfRecord")
    with (root / "metadata.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(header)
        for name, species, herbarium, number in rows:
            who = "J. Smith" if herbarium == "B" else "Smith, J."
            table.writerow(
                [name, species, herbarium, number, who, "1923-05-12", "PreservedSpecimen"]
            )
    return root


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_table_of_a_split_is_data_for_training(sheets, suffix):
    output = sheets / f"split{suffix}"
    said = run("split", sheets, "--test-share", 0.3, "--output", output)
    assert "no leak by specimen, image file, catalogue number, gathering" in said
    assert f"herbzoo train --data {output}" in said
    collection = open_collection(output)
    split = make_split(collection, None, seed=9)
    assert split.rule == "column split" and len(split.test) and len(split.validation)
    assert len(collection) == 28
    assert collection.images.open(collection.frame["image"][0]).size == (32, 48)
    assert list(collection.frame["recordedBy"])[:2] == ["J. Smith", "Smith, J."]


def test_table_above_the_images_names_them_from_there(sheets):
    run("split", sheets, "--output", sheets.parent / "split.csv")
    collection = open_collection(sheets.parent / "split.csv")
    assert collection.frame["image"][0] == "sheets/images/0-0-B.png"
    assert "file_name" not in collection.frame


def test_class_folders_are_split_into_a_table_too(tmp_path):
    leaves = coloured_leaves(tmp_path / "leaves")
    run("split", leaves, "--output", leaves / "split.csv")
    assert len(by_column(open_collection(leaves / "split.csv"), "split").test)


def test_folder_gets_the_images_where_no_table_could_name_them(sheets, tmp_path):
    said = refusal("split", sheets, "--output", tmp_path / "elsewhere" / "split.csv")
    assert "cannot name images" in said and f"--output {sheets / 'split.csv'}" in said
    drawn = "synthetic:species=4,images_per_species=6,seed=0"
    assert "in no folder" in refusal("split", drawn, "--output", tmp_path / "split.csv")
    run("split", drawn, "--output", tmp_path / "flora")
    collection = open_collection(tmp_path / "flora")
    split = by_column(collection, "split")
    assert len(split.train) and len(split.test)
    assert isinstance(collection.images.open(collection.frame["image"][0]), Image.Image)


def test_existing_files_are_not_overwritten(sheets):
    before = (sheets / "metadata.csv").read_bytes()
    assert "is there already" in refusal("split", sheets, "--output", sheets / "metadata.csv")
    assert (sheets / "metadata.csv").read_bytes() == before
    (sheets / "notes").write_text("mine")
    assert "is a file" in refusal("split", sheets, "--output", sheets / "notes")


def test_without_output_nothing_is_written(sheets):
    before = sorted(sheets.rglob("*"))
    assert "nothing is written" in run("split", sheets)
    assert sorted(sheets.rglob("*")) == before


def test_institution_left_out_reports_what_became_of_its_duplicates(sheets):
    said = run("split", sheets, "--by", "institution", "--hold-out", "NY")
    assert "4 images are unused: what they belong with is held out" in said
    assert "no leak by" in said
    assert "did you mean 'NY'" in refusal(
        "split", sheets, "--by", "institution", "--hold-out", "ny"
    )


def test_zero_shot_split_says_which_species_are_unseen(sheets):
    output = sheets / "split.csv"
    hold = ("--by", "species", "--hold-out", "Genus0 species1", "--seen-share", 0.2)
    run("split", sheets, *hold, "--output", output)
    frame = open_collection(output).frame
    unseen = frame["scientificName"] == "Genus0 species1"
    assert (unseen == (frame["zero_shot"] == "unseen")).all()
    assert set(frame["split"][unseen]) == {"test"}
    assert "test" in set(frame["split"][~unseen])


def test_images_keep_copies_together_and_show_their_leak(sheets):
    frame = open_collection(sheets).frame
    for s in range(4):
        for i in range(6):
            for path in (sheets / "images").glob(f"{s}-{i}-*.png"):
                quarter = Image.new("RGB", (64, 96), "white")
                quarter.paste((10, 90, 10), (5 * (i // 2), 12 * s, 9 + 9 * (i // 2), 20 + 15 * s))
                quarter.save(path)
    parts = ["test" if int(name.split("-")[1]) % 2 else "train" for name in frame["image"]]
    text = frame.assign(naive=parts).drop(columns="split").to_csv(index=False)
    (sheets / "naive.csv").write_text(text, encoding="utf-8")
    said = run("leaks", sheets / "naive.csv", "--split-column", "naive", "--images")
    assert "LEAK  same image: 12 test rows (100.0%)" in said
    assert "in all, 12 of 12 test rows leak" in said
    assert " ~ images/" in said
    good = run("split", sheets, "--images", "--test-share", 0.4)
    assert "gathering, same image, near-duplicate image" in good and "LEAK" not in good


def test_leaks_of_a_column_are_reported_and_can_be_left_out(sheets):
    frame = open_collection(sheets).frame
    herbarium = frame["institutionCode"]
    frame = frame.assign(naive=herbarium.map({"B": "train", "NY": "test"})).drop(columns="split")
    (sheets / "naive.csv").write_text(frame.to_csv(index=False), encoding="utf-8")
    output = sheets / "clean.csv"
    said = run("leaks", sheets / "naive.csv", "--split-column", "naive", "--output", output)
    assert "LEAK  gathering: 4 test rows (25.0%)" not in said  # of 12 sheets in NY
    assert "LEAK  gathering: 4 test rows (33.3%)" in said
    assert "images/0-0-B.png ~ images/0-0-NY.png" in said
    assert "left out 4 rows" in said
    clean = run("leaks", output)
    assert "LEAK" not in clean and "12 train" not in clean


def test_column_without_test_rows_is_refused(sheets):
    frame = open_collection(sheets).frame.assign(naive="train")
    (sheets / "naive.csv").write_text(frame.to_csv(index=False), encoding="utf-8")
    said = refusal("leaks", sheets / "naive.csv", "--split-column", "naive")
    assert "neither test nor validation rows" in said
    assert "no column 'none'" in refusal("leaks", sheets, "--split-column", "none")


def test_embedding_of_a_run_joins_what_it_sees_as_one(sheets, tmp_path):
    from tiny import save_run, tiny_model

    model, processor = tiny_model()
    folder = save_run(tmp_path / "run", model, processor)
    arguments = ("split", sheets, "--embedding", folder, "--cosine", 1.0, "--workers", 0)
    assert "embedding near-duplicate" in run(*arguments, "--device", "cpu")


@pytest.mark.realdata
@pytest.mark.skipif(not (DATA / "leafsnap").is_dir(), reason="no leafsnap in HERBZOO_DATA")
def test_published_protocol_has_photos_of_train_in_test():
    said = run("leaks", DATA / "leafsnap", "--split-column", "cross_domain", "--images")
    assert "LEAK  same image: 3 test rows (0.5%)" in said
