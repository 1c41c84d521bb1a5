"""Random orders that read each block of rows during one stretch only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from herbzoo.data.block_order import shuffled_in_blocks


def order_of(blocks: np.ndarray, seed: int = 0, buffer: int = 4) -> np.ndarray:
    return shuffled_in_blocks(blocks, np.random.default_rng(seed), buffer)


@given(st.lists(st.integers(-3, 40), max_size=200), st.integers(1, 9), st.integers(0, 99))
def test_every_row_comes_once_and_the_generator_alone_decides_when(blocks, buffer, seed):
    order = order_of(np.array(blocks, dtype=int), seed, buffer)
    assert sorted(order) == list(range(len(blocks)))
    assert (order == order_of(np.array(blocks, dtype=int), seed, buffer)).all()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.integers(1, 9))
def test_no_stretch_holds_more_blocks_than_the_buffer_and_none_comes_back(blocks, buffer):
    blocks = np.array(blocks)
    in_order = blocks[order_of(blocks, 7, buffer)]
    stretches: list[set[int]] = [set()]
    for block in in_order.tolist():
        if block not in stretches[-1] and len(stretches[-1]) == buffer:
            stretches.append(set())
        stretches[-1].add(block)
    assert sum(map(len, stretches)) == len(np.unique(blocks))


def test_epochs_differ_in_which_blocks_come_together():
    blocks = np.repeat(np.arange(40), 10)
    firsts = {frozenset(blocks[order_of(blocks, seed)][:40].tolist()) for seed in range(20)}
    assert len(firsts) > 15


def test_rows_of_a_stretch_are_mixed_and_not_only_lined_up():
    blocks = np.repeat(np.arange(4), 100)
    in_order = blocks[order_of(blocks)]
    changes = (in_order[1:] != in_order[:-1]).mean()
    assert changes == pytest.approx(0.75, abs=0.1)


def test_a_row_a_block_makes_every_order_equally_likely():
    seen = {tuple(order_of(np.arange(4), seed, buffer=2).tolist()) for seed in range(500)}
    assert len(seen) == 24


def test_a_buffer_of_nothing_is_refused():
    with pytest.raises(ValueError, match="holds no row"):
        order_of(np.arange(3), buffer=0)
