"""How fast a collection is embedded, beside the stock pipeline of transformers on the same files.

Both run the same run folder on the same JPEGs, of 1000 pixels on the longer side, in turns, each
in a process of its own with all cores. The pipeline is what one would write without herbzoo:

    pipeline("image-feature-extraction", model=RUN)(paths, batch_size=..., num_workers=...)

It is tried with several batch sizes and numbers of workers first, and its best settings are kept.
Without --data the JPEGs are those of the built-in flora.

    python benchmarks/embed.py [--data FOLDER] [--images 128] [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

LONGER_SIDE = 1000
BACKBONES = {"efficientnet_lite0": True, "convnextv2_nano": False}
"""By name, and whether with pretrained weights."""
SETTINGS = [(1, 0), (4, 0), (8, 0), (8, 2), (32, 2)]
"""Batch sizes and workers that the pipeline is tried with."""


def write_jpegs(folder: Path, data: str, images: int) -> list[str]:
    from PIL import Image

    from herbzoo.data.readers import open_images

    collection = open_images(data)
    keys = collection.frame["image"].drop_duplicates()
    keys = keys.sample(min(images, len(keys)), random_state=0).tolist()
    paths = []
    for number in range(images):
        image = collection.images.open(keys[number % len(keys)])
        scale = LONGER_SIDE / max(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        paths.append(str(folder / f"{number:05d}.jpg"))
        image.resize(size, Image.Resampling.LANCZOS).save(paths[-1], quality=90)
    return paths


def write_run(folder: Path, backbone: str) -> Path:
    import torch

    from herbzoo.build import build
    from herbzoo.interfaces import PartSpec
    from herbzoo.taxonomy import Taxon, Taxonomy

    torch.manual_seed(0)
    taxonomy = Taxonomy((Taxon("Acer rubrum"), Taxon("Quercus alba")))
    neck = PartSpec("linear_bn", {"embedding_size": 256})
    pretrained = BACKBONES[backbone]
    parts = PartSpec(backbone), neck, PartSpec("softmax")
    model, processor = build(*parts, taxonomy, pretrained_backbone=pretrained)
    for part in (model, processor, taxonomy):
        getattr(part, "save_pretrained", getattr(part, "save", None))(folder)
    return folder


def time_herbzoo(run: str, folder: str) -> tuple[float, list[float]]:
    """Returns the seconds that `herbzoo embed` takes with its model loaded, and an embedding."""
    from functools import partial

    from herbzoo.data.readers import open_images
    from herbzoo.index import EmbeddingModel, EmbeddingTable, embed_collection
    from herbzoo.index.embedding_table import vectors_of
    from herbzoo.inference import Identifier

    identifier = Identifier.from_pretrained(run)
    model = EmbeddingModel.of(identifier)
    embed_some = partial(identifier.embedded, workers=0)
    collection = open_images(folder)
    for _ in embed_some(collection.select(range(8))):  # warm
        pass
    with tempfile.TemporaryDirectory() as output:
        file = f"{output}/embeddings.parquet"
        began = time.perf_counter()
        embed_collection(open_images(folder), identifier.embedded, model, file)
        seconds = time.perf_counter() - began
        first = next(EmbeddingTable.open(file).batches())
    return seconds, vectors_of(first)[0].tolist()


def time_pipeline(run: str, folder: str, batch: int, workers: int) -> tuple[float, list[float]]:
    """Returns the seconds that the stock pipeline takes, once loaded, and an embedding."""
    import numpy as np
    import torch
    from transformers import pipeline

    import herbzoo  # noqa: F401 - makes the Auto classes know the run

    paths = sorted(str(path) for path in Path(folder).glob("*.jpg"))
    extract = pipeline("image-feature-extraction", model=run, pool=True)
    settings = {"batch_size": batch, "num_workers": workers}
    list(extract(paths[:8], **settings))
    with torch.inference_mode():
        began = time.perf_counter()
        found = list(extract(paths, **settings))
        return time.perf_counter() - began, np.ravel(found[0]).tolist()


def in_process(*arguments: object) -> tuple[float, list[float]]:
    command = [sys.executable, __file__, "--time", *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    seconds, embedding = json.loads(done.stdout.splitlines()[-1])
    return seconds, embedding


def spread(rates: list[float]) -> str:
    return f"{statistics.median(rates):6.1f} ({min(rates):.1f} to {max(rates):.1f})"


def compare(backbone: str, folder: Path, few: Path, images: int, repeats: int) -> None:
    import numpy as np

    with tempfile.TemporaryDirectory() as run:
        write_run(Path(run), backbone)
        trials = {settings: in_process("pipeline", run, few, *settings)[0] for settings in SETTINGS}
        best = min(trials, key=trials.__getitem__)
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(repeats):
            seconds, one = in_process("herbzoo", run, folder)
            ours.append(images / seconds)
            seconds, other = in_process("pipeline", run, folder, *best)
            theirs.append(images / seconds)
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    cosine = np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other)
    print(f"{backbone}: images a second, median (range) of {repeats}")
    print(f"  herbzoo embed           {spread(ours)}")
    print(f"  pipeline                {spread(theirs)}   batch size {best[0]}, workers {best[1]}")
    print(f"  ratio                   {spread(ratios)}   cosine of the first image {cosine:.4f}")


def main() -> None:
    if sys.argv[1:2] == ["--time"]:
        kind, run, folder, *settings = sys.argv[2:]
        timed = {"herbzoo": time_herbzoo, "pipeline": time_pipeline}[kind]
        print(json.dumps(timed(run, folder, *map(int, settings))))
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="synthetic:species=12,images_per_species=12")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--backbones", nargs="*", default=list(BACKBONES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as few:
        for path in islice(write_jpegs(Path(folder), options.data, options.images), 32):
            os.link(path, Path(few) / Path(path).name)
        for backbone in options.backbones:
            compare(backbone, Path(folder), Path(few), options.images, options.repeats)


if __name__ == "__main__":
    main()
