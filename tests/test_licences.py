from __future__ import annotations

import pandas as pd
import pytest

from herbzoo.data.licences import NOT_STATED, RESERVED, licence_column, parse_licence, roll_up

SPELLINGS = {
    "http://creativecommons.org/licenses/by-nc/4.0/": "CC BY-NC 4.0",
    "https://creativecommons.org/licenses/by-sa/4.0/legalcode": "CC BY-SA 4.0",
    "http://creativecommons.org/licenses/by-nc-nd/2.5/deed.en": "CC BY-NC-ND 2.5",
    "creativecommons.org/licenses/by/3.0/us/": "CC BY 3.0",
    "CC_BY_NC_4_0": "CC BY-NC 4.0",
    "CC_BY_4_0": "CC BY 4.0",
    "CC0_1_0": "CC0 1.0",
    "cc-by-nc-nd-4.0": "CC BY-NC-ND 4.0",
    "cc0-1.0": "CC0 1.0",
    "CC0: Public Domain": "CC0 1.0",
    "https://creativecommons.org/publicdomain/zero/1.0/legalcode": "CC0 1.0",
    "http://creativecommons.org/publicdomain/mark/1.0/": "public domain",
    "Attribution-NonCommercial-ShareAlike 4.0 International (CC BY-NC-SA 4.0)": "CC BY-NC-SA 4.0",
    "Attribution-NoDerivs 3.0 Unported": "CC BY-ND 3.0",
    "CC BY-SA-NC 4.0": "CC BY-NC-SA 4.0",
    "BY-NC": "CC BY-NC",
    "(c) Jane Doe, some rights reserved (CC BY-NC)": "CC BY-NC",
    "(c) Jane Doe, all rights reserved": RESERVED,
    "http://rightsstatements.org/vocab/InC/1.0/": RESERVED,
    "no rights reserved": "CC0 1.0",
    "This work is licensed under a Creative Commons Attribution Non Commercial (CC-BY-NC) 4.0 "
    "License": "CC BY-NC 4.0",
    "ODbL": "ODbL 1.0",
    "": NOT_STATED,
    "  Unknown ": NOT_STATED,
    "UNSPECIFIED": NOT_STATED,
}

OWN_WORDS = (
    "If you want to use any images ask author for permission",
    "by permission of the author",
    "attribution required",
    "not in the public domain",
    "CC",
    "Usage Conditions Apply",
    "CC BY-NC 4.0 for images, CC0 for data",
    "CC BY-ND-SA",
)


@pytest.mark.parametrize(("written", "name"), SPELLINGS.items())
def test_a_licence_has_one_spelling(written, name):
    assert parse_licence(written).name == name


@pytest.mark.parametrize("written", OWN_WORDS)
def test_what_is_not_understood_keeps_its_words_and_is_never_free(written):
    licence = parse_licence(written)
    assert (licence.name, licence.understood, licence.free) == (written, False, False)


def test_a_text_that_names_a_strict_and_a_mild_licence_counts_as_strict():
    assert parse_licence("CC BY-NC 4.0 (photos); CC BY 4.0 (text)").elements == ("BY", "NC")


def test_roll_up_counts_spellings_together_most_frequent_first():
    values = ["CC_BY_4_0", "", "CC BY 4.0", "cc0", "http://creativecommons.org/licenses/by/4.0/"]
    rolled = roll_up(pd.Series(values))
    counts = [(count.licence.name, count.images) for count in rolled.counts]
    assert counts == [("CC BY 4.0", 3), ("CC0 1.0", 1), ("not stated", 1)]
    assert rolled.images == 5


def test_sentences_say_how_many_images_a_condition_binds():
    values = ["CC BY-NC 4.0"] * 3 + ["CC BY-NC-ND 4.0"] * 2 + ["CC BY-SA 4.0", "", "ask me"]
    values += ["all rights reserved"]
    said = roll_up(pd.Series(values)).sentences()
    starts = [sentence.split(" (")[0].split(":")[0] for sentence in said]
    assert starts == [
        "5 of 9 images must not be used commercially",
        "2 of 9 images must not be passed on cropped or changed",
        "1 of 9 images may be passed on changed under their own licence only",
        "6 of 9 images may be shown only with their author and licence",
        "1 of 9 images are under all rights reserved",
        "1 of 9 images bear terms that are no licence known to herbzoo",
        "1 of 9 images state no licence",
    ]
    assert "CC BY-NC 4.0, CC BY-NC-ND 4.0" in said[0]
    assert all("\n" not in sentence for sentence in said)


def test_the_public_domain_asks_for_nothing_and_an_empty_collection_says_nothing():
    assert roll_up(pd.Series(["CC0", "public domain"])).sentences() == (
        "All images are in the public domain: they may be used for anything.",
    )
    assert roll_up(pd.Series([], dtype=str)).sentences() == ()


def test_the_filled_licence_column_is_found():
    frame = pd.DataFrame({"license": ["", ""], "licence": ["CC0", ""]}, dtype=str)
    column = licence_column(frame)
    assert column is not None and column.tolist() == ["CC0", ""]
    assert licence_column(frame[["license"]]) is None
