"""Perceptual hashes of images, and which of many hashes are close to one another.

The hash is the DCT hash of the ImageHash library with 16 x 16 coefficients: 256 bits, which tell
sheets apart whose layout is the same; 64 bits do not. A copy that was compressed or scaled differs
in some 2 to 22 bits, other pictures in 100 and more unless they are almost empty.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from herbzoo.data.cache_root import cache_root
from herbzoo.data.looking import look_over
from herbzoo.data.records import Collection, ImageSource, Skipped
from herbzoo.errors import ImageError
from herbzoo.whole_file import whole

_log = logging.getLogger(__name__)

SIDE = 16
BITS = SIDE * SIDE
DECODED = (128, 128)
"""Height and width in pixels that suffice: the hash looks at four pixels to a coefficient."""
FORMAT = 2
"""Raised whenever what is computed changes, so that older files are not read."""
_FEWEST_PIECES = 4
"""So that a piece fits an integer of 64 bits."""


@dataclass(frozen=True)
class ImageHashes:
    """Hashes of the images that could be read."""

    rows: np.ndarray
    """Positions in the collection `[N]`, ascending."""
    bits: np.ndarray
    """`[N, 4]`, `uint64`: 256 bits each."""


def image_hashes(
    collection: Collection,
    *,
    workers: int = -1,
    progress: Callable[[int], None] | None = None,
) -> ImageHashes:
    """Hashes every image, or reads back what was computed before.

    Where the source has fingerprints, hashes are kept below `HERBZOO_CACHE`. Images that cannot be
    read are left out, with a warning that counts them.

    Args:
        collection: whose images.
        workers: processes that decode; 0 is none, -1 chooses.
        progress: told how many more images are done.
    """
    keys, place = np.unique(collection.frame["image"].to_numpy(dtype=str), return_inverse=True)
    kept = _kept_file(collection.images, keys.tolist())
    bits = _read(kept, len(keys)) if kept is not None else None
    if bits is None:
        looks = look_over(
            collection.images, keys.tolist(), hash_of, DECODED, workers=workers, progress=progress
        )
        bits = stacked([None if isinstance(one, Skipped) else one for one in looks])
        if kept is not None:
            _write(kept, bits)
    elif progress is not None:
        progress(len(keys))
    readable = np.asarray(bits.any(axis=1))
    if not readable.all():
        lost = int((~readable).sum())
        first = keys[np.flatnonzero(~readable)[0]]
        _log.warning("%s images cannot be read and are not compared, first %s", f"{lost:,}", first)
    rows = np.flatnonzero(readable[place])
    return ImageHashes(rows, bits[place[rows]])


def hash_of(picture: Image.Image) -> np.ndarray:
    """Returns the hash of an image, `[4]`, `uint64`; half of its bits are set."""
    import imagehash

    bits = imagehash.phash(picture, SIDE).hash
    bits.flat[0] |= not bits.any()  # all zero stands for an image that cannot be read
    return np.packbits(bits).view(np.uint64)


def stacked(hashes: Sequence[np.ndarray | None]) -> np.ndarray:
    """Returns hashes as an array, `[N, 4]`; all zero for an image that has none."""
    bits = np.zeros((len(hashes), 4), np.uint64)
    for number, one in enumerate(hashes):
        if one is not None:
            bits[number] = one
    return bits


def close_pairs(bits: np.ndarray, threshold: int) -> np.ndarray:
    """Returns all pairs of hashes that differ in at most `threshold` bits, `[pairs, 2]`.

    Of two such hashes, cut into `threshold // 2 + 1` pieces, one piece differs in one bit at most
    (multi-index hashing, Norouzi et al. 2014, https://arxiv.org/abs/1307.2982). So only hashes are
    compared that agree in a piece of 19 bits or more: of 100,000, a pair in some 2,000.

    Args:
        bits: different hashes, `[N, 4]` as of `ImageHashes`.
        threshold: bits, from 0 to 31.
    """
    single = np.unpackbits(bits.view(np.uint8).reshape(len(bits), -1), axis=1)
    # Neighbouring coefficients agree more often than not, so that pieces in order would be alike.
    order = np.random.default_rng(0).permutation(BITS)
    found = [np.empty((0, 2), np.int64)]
    for piece in np.array_split(order, max(_FEWEST_PIECES, threshold // 2 + 1)):
        powers = np.uint64(1) << np.arange(len(piece), dtype=np.uint64)
        keys = single[:, piece].astype(np.uint64) @ powers
        for power in powers:
            found += list(_close_within(bits, keys & ~power, threshold))
    return np.unique(np.concatenate(found), axis=0)


def _close_within(bits: np.ndarray, keys: np.ndarray, threshold: int) -> Iterator[np.ndarray]:
    """Yields close pairs among the rows of each key, each with the next ones in turn."""
    order = np.argsort(keys)
    ordered, at = keys[order], np.arange(len(keys))
    for step in range(1, len(keys)):
        at = at[at + step < len(keys)]
        at = at[ordered[at] == ordered[at + step]]
        if not len(at):
            return
        one, other = order[at], order[at + step]
        apart = np.bitwise_count(bits[one] ^ bits[other]).sum(axis=1)
        close = apart <= threshold
        yield np.sort(np.stack([one[close], other[close]], axis=1), axis=1)


def _kept_file(images: ImageSource, keys: list[str]) -> Path | None:
    fingerprint = getattr(images, "fingerprint", None)
    if fingerprint is None:
        return None
    digest = hashlib.sha256(f"{FORMAT} {SIDE}".encode())
    try:
        for key in keys:
            digest.update(fingerprint(key).encode() + b"\0")
    except (ImageError, OSError):  # a file that is not there; nothing is kept then
        return None
    return cache_root() / "hashes" / f"{digest.hexdigest()[:32]}.npy"


def _read(path: Path, length: int) -> np.ndarray | None:
    try:
        hashes = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return hashes if hashes.shape == (length, 4) and hashes.dtype == np.uint64 else None


def _write(path: Path, hashes: np.ndarray) -> None:
    """Keeps hashes for the next time; where that fails they are computed again."""
    with suppress(OSError), whole(path) as partial, partial.open("wb") as stream:
        np.save(stream, hashes)
