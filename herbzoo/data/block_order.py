"""A random order of rows that are cheap to read together and dear to read apart.

Images in a Parquet file come by row groups: whoever wants one has to fetch a hundred. In a fully
random order an epoch would fetch each group about as often as it has rows. Here blocks come in
random order, a few at a time, and only the rows of those few are mixed with each other.

What that costs is randomness: a batch draws from `buffer` blocks and not from the whole. Where
neighbouring rows are alike, say because the data are sorted by species, a batch sees at most as
many kinds of rows as there are blocks in the buffer; a larger buffer, or data written in random
order, puts that right. What it saves is reading: each block is needed during one stretch of
`buffer` blocks only, so that a cache that holds two stretches fetches every block once an epoch.
"""

from __future__ import annotations

import numpy as np

DEFAULT_BUFFER = 16
"""Blocks mixed at a time: 1,600 rows, and at most 256 MiB, of what `herbzoo data convert` wrote."""


def shuffled_in_blocks(
    blocks: np.ndarray, rng: np.random.Generator, buffer: int = DEFAULT_BUFFER
) -> np.ndarray:
    """Returns an order of rows: blocks shuffled, and rows mixed within a few blocks at a time.

    Args:
        blocks: for each row the number of its block; any numbers, in any order.
        rng: decides the order alone.
        buffer: blocks whose rows are mixed. With as many as there are, or with a row a block,
            every order is equally likely.

    Returns:
        The positions of all rows, each once.

    Raises:
        ValueError: if the buffer holds no block.
    """
    if buffer < 1:
        raise ValueError(f"a buffer of {buffer} blocks holds no row")
    names, block_of = np.unique(blocks, return_inverse=True)
    stretch = rng.permutation(len(names)) // buffer
    return np.lexsort((rng.random(len(block_of)), stretch[block_of]))
