"""Any backbone goes with any head, and the pair is an ordinary transformers model."""

from __future__ import annotations

import pytest
import torch
from tiny import BACKBONES, HEADS, SIZE, save_run, tiny_model
from transformers import AutoConfig, AutoModel, AutoModelForImageClassification

PAIRS = [(backbone, head) for backbone in BACKBONES for head in HEADS]


def separable_batch():
    torch.manual_seed(0)
    labels = torch.arange(12) % 3
    colours = torch.eye(3)[labels][:, :, None, None] * 4 - 1.5
    return colours + 0.3 * torch.randn(12, 3, SIZE, SIZE), labels


@pytest.mark.parametrize(("backbone", "head"), PAIRS)
def test_every_pair_learns_saves_and_reloads_with_equal_outputs(backbone, head, tmp_path):
    torch.manual_seed(0)
    model, processor = tiny_model(backbone, head)
    pixels, labels = separable_batch()
    optimiser = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=3e-3)
    losses = []
    model.train()
    for _ in range(8):
        loss = model(pixel_values=pixels, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    without = {name for name in trained if model.get_parameter(name).grad is None}
    assert without == set()

    model.eval()
    with torch.no_grad():
        expected = model(pixel_values=pixels)
    save_run(tmp_path, model, processor)
    classifier = AutoModelForImageClassification.from_pretrained(tmp_path)
    embedder = AutoModel.from_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).to_dict()["head"] == model.config.head
    with torch.no_grad():
        torch.testing.assert_close(classifier(pixels).logits, expected.logits)
        torch.testing.assert_close(embedder(pixels).pooler_output, expected.embeddings)
        assert embedder(pixels).keys() == ["pooler_output"] or list(embedder(pixels)) == [
            "pooler_output"
        ]
