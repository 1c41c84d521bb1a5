"""What a training step of a head costs: ArcFace, whole and sampled, against its peers.

    python benchmarks/heads.py
    python benchmarks/heads.py --sizes 1000000 --rounds 1

Each head gets the same batches of embeddings, and the optimiser it would be trained with: fused
AdamW for dense gradients, plain SGD for the sparse ones of a sampled head. A step is forward,
backward and update; neither backbone nor clipping is in it. Every measurement is a process of its
own, and the heads take turns in rounds, so that what else the machine does hits all of them.
Memory is the peak of the steps less what the process had before the head was made; `beyond` is
what of it is neither weights nor optimiser state: gradients, scores and temporaries.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PEER = "plain dense head"
HEADS = (PEER, "pytorch-metric-learning", "arcface", "arcface sampled")
SAMPLE_RATES = {15_501: 0.1, 64_500: 0.1, 1_000_000: 0.02}
WARM_UP = 2


class Plain(nn.Linear):
    """A linear layer and cross-entropy."""

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Returns the mean cross-entropy."""
        return F.cross_entropy(self(embeddings), labels)


def make(name: str, classes: int, width: int, rate: float, device: str) -> tuple[Any, Any]:
    """Returns a head in training, and its optimiser."""
    with torch.device(device):
        if name == PEER:
            head: Any = Plain(width, classes)
        elif name == "pytorch-metric-learning":
            from pytorch_metric_learning.losses import ArcFaceLoss

            head = ArcFaceLoss(classes, width, margin=17.2, scale=30)
            head.loss = head.forward
        else:
            from herbzoo_plugins.heads.arcface import ArcFace

            sampled = name == "arcface sampled"
            head = ArcFace(width, classes, margin=0.3, sample_rate=rate if sampled else 1.0)
    if name == "arcface sampled":
        from herbzoo.recipe import OptimRecipe

        return head.train(), torch.optim.SGD(head.parameters(), lr=OptimRecipe().sparse_lr)
    return head.train(), torch.optim.AdamW(head.parameters(), lr=2e-3, fused=True)


def resident(peak: bool, device: str) -> int:
    """Returns the bytes this process holds, or held at most since the peak was reset."""
    if device != "cpu":
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() if peak else torch.cuda.memory_allocated()
    field = "VmHWM" if peak else "VmRSS"
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def reset_peak(device: str) -> None:
    """Forgets the peak so far."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Trains one head for some steps; returns the median seconds a step, and bytes at the peak."""
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    device, classes, width = options.device, options.sizes[0], options.width
    make(options.measure, 16, 8, 0.5, device)[0].loss(
        torch.randn(2, 8, device=device), torch.zeros(2, dtype=torch.long, device=device)
    ).backward()  # what is loaded by a first step is no cost of a head
    before = resident(False, device)
    head, optimiser = make(options.measure, classes, width, options.rate, device)
    embeddings = torch.randn(options.batch, width, device=device, requires_grad=True)
    seconds = []
    reset_peak(device)
    for _ in range(WARM_UP + options.steps):
        labels = torch.randint(classes, (options.batch,), device=device)
        if device != "cpu":
            torch.cuda.synchronize()
        started = time.perf_counter()
        head.loss(embeddings, labels).backward()
        optimiser.step()
        optimiser.zero_grad()
        embeddings.grad = None
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    peak = resident(True, device) - before
    kept = [*head.parameters(), *head.buffers()]
    kept += [v for s in optimiser.state.values() for v in s.values() if isinstance(v, Tensor)]
    held = sum(tensor.numel() * tensor.element_size() for tensor in kept)
    return {
        "seconds": statistics.median(seconds[WARM_UP:]),
        "peak": peak,
        "beyond": peak - held,
    }


def in_a_process(name: str, classes: int, rate: float, options: argparse.Namespace) -> Any:
    """Measures one head in a process of its own."""
    command = [sys.executable, __file__, "--measure", name, "--sizes", str(classes)]
    for key in ("device", "steps", "threads", "batch", "width"):
        command += [f"--{key}", str(getattr(options, key))]
    command += ["--rate", str(rate)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} at {classes:,} classes failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def compare(classes: int, options: argparse.Namespace) -> None:
    """Prints a line for each head at one number of classes."""
    rate = options.rate or SAMPLE_RATES.get(classes, 0.1)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in options.heads}
    for _ in range(options.rounds):
        for name in options.heads:
            found[name].append(in_a_process(name, classes, rate, options))
    print(f"\n{classes:,} classes, sample_rate {rate:g} where sampled")
    for name, rounds in found.items():
        middle = {
            key: statistics.median(one[key] for one in rounds)
            for key in ("seconds", "peak", "beyond")
        }
        line = (
            f"  {name:<24} {1000 * middle['seconds']:9.1f} ms a step, peak "
            f"{middle['peak'] / 1e9:6.3f} GB, beyond weights and optimiser state "
            f"{middle['beyond'] / 1e9:6.3f} GB"
        )
        if name != PEER and PEER in found:
            faster = [p["seconds"] / o["seconds"] for p, o in zip(found[PEER], rounds, strict=True)]
            leaner = [p["beyond"] / o["beyond"] for p, o in zip(found[PEER], rounds, strict=True)]
            line += (
                f"; {statistics.median(faster):.2f} times as fast as the {PEER} "
                f"({min(faster):.2f} to {max(faster):.2f}), {statistics.median(leaner):.1f} "
                f"times less beyond ({min(leaner):.1f} to {max(leaner):.1f})"
            )
        print(line, flush=True)


def main() -> None:
    """Measures every size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SAMPLE_RATES))
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=list(HEADS))
    parser.add_argument("--rate", type=float, default=0.0, help="sample_rate; 0 for ours by size")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--measure", choices=HEADS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options)))
        return
    where = platform.processor() or platform.machine()
    if options.device != "cpu":
        where = torch.cuda.get_device_name()
    print(
        f"{where}, {options.threads} threads, torch {torch.__version__}, batch {options.batch}, "
        f"width {options.width}; medians of {options.rounds} rounds of {options.steps} steps"
    )
    for classes in options.sizes:
        compare(classes, options)


if __name__ == "__main__":
    main()
