"""Pixels to embeddings as fast as the machine allows, without running a head.

On a processor several threads each take a few images through the model, one core a thread: that
is faster than all cores on one batch, because a small batch stays in a core's cache. On an
accelerator batches are halved until they fit its memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from herbzoo.data.transforms import Letterbox
from herbzoo.errors import HerbzooError
from herbzoo.image_batches import Failure, ImageBatch, core_count
from herbzoo.interfaces import ImageSpec
from herbzoo.modeling.modeling_herbzoo import HerbModel

DTYPES = ("auto", "float32", "bfloat16", "float16")
CPU_BATCH_PIXELS = 201_000
"""Pixels of a batch on a processor: four images of 224 by 224."""
MOST_ON_CPU = 32
ON_ACCELERATOR = 64
"""Images at a time on an accelerator, unless they are too many for its memory."""


@dataclass(frozen=True)
class EmbeddedBatch:
    """Embeddings of the readable images among some consecutive rows; `B` of them."""

    rows: np.ndarray
    """Positions in the collection `[B]`, ascending."""
    embeddings: np.ndarray
    """`[B, D]`, float32, as `AutoModel` gives them: after the neck, not normalised."""
    fingerprints: tuple[str, ...]
    """What changes when an image does; '' where its source does not know."""
    failures: tuple[Failure, ...] = ()


def suitable_batch(device_type: str, spec: ImageSpec) -> int:
    """Returns how many images at a time suit a kind of device."""
    if device_type != "cpu":
        return ON_ACCELERATOR
    height, width = spec.size
    return max(1, min(MOST_ON_CPU, CPU_BATCH_PIXELS // (height * width)))


def choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """Returns the type that a backbone computes in; `auto` is bfloat16 on a GPU that has it.

    Raises:
        HerbzooError: if there is no such type.
    """
    if wanted not in DTYPES:
        raise HerbzooError(f"there is no dtype {wanted!r}; there are {', '.join(DTYPES)}")
    if wanted != "auto":
        return getattr(torch, wanted)
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float32


@dataclass
class Embedder:
    """Backbone and neck on a device.

    Args:
        model: in evaluation, and on the device.
        letterbox: knows how its pixels are normalised.
        device: where it is.
        dtype: of the backbone; the neck always computes in float32.
        neck: whether to run it; without it, embeddings are the backbone's features.
    """

    model: HerbModel
    letterbox: Letterbox
    device: torch.device
    dtype: torch.dtype
    neck: bool = True
    _most: int = field(default=1 << 30, init=False)
    """Images at a time that the accelerator's memory has allowed so far."""

    def __call__(self, pixels: Tensor) -> np.ndarray:
        """Maps `[B, 3, H, W]`, uint8, letterboxed, to `[B, D]`, float32.

        Raises:
            HerbzooError: if the device has too little memory for one image.
        """
        parts: list[np.ndarray] = []
        done = 0
        while done < len(pixels):
            size = min(self._most, len(pixels) - done)
            try:
                parts.append(self._embed(pixels[done : done + size]))
            except torch.OutOfMemoryError as error:
                if size == 1:
                    raise HerbzooError(
                        f"{self.device} has too little memory for one image: use --device cpu"
                    ) from error
                self._most = size // 2
                continue
            done += size
        part = self.model.neck if self.neck else self.model.backbone
        width = int(part.out_features)
        return np.concatenate(parts) if parts else np.empty((0, width), np.float32)

    @torch.inference_mode()
    def _embed(self, pixels: Tensor) -> np.ndarray:
        placed = pixels.to(self.device, non_blocking=True)
        normal = self.letterbox.normalise(placed).contiguous(memory_format=torch.channels_last)
        halved = self.dtype is not torch.float32
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=halved):
            features = self.model.backbone(normal)
        found = self.model.neck(features.float()) if self.neck else features
        return found.float().cpu().numpy()

    def over(self, batches: Iterable[ImageBatch]) -> Iterator[EmbeddedBatch]:
        """Embeds batches in their order; on a processor several at once."""
        if self.device.type != "cpu":
            yield from map(self._embedded, batches)
            return
        threads = core_count()
        pool = ThreadPoolExecutor(threads, initializer=_one_core)
        waiting: deque[Future[EmbeddedBatch]] = deque()
        try:
            for batch in batches:
                waiting.append(pool.submit(self._embedded, batch))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _embedded(self, batch: ImageBatch) -> EmbeddedBatch:
        return EmbeddedBatch(batch.rows, self(batch.pixels), batch.fingerprints, batch.failures)


def _one_core() -> None:
    """Keeps a thread's operations on its own core; only what this thread calls is affected."""
    torch.set_num_threads(1)
