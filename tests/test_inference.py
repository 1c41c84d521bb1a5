from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny import TAXONOMY, collection_of, save_run, tiny_model

from herbzoo.data.inputs import collect_images
from herbzoo.data.readers import open_images
from herbzoo.errors import DataError, HerbzooError, ImageError, RunError
from herbzoo.identification import CandidateRanking
from herbzoo.inference import Identifier
from herbzoo.taxonomy import Taxon, Taxonomy


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    return save_run(tmp_path_factory.mktemp("run"), *tiny_model())


@pytest.fixture(scope="module")
def identifier(run) -> Identifier:
    return Identifier.from_pretrained(run, device="cpu")


def noise(seed: int, size=(90, 70)) -> Image.Image:
    """A random picture with large structures, so that different ones score differently."""
    small = np.random.default_rng(seed).integers(0, 255, (5, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def sheets(tmp_path) -> Path:
    """Sound, odd and broken images together, none larger than is decoded in full."""
    folder = tmp_path / "sheets"
    folder.mkdir()
    for number in range(3):
        noise(number).save(folder / f"sound{number}.png")
    noise(3).convert("CMYK").save(folder / "cmyk.jpg")
    grey = np.linspace(0, 65535, 60 * 60).reshape(60, 60).astype(np.uint16)
    Image.fromarray(grey).save(folder / "deep.png")
    noise(4, (300, 200)).save(folder / "truncated.jpg")
    data = (folder / "truncated.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(data[: len(data) // 2])
    return folder


def softmax_scores(identifier: Identifier, images: list[Image.Image]) -> np.ndarray:
    """Class probabilities in class order, by way of the public answers."""
    names = [taxon.scientificName for taxon in TAXONOMY.taxa]
    found = [{c.scientificName: c.score for c in one.candidates} for one in identifier(images)]
    return np.array([[scores[name] for name in names] for scores in found])


def test_an_image_file_gives_ranked_taxa_with_their_facts(identifier, tmp_path):
    path = tmp_path / "sheet.png"
    noise(0).save(path)
    (found,) = identifier(path, top_k=2)
    assert found.files == (str(path),)
    assert len(found.candidates) == 2
    first, second = found.candidates
    assert first.score > second.score
    taxon = TAXONOMY.taxa[TAXONOMY.index[first.scientificName]]
    assert (first.scientificNameAuthorship, first.genus) == ("L.", taxon.genus)
    assert (first.family, first.taxonRank) == (taxon.family, "species")
    assert found.best is first
    assert str(found).splitlines()[1] == f"  1. {first.scientificName} L. ({first.score:.3f})"


def test_scores_are_the_softmax_of_the_logits(identifier):
    collection = collect_images([noise(0), noise(1)])
    (batch,) = identifier.scored(collection, workers=0)
    expected = torch.softmax(batch.logits, dim=1).numpy()
    np.testing.assert_allclose(softmax_scores(identifier, [noise(0), noise(1)]), expected)
    assert expected.sum(axis=1) == pytest.approx(1)


def test_the_stock_pipelines_agree(identifier, run):
    from transformers import pipeline

    images = [noise(seed, size) for seed, size in enumerate([(90, 70), (64, 64), (40, 120)])]
    classify = pipeline("image-classification", model=str(run), device="cpu")
    for ours, theirs in zip(identifier(images, top_k=3), classify(images, top_k=3), strict=True):
        assert [c.scientificName for c in ours.candidates] == [one["label"] for one in theirs]
        assert [c.score for c in ours.candidates] == pytest.approx(
            [one["score"] for one in theirs], abs=1e-4
        )
    extract = pipeline("image-feature-extraction", model=str(run), device="cpu", pool=True)
    (batch,) = identifier.scored(collect_images(images), workers=0)
    for ours, theirs in zip(batch.embeddings, extract(images), strict=True):
        np.testing.assert_allclose(ours.numpy(), np.array(theirs)[0], atol=1e-4)


def test_a_large_jpeg_decoded_at_a_smaller_scale_scores_nearly_the_same(identifier, tmp_path):
    noise(7, (1500, 1100)).save(tmp_path / "large.jpg", quality=95)
    (scaled,) = identifier(tmp_path / "large.jpg", top_k=3)
    with Image.open(tmp_path / "large.jpg") as image:
        (full,) = identifier(image, top_k=3)
    by_name = {c.scientificName: c.score for c in full.candidates}
    assert scaled.best.scientificName == full.best.scientificName
    for candidate in scaled.candidates:
        assert candidate.score == pytest.approx(by_name[candidate.scientificName], abs=0.01)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_does_not_stop_the_others(identifier, sheets, workers):
    found = identifier(sheets, batch_size=2, workers=workers)
    assert [Path(one.record.image).name for one in found] == sorted(
        p.name for p in sheets.iterdir()
    )
    problems = {Path(one.record.image).name: one.problem for one in found if one.problem}
    assert list(problems) == ["truncated.jpg"]
    assert "cut short" in problems["truncated.jpg"]
    assert "truncated.jpg" not in problems["truncated.jpg"], "the file is named once, not twice"
    (broken,) = (one for one in found if one.problem)
    assert broken.candidates == ()
    with pytest.raises(ImageError, match=r"truncated\.jpg: .*cut short"):
        _ = broken.best


def test_a_collection_of_nothing_readable_gives_only_problems(identifier, tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(b"no image")
    found = identifier(tmp_path, batch_size=2)
    assert len(found) == 3
    assert all(one.problem for one in found)


def test_batches_say_which_rows_they_hold(identifier, sheets):
    collection = open_images(sheets)
    batches = list(identifier.scored(collection, batch_size=4, workers=0))
    assert [batch.end for batch in batches] == [4, 6]
    assert np.concatenate([batch.rows for batch in batches]).tolist() == [0, 1, 2, 3, 4]
    assert [(failure.row, failure.key) for failure in batches[1].failures] == [(5, "truncated.jpg")]
    assert batches[0].logits.shape == (4, 3)
    assert batches[0].embeddings.shape == (4, 16)


def test_a_list_may_mix_paths_folders_and_images_in_memory(identifier, sheets):
    given = [noise(8), sheets / "sound1.png", str(sheets), noise(9), sheets / "sound1.png"]
    found = identifier(given)
    assert len(found) == 1 + 1 + 6 + 1 + 1
    assert found[0].files == ("image 1",)
    assert found[8].files == ("image 4",)
    assert found[1].candidates == found[9].candidates
    in_folder = next(one for one in found[2:8] if one.files[0].endswith("sound1.png"))
    assert in_folder.files == found[1].files
    assert in_folder.best.score == pytest.approx(found[1].best.score, abs=1e-5)


def test_images_in_memory_follow_the_rules_of_files(identifier, sheets, tmp_path):
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(5).save(turned, exif=exif, quality=95)
    palette = tmp_path / "palette.gif"
    noise(6).quantize(8).save(palette, transparency=0)
    for path in (sheets / "deep.png", sheets / "cmyk.jpg", turned, palette):
        (from_file,) = identifier(path)
        with Image.open(path) as image:
            (from_memory,) = identifier(image)
        assert from_memory.best.scientificName == from_file.best.scientificName
        assert from_memory.best.score == pytest.approx(from_file.best.score, abs=1e-5), path.name


def test_a_truncated_image_in_memory_is_a_problem_and_no_crash(identifier, sheets):
    with Image.open(sheets / "truncated.jpg") as image:
        (found,) = identifier(image)
    assert "cut short" in found.problem


def test_genus_and_family_sum_the_scores_of_their_species(identifier):
    (species,) = softmax_scores(identifier, [noise(0)])
    (genus,) = identifier(noise(0), rank="genus")
    scores = {c.scientificName: c.score for c in genus.candidates}
    assert scores == pytest.approx({"Acer": species[0], "Quercus": species[1] + species[2]})
    assert all(c.genus == c.scientificName and c.taxonRank == "genus" for c in genus.candidates)
    oak = next(c for c in genus.candidates if c.genus == "Quercus")
    assert (oak.family, oak.scientificNameAuthorship, oak.taxonID) == ("Fagaceae", "", "")
    (family,) = identifier(noise(0), rank="family")
    assert {c.scientificName for c in family.candidates} == {"Sapindaceae", "Fagaceae"}


def test_specimens_average_the_probabilities_of_their_images_wherever_they_stand(
    identifier, tmp_path
):
    for number in range(5):
        noise(number).save(tmp_path / f"{number}.png")
    pd.DataFrame(
        {
            "file_name": [f"{number}.png" for number in range(5)],
            "occurrenceID": ["b", "a", "", "b", "a"],
        }
    ).to_csv(tmp_path / "metadata.csv", index=False)
    single = softmax_scores(identifier, [noise(number) for number in range(5)])
    ranking = CandidateRanking(TAXONOMY, top_k=3)
    for batch_size in (1, 2, 8):
        batches = identifier.identify(
            collect_images(tmp_path), ranking, by_specimen=True, batch_size=batch_size
        )
        found = [one for batch in batches for one in batch]
        assert [one.record.occurrenceID for one in found] == ["b", "a", ""]
        assert [[Path(f).stem for f in one.files] for one in found] == [
            ["0", "3"],
            ["1", "4"],
            ["2"],
        ]
        for one, rows in zip(found, ([0, 3], [1, 4], [2]), strict=True):
            mean = single[rows].mean(axis=0)
            assert one.best.score == pytest.approx(mean.max(), abs=1e-5)
            assert one.best.scientificName == TAXONOMY.taxa[mean.argmax()].scientificName


def test_a_specimen_is_averaged_over_the_images_that_can_be_read(identifier, tmp_path):
    noise(0).save(tmp_path / "0.png")
    (tmp_path / "1.png").write_bytes(b"")
    (tmp_path / "2.png").write_bytes(b"")
    rows = {"file_name": ["1.png", "0.png", "2.png"], "occurrenceID": ["a", "a", "b"]}
    pd.DataFrame(rows).to_csv(tmp_path / "metadata.csv", index=False)
    for batch_size in (1, 3):
        batches = identifier.identify(
            collect_images(tmp_path),
            CandidateRanking(TAXONOMY),
            by_specimen=True,
            batch_size=batch_size,
        )
        found = [one for batch in batches for one in batch]
        assert [Path(one.record.image).name for one in found if one.problem] == ["1.png", "2.png"]
        (good,) = (one for one in found if not one.problem)
        assert [Path(file).name for file in good.files] == ["0.png"]


def test_a_table_s_missing_image_is_a_problem_of_that_row(identifier, tmp_path):
    noise(0).save(tmp_path / "0.png")
    rows = {"file_name": ["0.png", "gone.png"], "scientificName": ["Acer rubrum", ""]}
    pd.DataFrame(rows).to_csv(tmp_path / "metadata.csv", index=False)
    found = identifier(tmp_path)
    assert found[0].record.scientificName == "Acer rubrum"
    assert [bool(one.problem) for one in found] == [False, True]


def test_paths_that_lead_nowhere_are_refused_at_once(identifier, tmp_path):
    with pytest.raises(DataError, match="no file or folder"):
        identifier([tmp_path / "typo.jpg"])
    with pytest.raises(DataError, match="no images"):
        identifier([])


def test_half_precision_is_for_the_backbone_and_scores_stay_precise(run, identifier):
    half = Identifier.from_pretrained(run, device="cpu", dtype="bfloat16")
    collection = collect_images([noise(0), noise(1)])
    (exact,) = identifier.scored(collection)
    (rough,) = half.scored(collection)
    assert rough.logits.dtype == rough.embeddings.dtype == torch.float32
    assert not torch.equal(rough.embeddings, exact.embeddings)
    torch.testing.assert_close(rough.logits, exact.logits, atol=0.1, rtol=0.05)
    expected = half.model.head.logits(rough.embeddings)
    torch.testing.assert_close(rough.logits, expected, atol=1e-6, rtol=1e-6)


def test_unknown_ranks_dtypes_devices_and_counts_say_what_there_is(run, identifier):
    with pytest.raises(HerbzooError, match="no rank 'order'; there are species, genus, family"):
        identifier(noise(0), rank="order")
    with pytest.raises(HerbzooError, match="at least 1"):
        identifier(noise(0), top_k=0)
    with pytest.raises(HerbzooError, match="no dtype 'int8'; there are auto, float32"):
        Identifier.from_pretrained(run, dtype="int8")
    with pytest.raises(HerbzooError, match="no device 'abacus'"):
        Identifier.from_pretrained(run, device="abacus")


def test_equal_scores_stay_in_class_order_and_nameless_groups_are_left_out():
    taxonomy = Taxonomy(
        (Taxon("A a", genus="A"), Taxon("B b", genus=""), Taxon("C c", genus="C"), Taxon("D d"))
    )
    tied = np.full((1, 4), 0.25)
    ((first, second),) = CandidateRanking(taxonomy, top_k=2)(tied)
    assert [first.scientificName, second.scientificName] == ["A a", "B b"]
    ranking = CandidateRanking(taxonomy, rank="genus")
    assert ranking.length == 2
    assert [c.scientificName for c in ranking(tied)[0]] == ["A", "C"]
    with pytest.raises(RunError, match="gives no family"):
        CandidateRanking(taxonomy, rank="family")


def test_scores_that_are_not_numbers_are_refused_instead_of_ranked():
    with pytest.raises(RunError, match="not numbers"):
        CandidateRanking(TAXONOMY)(np.full((1, 3), np.nan))


def test_a_collection_may_be_given_as_it_is(identifier, sheets):
    collection = open_images(sheets).select([0, 1])
    assert [one.record.image for one in identifier(collection)] == ["cmyk.jpg", "deep.png"]
    assert identifier(collection_of(collection.frame.iloc[:0], collection.images)) == []
