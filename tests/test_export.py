from __future__ import annotations

import errno
import inspect
import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from tiny import SIZE, TAXONOMY, coloured_leaves, save_run, tiny_model

import herbzoo.cli
from herbzoo import export as export_module
from herbzoo import onnx_agreement, onnx_model
from herbzoo.build import load_run
from herbzoo.calibration import Calibration
from herbzoo.cli.export import export
from herbzoo.errors import DataError, HerbzooError, RunError
from herbzoo.export import export_onnx
from herbzoo.inference import Identifier
from herbzoo.modeling.class_map_herbzoo import ClassMerge
from herbzoo.onnx_agreement import Agreement, sample_pixels
from herbzoo.onnx_model import check_form
from herbzoo.taxonomy import Taxonomy

GUIDE = (Path(__file__).parent.parent / "docs" / "export.md").read_text(encoding="utf-8")
FILES = {"model.onnx", "preprocessing.json", "labels.json", "taxonomy.json"}


def tiny_run(folder: Path, *parts, change=lambda model: None, taxonomy=TAXONOMY, **options) -> Path:
    torch.manual_seed(0)
    model, processor = tiny_model(*parts, **options)
    change(model)
    return save_run(folder, model, processor, taxonomy)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tiny_run(tmp_path_factory.mktemp("run"))
    Calibration(1.7, 10, "made up").save(folder)
    return folder


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory) -> Path:
    return export_onnx(run, tmp_path_factory.mktemp("exported") / "leaves-onnx").model.parent


@pytest.fixture
def instant(exported, monkeypatch):
    """Spares the translation: the model is the one exported before."""
    monkeypatch.setattr(
        export_module,
        "write_model",
        lambda run, path, opset, dtype: shutil.copyfile(exported / "model.onnx", path),
    )


def assert_answers_as_torch(model: Path, run: Path, images: int = 5) -> None:
    pixels = torch.randn(images, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = load_run(run).model(pixels)
    session = onnxruntime.InferenceSession(model)
    logits, embeddings = session.run(["logits", "embeddings"], {"pixel_values": pixels.numpy()})
    np.testing.assert_allclose(logits, expected.logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(embeddings, expected.embeddings, rtol=1e-4, atol=1e-4)


def test_the_model_answers_as_torch_in_batches_of_any_size(run, exported):
    for images in (1, 2, 5):
        assert_answers_as_torch(exported / "model.onnx", run, images)


def test_names_and_preprocessing_lie_beside_it(exported):
    assert {path.name for path in exported.iterdir()} == FILES
    assert json.loads((exported / "labels.json").read_text()) == TAXONOMY.labels_in_order()
    assert Taxonomy.load(exported) == TAXONOMY
    facts = json.loads((exported / "preprocessing.json").read_text())
    assert facts["input"] == {
        "name": "pixel_values",
        "shape": ["batch", 3, SIZE, SIZE],
        "dtype": "float32",
    }
    assert (facts["model"], facts["temperature"]) == ("model.onnx", 1.7)
    assert "softmax(logits / 1.7)" in facts["outputs"]["logits"]
    assert any(facts["interpolation"] in step for step in facts["steps"])


def test_the_guides_python_gives_the_same_answer_without_herbzoo(
    run, exported, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(exported, tmp_path / "leaves-onnx")
    (block,) = re.findall(r"^```python\n(.*?)^```", GUIDE, flags=re.DOTALL | re.MULTILINE)
    imported = set(re.findall(r"^(?:import|from) (\w+)", block, flags=re.MULTILINE))
    assert imported == {"json", "pathlib", "numpy", "onnxruntime", "PIL"}
    processor, identifier = load_run(run).processor, Identifier.from_pretrained(run, "cpu")
    answers = set()
    for seed, size in enumerate([(200, 131), (33, 50), (61, 61), (180, 240)]):
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        image.save("sheet.jpg", quality=95)
        scope: dict = {}
        exec(compile(block, "export.md", "exec"), scope)
        (ours,) = identifier("sheet.jpg")
        printed, score = capsys.readouterr().out.rsplit(maxsplit=1)
        assert printed == ours.best.scientificName
        assert float(score) == pytest.approx(ours.best.score, abs=0.01)
        with Image.open("sheet.jpg") as opened:
            stock = processor(images=opened, return_tensors="np")["pixel_values"][0]
        assert np.abs(scope["pixel_values"]("sheet.jpg") - stock).max() < 0.03
        answers.add(printed)
    assert len(answers) > 1, "one answer for all images would prove little"


def test_merged_classes_and_offsets_for_field_photos_are_in_the_model(tmp_path):
    def change(model):
        stacking = model.add_stacking()
        stacking.direction.normal_()
        stacking.offsets.normal_(std=3)
        model.config.class_map, model.config.num_classes = [0, 1, 1], 2
        model.merge = ClassMerge([0, 1, 1], 2)

    merged = Taxonomy(TAXONOMY.taxa[:2])
    run = tiny_run(
        tmp_path / "run", "timm:test_convnext", "arcface", change=change, taxonomy=merged
    )
    assert_answers_as_torch(export_onnx(run).model, run)
    assert {path.name for path in (run / "onnx").iterdir()} == FILES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "head", "options"),
    [
        ("convnextv2_nano", "softmax", {"cosine": True}),
        ("swin_tiny", "arcface", {"sub_centers": 3}),
        ("swinv2_tiny", "clip_text", {}),
        ("efficientnet_lite0", "arcface", {}),
        ("timm:test_convnext", "clip_text", {}),
    ],
)
def test_every_family_can_be_exported(backbone, head, options, tmp_path):
    run = tiny_run(tmp_path / "run", backbone, head, **options)
    assert_answers_as_torch(export_onnx(run).model, run)


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False], ids=["class means", "none yet"])
def test_what_the_weights_decide_is_decided_in_the_model(known, tmp_path):
    def change(model):
        if known:
            model.head.set_prototypes(torch.randn(9, 16), torch.arange(9) % 3)

    run = tiny_run(
        tmp_path, "timm:test_convnext", "arcface", change=change, prototypes=True, sub_centers=2
    )
    assert_answers_as_torch(export_onnx(run).model, run)


@pytest.mark.slow
def test_half_precision_halves_the_backbone_alone(run, exported, tmp_path):
    half = export_onnx(run, tmp_path / "half.onnx", dtype="float16")
    assert half.model == tmp_path / "half.onnx"
    assert half.size < 0.7 * (exported / "model.onnx").stat().st_size
    kinds = {out.type.tensor_type.elem_type for out in onnx.load(half.model).graph.output}
    assert kinds == {onnx.TensorProto.FLOAT}
    assert 0 < half.agreement.shares["logits"] <= 0.05


def follow_another_way(monkeypatch, forward):
    from herbzoo_plugins.backbones.timm_backbone import TimmFeatures

    monkeypatch.setattr(TimmFeatures, "forward", forward)


def test_a_part_that_does_not_translate_is_named(run, tmp_path, monkeypatch):
    def forward(self, pixel_values):
        if torch.compiler.is_exporting():
            raise NotImplementedError("leaves are not shapes\nand so on")
        return self.model(pixel_values)

    follow_another_way(monkeypatch, forward)
    with pytest.raises(RunError, match=r"its backbone 'timm:test_convnext' does not tr") as told:
        export_onnx(run, tmp_path / "new")
    assert str(told.value).endswith("(NotImplementedError: leaves are not shapes)")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_the_image_decides_is_never_decided_beforehand(run, tmp_path, monkeypatch):
    def forward(self, pixel_values):
        brightest = pixel_values.flatten().amax(dim=0)
        return self.model(pixel_values) * (2 if brightest > 30 else 1)

    follow_another_way(monkeypatch, forward)
    with pytest.raises(RunError, match="does not translate") as told:
        export_onnx(run, tmp_path / "new")
    assert "\n" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_answers_that_differ_are_refused_and_nothing_stays(run, instant, tmp_path, monkeypatch):
    monkeypatch.setitem(onnx_agreement.TOLERANCES, "float32", 0.0)
    with pytest.raises(RunError, match="does not answer as torch does: on 4 images"):
        export_onnx(run, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_agreement_is_relative_to_the_range_and_needs_numbers():
    def agreement(difference: float, span: float) -> Agreement:
        return Agreement(4, {"logits": difference}, {"logits": span}, 1e-3)

    assert agreement(0.05, 100).passes and not agreement(0.05, 10).passes
    assert agreement(0, 0).passes and not agreement(0.1, 0).passes
    assert not agreement(float("nan"), 10).passes


def test_what_is_there_is_never_overwritten(run, exported, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "load_run", None)  # all of it is said before that
    before = (exported / "model.onnx").read_bytes()
    with pytest.raises(RunError, match=r"has model.onnx already: choose another --output"):
        export_onnx(run, exported)
    assert (exported / "model.onnx").read_bytes() == before
    with pytest.raises(RunError, match=r"has taxonomy.json already"):
        export_onnx(run, run / "leaves.onnx")
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(RunError, match="notes is a file"):
        export_onnx(run, tmp_path / "notes")


def test_a_folder_that_is_no_run_is_told_before_anything_costs_time(tmp_path):
    with pytest.raises(RunError, match=r"it has no config.json"):
        export_onnx(tmp_path)
    with pytest.raises(RunError, match="is no run folder here"):
        export_onnx("org/name")
    with pytest.raises(RunError, match=r"it has no config.json"):
        export_onnx(tmp_path, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named_with_the_line_that_installs_them(run, monkeypatch):
    present = export_module.find_spec
    monkeypatch.setattr(
        export_module, "find_spec", lambda name: None if "script" in name else present(name)
    )
    with pytest.raises(HerbzooError, match=r'onnxscript: pip install "herbzoo\[export\]"'):
        export_onnx(run)


def test_a_full_disk_is_one_line_and_leaves_nothing(run, tmp_path, monkeypatch):
    def write_model(run, path, opset, dtype):
        path.write_bytes(b"half a model")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(export_module, "write_model", write_model)
    with pytest.raises(RunError, match="the disk is full while writing to"):
        export_onnx(run, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_large_weights_lie_in_a_file_beside_the_model(run, tmp_path, monkeypatch):
    from torch.onnx._internal.exporter import _onnx_program

    monkeypatch.setattr(_onnx_program, "_LARGE_MODEL_THRESHOLD", 1000)
    written = export_onnx(run, tmp_path / "leaves.onnx")
    assert {path.name for path in tmp_path.iterdir()} == FILES - {"model.onnx"} | {
        "leaves.onnx",
        "leaves.onnx.data",
    }
    assert written.size > 4 * sum(p.numel() for p in load_run(run).model.parameters())
    assert_answers_as_torch(written.model, run)


def test_an_opset_that_was_not_kept_is_an_error(exported):
    check_form(exported / "model.onnx", onnx_model.OPSET)
    with pytest.raises(HerbzooError, match=r"opset 19, only in 20"):
        check_form(exported / "model.onnx", 19)


def test_it_is_checked_on_images_of_the_users_and_passes_over_broken_ones(run, tmp_path):
    leaves = coloured_leaves(tmp_path / "leaves", images_a_species=1)
    (leaves / "Acer_rubrum" / "0.jpg").write_bytes(b"no image")
    pixels = sample_pixels(load_run(run), leaves)
    assert pixels.shape == (4, 3, SIZE, SIZE)
    torch.testing.assert_close(pixels[0], pixels[2])  # of the two that are left, each came twice
    for path in leaves.rglob("*.jpg"):
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match="give --data others"):
        sample_pixels(load_run(run), leaves)


def test_the_command_says_what_it_measured_and_wrote(run, instant, tmp_path, capfd):
    export(str(run), "onnx", tmp_path / "new", onnx_model.OPSET, "float32", None)
    told = capfd.readouterr()
    assert told.out == ""
    lines = told.err.splitlines()
    assert lines[0].startswith("translating ")
    assert re.search(r"logits differ by up to \S+ \(\S+ of their range\)", lines[2])
    assert re.fullmatch(r"wrote .*model.onnx \(.* MB\); beside it labels.json, .*", lines[3])
    assert inspect.signature(export).parameters["opset"].default == onnx_model.OPSET
    verbs = herbzoo.cli.app.registered_commands
    assert export in [verb.callback for verb in verbs]
