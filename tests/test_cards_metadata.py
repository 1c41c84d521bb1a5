"""The metadata of a card: valid by the Hub's own classes, and read back as they were written."""

from __future__ import annotations

import json

import pytest
import yaml
from card_runs import OVERALL, card_run, metrics
from huggingface_hub import ModelCard

from herbzoo.hub.card_facts import facts_of
from herbzoo.hub.card_metadata import metadata_of, metadata_problems
from herbzoo.hub.cards import render
from herbzoo.hub.licence_ids import LICENCE_IDS


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    run = card_run(tmp_path_factory.mktemp("runs") / "leaves")
    for name, changes in {
        "one": {"protocol": "cross_domain", "harmonic_mean": {"pairs": 0.25}},
        "two": {"protocol": "cross_domain", "retrieval": {"recall_at_1": 0.5}},
    }.items():
        (run / "evaluations" / name).mkdir(parents=True)
        (run / "evaluations" / name / "metrics.json").write_text(json.dumps(metrics(**changes)))
    return facts_of(run, model_id="org/leaves", license_id="cc-by-4.0")


def with_header(text: str, **changes) -> str:
    header = {**metadata_of(text), **changes}
    return f"---\n{yaml.safe_dump(header)}---\n\n# leaves\n"


def test_they_are_what_the_hub_wants_of_a_model(facts):
    text = render(facts)
    header = metadata_of(text)
    assert metadata_problems(text) == []
    assert (header["library_name"], header["pipeline_tag"]) == (
        "transformers",
        "image-classification",
    )
    assert header["license"] == "cc-by-4.0" and "herbarium" in header["tags"]
    assert "language" not in header and "datasets" not in header and "base_model" not in header


def test_every_protocol_has_its_results_and_they_survive_the_round_trip(facts):
    card = ModelCard(render(facts)).data
    assert card.model_name == "leaves"
    by_config = {}
    for one in card.eval_results:
        by_config.setdefault(one.dataset_config, {})[one.metric_type] = one.metric_value
    assert set(by_config) == {"standard", "cross_domain (one)", "cross_domain (two)"}
    assert by_config["standard"]["accuracy"] == OVERALL["top1"]
    assert by_config["standard"]["f1"] == OVERALL["macro_f1"]
    assert by_config["cross_domain (one)"]["harmonic_mean_pairs"] == 0.25
    assert by_config["cross_domain (two)"]["retrieval_recall_at_1"] == 0.5
    assert {one.dataset_split for one in card.eval_results} == {"test"}
    assert ModelCard(f"---\n{card.to_yaml()}\n---\n").data.to_dict() == card.to_dict()


def test_without_results_none_are_claimed(facts):
    text = render(facts | {"results": [], "columns": []})
    assert "model-index" not in text and metadata_problems(text) == []


def test_a_data_set_on_the_hub_and_weights_from_there_are_named(facts):
    data = facts["data"] | {"dataset": "org/sheets"}
    model = facts["model"] | {"base_models": ["timm/swin_tiny_patch4.ms_in1k"]}
    text = render(facts | {"data": data, "model": model})
    header = metadata_of(text)
    assert header["datasets"] == ["org/sheets"]
    assert header["base_model"] == ["timm/swin_tiny_patch4.ms_in1k"]
    assert header["model-index"][0]["results"][0]["dataset"]["type"] == "org/sheets"
    assert metadata_problems(text) == []


def test_a_head_that_reads_names_is_found_by_that_task_too(facts):
    tags = metadata_of(render(facts | {"zero_shot": True}))["tags"]
    assert "zero-shot-image-classification" in tags


def test_a_licence_of_its_own_points_to_the_file(facts):
    stated = facts["stated"] | {"license": "other"}
    header = metadata_of(render(facts | {"stated": stated}))
    assert (header["license_name"], header["license_link"]) == ("see-license-file", "LICENSE")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"license": None}, "no licence is stated"),
        ({"license": "my-own"}, "knows no licence 'my-own'"),
        ({"datasets": ["leaves"]}, "must be Hub ids"),
        ({"base_model": "swin"}, "must be Hub ids"),
        ({"tags": "plants"}, "tags must be a list"),
        ({"pipeline_tag": "plants"}, "pipeline_tag must be image-classification"),
        ({"library_name": "mine"}, "library_name must be transformers"),
        ({"model-index": [{"name": "x"}]}, "metadata are invalid"),
        ({"model-index": "x"}, "metadata are invalid"),
    ],
)
def test_wrong_metadata_are_told_in_a_line(facts, changes, said):
    problems = metadata_problems(with_header(render(facts), **changes))
    assert problems and any(said in problem for problem in problems)
    assert all("\n" not in problem for problem in problems)


def test_a_result_that_is_no_number_is_told(facts):
    text = render(facts).replace(f"value: {OVERALL['top1']}", "value: .nan")
    assert any("accuracy as nan, which is no number" in one for one in metadata_problems(text))


@pytest.mark.parametrize("text", ["# no header", "---\na: b: c\n---\n", "---\n- x\n---\n", ""])
def test_a_card_without_readable_metadata_is_told(text):
    assert metadata_problems(text) == [
        "the metadata between the two lines --- at the top are no YAML"
    ]


def test_the_licences_are_each_listed_once():
    assert len(LICENCE_IDS) == len(set(LICENCE_IDS)) > 70
    assert {"cc-by-4.0", "cc0-1.0", "apache-2.0", "other"} <= set(LICENCE_IDS)
