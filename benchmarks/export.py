"""What a run costs once it is exported: onnxruntime against torch, on one thread of a CPU.

    python benchmarks/export.py
    python benchmarks/export.py --backbone swin_tiny --rounds 3

A model of random weights is saved and exported; both sides get the same pixel values, and logits
and embeddings come out of both. The two take turns in rounds, so that what else the machine does
hits both. Torch runs as `herbzoo identify` does, in channels-last memory and without gradients.
Prints the best time of each, the ratio, and the size of the files.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnxruntime
import torch

from herbzoo.build import build, load_run, place
from herbzoo.export import export_onnx
from herbzoo.interfaces import PartSpec
from herbzoo.onnx_model import INPUT, Scorer
from herbzoo.taxonomy import Taxonomy


def save_run(folder: Path, options: argparse.Namespace) -> Path:
    """Writes a run of random weights."""
    taxonomy = Taxonomy.from_names(f"Genus{n % 40} species{n}" for n in range(options.classes))
    model, processor = build(
        PartSpec(options.backbone, {}),
        PartSpec("linear_bn", {"embedding_size": 256}),
        PartSpec(options.head, {}),
        taxonomy,
        image_size=options.image_size,
        pretrained_backbone=False,
        pretrained_head=False,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    taxonomy.save(folder)
    return folder


def seconds(run: Callable[[], object]) -> float:
    """Returns how long one call takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def best_of_rounds(rounds: int, *ways: Callable[[], object]) -> list[float]:
    """Returns the shortest time of each way, after a round that warms up."""
    times = [[seconds(way) for way in ways] for _ in range(rounds + 1)]
    return [min(column) for column in zip(*times[1:], strict=True)]


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--head", default="arcface")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        run = save_run(Path(temporary) / "run", options)
        exported = export_onnx(run)
        threads = onnxruntime.SessionOptions()
        threads.intra_op_num_threads = threads.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            exported.model, threads, providers=["CPUExecutionProvider"]
        )
        safetensors = (run / "model.safetensors").stat().st_size
        scorer = Scorer(place(load_run(run).model, torch.device("cpu"))).eval()
        print(f"{options.backbone} with {options.head}, {options.classes} classes, ", end="")
        print(f"{options.image_size} px, one thread of {platform.processor() or 'a CPU'}; ", end="")
        print(f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}")
        print(f"model.onnx {exported.size / 1e6:.1f} MB, safetensors {safetensors / 1e6:.1f} MB\n")
        print("| batch | torch, ms | onnxruntime, ms | torch / onnxruntime |")
        print("|---:|---:|---:|---:|")
        for batch in options.batches:
            pixels = torch.randn(batch, 3, options.image_size, options.image_size)
            given = {INPUT: pixels.numpy()}
            placed = pixels.to(memory_format=torch.channels_last)
            with torch.no_grad():
                best = best_of_rounds(
                    options.rounds, partial(scorer, placed), partial(session.run, None, given)
                )
            torch_ms, onnx_ms = (1000 * value for value in best)
            print(f"| {batch} | {torch_ms:.1f} | {onnx_ms:.1f} | {torch_ms / onnx_ms:.2f} |")


if __name__ == "__main__":
    main()
