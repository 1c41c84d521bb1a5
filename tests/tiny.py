"""The smallest members of each family, and collections to match: what the tests train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from herbzoo.build import build
from herbzoo.data.records import COLUMNS, Collection
from herbzoo.interfaces import PartSpec
from herbzoo.taxonomy import Taxon, Taxonomy

STAGES = {"depths": [1, 1, 1, 1]}
WINDOWS = {**STAGES, "embed_dim": 8, "num_heads": [1, 1, 2, 2], "window_size": 2}
BACKBONES = {
    "convnextv2_nano": {**STAGES, "dims": [8, 16, 24, 32]},
    "swin_tiny": WINDOWS,
    "swinv2_tiny": WINDOWS,
    "efficientnet_lite0": {},
    "timm:test_convnext": {},
}
TEXT_CONFIG = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
HEADS = {
    "softmax": {},
    "arcface": {"margin_warmup_steps": 5},
    "clip_text": {"text_config": TEXT_CONFIG},
}
SIZE = 64

TAXONOMY = Taxonomy(
    (
        Taxon("Acer rubrum", "L.", "Acer", "Sapindaceae", count=10),
        Taxon("Quercus alba", "L.", "Quercus", "Fagaceae", count=8),
        Taxon("Quercus rubra", "L.", "Quercus", "Fagaceae", count=6),
    )
)


def tiny_model(backbone="timm:test_convnext", head="softmax", embedding=16, **options):
    """Returns a model of random weights with its processor, for three species."""
    return build(
        PartSpec(backbone, BACKBONES[backbone]),
        PartSpec("linear_bn", {"embedding_size": embedding}),
        PartSpec(head, {**HEADS[head], **options}),
        TAXONOMY,
        image_size=SIZE,
        pretrained_backbone=False,
        pretrained_head=False,
    )


def save_run(folder: Path, model, processor, taxonomy=TAXONOMY) -> Path:
    """Writes what makes a folder loadable."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    taxonomy.save(folder)
    return folder


def coloured_leaves(folder: Path, images_a_species: int = 8, size=(48, 64)) -> Path:
    """Writes class folders whose species differ in colour, so that anything learns them."""
    colours = {
        "Acer rubrum": (190, 40, 30),
        "Quercus alba": (60, 150, 60),
        "Quercus rubra": (30, 40, 160),
    }
    generator = np.random.default_rng(0)
    for species, colour in colours.items():
        target = folder / species.replace(" ", "_")
        target.mkdir(parents=True)
        for number in range(images_a_species):
            noise = generator.normal(0, 25, (*size, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(target / f"{number}.jpg")
    return folder


def collection_of(frame: pd.DataFrame, images=None) -> Collection:
    """Completes a frame with empty Darwin Core columns."""
    complete = frame.reindex(columns=list(dict.fromkeys([*COLUMNS, *frame.columns])), fill_value="")
    return Collection(complete.fillna(""), images, "a test collection")
