"""Whether a model needs what its map says it looked at: deletion, with controls.

    python benchmarks/explanations.py RUN --data ../shared/data/leafsnap --split-column cross_domain

Of each test image, the fifth that the map says mattered most is filled with the mean colour of the
image, and the score of the taxon that the model named is taken again. The same is done with as much
of the image elsewhere: blocks as large as a cell of the map drawn at random, the very shape of what
was deleted moved to a random place, the middle of the image, and what the map says mattered least.
Prints a Markdown table of the losses in logit and probability, with 95% bootstrap intervals over
gatherings, and of what deleting by the map costs beyond each of the others.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from herbzoo.data.gatherings import gatherings
from herbzoo.data.inputs import collect_images
from herbzoo.data.readers import open_collection
from herbzoo.data.splits import by_column
from herbzoo.evaluation.resampling import Draws, Interval
from herbzoo.explanations.explainer import Explainer
from herbzoo.explanations.explanation import Explanation
from herbzoo.image_batches import Failure
from herbzoo.inference import Identifier

SHARE = 0.2
REPEATS = 3
"""Random deletions an image; their losses are averaged."""
FINEST = 14
"""Blocks along a side at the most: maps of gradients have a cell a pixel."""
WAYS = {
    "map": "what mattered most by the map",
    "random": "random blocks",
    "moved": "the same shape elsewhere",
    "middle": "the middle",
    "least": "what mattered least by the map",
}


def largest(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Returns `[H, W]`, true for the largest share of the values; equal ones are drawn."""
    order = np.lexsort((generator.random(values.size), -values.ravel()))
    mask = np.zeros(values.size, dtype=bool)
    mask[order[: round(SHARE * values.size)]] = True
    return mask.reshape(values.shape)


def blocks(
    shape: tuple[int, int], cells: tuple[int, int], generator: np.random.Generator
) -> np.ndarray:
    """Returns `[H, W]`, true in random blocks of a grid that make up the share."""
    rows, columns = (min(FINEST, count) for count in cells)
    values = generator.random((rows, columns))
    down = np.arange(shape[0]) * rows // shape[0]
    across = np.arange(shape[1]) * columns // shape[1]
    return largest(values[np.ix_(down, across)], generator)


def moved(mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Returns a mask moved to a random place, around the edges."""
    shift = tuple(int(generator.integers(side)) for side in mask.shape)
    return np.roll(mask, shift, (0, 1))


def middle(shape: tuple[int, int]) -> np.ndarray:
    """Returns how near each place is to the middle of an image."""
    down, across = (np.linspace(-1, 1, side) for side in shape)
    return -np.maximum(np.abs(down)[:, None], np.abs(across)[None])


def masks(
    explanation: Explanation, generator: np.random.Generator
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the ways of deleting, those that are random several times."""
    heat = explanation.heat
    top = largest(heat, generator)
    yield "map", top
    yield "middle", largest(middle(heat.shape), generator)
    yield "least", largest(-heat, generator)
    for _ in range(REPEATS):
        yield "random", blocks(heat.shape, explanation.cells, generator)
        yield "moved", moved(top, generator)


def without(image: Image.Image, mask: np.ndarray) -> Image.Image:
    """Returns an image with a part of it filled with the image's mean colour."""
    pixels = np.array(image)
    pixels[mask] = pixels.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    return Image.fromarray(pixels)


def losses(
    identifier: Identifier, explanation: Explanation, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """Returns by way of deleting the mean loss in logit and in probability `[2]`."""
    ways = list(masks(explanation, generator))
    pictures = [explanation.image, *(without(explanation.image, mask) for _, mask in ways)]
    (batch,) = identifier.scored(collect_images(pictures), len(pictures), workers=0)
    index = identifier.taxonomy.index[explanation.taxon.scientificName]
    scores = torch.stack([batch.logits, torch.softmax(batch.logits, 1)], 1)[:, :, index].numpy()
    lost = scores[0] - scores[1:]
    return {
        name: lost[[way == name for way, _ in ways]].mean(axis=0) for name in dict.fromkeys(WAYS)
    }


def cell(values: np.ndarray, draws: Draws) -> str:
    """Returns the mean with its interval."""
    found = Interval.of(lambda weights: float(weights @ values / weights.sum()), draws)
    return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split-column", default="split")
    parser.add_argument("--images", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", default="auto", help="map or pixels")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    test = by_column(open_collection(options.data), options.split_column).test
    groups = gatherings(test.frame)
    rows = np.sort(generator.permutation(len(test))[: options.images])
    identifier = Identifier.from_pretrained(options.run, options.device, "float32")
    explainer = Explainer(identifier, options.method)
    found, kept = [], []
    for row, one in zip(rows, explainer.explained(test.select(rows), workers=0), strict=True):
        if isinstance(one, Failure) or not one.heat.any():
            continue
        found.append(losses(identifier, one, generator))
        kept.append(row)
    draws = Draws(groups[kept], options.seed)
    table = {way: np.stack([each[way] for each in found]) for way in WAYS}
    print(f"{explainer.method} on {options.run}: {SHARE:.0%} of {len(kept)} test images deleted")
    print(f"({len(rows) - len(kept)} more without a map)\n")
    print("| deleted | logit lost | probability lost | the map costs more logit by |")
    print("|---|---:|---:|---:|")
    for way, words in WAYS.items():
        logit, probability = table[way].T
        beyond = "" if way == "map" else cell(table["map"][:, 0] - logit, draws)
        print(f"| {words} | {cell(logit, draws)} | {cell(probability, draws)} | {beyond} |")
    most = math.fsum(table["map"][:, 0] > table["random"][:, 0]) / len(kept)
    print(f"\nthe map costs more than random blocks in {most:.0%} of the images")


if __name__ == "__main__":
    main()
