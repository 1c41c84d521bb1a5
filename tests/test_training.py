"""`herbzoo train` from end to end, and each way in which it can be asked wrongly."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
from PIL import Image
from tiny import coloured_leaves

import herbzoo.cli
from herbzoo.build import load_run
from herbzoo.inference import Identifier
from herbzoo.prepared import Hardware
from herbzoo.recipe import Recipe
from herbzoo.training import TrainResult, train

SMALL = ["--image-size", "32", "--workers", "0", "--device", "cpu", "--batch-size", "8"]
QUICK = [*SMALL, "--no-pretrained", "--max-steps", "2", "--set", "training.log=none"]


@pytest.fixture(scope="module")
def leaves(tmp_path_factory):
    return coloured_leaves(tmp_path_factory.mktemp("data") / "leaves", images_a_species=8)


def cli(monkeypatch, capsys, *arguments):
    """Runs the command line in this process; returns exit code, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["herbzoo", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        herbzoo.cli.main()
    captured = capsys.readouterr()
    return ended.value.code or 0, captured.out, captured.err


def test_training_writes_a_run_folder_that_loads_and_names_images(
    leaves, tmp_path, monkeypatch, capsys
):
    run = tmp_path / "run"
    code, out, err = cli(
        monkeypatch,
        capsys,
        *("train", "--backbone", "efficientnet_lite0", "--head", "arcface", "--data", leaves),
        *("--output", run, "--epochs", "20", "--seed", "1", "--group-by", "genus", *SMALL),
        *("--set", "training.freeze_backbone=true"),
    )
    assert code == 0, err
    assert "macro-F1" in out and "genus: Quercus" in out
    found = {path.name for path in run.iterdir()}
    assert found == {
        *("model.safetensors", "config.json", "preprocessor_config.json", "taxonomy.json"),
        *("recipe.yaml", "metrics.json", "training.json", "README.md", "logs"),
    }
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["groups"]["genus"]) == {"Acer", "Quercus"}
    assert metrics["overall"]["top1"] >= 0.8, "colours are easy"
    answers = Identifier.from_pretrained(run)([leaves / "Quercus_rubra" / "0.jpg"])
    assert answers[0].best.scientificName == "Quercus rubra"
    assert Recipe.load(run / "recipe.yaml").seed == 1
    assert "efficientnet_lite0" in (run / "README.md").read_text()
    assert list((run / "logs").glob("events.*"))
    modes = {path.stat().st_mode & 0o777 for path in run.iterdir() if path.is_file()}
    assert len(modes) == 1, "all files are as readable as each other"

    evaluation = ["evaluate", run, "--data", leaves, "--group-by", "genus", "--workers", "0"]
    code, _, err = cli(monkeypatch, capsys, *evaluation)
    assert code == 0 and "that the training held out" in err
    again = json.loads((run / "metrics.json").read_text())
    assert again["overall"] == metrics["overall"] and again["groups"] == metrics["groups"]

    other = shutil.copytree(leaves, tmp_path / "other")
    code, _, err = cli(monkeypatch, capsys, "evaluate", run, "--data", other, "--workers", "0")
    assert code == 2 and "--output" in err
    code, _, err = cli(monkeypatch, capsys, "train", "--output", run, "--resume")
    assert code == 2 and "finished run" in err
    code, _, err = cli(monkeypatch, capsys, "train", "--output", tmp_path / "none", "--resume")
    assert code == 2 and "no interrupted run" in err


def test_a_frozen_backbone_learns_from_kept_features_and_stays_as_it_was(leaves, tmp_path):
    recipe = Recipe(
        backbone="efficientnet_lite0",
        head="softmax",
        data=str(leaves),
        output=str(tmp_path / "run"),
    )
    recipe = Recipe.from_dict(
        recipe.to_dict()
        | {"image": {"size": 32}}
        | {"training": {"freeze_backbone": True, "epochs": 20, "batch_size": 8, "log": "none"}}
    )
    result = train(recipe, hardware=Hardware("cpu", workers=0))
    assert isinstance(result, TrainResult) and result.metrics["overall"]["top1"] >= 0.8
    trained = load_run(result.run).model.backbone.state_dict()
    fresh = load_run(result.run).model.backbone
    fresh.load_pretrained()
    for name, tensor in fresh.state_dict().items():
        assert trained[name].equal(tensor), name


def test_with_no_rows_to_validate_or_test_it_still_trains(tmp_path):
    leaves = coloured_leaves(tmp_path / "leaves", images_a_species=1)
    for number, freeze in enumerate((True, False)):
        recipe = Recipe.from_dict(
            {
                "backbone": {"name": "timm:test_convnext", "pretrained": False},
                "head": "softmax",
                "data": str(leaves),
                "output": str(tmp_path / str(number)),
                "image": {"size": 32},
                "training": {"epochs": 1, "freeze_backbone": freeze, "log": "none"},
            }
        )
        result = train(recipe, hardware=Hardware("cpu", workers=0))
        assert result.metrics is None
        assert "the data had no test rows" in (result.run / "README.md").read_text()


def test_the_same_seed_gives_the_same_run(leaves, tmp_path):
    runs = []
    for number in range(2):
        recipe = Recipe.from_dict(
            {
                "backbone": {"name": "timm:test_convnext", "pretrained": False},
                "head": "softmax",
                "data": str(leaves),
                "output": str(tmp_path / str(number)),
                "image": {"size": 32},
                "training": {"epochs": 1, "batch_size": 8, "log": "none"},
            }
        )
        runs.append(train(recipe, hardware=Hardware("cpu", workers=number)).run)
    first, second = (load_run(run).model.state_dict() for run in runs)
    assert all(first[name].equal(second[name]) for name in first), "also with other workers"


def test_early_stopping_keeps_the_best_weights(leaves, tmp_path):
    recipe = Recipe.from_dict(
        {
            "backbone": "efficientnet_lite0",
            "head": "softmax",
            "data": {"source": str(leaves), "validation_share": 0.3},
            "output": str(tmp_path / "run"),
            "image": {"size": 32},
            "training": {"epochs": 40, "batch_size": 8, "patience": 2, "log": "none"},
        }
    )
    lines = []
    train(recipe, hardware=Hardware("cpu", workers=0), report=lines.append)
    epochs = [line for line in lines if "validation top-1" in line]
    assert 2 < len(epochs) < 40


def test_a_species_with_one_image_stays_in_training(leaves, tmp_path, monkeypatch, capsys):
    data = shutil.copytree(leaves, tmp_path / "leaves")
    (data / "Pinus_strobus").mkdir()
    shutil.copy(data / "Acer_rubrum" / "0.jpg", data / "Pinus_strobus" / "0.jpg")
    code, _, err = cli(
        monkeypatch,
        capsys,
        *("train", "--backbone", "timm:test_convnext", "--head", "softmax", "--data", data),
        *("--output", tmp_path / "run", *QUICK),
    )
    assert code == 0, err
    assert "4 species" in err
    assert len(load_run(tmp_path / "run").taxonomy) == 4


def test_odd_images_are_read_and_a_truncated_one_is_named(leaves, tmp_path, monkeypatch, capsys):
    data = shutil.copytree(leaves, tmp_path / "leaves")
    Image.new("CMYK", (40, 50)).save(data / "Acer_rubrum" / "cmyk.jpg")
    Image.new("I;16", (40, 50), 30_000).save(data / "Acer_rubrum" / "deep.png")
    frames = [Image.new("RGB", (40, 50), colour) for colour in ("red", "blue")]
    frames[0].save(data / "Acer_rubrum" / "moving.gif", save_all=True, append_images=frames[1:])
    command = ["train", "--backbone", "timm:test_convnext", "--head", "softmax", "--data", data]
    code, _, err = cli(monkeypatch, capsys, *command, "--output", tmp_path / "run", *QUICK)
    assert code == 0, err

    for number in range(8):  # wherever the split puts it, training meets one
        path = data / "Quercus_alba" / f"{number}.jpg"
        path.write_bytes(path.read_bytes()[:200])
    for workers in ("0", "1"):
        code, _, err = cli(
            monkeypatch,
            capsys,
            *(*command, "--output", tmp_path / f"run{workers}", *QUICK, "--workers", workers),
            *("--max-steps", "20"),
        )
        assert code == 2
        last = err.strip().splitlines()[-1]
        assert last.startswith("herbzoo: ") and "Quercus_alba" in last and "repair" in last
        assert "Traceback" not in err


PARTS = ["--backbone", "timm:test_convnext", "--head", "softmax"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backbone", "convnextv2_nanno", "--head", "softmax"], "convnextv2_nano"),
        (["--backbone", "efficientnet_lite0", "--head", "arcfase"], "arcface"),
        (["--head", "softmax"], "--backbone"),
        (["--backbone", "timm:resnet18.bogus", "--head", "softmax"], "bogus"),
        ([*PARTS, "--set", "training.log=trackio"], "pip install trackio"),
        ([*PARTS, "--set", "head.margin=1"], "label_smoothing"),
        ([*PARTS, "--set", "backbone.nope=1"], "model_options"),
        ([*PARTS, "--set", "neck.name=waist"], "linear_bn"),
        ([*PARTS, "--image-size", "big"], "HEIGHTxWIDTH"),
        ([*PARTS, "--data", "nowhere/at/all"], "nowhere/at/all"),
        ([*PARTS, "--split-column", "nope"], "nope"),
        ([*PARTS, "--group-by", "nope"], "nope"),
        ([*PARTS, "--device", "abacus"], "--device cpu"),
        ([*PARTS, "--dtype", "float8"], "float8"),
        ([*PARTS, "--recipe", "nope"], "baseline"),
        ([*PARTS, "--resume"], "--resume"),
    ],
)
def test_a_mistake_is_one_line_exit_code_two_and_no_folder(
    arguments, message, leaves, tmp_path, monkeypatch, capsys
):
    output = tmp_path / "run"
    defaults = ["--data", leaves, "--output", output, "--no-pretrained", "--workers", "0"]
    code, out, err = cli(monkeypatch, capsys, "train", *defaults, *arguments)
    assert code == 2
    assert len(err.strip().splitlines()) == 1 and message in err
    assert not out and not output.exists()


def test_weights_that_cannot_be_fetched_name_three_ways_out(leaves, tmp_path, monkeypatch, capsys):
    code, _, err = cli(
        monkeypatch,
        capsys,
        *("train", "--backbone", "convnextv2_atto", "--head", "softmax", "--data", leaves),
        *("--output", tmp_path / "run"),
    )
    assert code == 2
    for way in ("online", "efficientnet_lite0", "--no-pretrained"):
        assert way in err


def test_an_empty_folder_and_one_species_are_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    lonely = coloured_leaves(tmp_path / "lonely")
    for species in ("Acer_rubrum", "Quercus_alba"):
        shutil.rmtree(lonely / species)
    for data, message in ((tmp_path / "empty", "empty"), (lonely, "nothing to tell apart")):
        code, _, err = cli(
            monkeypatch, capsys, "train", *PARTS, "--data", data, "--output", tmp_path / "r", *QUICK
        )
        assert code == 2 and message in err and not (tmp_path / "r").exists()


def test_a_folder_that_holds_a_run_or_anything_else_is_left_alone(
    leaves, tmp_path, monkeypatch, capsys
):
    (tmp_path / "config.json").write_text("{}")
    command = ["train", *PARTS, "--data", leaves, "--output", tmp_path, *QUICK]
    code, _, err = cli(monkeypatch, capsys, *command)
    assert code == 2 and "already holds a run" in err
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    (tmp_path / "config.json").rename(tmp_path / "thesis.txt")
    code, _, err = cli(monkeypatch, capsys, *command)
    assert code == 2 and "other files" in err


def test_another_recipe_cannot_be_resumed_by_mistake(leaves, tmp_path, monkeypatch, capsys):
    data = shutil.copytree(leaves, tmp_path / "leaves")
    for species in data.iterdir():
        for path in species.iterdir():
            path.write_bytes(path.read_bytes()[:200])
    command = ["train", *PARTS, "--data", data, "--output", tmp_path / "run", *QUICK]
    command += ["--group-by", "genus"]
    assert cli(monkeypatch, capsys, *command)[0] == 2
    again = ["train", "--output", tmp_path / "run", "--resume"]
    for change, told in ((["--lr", "0.5"], "training.lr"), (["--head", "arcface"], "head.name")):
        code, _, err = cli(monkeypatch, capsys, *again, *change)
        assert code == 2 and told in err and "began with" in err
    kept = Recipe.load(tmp_path / "run" / ".training" / "recipe.yaml")
    assert kept.data.group_by == ["genus"], "a resumed run reports what was asked"


def test_changed_data_cannot_be_resumed_by_mistake(leaves, tmp_path, monkeypatch, capsys):
    data = shutil.copytree(leaves, tmp_path / "leaves")
    broken = data / "Acer_rubrum" / "0.jpg"
    whole = broken.read_bytes()
    for species in data.iterdir():
        for path in species.iterdir():
            path.write_bytes(path.read_bytes()[:200])
    command = ["train", *PARTS, "--data", data, "--output", tmp_path / "run", *QUICK]
    assert cli(monkeypatch, capsys, *command)[0] == 2
    broken.with_name("new.jpg").write_bytes(whole)
    code, _, err = cli(monkeypatch, capsys, "train", "--output", tmp_path / "run", "--resume")
    assert code == 2 and "changed since it began" in err
