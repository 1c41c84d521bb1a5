"""A run goes to a Hub of our own by the real client, and comes back from it."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loopback_hub import READ_TOKEN, Fault
from PIL import Image
from tiny import SIZE

from herbzoo.errors import RunError
from herbzoo.hub.refusals import HubError

pytest_plugins = ["hub_fixtures"]
LICENSE = "cc-by-4.0"


def push(
    run: str, repo_id: str, how: dict[str, Any] | None = None, license_id: str = LICENSE
) -> tuple[str, str, bool]:
    from herbzoo.hub.publish import Destination, publish

    done = publish(run, Destination(repo_id, **(how or {})), license_id)
    return done.url, done.commit, done.changed


def refused(*given: Any) -> str:
    try:
        push(*given)
    except (HubError, RunError) as error:
        return str(error)
    return "it was taken"


def refused_a_reader(*given: Any) -> str:
    os.environ["HF_TOKEN"] = READ_TOKEN
    try:
        return refused(*given)
    finally:
        del os.environ["HF_TOKEN"]


def files(repo_id: str, revision: str = "main") -> list[str]:
    from huggingface_hub import HfApi

    return sorted(HfApi().list_repo_files(repo_id, revision=revision))


def embed(source: str, options: dict[str, Any] | None = None) -> np.ndarray:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(source, **(options or {})).eval()
    pixels = torch.linspace(-1, 1, 3 * SIZE * SIZE).reshape(1, 3, SIZE, SIZE)
    with torch.no_grad():
        return model(pixels).pooler_output.numpy()


def metadata(repo_id: str) -> dict[str, Any]:
    from huggingface_hub import ModelCard

    return ModelCard.load(repo_id).data.to_dict()


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A run that was really trained, with test rows and a figure."""
    from tiny import coloured_leaves

    from herbzoo.recipe import Recipe
    from herbzoo.training import train

    folder = tmp_path_factory.mktemp("trained")
    leaves = coloured_leaves(folder / "leaves", images_a_species=8)
    backbone = {"name": "efficientnet_lite0", "pretrained": False, "options": {"image_size": 32}}
    recipe = Recipe(
        backbone=backbone,
        head="arcface",
        data={"source": str(leaves)},
        output=str(folder / "leaves-arcface"),
        image={"size": 32},
        training={"max_steps": 1, "log": "none"},
    )
    train(recipe)
    run = folder / "leaves-arcface"
    (run / "figures").mkdir()
    Image.new("RGB", (8, 8)).save(run / "figures" / "calibration.png")
    return run


@pytest.fixture
def run(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "leaves-arcface"))


def test_a_published_run_embeds_as_its_folder_and_has_a_card_that_the_hub_takes(member, hub, run):
    url, commit, changed = member(push, str(run), "org/leaves")
    assert changed and url == f"{hub.url}/org/leaves/commit/{commit}"
    np.testing.assert_array_equal(member(embed, "org/leaves"), embed(str(run)))
    said = member(metadata, "org/leaves")
    assert said["license"] == LICENSE and said["model-index"]
    there = member(files, "org/leaves")
    assert {"README.md", "model.safetensors", "figures/calibration.png"} <= set(there)
    assert "modeling_herbzoo.py" in there and "logs" not in there


def test_pushing_again_sends_nothing_and_an_update_takes_old_files_away(member, hub, run):
    member(push, str(run), "org/again")
    hub.forget()
    _, _, changed = member(push, str(run), "org/again")
    assert not changed and hub.received == []
    (run / "figures" / "calibration.png").rename(run / "figures" / "coverage.png")
    _, _, changed = member(push, str(run), "org/again")
    there = member(files, "org/again")
    assert changed and "figures/coverage.png" in there and "figures/calibration.png" not in there


def test_a_tag_and_a_branch_name_what_was_sent(member, hub, run):
    member(push, str(run), "org/tagged", {"tag": "v1"})
    before = member(embed, "org/tagged", {"revision": "v1"})
    assert "has a tag v1" in member(refused, str(run), "org/tagged", {"tag": "v1"})
    member(push, str(run), "org/tagged", {"revision": "next"})
    assert member(files, "org/tagged", "next") == member(files, "org/tagged", "v1")
    np.testing.assert_array_equal(before, embed(str(run)))


def test_a_pull_request_changes_nothing_and_can_be_looked_at(member, hub, run):
    member(push, str(run), "org/proposed")
    before = member(files, "org/proposed")
    (run / "figures" / "more.png").write_bytes(b"png")
    url, _, _ = member(push, str(run), "org/proposed", {"pull_request": True})
    assert url == f"{hub.url}/org/proposed/discussions/1"
    assert member(files, "org/proposed") == before
    assert "figures/more.png" in member(files, "org/proposed", "refs/pr/1")


@pytest.mark.parametrize("route", ["upload", "create", "preupload", "lfs_batch"])
def test_what_a_second_try_completes_nobody_has_seen_half_of(member, hub, run, route):
    hub.faults.append(Fault(route, 403))
    line = member(refused, str(run), f"org/{route}")
    assert "may not write" in line and "\n" not in line
    if route != "create":
        assert member(files, f"org/{route}") in ([], [".gitattributes"])
    member(push, str(run), f"org/{route}")
    np.testing.assert_array_equal(member(embed, f"org/{route}"), embed(str(run)))


def test_an_upload_that_is_cut_in_the_middle_goes_on_by_itself(member, hub, run):
    hub.uploads_to_cut.add("model.safetensors")
    member(push, str(run), "org/cut")
    np.testing.assert_array_equal(member(embed, "org/cut"), embed(str(run)))


def test_a_commit_that_breaks_off_leaves_nothing_and_the_weights_go_once(member, hub, run):
    hub.faults.append(Fault("commit"))
    line = member(refused, str(run), "org/broken")
    assert "run the same command again" in line and "\n" not in line
    assert "config.json" not in member(files, "org/broken")
    sent = len(hub.received)
    member(push, str(run), "org/broken")
    assert len(hub.received) == sent, "large files are there already"
    assert "config.json" in member(files, "org/broken")


def test_a_commit_whose_answer_is_lost_is_there_on_the_second_try(member, hub, run):
    hub.faults.append(Fault("commit", took_effect=True))
    member(refused, str(run), "org/unheard")
    _, _, changed = member(push, str(run), "org/unheard")
    assert not changed and "config.json" in member(files, "org/unheard")


@pytest.mark.parametrize(
    ("repo_id", "told"),
    [
        ("leaves", "organisation/name"),
        ("strangers/leaves", "would belong to strangers"),
        ("others/leaves", "would belong to others"),
        ("org/leaves and more", "letters, digits"),
    ],
)
def test_a_place_that_is_not_ours_is_refused_in_one_line(member, hub, run, repo_id, told):
    line = member(refused, str(run), repo_id)
    assert told in line and "\n" not in line
    assert not hub.received


def test_without_a_token_or_with_one_that_only_reads_nothing_is_sent(client, hub, run):
    assert "hf auth login" in client(refused, str(run), "org/nobody")
    line = client(refused_a_reader, str(run), "org/nobody")
    assert "may only read" in line and not hub.received


def test_a_name_that_holds_something_else_is_left_alone(member, hub, run):
    hub.add("org/bert", {"main": {"config.json": b'{"model_type": "bert"}', "vocab.txt": b"a"}})
    assert "holds another thing" in member(refused, str(run), "org/bert")
    assert member(files, "org/bert") == ["config.json", "vocab.txt"]


def test_a_run_that_is_not_fit_is_refused_before_the_hub_is_asked(member, hub, run):
    (run / "training_args.bin").write_bytes(pickle.dumps("arguments"))
    assert "training_args.bin" in member(refused, str(run), "org/unfit")
    (run / "training_args.bin").unlink()
    assert "licence" in member(refused, str(run), "org/unfit", {}, "")
    weights = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert "does not load" in member(refused, str(run), "org/unfit")
    assert hub.requests == []


def test_a_licence_that_the_hub_does_not_know_is_refused_before_anything_is_made(member, hub, run):
    line = member(refused, str(run), "org/licence", {}, "my own licence")
    assert "licen" in line and "\n" not in line
    assert "org/licence" not in str(hub.repositories)


def test_a_dry_run_lists_what_would_go_and_asks_the_hub_nothing(hub, run, monkeypatch, capsys):
    import sys

    import herbzoo.cli

    arguments = ["push", str(run), "org/dry", "--license", LICENSE, "--dry-run"]
    monkeypatch.setattr(sys, "argv", ["herbzoo", *arguments])
    with pytest.raises(SystemExit) as ended:
        herbzoo.cli.main()
    said = capsys.readouterr()
    assert not ended.value.code, said.err
    listed = [line.split("\t")[0] for line in said.out.splitlines()]
    assert {"README.md", "model.safetensors", "modeling_herbzoo.py"} <= set(listed)
    assert "the data state no licence: say under `data_terms`" in said.err
    assert f"would send {len(listed)} files" in said.err and hub.requests == []


def test_paths_of_this_disk_are_in_no_file(member, hub, run):
    member(push, str(run), "org/private-paths")
    repository = hub.repositories["models", "org/private-paths"]
    held = repository.files("main")
    home = str(run.parent.parent).encode()
    assert [path for path, blob in held.items() if home in blob.content] == []
    assert json.loads(held["config.json"].content)["auto_map"]
