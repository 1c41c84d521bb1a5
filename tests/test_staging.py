"""What of a run folder would go to the Hub, and what would not."""

from __future__ import annotations

import pickle

import pytest
import torch
import yaml
from tiny import save_run, tiny_model

from herbzoo.errors import HerbzooError, RunError
from herbzoo.hub.staging import Staged, matches, size_text, stage, staged


@pytest.fixture
def run(tmp_path):
    torch.manual_seed(0)
    folder = save_run(tmp_path / "run", *tiny_model(head="arcface"))
    (folder / "logs").mkdir()
    (folder / "logs" / "events").write_bytes(b"0")
    (folder / ".training").mkdir()
    (folder / ".training" / "optimizer.pt").write_bytes(pickle.dumps({}))
    (folder / "figures").mkdir()
    (folder / "figures" / "calibration.png").write_bytes(b"png")
    (folder / "figures" / "map.json").write_text("{}")
    (folder / "evaluations" / "cross_domain").mkdir(parents=True)
    (folder / "evaluations" / "cross_domain" / "metrics.json").write_text("{}")
    (folder / "report.html").write_text("<html>")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"onnx")
    (folder / "modeling_herbzoo.py").write_text("of the copy on the Hub")
    (folder / "card.yaml").write_text("license: mit")
    return folder


def names(folder):
    return [file.name for file in staged(folder)]


def test_a_model_goes_with_its_figures_and_without_logs_and_checkpoints(run, tmp_path):
    target = tmp_path / "staged"
    target.mkdir()
    stage(run, target)
    assert names(target) == [
        *(
            "card.yaml",
            "config.json",
            "evaluations/cross_domain/metrics.json",
            "figures/calibration.png",
        ),
        *("model.safetensors", "onnx/model.onnx", "preprocessor_config.json", "taxonomy.json"),
    ]
    assert (target / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "stray",
    ["training_args.bin", "model.pt", "notes.txt", "logs.pkl", "figures.d/a.png", "deep/a.py"],
)
def test_a_file_that_is_no_part_of_a_model_is_refused_by_its_name(run, tmp_path, stray):
    (run / stray).parent.mkdir(exist_ok=True)
    (run / stray).write_bytes(pickle.dumps("anything"))
    target = tmp_path / "staged"
    target.mkdir()
    with pytest.raises(RunError, match=stray) as refused:
        stage(run, target)
    assert "\n" not in str(refused.value)


def test_a_link_to_a_folder_is_not_followed(run, tmp_path):
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "metrics.json").write_text("{}")
    (run / "evaluations" / "elsewhere").symlink_to(tmp_path / "private")
    (tmp_path / "staged").mkdir()
    with pytest.raises(RunError, match="elsewhere"):
        stage(run, tmp_path / "staged")


def test_a_link_that_would_send_a_file_from_elsewhere_is_refused(run, tmp_path):
    (tmp_path / "secret").write_text("hf_secret")
    (run / "LICENSE").symlink_to(tmp_path / "secret")
    (tmp_path / "staged").mkdir()
    with pytest.raises(RunError, match="outside the run"):
        stage(run, tmp_path / "staged")


def test_the_links_of_the_hubs_cache_are_followed(run, tmp_path):
    snapshot = tmp_path / "models--org--leaves" / "snapshots" / "abc"
    blobs = tmp_path / "models--org--leaves" / "blobs"
    snapshot.parent.mkdir(parents=True)
    blobs.mkdir()
    run.rename(snapshot)
    for number, name in enumerate(["config.json", "model.safetensors"]):
        (snapshot / name).rename(blobs / str(number))
        (snapshot / name).symlink_to(blobs / str(number))
    (tmp_path / "staged").mkdir()
    stage(snapshot, tmp_path / "staged")
    assert {"config.json", "model.safetensors"} <= set(names(tmp_path / "staged"))


@pytest.mark.parametrize(("name", "content"), [("metrics.json", "[1"), ("recipe.yaml", "- a")])
def test_a_damaged_file_is_one_line(run, tmp_path, name, content):
    (run / name).write_text(content)
    (tmp_path / "staged").mkdir()
    with pytest.raises(HerbzooError) as refused:
        stage(run, tmp_path / "staged")
    assert "\n" not in str(refused.value)


def test_what_is_changed_in_the_stage_leaves_the_run_as_it_is(run, tmp_path):
    target = tmp_path / "staged"
    target.mkdir()
    before = (run / "config.json").read_text()
    stage(run, target)
    (target / "config.json").write_text("{}")
    assert (run / "config.json").read_text() == before


def test_paths_of_somebodys_disk_do_not_go_along(run, tmp_path):
    recipe = {
        "backbone": "b",
        "head": "h",
        "data": {"source": "/home/ada/leaves", "taxonomy": "../wfo.csv", "traits": "org/traits"},
        "output": "~/runs/leaves",
    }
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    target = tmp_path / "staged"
    target.mkdir()
    stage(run, target)
    sent = yaml.safe_load((target / "recipe.yaml").read_text())
    named = {key: sent["data"][key] for key in ("source", "taxonomy", "traits")}
    assert named == {"source": "leaves", "taxonomy": "wfo.csv", "traits": "org/traits"}
    assert sent["output"] == "leaves" and sent["backbone"]["name"] == "b"


def test_a_star_stays_within_one_part_of_a_path_but_at_its_end():
    assert matches("figures/a.png", ["figures/*.png"])
    assert not matches("figures/deep/a.png", ["figures/*.png"])
    assert matches("logs/deep/events", ["logs/*"])
    assert not matches("config.json/x", ["config.json"])


def test_sizes_read_as_people_write_them(tmp_path):
    for size, text in ((12, "12 bytes"), (1_500, "1.5 kB"), (2_000_000, "2.0 MB")):
        assert size_text([Staged("a", tmp_path / "a", size)]) == text
