"""Submissions for samples in the layout and with the keys of the real competitions."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from data_samples import write_image, write_images
from test_kaggle import coco, dump, write_2022, write_coco
from tiny import save_run, tiny_model
from typer.testing import CliRunner

from herbzoo.data.readers import open_collection
from herbzoo.errors import DataError, HerbzooError, RunError
from herbzoo.evaluation.submission import category_ids, open_challenge, write_submission
from herbzoo.image_batches import Failure
from herbzoo.inference import Identifier, ScoredBatch
from herbzoo.taxonomy import NameTableFacts, Taxonomy

TESTS_2022 = [
    {"image_id": str(7 * n), "file_name": f"00{n}/test-{7 * n:06d}.jpg", "license": 1}
    for n in (2, 0, 1)
]


@pytest.fixture
def herbarium_2022(tmp_path) -> Path:
    """Three test images whose ids are neither their order nor their file's name."""
    root = write_2022(tmp_path / "h22")
    dump(root / "test_metadata.json", TESTS_2022)
    write_images(root / "test_images", [image["file_name"] for image in TESTS_2022])
    return root


def taxonomy_of(root: Path) -> Taxonomy:
    return Taxonomy.from_collection(open_collection(root))


def answering(taxonomy: Taxonomy, answers: list[int | None], nothing: tuple[int, ...] = ()):
    """A model that gives these answers, in batches of two; None cannot be read."""

    def scored(collection, batch_size, workers):
        for start in range(0, len(answers), 2):
            rows = range(start, min(start + 2, len(answers)))
            readable = [row for row in rows if answers[row] is not None]
            logits = torch.zeros(len(readable), len(taxonomy))
            for place, row in enumerate(readable):
                logits[place, answers[row]] = 1
                if row in nothing:
                    logits[place] = torch.nan
            failures = tuple(
                Failure(row, collection.frame["image"].iloc[row], "broken")
                for row in rows
                if answers[row] is None
            )
            yield ScoredBatch(np.array(readable, np.int64), logits, torch.empty(0, 1), failures)

    return SimpleNamespace(taxonomy=taxonomy, scored=scored)


def written(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_2022_wants_image_ids_and_category_ids(herbarium_2022, tmp_path):
    challenge = open_challenge(herbarium_2022)
    assert challenge.ids == ("14", "0", "7"), "those of the metadata, in their order"
    taxonomy = taxonomy_of(herbarium_2022)
    assert category_ids(taxonomy, challenge) == ["1", "0", "15504"]
    done = write_submission(answering(taxonomy, [2, 0, 1]), challenge, tmp_path / "s" / "s.csv")
    assert written(tmp_path / "s" / "s.csv") == ["Id,Predicted", "14,15504", "0,1", "7,0"]
    assert (done.rows, done.failures) == (3, ())
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["s.csv"]


def test_the_test_metadata_alone_or_an_archive_of_all_will_do(herbarium_2022, tmp_path):
    alone = open_challenge(herbarium_2022 / "test_metadata.json")
    assert alone.ids == ("14", "0", "7") and not alone.categories
    with zipfile.ZipFile(tmp_path / "h22.zip", "w") as archive:
        for path in sorted(herbarium_2022.rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    assert open_challenge(tmp_path / "h22.zip").ids == alone.ids


@pytest.mark.parametrize(
    ("section", "extra"), [("regions", {"genus": "Poa"}), ("institutions", {"order": "Poales"})]
)
@pytest.mark.parametrize("top", ["", "nybg2020"])
def test_2020_and_2021_have_their_ids_in_metadata_of_the_test_folder(tmp_path, section, extra, top):
    write_coco(tmp_path / top, coco(section, extra, name="Poa annua"))
    images = [{"file_name": f"images/000/{n}.jpg", "id": str(n + 8), "license": 1} for n in (1, 0)]
    dump(tmp_path / top / "test" / "metadata.json", {"images": images, "info": {}, "licenses": []})
    write_image(tmp_path / top / "test" / "images" / "000" / "1.jpg")
    challenge = open_challenge(tmp_path)
    assert (challenge.ids, challenge.header) == (("9", "8"), ("Id", "Predicted"))
    assert category_ids(taxonomy_of(tmp_path), challenge) == ["26"]
    assert open_challenge(tmp_path / top / "test").ids == ("9", "8")


def test_2019_wants_file_names_and_several_categories(tmp_path):
    folders = [f"small-train/{category}/00000.jpg" for category in (0, 3, 12, 40, 182, 600)]
    write_images(tmp_path, [*folders, "small-test/00000.jpg", "small-test/00007.jpg"])
    challenge = open_challenge(tmp_path)
    taxonomy = taxonomy_of(tmp_path)
    write_submission(answering(taxonomy, [2, 0]), challenge, tmp_path / "s.csv")
    ids = category_ids(taxonomy)
    rows = written(tmp_path / "s.csv")
    assert rows[0] == "Id,Category" and rows[2] == "00007.jpg," + " ".join(ids[:5])
    assert rows[1].startswith(f"00000.jpg,{ids[2]} {ids[0]} ")


def test_a_table_may_bring_its_own_ids(tmp_path):
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    (tmp_path / "metadata.csv").write_text("image,image_id\na.jpg,x7\nb.jpg,x3\n")
    assert open_challenge(tmp_path).ids == ("x7", "x3")


def test_an_image_without_an_answer_gets_the_most_frequent_species_and_is_listed(
    herbarium_2022, tmp_path
):
    taxonomy = taxonomy_of(herbarium_2022)
    model = answering(taxonomy, [None, 0, 0], nothing=(2,))
    done = write_submission(model, open_challenge(herbarium_2022), tmp_path / "s.csv")
    assert written(tmp_path / "s.csv") == ["Id,Predicted", "14,15504", "0,1", "7,15504"]
    assert done.stand_in == "Acer rubrum"
    listed = written(tmp_path / "s.csv.failures.csv")
    assert listed[:2] == ["file,reason", "test_images/002/test-000014.jpg,broken"]
    assert listed[2].startswith("test_images/001/test-000007.jpg,the model gives it no score")


def test_nothing_is_written_if_no_image_can_be_named_or_the_work_is_cut_off(
    herbarium_2022, tmp_path
):
    taxonomy, challenge = taxonomy_of(herbarium_2022), open_challenge(herbarium_2022)
    with pytest.raises(DataError, match="none of the 3 test images"):
        write_submission(answering(taxonomy, [None] * 3), challenge, tmp_path / "s.csv")

    def interrupted(images):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_submission(
            answering(taxonomy, [0] * 3), challenge, tmp_path / "s.csv", progress=interrupted
        )
    assert not list(tmp_path.glob("s.csv*"))


def test_what_cannot_be_submitted_is_refused_in_one_line(herbarium_2022, tmp_path):
    plain = tmp_path / "plain"
    write_images(plain, ["a.jpg"])
    (plain / "metadata.csv").write_text("image,split\na.jpg,test\n")
    refusals = {plain: "has no ids of images"}
    (tmp_path / "some").mkdir()
    write_images(tmp_path / "some", ["a.jpg"])
    (tmp_path / "some" / "metadata.csv").write_text("image,split,image_id\na.jpg,train,1\n")
    refusals[tmp_path / "some"] = "has no test images, only those of train"
    twice = write_2022(tmp_path / "twice")
    dump(twice / "test_metadata.json", [TESTS_2022[0], {**TESTS_2022[1], "image_id": "14"}])
    refusals[twice] = "several images have the id 14"
    for data, said in refusals.items():
        with pytest.raises(DataError, match=said) as error:
            open_challenge(data)
        assert "\n" not in str(error.value)


def test_a_model_of_other_categories_is_refused(herbarium_2022):
    taxonomy, challenge = taxonomy_of(herbarium_2022), open_challenge(herbarium_2022)
    first, *others = taxonomy.taxa
    changes = {
        "no category id for 1 of its 3 species, such as Abies alba Michx": {"taxonID": ""},
        "no category id": {"taxonID": "wfo-0000511077"},
        "has no category 64500, which is Abies alba Michx": {"taxonID": "64500"},
    }
    for said, change in changes.items():
        other = replace(taxonomy, taxa=(replace(first, **change), *others))
        with pytest.raises(RunError, match=said) as error:
            category_ids(other, challenge)
        assert "\n" not in str(error.value)
    resolved = replace(taxonomy, name_table=NameTableFacts("WCVP", "13"))
    with pytest.raises(RunError, match="were resolved with WCVP"):
        category_ids(resolved, challenge)


def test_the_command_names_every_image_and_keeps_what_is_there(herbarium_2022, tmp_path):
    import typer

    from herbzoo.cli.submission import submission

    model, processor = tiny_model()
    run = save_run(tmp_path / "run", model, processor, taxonomy_of(herbarium_2022))
    (herbarium_2022 / "test_images" / "001" / "test-000007.jpg").write_bytes(b"no image")
    app = typer.Typer()
    app.command()(submission)
    output = tmp_path / "submission.csv"
    words = [str(run), "--data", str(herbarium_2022), "--output", str(output), "--workers", "0"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    rows = written(output)
    best = Identifier.from_pretrained(run)(herbarium_2022 / "test_images" / "002", top_k=1)
    number = {taxon.scientificName: taxon.taxonID for taxon in taxonomy_of(herbarium_2022).taxa}
    assert rows[0] == "Id,Predicted"
    assert rows[1] == f"14,{number[best[0].best.scientificName]}"
    assert rows[3] == "7,15504", "the species with most images stands in"
    assert "1 images could not be named and got Acer rubrum" in done.output.replace("\n", " ")
    with pytest.raises(HerbzooError, match="exists: choose another --output"):
        CliRunner().invoke(app, words, catch_exceptions=False)
