"""The model card: what it says, where that comes from, and what it leaves out."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import pytest
import yaml
from card_runs import OVERALL, card_run, metrics, rows

from herbzoo.errors import RunError
from herbzoo.hub.card_facts import facts_of
from herbzoo.hub.cards import escaped, render, write_card
from herbzoo.hub.data_citation import cited
from herbzoo.hub.training_facts import read_training_facts


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return card_run(tmp_path_factory.mktemp("runs") / "leaves")


@pytest.fixture(scope="module")
def card(run):
    return (run / "README.md").read_text(encoding="utf-8")


def changed(run, tmp_path, file, **keys):
    """Copies a run, with other values in one of its JSON files."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    document = json.loads((copy / file).read_text())
    (copy / file).write_text(json.dumps(document | keys))
    return copy


def test_facts_are_plain_values_that_yaml_keeps(run):
    facts = facts_of(run)
    assert yaml.safe_load(yaml.safe_dump(facts)) == facts
    assert json.loads(json.dumps(facts)) == facts


def test_a_card_needs_no_model_and_no_torch(run):
    code = (
        "import sys; from pathlib import Path; from herbzoo.hub.card_facts import facts_of;"
        f"from herbzoo.hub.cards import render; print(len(render(facts_of(Path({str(run)!r})))));"
        "print(*{'torch', 'transformers', 'timm'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    length, *heavy = done.stdout.split()
    assert int(length) > 3000 and heavy == []


def test_it_counts_rows_by_part_and_domain(card):
    assert "| rows | images | species | specimens | herbarium sheets | field photos |" in card
    assert "| train | 8 | 3 | 8 | 6 | 2 |" in card
    assert "| test | 4 | 3 | 4 | 3 | 1 |" in card


def test_it_counts_herbaria_and_says_how_many_rows_state_none(card):
    assert "(3 institutions, training images): K (4), NY (1), P (1); 2 not stated." in card


def test_it_warns_where_terms_forbid_commercial_use(card):
    assert "**Terms of the training images**: 3 of them must not be used commercially" in card
    assert "CC0 1.0 (5), CC BY-NC 4.0 (3)" in card


def test_terms_of_a_known_data_set_are_on_the_card(tmp_path):
    text = (card_run(tmp_path / "run", reader="kaggle", year="2022") / "README.md").read_text()
    assert "restrict the commercial use of models trained on it" in text


def test_it_shows_results_with_intervals(card):
    assert "| standard | all test rows | 4 | 0.707 [0.512, 0.893] | 1.000 | 0.812 |" in card
    assert "species that the model does not know, which count as wrong: 1." in card


def test_a_figure_that_nothing_was_measured_of_has_no_column(card):
    assert "genus top-1" in card and "family top-1" not in card


def test_further_protocols_are_read_from_the_folder_of_evaluations(run, tmp_path):
    copy = changed(run, tmp_path, "metrics.json")
    folder = copy / "evaluations" / "photos"
    folder.mkdir(parents=True)
    found = metrics(
        protocol="retrieval",
        data="/elsewhere/photos",
        groups={"pairs": {"with": OVERALL, "without": {**OVERALL, "top1": 0.1234}}},
        harmonic_mean={"pairs": 0.2101},
        retrieval={"queries": 4, "recall_at_1": 0.3456},
    )
    (folder / "metrics.json").write_text(json.dumps(found))
    write_card(copy)
    text = (copy / "README.md").read_text()
    assert "| retrieval | species without field photos in training | 4 | 0.123 |" in text
    assert "Harmonic mean of the top-1 figures of `pairs`: 0.210" in text
    assert "| retrieval, recall at 1 | 0.346 |" in text
    assert "test rows of *photos*" in text, "and not the path of somebody's disk"


def test_what_is_not_known_is_left_out_or_said_in_a_sentence(tmp_path):
    bare = rows(basisOfRecord="", institutionCode="", license="", occurrenceID="")
    run = card_run(tmp_path / "run", bare)
    for name in ("calibration.json", "metrics.json"):
        (run / name).unlink()
    text = write_card(run).read_text()
    for sentence in (
        "The data do not say which images are herbarium sheets and which are field photos.",
        "the data do not say whose the images are",
        "the data state none, so nothing says what the images may be used for",
        "not checked, as no held-out row states a specimen",
        "softmax that nobody has calibrated",
        "Not measured; `herbzoo evaluate` does.",
        "Nobody has stated under which licence the model is",
    ):
        assert sentence in text, sentence
    for placeholder in ("TODO", "More Information Needed", "None", "[]", "{{", " nan", "()"):
        assert placeholder not in text, placeholder


def test_a_domain_it_has_not_learned_from_is_out_of_scope(tmp_path):
    text = card_run(tmp_path / "run", rows(basisOfRecord="PreservedSpecimen")) / "README.md"
    assert "- Field photos: it has learned from none." in text.read_text()


def test_leaks_that_the_records_show_are_on_the_card(card, tmp_path):
    assert "none by the records" in card and "6 of 6 held-out rows state any" in card
    shared = [f"sheet {number % 12}" for number in range(14)]
    run = card_run(tmp_path / "run", rows(occurrenceID=shared))
    text = (run / "README.md").read_text()
    assert "2 test rows (50.0%) share a specimen with rows that were learned from" in text


def test_the_doi_of_a_gbif_download_is_cited(tmp_path):
    archive = tmp_path / "0001-download.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(
            "citations.txt",
            "GBIF.org (1 May 2026) GBIF Occurrence Download https://doi.org/10.15468/dl.abc123\n"
            "Some herbarium https://doi.org/10.15468/ypoair",
        )
    assert cited(str(archive)).doi == "10.15468/dl.abc123"
    run = card_run(tmp_path / "run", data={"source": str(archive)})
    text = (run / "README.md").read_text()
    assert "**GBIF download**: <https://doi.org/10.15468/dl.abc123>" in text
    assert "The data are to be cited too" in text


def test_the_doi_of_a_publishers_archive_is_cited_and_no_xml_is_parsed(tmp_path):
    (tmp_path / "eml.xml").write_text(
        '<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><a>'
        "<alternateIdentifier>https://doi.org/10.5886/qwerty</alternateIdentifier></a>"
    )
    assert cited(str(tmp_path)).doi == "10.5886/qwerty"
    assert cited(str(tmp_path / "nothing")).doi == ""
    assert cited("synthetic").doi == ""


def test_text_of_users_stays_text(tmp_path):
    name = "<script>alert(1)</script> | [x](http://y) *z*\n# heading"
    run = card_run(tmp_path / "run", rows(institutionCode=name))
    (run / "card.yaml").write_text(yaml.safe_dump({"license": "mit", "limits": f"{name} a_b"}))
    text = write_card(run).read_text()
    assert "<script>" not in text and "\n# heading" not in text
    assert r"\<script\>" in text and r"a\_b" in text


def test_links_in_text_of_users_still_lead_somewhere():
    assert escaped("see https://example.org/a_b_c, *it*") == (
        r"see https://example.org/a_b_c, \*it\*"
    )


def test_what_a_person_states_is_on_the_card(run, tmp_path):
    copy = changed(run, tmp_path, "metrics.json")
    stated = {
        "license": "CC-BY-4.0",
        "data_terms": "The herbarium asks for credit.",
        "authors": ["Ada", "Bob"],
        "citation": "@misc{leaves, title={Leaves}}",
        "intended_use": "Sorting of unnamed sheets.",
        "limits": "Grasses were never looked at.",
        "contact": "ada@example.org",
    }
    (copy / "card.yaml").write_text(yaml.safe_dump(stated))
    text = write_card(copy).read_text()
    assert "The model is under `cc-by-4.0`" in text and "By Ada, Bob." in text
    assert "```bibtex\n@misc{leaves, title={Leaves}}\n```" in text
    for key in ("data_terms", "intended_use", "limits", "contact"):
        assert stated[key] in text


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("licence: mit", "has no key licence: did you mean license?"),
        ("license: cc-by-9.0", "knows no licence 'cc-by-9.0'"),
        ("- a list", "must hold keys"),
        ("license: [mit]", "license must be text"),
        ("authors: 7", "must be a name, or a list of names"),
        ("a: b: c", "is no YAML"),
        ("citation: '``` x'", "BibTeX alone"),
    ],
)
def test_a_card_yaml_that_cannot_be_is_refused_in_one_line(run, tmp_path, written, said):
    copy = changed(run, tmp_path, "metrics.json")
    (copy / "card.yaml").write_text(written)
    with pytest.raises(RunError, match=r"^[^\n]*$") as refused:
        facts_of(copy)
    assert said in str(refused.value)


def test_a_run_that_was_trained_before_there_were_such_facts_says_what_to_do(run, tmp_path):
    copy = changed(run, tmp_path, "metrics.json")
    (copy / "training.json").unlink()
    with pytest.raises(RunError, match="train it again"):
        write_card(copy)


@pytest.mark.parametrize(
    ("file", "keys", "said"),
    [
        ("training.json", {"schema_version": 99}, "pip install --upgrade herbzoo"),
        ("training.json", {"data": []}, "training.json is damaged"),
        ("metrics.json", {"overall": 3}, "metrics.json is damaged"),
        ("config.json", {"head": None}, "is damaged"),
    ],
)
def test_a_damaged_or_newer_file_is_named(run, tmp_path, file, keys, said):
    copy = changed(run, tmp_path, file, **keys)
    with pytest.raises(RunError, match=said):
        facts_of(copy)


def test_figures_are_shown_by_their_relative_path(run, tmp_path):
    copy = changed(run, tmp_path, "metrics.json")
    (copy / "figures").mkdir()
    (copy / "figures" / "risk_coverage.png").write_bytes(b"png")
    (copy / "figures" / "notes.txt").write_text("no picture")
    text = write_card(copy).read_text()
    assert "share answered](figures/risk_coverage.png)" in text and "notes" not in text


def test_it_counts_what_the_weights_hold(run):
    from safetensors.numpy import load_file

    numbers = sum(tensor.size for tensor in load_file(run / "model.safetensors").values())
    assert facts_of(run)["weights"]["millions"] == round(numbers / 1e6, 2)


def test_no_path_of_the_machine_is_on_a_card_for_the_hub(run):
    text = render(facts_of(run, model_id="org/leaves"))
    assert str(run) not in text and "/home/somebody" not in text
    assert '"org/leaves"' in text and "\n# leaves\n" in text


def test_the_facts_of_a_training_are_whole_or_not_there(run):
    facts = read_training_facts(run)
    assert facts["effort"]["seconds"] == 754 and "12.6 minutes" in (run / "README.md").read_text()
    assert not list(run.glob("*.partial"))
