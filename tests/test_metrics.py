from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, top_k_accuracy_score

from herbzoo.evaluation.metrics import (
    BLANK,
    Metrics,
    RankAccumulator,
    grouped,
    harmonic_mean,
    macro_f1,
    ranked,
    summarise,
)

CLOSE = pytest.approx


@st.composite
def scored_rows(draw, ties: bool = False, unknown: bool = False):
    """Scores `[N, C]` and truths `[N]`; without ties every row is a permutation."""
    classes = draw(st.integers(3, 9))
    rows = draw(st.integers(1, 30))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if ties:
        scores = generator.integers(0, 3, (rows, classes)).astype(np.float32)
    else:
        scores = np.argsort(generator.random((rows, classes)), axis=1).astype(np.float32)
    truth = generator.integers(-2 if unknown else 0, classes, rows)
    return scores, truth


@given(scored_rows())
def test_top_k_equals_scikit_learn_where_no_scores_tie(rows):
    scores, truth = rows
    found = ranked(scores, truth).metrics()
    classes = np.arange(scores.shape[1])
    for k, share in ((1, found.top1), (5, found.top5)):
        if k < len(classes):
            assert share == CLOSE(
                top_k_accuracy_score(truth, scores, k=k, labels=classes), abs=1e-9
            )


@given(scored_rows(ties=True, unknown=True))
def test_macro_f1_equals_scikit_learn_over_the_species_in_the_truth(rows):
    outcomes = ranked(*rows)
    expected = f1_score(
        outcomes.truth, outcomes.predicted, labels=np.unique(outcomes.truth), average="macro"
    )
    assert outcomes.metrics().macro_f1 == CLOSE(expected, abs=1e-9)


@given(scored_rows(ties=True))
def test_the_rank_is_the_place_in_a_stable_sort(rows):
    scores, truth = rows
    order = np.argsort(-scores, axis=1, kind="stable")
    places = [list(row).index(wanted) + 1 for row, wanted in zip(order, truth, strict=True)]
    outcomes = ranked(scores, truth)
    assert outcomes.rank.tolist() == places
    assert outcomes.predicted.tolist() == order[:, 0].tolist()
    assert outcomes.metrics().mrr == CLOSE(np.mean([1 / place for place in places]), abs=1e-9)


@given(scored_rows(ties=True, unknown=True), st.integers(1, 7))
def test_batches_add_up_to_the_whole(rows, size):
    scores, truth = rows
    accumulator = RankAccumulator()
    for start in range(0, len(truth), size):
        accumulator.update(scores[start : start + size], truth[start : start + size])
    assert accumulator.metrics() == ranked(scores, truth).metrics()


@settings(max_examples=30)
@given(scored_rows(ties=True, unknown=True))
def test_first_place_is_the_same_as_being_predicted(rows):
    scores, truth = rows
    scores[scores == 2] = np.nan
    outcomes = ranked(scores, truth)
    assert ((outcomes.rank == 1) == (outcomes.predicted == outcomes.truth)).all()


def test_a_score_that_is_not_a_number_is_never_found_and_stands_below_the_others():
    scores = [[np.nan, 1.0, 2.0], [np.nan, -np.inf, -np.inf], [np.nan, np.nan, np.nan]]
    assert ranked(scores, [0, 1, 2]).rank.tolist() == [math.inf, 1, math.inf]
    assert ranked(scores, [1, 1, 0]).rank.tolist() == [2, 1, math.inf]
    outcomes = ranked(scores, [0, 1, 0])
    assert outcomes.predicted[:2].tolist() == [2, 1]
    assert outcomes.metrics().top1 == CLOSE(1 / 3)


def test_unknown_species_are_wrong_and_each_is_a_class_of_its_own():
    scores = np.eye(3)[[0, 1, 2, 0]]
    known = summarise([0, 1, 2], [0, 1, 2], [1, 1, 1])
    assert (known.top1, known.macro_f1, known.unknown) == (1, 1, 0)
    one = ranked(scores, [0, 1, 2, -1]).metrics()
    assert (one.n, one.unknown, one.top1, one.top5, one.mrr) == (4, 1, 0.75, 0.75, 0.75)
    # Species 0 also claims the stranger: F1 of 2/3, 1, 1 and 0.
    assert one.macro_f1 == CLOSE((2 / 3 + 1 + 1 + 0) / 4)
    two = ranked(np.eye(3)[[0, 0, 0]], [0, -1, -2]).metrics()
    assert two.macro_f1 == CLOSE((0.5 + 0 + 0) / 3)


def test_species_that_are_only_predicted_do_not_enter_macro_f1():
    assert macro_f1(np.array([0, 0]), np.array([0, 7])) == CLOSE(2 / 3)


def test_no_rows_and_truths_that_are_no_class_are_refused():
    with pytest.raises(ValueError, match="no rows"):
        RankAccumulator().metrics()
    with pytest.raises(ValueError, match="none of the 3 classes"):
        ranked(np.zeros((1, 3)), [3])
    with pytest.raises(ValueError, match="do not go together"):
        ranked(np.zeros((2, 3)), [0])


def test_groups_have_the_layout_of_metrics_json():
    outcomes = ranked(np.eye(3)[[0, 0, 1, 2]], [0, 1, 1, 2])
    columns = {"pairs": ["with", "with", "without", "without"], "where": ["a", "b", "c", "c"]}
    result = grouped(outcomes, columns, "validation")
    assert list(result) == ["protocol", "split", "n", "overall", "groups", "harmonic_mean"]
    assert (result["protocol"], result["split"], result["n"]) == ("standard", "validation", 4)
    assert set(result["overall"]) == {"n", "top1", "top5", "mrr", "macro_f1", "unknown"}
    assert result["groups"]["pairs"]["with"]["top1"] == 0.5
    assert result["groups"]["pairs"]["without"]["top1"] == 1
    assert result["harmonic_mean"] == {"pairs": CLOSE(2 / 3)}, "only columns of two values"
    assert json.loads(json.dumps(result)) == result


def test_rows_without_a_value_are_a_group_that_does_not_count_as_one_of_two():
    outcomes = ranked(np.eye(2)[[0, 1, 0]], [0, 0, 0])
    result = grouped(outcomes, {"pairs": ["with", "without", ""]})
    assert set(result["groups"]["pairs"]) == {"with", "without", BLANK}
    assert result["harmonic_mean"] == {"pairs": 0.0}


def test_the_harmonic_mean_of_nothing_is_nothing():
    assert harmonic_mean(0.0, 0.0) == 0.0
    assert harmonic_mean(0.5, 1.0) == CLOSE(2 / 3)


def test_only_three_numbers_a_row_are_kept():
    accumulator = RankAccumulator()
    accumulator.update(np.zeros((4, 1000), np.float32), np.zeros(4, np.int64))
    outcomes = accumulator.outcomes()
    kept = sum(array.nbytes for array in (outcomes.truth, outcomes.predicted, outcomes.rank))
    assert kept == 4 * 3 * 8
    assert isinstance(accumulator.metrics(), Metrics)
