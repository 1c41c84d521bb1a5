"""A small run with all that a card is made of; nothing is trained for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tiny import BACKBONES, HEADS, collection_of, save_run, tiny_model

from herbzoo.calibration import Calibration
from herbzoo.data.records import FIELD, HERBARIUM, Collection
from herbzoo.data.splits import Split
from herbzoo.hub.cards import write_card
from herbzoo.hub.training_facts import Effort, write_training_facts
from herbzoo.recipe import Recipe

PARTS = ("train",) * 8 + ("validation",) * 2 + ("test",) * 4
SPECIES = ("Acer rubrum", "Quercus alba", "Quercus rubra", "Quercus alba")
OVERALL = {
    **{"n": 4, "top1": 0.7071, "top5": 1.0, "mrr": 0.8123, "macro_f1": 0.6912},
    **{"balanced_accuracy": 0.6543, "unknown": 1, "genus_top1": 0.9123, "ece": 0.0512},
}


def rows(**columns: Any) -> pd.DataFrame:
    """Fourteen rows, eight of them to train on; columns may be given for all or as one value."""
    count = len(PARTS)
    table = {
        "image": [f"{number}.jpg" for number in range(count)],
        "scientificName": [SPECIES[number % len(SPECIES)] for number in range(count)],
        "basisOfRecord": [FIELD if number % 4 == 3 else HERBARIUM for number in range(count)],
        "institutionCode": ["K", "K", "NY", "", "K", "P", "K", ""] + ["K"] * 6,
        "license": ["CC BY-NC 4.0"] * 3 + ["CC0 1.0"] * 11,
        "occurrenceID": [f"sheet {number}" for number in range(count)],
    }
    return pd.DataFrame({**table, **columns})


def split_of(frame: pd.DataFrame, **facts: Any) -> Split:
    """The rows of `rows`, divided."""
    whole = collection_of(frame)
    whole = Collection(whole.frame, whole.images, "/home/somebody/leaves", facts)
    parts = [
        whole.select(pd.Series([own == part for own in PARTS]))
        for part in ("train", "validation", "test")
    ]
    return Split(*parts, 3, "column split")


def metrics(**more: Any) -> dict[str, Any]:
    """What `metrics.json` holds of four rows."""
    named = {"value": OVERALL["top1"], "low": 0.5117, "high": 0.8931}
    found = {
        **{"schema_version": 1, "protocol": "standard", "split": "test", "n": 4},
        **{"overall": OVERALL, "groups": {}, "harmonic_mean": {}, "intervals": {"top1": named}},
        **{"data": "/home/somebody/leaves", "unreadable": 0},
    }
    return found | more


def recipe_of(folder: Path, backbone: str, head: str, **data: Any) -> Recipe:
    return Recipe(
        backbone={"name": backbone, "options": BACKBONES[backbone], "pretrained": False},
        head={"name": head, "options": HEADS[head], "pretrained": False},
        data={"source": "/home/somebody/leaves", **data},
        output=str(folder),
    )


def card_run(
    folder: Path,
    frame: pd.DataFrame | None = None,
    head: str = "softmax",
    data: dict[str, Any] | None = None,
    temperature: float = 1.25,
    **facts: Any,
) -> Path:
    """Writes a run of random weights and made-up figures, with its card."""
    backbone = "timm:test_convnext"
    torch.manual_seed(0)
    model, processor = tiny_model(backbone, head)
    folder.mkdir(parents=True)
    save_run(folder, model, processor)
    recipe = recipe_of(folder, backbone, head, **(data or {}))
    recipe.save(folder)
    (folder / "metrics.json").write_text(json.dumps(metrics()))
    Calibration(temperature, 40, "rows", before={"ece": 0.2}, after={"ece": 0.1}).save(folder)
    effort = Effort(754.0, False, torch.device("cpu"), "float32")
    split = split_of(rows() if frame is None else frame, **facts)
    write_training_facts(folder, recipe, split, model, effort)
    write_card(folder)
    return folder
