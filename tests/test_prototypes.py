"""Class means of embeddings: as another way to score, and as classes for new species."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from card_runs import metrics, recipe_of, rows, split_of
from herbzoo_plugins.heads.arcface import ArcFace
from safetensors.torch import load_file
from terminal import run_herbzoo
from tiny import BACKBONES, HEADS, SIZE, coloured_leaves, save_run, tiny_model
from torch.nn import functional as F

from herbzoo.build import build, load_run
from herbzoo.data.readers import open_collection
from herbzoo.errors import DataError, RunError
from herbzoo.hub.card_checks import card_problems
from herbzoo.hub.cards import write_card
from herbzoo.hub.training_facts import Effort, write_training_facts
from herbzoo.inference import Identifier
from herbzoo.interfaces import PartSpec
from herbzoo.prototypes import add_species, fit_prototypes
from herbzoo.taxonomy import Taxonomy

HERE = {"device": "cpu", "workers": 0}
NEW = "Quercus rubra"


@pytest.fixture(scope="module")
def leaves(tmp_path_factory):
    return open_collection(coloured_leaves(tmp_path_factory.mktemp("data") / "leaves"))


@pytest.fixture(scope="module")
def run(leaves, tmp_path_factory):
    """A run of random weights that knows two of the three species."""
    known = Taxonomy.from_collection(leaves.select(leaves.frame["scientificName"] != NEW))
    torch.manual_seed(0)
    model, processor = build(
        PartSpec("timm:test_convnext", BACKBONES["timm:test_convnext"]),
        PartSpec("linear_bn", {"embedding_size": 16}),
        PartSpec("arcface", {**HEADS["arcface"], "rare_margin": 0.5}),
        known,
        image_size=SIZE,
        pretrained_backbone=False,
    )
    folder = save_run(tmp_path_factory.mktemp("run") / "run", model, processor, known)
    recipe = recipe_of(folder, "timm:test_convnext", "arcface")
    recipe.save(folder)
    (folder / "metrics.json").write_text(json.dumps(metrics()))
    (folder / "card.yaml").write_text("license: mit\n")
    effort = Effort(60.0, False, torch.device("cpu"), "float32")
    write_training_facts(folder, recipe, split_of(rows()), model, effort)
    write_card(folder)
    return folder


@pytest.fixture(scope="module")
def means(run, leaves, tmp_path_factory):
    return fit_prototypes(run, leaves, tmp_path_factory.mktemp("means") / "run", **HERE)


@pytest.fixture(scope="module")
def more(means, leaves, tmp_path_factory):
    return add_species(means, leaves, tmp_path_factory.mktemp("more") / "run", **HERE)


def top1(folder, collection) -> float:
    answers = Identifier.from_pretrained(folder, "cpu")(collection, top_k=1)
    named = [answer.best.scientificName for answer in answers]
    return float(np.mean(named == collection.frame["scientificName"]))


def test_class_means_are_means_of_directions_and_are_what_a_run_scores_by(run, means, leaves):
    loaded = load_run(means)
    identifier = Identifier(load_run(run), "cpu")
    (batch,) = identifier.scored(leaves, batch_size=64, workers=0)
    directions = F.normalize(batch.embeddings, dim=-1)
    for index, taxon in enumerate(loaded.taxonomy.taxa):
        own = torch.tensor((leaves.frame["scientificName"] == taxon.scientificName).to_list())
        expected = F.normalize(directions[own].mean(dim=0), dim=-1)
        torch.testing.assert_close(loaded.model.head.prototypes[index], expected)
    with torch.no_grad():
        scores = loaded.model.head.logits(batch.embeddings)
    expected = loaded.model.head.scale * directions @ loaded.model.head.prototypes.T
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)


def test_the_trained_class_vectors_are_kept_beside_the_means(run, means):
    before, after = (load_file(folder / "model.safetensors") for folder in (run, means))
    assert after.keys() - before.keys() == {"head.prototypes"}
    assert all(torch.equal(after[name], value) for name, value in before.items())
    config = json.loads((means / "config.json").read_text())
    assert config["head"]["options"]["prototypes"] is True


def test_means_name_images_that_random_class_vectors_do_not(run, means, leaves):
    known = leaves.select(leaves.frame["scientificName"] != NEW)
    assert top1(run, known) < 0.9
    assert top1(means, known) == 1.0


def test_new_species_are_named_without_retraining(more, leaves):
    loaded = load_run(more)
    assert [taxon.scientificName for taxon in loaded.taxonomy.taxa][-1] == NEW
    assert loaded.taxonomy.taxa[-1].count == 8
    assert loaded.model.config.num_classes == 3
    assert loaded.model.config.id2label[2] == NEW
    assert loaded.model.head.margins[-1].item() == pytest.approx(0.5)
    assert top1(more, leaves) == 1.0


def test_species_are_added_to_class_vectors_too(run, leaves, tmp_path):
    output = add_species(run, leaves, tmp_path / "more", **HERE)
    head = load_run(output).model.head
    assert not head.has_prototypes
    lengths = head.weight.norm(dim=1)
    assert lengths[2].item() == pytest.approx(lengths[:2].mean().item(), rel=1e-5)
    new = leaves.select(leaves.frame["scientificName"] == NEW)
    assert top1(output, new) == 1.0


def test_a_run_that_was_changed_says_so_and_claims_no_old_figures(run, more):
    assert (more / "recipe.yaml").read_text() == (run / "recipe.yaml").read_text()
    assert not (more / "metrics.json").exists()
    card = (more / "README.md").read_text()
    assert "1 of the 3 species were added after training" in card
    assert "top-1" in (run / "README.md").read_text() and "## Results" not in card
    assert "under `mit`" in card and card_problems(more) == []
    assert "class by the mean" not in card, "the newer change says more"
    assert len(Taxonomy.load_trained(more)) == 2, "by which its training rows are known again"


def test_the_run_it_was_made_from_is_left_alone(run, more):
    assert len(load_run(run).taxonomy) == 2


def test_progress_is_told(run, leaves, tmp_path):
    told = []
    report = lambda done, total: told.append((done, total))  # noqa: E731
    fit_prototypes(run, leaves, tmp_path / "x", batch_size=10, progress=report, **HERE)
    assert told == [(10, 16), (16, 16)]


def test_what_cannot_be_is_one_line_and_leaves_nothing_behind(run, more, leaves, tmp_path):
    output = tmp_path / "out"
    known = leaves.select(leaves.frame["scientificName"] != NEW)
    with pytest.raises(DataError, match=r"no species that .* does not know"):
        add_species(run, known, output, **HERE)
    with pytest.raises(DataError, match="no image of a species"):
        fit_prototypes(run, leaves.select(leaves.frame["scientificName"] == NEW), output, **HERE)
    with pytest.raises(RunError, match="already holds a run"):
        add_species(run, leaves, more, **HERE)
    linear = save_run(tmp_path / "linear", *tiny_model(head="softmax"))
    with pytest.raises(RunError, match="does not score by class means"):
        add_species(linear, leaves, output, **HERE)
    assert not output.exists()


def test_a_new_species_without_a_readable_image_is_refused_by_name(run, leaves, tmp_path):
    frame = leaves.frame.copy()
    frame.loc[0, "scientificName"] = "Acer nigrum"
    frame.loc[0, "image"] = "nowhere.jpg"
    broken = type(leaves)(frame, leaves.images, "broken")
    with pytest.raises(DataError, match="no image of Acer nigrum can be read"):
        add_species(run, broken, tmp_path / "out", **HERE)


def test_a_class_without_images_keeps_its_class_vector():
    head = ArcFace(8, 3, sub_centers=2, prototypes=True)
    embeddings = torch.randn(4, 8)
    before = head.logits(embeddings)
    head.set_prototypes(embeddings, torch.tensor([0, 0, 2, 2]))
    centres = F.normalize(head.weight.detach().view(3, 2, 8)[1], dim=-1)
    expected = F.normalize(centres.sum(dim=0), dim=-1)
    torch.testing.assert_close(head.prototypes[1], expected)
    assert not torch.allclose(head.logits(embeddings), before)


def test_until_they_are_set_class_vectors_score_and_new_classes_can_be_added():
    plain, roomy = ArcFace(8, 3), ArcFace(8, 3, prototypes=True)
    roomy.weight.data.copy_(plain.weight)
    embeddings = torch.randn(4, 8)
    assert torch.equal(plain.logits(embeddings), roomy.logits(embeddings))
    for head in (plain, roomy):
        head.add_classes(embeddings[:2])
        assert head.logits(embeddings[:2]).argmax(dim=1).tolist() == [3, 4]


def test_the_command_scores_by_means_or_adds_species(run, leaves, tmp_path, monkeypatch, capsys):
    leaves_folder, means, more = leaves.name, tmp_path / "means", tmp_path / "more"
    where = ["--data", leaves_folder, "--device", "cpu", "--workers", "0", "--output"]
    code, _, err = run_herbzoo(monkeypatch, capsys, "prototypes", run, *where, means)
    assert code == 0 and f"wrote {means}" in err
    assert bool(load_run(means).model.head.prototypes.any())
    code, _, err = run_herbzoo(monkeypatch, capsys, "prototypes", run, *where, more, "--add")
    assert code == 0, err
    assert [taxon.scientificName for taxon in load_run(more).taxonomy.taxa][-1] == NEW
    code, _, err = run_herbzoo(monkeypatch, capsys, "prototypes", run, *where, more)
    assert code == 2 and len(err.strip().splitlines()) == 1 and str(more) in err
