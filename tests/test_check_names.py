from __future__ import annotations

import pytest
from check_samples import found, names

from herbzoo.data.findings import ERROR, NOTE, WARNING
from herbzoo.data.records import SpecimenRecord
from herbzoo.data.spellings import spelling_groups


def test_names_that_do_not_parse_are_reported_one_by_one_or_together():
    few = names("Acer rubrum", "unknown", "unknown")["name-unparsed"]
    assert [(finding.severity, finding.rows) for finding in few] == [(WARNING, (1, 2))]
    assert few[0].what.startswith("'unknown': ")
    many = names(*(str(number) for number in range(1000, 1020)))["name-unparsed"]
    assert len(many) == 1 and len(many[0].rows) == 20
    assert "20 names" in many[0].what and "and 14 more" in many[0].what


def test_one_name_in_several_forms_is_an_error_that_counts_each():
    findings = names("Acer rubrum", "Acer rubrum", "Acer rubrum L.", "acer  rubrum")
    (form,) = findings["name-forms"]
    assert (form.severity, form.rows) == (ERROR, (0, 1, 2, 3))
    assert form.what.startswith("one name in 3 forms: 'Acer rubrum' (2)")


@pytest.mark.parametrize(
    ("one", "other", "hint", "severity"),
    [
        ("Quercus robur", "Quercus robor", "one letter", WARNING),
        ("Quercus rubra", "Quecrus rubra", "one letter", WARNING),
        ("Celosia cristata", "Celosia cristate", "the gender ending", WARNING),
        ("Nerium indicum", "Nerium indica", "the gender ending", WARNING),
        ("Aesculus hippocastanum", "Aesculus hippocastamon", "a few letters", NOTE),
        ("Broussonetia papyrifera", "Broussonettia papyrifera", "one letter", WARNING),
    ],
)
def test_spellings_of_one_name_are_found(one, other, hint, severity):
    (finding,) = names(one, other, "Acer rubrum")["name-spellings"]
    assert (finding.severity, finding.rows) == (severity, (0, 1))
    assert f"they differ in {hint}: " in finding.what


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Magnolia macrophylla", "Magnolia microphylla"),
        ("Carex longipetala", "Carex longisepala"),
        ("Salix alba", "Salix alpa"),
        ("Quercus alba", "Acer alba"),
        ("Hakea angustifolia", "Hakea angustiflora"),
    ],
)
def test_different_species_are_left_alone(one, other):
    assert "name-spellings" not in names(one, other)


def test_genera_alike_in_different_families_are_left_alone():
    records = [
        SpecimenRecord("a.jpg", "Ruppia maritima", family="Ruppiaceae"),
        SpecimenRecord("b.jpg", "Rubpia maritima", family="Rubiaceae"),
    ]
    assert "name-spellings" not in found(*records)


def test_authorships_are_a_note_where_abbreviated_and_a_warning_where_they_differ():
    records = [
        SpecimenRecord("a.jpg", "Centella asiatica", scientificNameAuthorship="(L.) Urban"),
        SpecimenRecord("b.jpg", "Centella asiatica", scientificNameAuthorship="(L.) Urb."),
        SpecimenRecord("c.jpg", "Abies alba", scientificNameAuthorship="Mill."),
        SpecimenRecord("d.jpg", "Abies alba", scientificNameAuthorship="Michx."),
    ]
    warning, note = found(*records)["authorships"]
    assert (warning.severity, warning.rows) == (WARNING, (2, 3))
    assert (note.severity, note.rows) == (NOTE, (0, 1))


def test_genera_are_compared_with_names_and_families():
    records = [
        SpecimenRecord("a.jpg", "Acer rubrum", genus="Acer", family="Sapindaceae"),
        SpecimenRecord("b.jpg", "Acer rubrum", genus="Acer", family="Aceraceae"),
        SpecimenRecord("c.jpg", "Acer rubrum", genus="Acer", family="Sapindaceae"),
        SpecimenRecord("d.jpg", "Quercus alba", genus="Carya", family="Nil"),
    ]
    findings = found(*records)
    (differs,) = findings["genus-differs"]
    assert differs.rows == (3,) and "Quercus" in differs.what and "'Carya'" in differs.what
    (families,) = findings["genus-in-two-families"]
    assert families.rows == (1,)  # those of the rarer family
    assert "'Sapindaceae' (2), 'Aceraceae' (1)" in families.what


def test_names_of_genera_matter_more_beside_their_species():
    findings = names("Populus", "Populus tremula", "Tilia")["name-of-genus"]
    assert [(f.severity, f.rows) for f in findings] == [(WARNING, (0,)), (NOTE, (2,))]


def test_two_letters_are_too_many_for_a_short_word():
    assert spelling_groups([("Salix serrata", "Salix", ""), ("Salix seratta", "Salix", "")]) == []


def test_spellings_chain_into_one_group_that_says_its_weakest_link():
    texts = ["Cuphea miniata", "Cuphaea miniata", "Cuphaea minata"]
    (group,) = spelling_groups((text, text.split()[0], "") for text in texts)
    assert (group.names, group.differ_in) == (tuple(texts), "one letter")
