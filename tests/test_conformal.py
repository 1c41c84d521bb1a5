from __future__ import annotations

import numpy as np
import pytest

from herbzoo.curation.conformal import HeldScores, least_specimens, p_values_by_domain


def held(scores, turn=None, gathering=None, domain=None):
    count = len(scores)
    return HeldScores(
        np.array(scores, float),
        np.zeros(count, int) if turn is None else np.array(turn),
        np.arange(count) if gathering is None else np.array(gathering),
        np.array(["s"] * count if domain is None else domain),
    )


def column(*scores):
    return np.array(scores, float)[:, None]


def test_p_is_the_share_of_known_specimens_that_are_as_strange():
    known = held([1, 2, 3, 4])
    assert known.p_values(column(5, 3, 0)).tolist() == [1 / 5, 3 / 5, 1.0]


def test_ties_count_as_strange():
    assert held([2, 2, 2]).p_values(column(2)).tolist() == [1.0]


def test_images_of_one_gathering_count_as_one_specimen():
    alone = held([1, 9])
    several = held([1, 9, 9, 9, 9], gathering=[0, 1, 1, 1, 1])
    assert several.p_values(column(5)).tolist() == alone.p_values(column(5)).tolist() == [2 / 3]


def test_each_turn_is_compared_with_its_own_scores():
    known = held([1, 100], turn=[0, 1])
    assert known.p_values(np.array([[2.0, 99.0]])).tolist() == [2 / 3]
    assert known.p_values(np.array([[2.0, 101.0]])).tolist() == [1 / 3]


def test_false_alarms_keep_the_promise_however_few_are_held():
    rng = np.random.default_rng(0)
    for count in (19, 40, 100):
        alarms = [
            (held(rng.normal(size=count)).p_values(column(rng.normal())) <= 0.05)[0]
            for _ in range(4000)
        ]
        exact = np.floor(0.05 * (count + 1)) / (count + 1)
        assert np.mean(alarms) == pytest.approx(exact, abs=0.011)  # three sigma


@pytest.mark.parametrize(("rate", "least"), [(0.05, 19), (0.1, 9), (0.01, 99), (0.5, 1)])
def test_so_many_are_needed_for_a_rate(rate, least):
    assert least_specimens(rate) == least
    assert held(range(least)).p_values(column(1e9))[0] <= rate
    assert held(range(least - 1)).p_values(column(1e9))[0] > rate


def test_a_domain_with_too_few_is_compared_with_all_and_promised_nothing():
    known = held(range(23), domain=["sheet"] * 20 + ["photo"] * 3)
    p, promised = p_values_by_domain(known, column(30, 30, 30), ["sheet", "photo", "else"], 0.05)
    assert promised.tolist() == [True, False, False]
    assert p == pytest.approx([1 / 21, 1 / 24, 1 / 24])


def test_an_unstated_domain_gets_the_highest_p_of_all():
    known = held([*range(20), *range(100, 120)], domain=["sheet"] * 20 + ["photo"] * 20)
    p, promised = p_values_by_domain(known, column(50, 50, 50), ["sheet", "photo", ""], 0.05)
    assert p == pytest.approx([1 / 21, 1.0, 1.0])
    assert promised.all()


def test_nothing_is_promised_for_an_unstated_domain_that_may_be_one_with_too_few():
    known = held(range(23), domain=["sheet"] * 20 + ["photo"] * 3)
    assert p_values_by_domain(known, column(30), [""], 0.05)[1].tolist() == [False]
