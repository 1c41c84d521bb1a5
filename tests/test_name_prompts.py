"""What a text tower is told of a taxon."""

from __future__ import annotations

import random

import pytest
from herbzoo_plugins.heads.name_prompts import (
    FIELDS,
    NameVariants,
    check_prompts,
    filled,
    misspelt,
    variants,
)

from herbzoo.interfaces import LabelFacts

MAPLE = LabelFacts(
    names=["Acer rubrum"],
    authorships=["L."],
    genera=["Acer"],
    families=["Sapindaceae"],
    synonyms=[["Rufacer rubrum", "Acer rubrum"]],
    vernaculars=["red maple"],
    traits=["leaves opposite, lobed"],
)


def test_a_prompt_may_use_all_that_is_known_of_the_taxon():
    every = " | ".join(f"{{{field}}}" for field in FIELDS)
    assert filled([every], MAPLE) == [
        ["Acer rubrum | L. | Acer | Sapindaceae | red maple | leaves opposite, lobed"]
    ]


def test_what_is_not_known_leaves_no_trace():
    prompt = "{name} {authorship}, {family} ({common_name}); {traits}"
    whole = "Acer rubrum L., Sapindaceae (red maple); leaves opposite, lobed"
    assert filled([prompt], MAPLE) == [[whole]]
    assert filled([prompt], LabelFacts(["Acer rubrum"])) == [["Acer rubrum"]]
    some = LabelFacts(["Acer rubrum"], families=["Sapindaceae"], traits=["leaves lobed"])
    assert filled([prompt], some) == [["Acer rubrum, Sapindaceae; leaves lobed"]]


def test_a_prompt_of_which_all_is_unknown_is_left_out():
    prompts = ["{name}", "also called {common_name}", "{traits}"]
    assert filled(prompts, LabelFacts(["Acer rubrum"])) == [["Acer rubrum"]]
    some = LabelFacts(["Acer rubrum", "Acer"], vernaculars=["red maple", ""])
    assert filled(prompts, some) == [["Acer rubrum", "also called red maple"], ["Acer"]]


def test_prompts_that_come_out_the_same_are_one():
    assert filled(["{name}", "{name} {traits}"], LabelFacts(["Acer"])) == [["Acer"]]


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (
            ["{name}", "{order}"],
            r"'\{order\}' asks for \{order\}; there are \{name\}, .*\{traits\}",
        ),
        (["{}"], r"asks for \{\}; there are"),
        (["a plant"], "says nothing of a taxon"),
        (["{name"], "has a brace too many"),
        ([], "prompts must have one at least"),
    ],
    ids=str,
)
def test_prompts_that_cannot_be_filled_in_are_refused(prompts, message):
    with pytest.raises(ValueError, match=message) as error:
        check_prompts(prompts)
    assert "\n" not in str(error.value)


def test_variants_are_the_first_prompt_with_other_names():
    found = variants(["{family} {name}", "{name}"], MAPLE, synonyms=True, spellings=0)
    assert found == [["Sapindaceae Rufacer rubrum", "Sapindaceae Acer rubrum"]]
    assert variants(["{name}"], MAPLE, synonyms=False, spellings=0) == [[]]
    assert variants(["{name}"], LabelFacts(["Acer"]), synonyms=True, spellings=0) == [[]]


def test_misspellings_are_the_same_every_time_and_a_slip_away_from_the_name():
    (found,) = variants(["{name}"], MAPLE, synonyms=False, spellings=5)
    assert found == variants(["{name}"], MAPLE, synonyms=False, spellings=5)[0]
    assert 2 <= len(found) <= 5
    for text in found:
        assert abs(len(text) - len("Acer rubrum")) <= 1
        assert text[0] == "A" or text.startswith("cA")


@pytest.mark.parametrize("name", ["Acer rubrum", "Io", "A", "Thymus-sylvii", "Aa"])
def test_any_name_can_be_misspelt(name):
    draw = random.Random(0)
    slips = {misspelt(name, draw) for _ in range(200)}
    assert all(slips), "something is left of it"
    assert slips - {name}, "and something is wrong in most"


def test_a_taxon_without_variants_is_called_as_usual():
    several = NameVariants(lambda: [["Rufacer"], [], ["Strobus"]], share=1.0)
    assert several.drawn([0, 1, 2, 0]) == ["Rufacer", "", "Strobus", "Rufacer"]
    assert NameVariants().drawn([5, 6]) == ["", ""]


def test_the_name_of_a_family_is_not_said_twice():
    family = LabelFacts(["Fagaceae"], families=["Fagaceae"])
    assert filled(["{family} {name}"], family) == [["Fagaceae"]]
