"""Confident learning: how many names are wrong, and which it would call so (`cleanlab`).

Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset labels",
doi:10.1613/jair.1.12125. The batched inspector of cleanlab never holds more than a block of
probabilities, so that thousands of species and many sheets fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from herbzoo.errors import HerbzooError

Blocks = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]
"""Goes through blocks of labels `[B]` and probabilities `[B, C]`, the same each time."""


def require_cleanlab() -> None:
    """Says what to install where cleanlab is not.

    Raises:
        HerbzooError: if it is missing.
    """
    try:
        import cleanlab.experimental.label_issues_batched  # noqa: F401
    except ImportError as error:
        raise HerbzooError(
            'doubtful names are found with cleanlab: pip install "herbzoo[curation]"'
        ) from error


def confident_issues(blocks: Blocks, classes: int) -> np.ndarray:
    """Returns the positions of the rows whose label confident learning calls wrong.

    Args:
        blocks: out-of-fold probabilities and present labels.
        classes: number of classes `C`.
    """
    from cleanlab.experimental.label_issues_batched import LabelInspector

    inspector = LabelInspector(
        num_class=classes,
        store_results=True,
        verbose=False,
        quality_score_kwargs={"method": "self_confidence"},
        num_issue_kwargs={"estimation_method": "off_diagonal"},
        n_jobs=1,
    )
    rows = 0
    for labels, probabilities in blocks():
        inspector.update_confident_thresholds(labels, probabilities)
        rows += len(labels)
    if not rows:
        return np.empty(0, dtype=np.int64)
    for labels, probabilities in blocks():
        inspector.score_label_quality(labels, probabilities, update_num_issues=True)
    return np.asarray(inspector.get_label_issues(), dtype=np.int64)
