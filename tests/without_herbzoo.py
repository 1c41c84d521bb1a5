"""What people do with a published model, here and where herbzoo is not installed.

`elsewhere(function, *arguments)`, a fixture of `second_environment`, calls a function of this file
in a process of the other environment, of which the file is the program.
"""

from __future__ import annotations

import builtins
import faulthandler
import json
import os
import sys
import traceback
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

SIDE = 64
NAMES = ["Quercus alba", "Picea abies"]
CLASSES = {
    "embedding": "AutoModel",
    "scores": "AutoModelForImageClassification",
    "by name": "AutoModelForZeroShotImageClassification",
}


class Failed(Exception):
    """The function raised there: the kind of error, and its message."""


asked: list[str] = []
"""What transformers has asked on the terminal."""


# -- what people do, here and there ---------------------------------------------------------------


def load(way: str, source: str, **options: Any) -> Any:
    import torch
    import transformers

    if "dtype" in options:
        options["dtype"] = getattr(torch, options["dtype"])
    return getattr(transformers, CLASSES[way]).from_pretrained(source, **options).eval()


def outputs(way: str, source: str, **options: Any) -> dict[str, Any]:
    """Returns the output of one of the Auto classes for two made-up images, and what it was."""
    import torch

    model = load(way, source, **options)
    given = torch.linspace(-1, 1, 2 * 3 * SIDE * SIDE).reshape(2, 3, SIDE, SIDE).sin()
    inputs: dict[str, Any] = {"pixel_values": given.to(model.dtype)}
    if way == "by name":
        from transformers import AutoTokenizer

        trusted = {key: options[key] for key in ("trust_remote_code", "revision") if key in options}
        tokenizer = AutoTokenizer.from_pretrained(source, **trusted)
        tokens = tokenizer(NAMES, padding=True, return_tensors="pt")
        inputs |= {key: tokens[key] for key in ("input_ids", "attention_mask")}
    with torch.no_grad():
        found = model(**inputs)
    kinds = {"module": type(model).__module__, "dtype": str(model.dtype)}
    return {key: value.tolist() for key, value in found.items()} | kinds


def answers(task: str, source: str, **options: Any) -> dict[str, float]:
    """Returns what the stock pipeline says of a made-up picture."""
    import numpy as np
    from PIL import Image
    from transformers import pipeline

    noise = np.random.default_rng(0).integers(0, 255, (5, 4, 3), dtype=np.uint8)
    pipe = pipeline(task, model=source, device="cpu", **options)
    asking = {"candidate_labels": NAMES, "hypothesis_template": "{}"} if "zero" in task else {}
    found = pipe(Image.fromarray(noise).resize((60, 80)), **asking)
    return {answer["label"]: answer["score"] for answer in found}


def save_again(way: str, source: str, target: str, **options: Any) -> list[str]:
    from transformers import AutoImageProcessor

    load(way, source, **options).save_pretrained(target)
    AutoImageProcessor.from_pretrained(source).save_pretrained(target)
    return sorted(os.listdir(target))


def classes_of_config(source: str, **options: Any) -> dict[str, str]:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(source, **options).auto_map


def retargeted(source: str, names: list[str], **options: Any) -> list[list[float]]:
    """Aims a model at other names, and returns its scores."""
    from types import SimpleNamespace

    import torch

    model = load("scores", source, **options)
    model.retarget(SimpleNamespace(names=names, genera=(), families=(), counts=()))
    with torch.no_grad():
        return model.eval()(torch.zeros(1, 3, SIDE, SIDE)).logits.tolist()


def execute(code: str) -> None:
    """Runs a snippet of the documentation."""
    exec(code, {})


def questions() -> list[str]:
    """Returns what transformers has asked so far, since the last time."""
    found = asked[:]
    asked.clear()
    return found


def reachable() -> list[str]:
    """Returns what of herbzoo can be imported or found."""
    modules = [name for name in ("herbzoo", "herbzoo_plugins") if find_spec(name)]
    points = [*entry_points(group="herbzoo.heads"), *entry_points(group="herbzoo.backbones")]
    return (
        modules
        + [point.name for point in points]
        + [*{n for n in sys.modules if n.startswith("herbzoo")}]
    )


# -- as a program ---------------------------------------------------------------------------------


def serve() -> None:
    """Answers calls, a line each, until there are no more."""
    calls, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no reply

    def refuse(question: str = "") -> str:
        asked.append(question)
        raise EOFError

    builtins.input = refuse
    import transformers.pipelines  # noqa: F401  # takes long, while nobody waits yet

    for line in calls:
        faulthandler.dump_traceback_later(100, exit=True)
        call = json.loads(line)
        try:
            reply = {"value": globals()[call["function"]](*call["arguments"], **call["options"])}
        except Exception as error:
            traceback.print_exc()
            reply = {"error": str(error), "kind": type(error).__name__}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    serve()
