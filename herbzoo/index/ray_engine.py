"""Embedding on a Ray cluster: decoding in tasks on its processors, the model in actors.

The model and the source of images are sent to the workers. They need herbzoo with the model's
plugins, and images that they can reach: on object storage or on a file system that all share.
Parts are written by the process that asked, so an interruption costs no more than locally.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from herbzoo.build import choose_device, place
from herbzoo.data.images import reason_of
from herbzoo.data.records import Collection, ImageSource
from herbzoo.data.transforms import Letterbox
from herbzoo.embedder import EmbeddedBatch, Embedder, choose_dtype, suitable_batch
from herbzoo.errors import HerbzooError, ImageError
from herbzoo.image_batches import Failure, read_image

if TYPE_CHECKING:
    from herbzoo.inference import Identifier
    from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification

Columns = dict[str, np.ndarray]

_LEAST_BLOCK, _MOST_BLOCK = 16, 256
"""Images of a block, which one task decodes."""
_BLOCKS_A_CORE = 4
_PATIENCE = 10.0
"""Seconds in which a cluster has to answer."""
_DECODING_SHARE = 0.25
"""Of a core; the rest of it is for the model where there is no GPU."""


def require_ray() -> None:
    """Refuses if Ray is not installed.

    Raises:
        HerbzooError: with what to install.
    """
    if importlib.util.find_spec("ray") is None:
        raise HerbzooError('--engine ray needs Ray: pip install "herbzoo[scale]"')


@dataclass(frozen=True)
class RayEngine:
    """Embeds collections on the cluster of `RAY_ADDRESS`, or on one started here for the time.

    Args:
        identifier: its model is sent to the cluster.
        device: for the model there; `auto` is a GPU where the cluster has one.
        dtype: of the backbone.
        batch_size: images at a time; 0 for what suits the device.
        workers: the most tasks that decode at once; -1 for one a core.
    """

    identifier: Identifier
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 0
    workers: int = -1

    def __call__(self, collection: Collection) -> Iterator[EmbeddedBatch]:
        """Yields embeddings as they come, in any order.

        Raises:
            HerbzooError: if there is no such cluster or device, or the cluster fails.
        """
        require_ray()
        keys: list[str] = collection.frame["image"].tolist()
        with _cluster() as cores, _ray_errors_in_one_line():
            for columns in self._dataset(keys, collection.images, cores).iter_batches(
                batch_size=None, batch_format="numpy"
            ):
                yield _batch(columns, keys)

    def _dataset(self, keys: Sequence[str], images: ImageSource, cores: int) -> Any:
        import ray
        from ray.data import ActorPoolStrategy, TaskPoolStrategy

        gpus = int(ray.cluster_resources().get("GPU", 0))
        on_gpu = gpus > 0 and self.device.partition(":")[0] in ("auto", "cuda")
        letterbox = self.identifier.letterbox
        batch = self.batch_size or suitable_batch("cuda" if on_gpu else "cpu", letterbox.spec)
        model = self.identifier.model.to("cpu").eval()
        tasks = None if self.workers < 1 else self.workers
        # Shares of a core that differ also keep Ray from making one stage of the two.
        decoding, modelling = (1.0, 0.0) if on_gpu else (_DECODING_SHARE, 1 - _DECODING_SHARE)
        return (
            ray.data.from_arrow(_blocks(keys, cores))
            .map_batches(
                _decode,  # type: ignore[arg-type] # Ray does not see the further arguments
                batch_size=None,
                batch_format="numpy",
                compute=TaskPoolStrategy(tasks),
                fn_args=(ray.put(images), letterbox),
                num_cpus=decoding,
            )
            .map_batches(
                _ModelActor,
                batch_size=batch,
                batch_format="numpy",
                compute=ActorPoolStrategy(min_size=1, max_size=gpus if on_gpu else cores),
                fn_constructor_args=(ray.put(model), letterbox, self.device, self.dtype),
                num_cpus=modelling,
                num_gpus=1 if on_gpu else 0,
            )
        )


def _blocks(keys: Sequence[str], cores: int) -> list[pa.Table]:
    size = len(keys) // (_BLOCKS_A_CORE * max(1, cores))
    size = min(max(size, _LEAST_BLOCK), _MOST_BLOCK)
    return [
        pa.table(
            {
                "row": pa.array(range(start, min(start + size, len(keys))), pa.int64()),
                "key": pa.array(keys[start : start + size], pa.string()),
            }
        )
        for start in range(0, len(keys), size)
    ]


def _decode(batch: Columns, images: Any, letterbox: Letterbox) -> Columns:
    """Adds `pixels` `[B, 3, H, W]`, `fingerprint`, and `problem` of images that cannot be read."""
    import ray

    source: ImageSource = ray.get(images)
    pixels = np.zeros((len(batch["key"]), 3, *letterbox.spec.size), np.uint8)
    fingerprints, problems = [], []
    for place_, key in enumerate(batch["key"]):
        fingerprint, problem = "", ""
        try:
            decoded, fingerprint = read_image(source, str(key), letterbox, True)
            pixels[place_] = decoded.numpy()
        except ImageError as error:
            problem = str(error)
        fingerprints.append(fingerprint)
        problems.append(problem)
    return {
        "row": batch["row"],
        "pixels": pixels,
        "fingerprint": np.array(fingerprints, dtype=object),
        "problem": np.array(problems, dtype=object),
    }


class _ModelActor:
    """Holds the model on one device of the cluster."""

    def __init__(self, model: Any, letterbox: Letterbox, device: str, dtype: str) -> None:
        import ray

        loaded: HerbForImageClassification = ray.get(model)
        chosen = choose_device(device)
        self.embed = Embedder(
            place(loaded, chosen).eval(), letterbox, chosen, choose_dtype(dtype, chosen)
        )

    def __call__(self, batch: Columns) -> Columns:
        """Replaces pixels by `embedding` `[B, D]`, zero where there is no image."""
        readable = np.array([not problem for problem in batch["problem"]], dtype=bool)
        embedded = self.embed(torch.from_numpy(np.ascontiguousarray(batch["pixels"][readable])))
        embedding = np.zeros((len(readable), embedded.shape[1]), np.float32)
        embedding[readable] = embedded
        return {name: batch[name] for name in ("row", "fingerprint", "problem")} | {
            "embedding": embedding
        }


def _batch(columns: Columns, keys: Sequence[str]) -> EmbeddedBatch:
    readable = np.array([not problem for problem in columns["problem"]], dtype=bool)
    failed = zip(columns["row"][~readable].tolist(), columns["problem"][~readable], strict=True)
    return EmbeddedBatch(
        columns["row"][readable].astype(np.int64),
        np.asarray(columns["embedding"][readable], dtype=np.float32),
        tuple(map(str, columns["fingerprint"][readable])),
        tuple(Failure(row, keys[row], str(problem)) for row, problem in failed),
    )


@contextmanager
def _cluster() -> Iterator[int]:
    """Connects to a cluster or starts one, and yields its number of cores.

    What was connected to or started here is left at the end; a local cluster then stops.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters is raised all the same
    import ray

    ours = not ray.is_initialized()
    if ours:
        address = os.environ.get("RAY_ADDRESS", "")
        try:
            _knock(address)
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError) as error:
            raise HerbzooError(
                f"no Ray cluster answers at {address!r} ({reason_of(error)}): check RAY_ADDRESS, "
                "or unset it to use this machine"
            ) from error
    context = ray.data.DataContext.get_current()
    shown, context.enable_progress_bars = context.enable_progress_bars, False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield int(ray.cluster_resources().get("CPU", 1))
    finally:
        context.enable_progress_bars = shown
        if ours:
            ray.shutdown()


def _knock(address: str) -> None:
    """Finds out at once if nobody answers at a host and port; Ray would try for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()


@contextmanager
def _ray_errors_in_one_line() -> Iterator[None]:
    from ray.exceptions import RayError

    try:
        yield
    except RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, HerbzooError):
            raise cause from error
        last = str(error).strip().splitlines()[-1].strip()
        raise HerbzooError(
            f"the Ray cluster could not go on ({last}); what was complete is kept: run the same "
            "command again"
        ) from error
