"""Scientific names as people write them."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from pathlib import Path

import pytest

from herbzoo.names import parse_name

DATA = Path(os.environ.get("HERBZOO_DATA", Path(__file__).parents[2] / "shared" / "data"))


def parts(text: str) -> tuple[str, str, str]:
    parsed = parse_name(text)
    assert parsed.problem == "", parsed
    assert parsed.text == text
    return parsed.name, parsed.authorship, parsed.qualifier


@pytest.mark.parametrize(
    ("text", "name", "authorship"),
    [
        ("Acer rubrum", "Acer rubrum", ""),
        ("Acer", "Acer", ""),
        ("Acer L.", "Acer", "L."),
        ("Unxia camphorata L.f.", "Unxia camphorata", "L.f."),
        ("Merremia umbellata (L.) Hallier f.", "Merremia umbellata", "(L.) Hallier f."),
        ("Hura crepitans Hook. f. ex Wall.", "Hura crepitans", "Hook. f. ex Wall."),
        ("Costus scaber Ruiz & Pav.", "Costus scaber", "Ruiz & Pav."),
        ("Ficus alba de Vriese", "Ficus alba", "de Vriese"),
        ("Ficus alba (van der Hoek) von Foo et al.", "Ficus alba", "(van der Hoek) von Foo et al."),
        ("Ficus alba d'Urv.", "Ficus alba", "d'Urv."),
        ("Lasallia pustulata (L.) Mérat", "Lasallia pustulata", "(L.) Mérat"),
        ("Ficus alba Foo in Bar, 1899", "Ficus alba", "Foo in Bar, 1899"),
        ("Ficus alba 't Hart", "Ficus alba", "'t Hart"),
        ("Andreaea rothii F.Weber & D.Mohr", "Andreaea rothii", "F.Weber & D.Mohr"),
        ("Ficus alba (DC.) L'Hér. ex Ørst.", "Ficus alba", "(DC.) L'Hér. ex Ørst."),
        ("Ficus alba Foo nom. illeg.", "Ficus alba", "Foo"),
        ("Hibiscus rosa-sinensis L.", "Hibiscus rosa-sinensis", "L."),
        ("Isoëtes lacustris L.", "Isoëtes lacustris", "L."),
        ("Rosa (Rosa) canina L.", "Rosa canina", "L."),
        ("Rosa sect. Caninae DC.", "Rosa sect. Caninae", "DC."),
        ("<i>Acer rubrum</i> Foo &amp; Bar", "Acer rubrum", "Foo & Bar"),
    ],
)
def test_a_name_comes_apart_from_its_authors(text, name, authorship):
    assert parts(text) == (name, authorship, "")


@pytest.mark.parametrize(
    ("text", "name", "authorship"),
    [
        ("Quercus alba var. repanda Michx.", "Quercus alba var. repanda", "Michx."),
        ("Quercus alba L. ssp alta (Foo) Bar", "Quercus alba subsp. alta", "(Foo) Bar"),
        ("Quercus alba var.repanda", "Quercus alba var. repanda", ""),
        ("Quercus alba L. f. repanda Trel.", "Quercus alba f. repanda", "Trel."),
        ("Quercus alba forma repanda", "Quercus alba f. repanda", ""),
        ("Aa bb nothovar. cc Foo", "Aa bb nothovar. cc", "Foo"),
        ("Quercus alba repanda", "Quercus alba repanda", ""),
        ("Lecanora muralis Rabenh. ssp muralis var versicolor (Pers.) Tuck.",
         "Lecanora muralis var. versicolor", "(Pers.) Tuck."),
        ("Cladonia gracilis (L.) Willd. ssp gracilis", "Cladonia gracilis subsp. gracilis",
         "(L.) Willd."),
    ],
)  # fmt: skip
def test_ranks_below_species_are_spelt_out_and_only_the_last_is_kept(text, name, authorship):
    assert parts(text) == (name, authorship, "")


@pytest.mark.parametrize(
    ("text", "name", "genus"),
    [
        ("Rosa x damascena", "Rosa × damascena", "Rosa"),
        ("Rosa ×damascena Mill.", "Rosa × damascena", "Rosa"),
        ("Petunia × atkinsiana (Sweet) D.Don ex W.H.Baxter", "Petunia × atkinsiana", "Petunia"),
        ("×Cuprocyparis leylandii", "× Cuprocyparis leylandii", "Cuprocyparis"),
        ("Salix alba L. × Salix fragilis L.", "Salix alba × Salix fragilis", "Salix"),
        ("Salix alba x S. fragilis", "Salix alba × Salix fragilis", "Salix"),
        ("Salix alba × fragilis", "Salix alba × Salix fragilis", "Salix"),
        ("Xanthium strumarium", "Xanthium strumarium", "Xanthium"),
    ],
)
def test_hybrids(text, name, genus):
    parsed = parse_name(text)
    assert (parsed.name, parsed.genus, parsed.problem) == (name, genus, "")


@pytest.mark.parametrize(
    ("text", "name", "qualifier"),
    [
        ("Quercus cf. robur", "Quercus robur", "cf."),
        ("Quercus robur aff. alba", "Quercus robur alba", "aff."),
        ("cf. Quercus robur L.", "Quercus robur", "cf."),
        ("Quercus robur?", "Quercus robur", "?"),
        ("Quercus sp.", "Quercus", "sp."),
        ("Calla.sp", "Calla", "sp"),
        ("Pavonia sps.", "Pavonia", "sps."),
        ("Quercus sp. nov.", "Quercus", "sp. nov."),
        ("Rubus fruticosus agg.", "Rubus fruticosus", "agg."),
        ("Rubus fruticosus L. s. l.", "Rubus fruticosus", "s.l."),
        ("Rubus fruticosus sensu lato", "Rubus fruticosus", "sensu lato"),
        ("Acer palmatum 'Atropurpureum'", "Acer palmatum", "'Atropurpureum'"),
        ("Rosa cv. Peace", "Rosa", "'Peace'"),
    ],
)
def test_qualifiers_and_cultivars_are_told_from_the_name(text, name, qualifier):
    parsed = parse_name(text)
    assert (parsed.name, parsed.qualifier, parsed.problem) == (name, qualifier, "")


@pytest.mark.parametrize(
    "text",
    ["quercus_alba", "Quercus_alba", "QUERCUS ALBA", "quercus alba", "Quercus  alba",
     "QUERCUS alba", "Quercus\u00a0alba", "12 Quercus alba", "0012_quercus_alba",
     "105951; Quercus alba", " Quercus alba\n"],
)  # fmt: skip
def test_writing_does_not_matter(text):
    assert parts(text) == ("Quercus alba", "", "")


def test_capitals_keep_ranks_and_authors_apart():
    assert parts("QUERCUS ALBA L. VAR. REPANDA MICHX.") == (
        "Quercus alba var. repanda", "MICHX.", ""
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("Nil", "no name"),
        ("unknown", "no name"),
        ("106023", "a number"),
        ("class_12", "a number"),
        ("C. sertularioides", "abbreviated"),
        ("Ficus alba KoÃ«hne", "wrong encoding"),
        ("Ficus alba Mu\ufffdoz", "wrong encoding"),
        ("Ficus alba Mu?oz", "wrong encoding"),
        ("Ficus alba swingle", "'swingle' is neither"),
        ("Ficus alba var.", "no epithet follows"),
        ("Ficus alba (Foo", "not closed"),
        ("Ficus alba 12", "'12' is neither"),
        ("Ficus alba on the hill", "'on' is neither"),
        ("12.5 %", "not how a genus is written"),
    ],
)
def test_what_is_no_name_says_why_in_one_line(text, reason):
    parsed = parse_name(text)
    assert reason in parsed.problem
    assert "\n" not in parsed.problem


def test_no_text_breaks_the_parser():
    pieces = [
        "×",
        "x",
        "(",
        ")",
        "var.",
        "f.",
        "'",
        "?",
        "sp.",
        "L.",
        "Acer",
        "alba",
        ".",
        "&",
        "1",
    ]
    for first in pieces:
        for second in pieces:
            for third in pieces:
                parsed = parse_name(f"{first} {second} {third}")
                assert bool(parsed.problem) or bool(parsed.name), parsed


# -- real names -----------------------------------------------------------------------------------


def table(path: Path, column: str) -> set[str]:
    with path.open(encoding="utf-8", newline="") as stream:
        return {row[column] for row in csv.DictReader(stream)} - {""}


def archive(path: Path) -> dict[str, str]:
    text = zipfile.ZipFile(path).read("occurrence.txt").decode("utf-8")
    rows = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    return {row["scientificName"]: row["scientificNameAuthorship"] for row in rows}


@pytest.mark.realdata
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA} (set HERBZOO_DATA)")
def test_real_names_parse():
    sources = {
        "leafsnap": (table(DATA / "leafsnap/metadata.csv", "scientificName"), 1.0),
        "gbif": (table(DATA / "gbif-cc/gbif_attribution.csv", "gbif_name"), 1.0),
        "plantclef": (
            table(DATA / "plantclef2020-lists/clef2020_herbarium_species.csv", "species"),
            1.0,
        ),
        "bryophytes": (set(archive(DATA / "dwca/dwca-santbryo.zip")), 1.0),
        "lichens": (set(archive(DATA / "dwca/dwca-santlich.zip")), 1.0),
        "dsah": (table(DATA / "dsah/specimens.csv", "name"), 0.95),  # typed in without capitals
    }
    shares = {
        name: sum(not parse_name(text).problem for text in texts) / len(texts)
        for name, (texts, _) in sources.items()
    }
    assert {name: share >= sources[name][1] for name, share in shares.items()} == dict.fromkeys(
        sources, True
    ), shares
    assert sum(len(texts) for texts, _ in sources.values()) > 6_000


@pytest.mark.realdata
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data at {DATA} (set HERBZOO_DATA)")
@pytest.mark.parametrize("name", ["dwca-santbryo.zip", "dwca-santlich.zip"])
def test_authorships_are_those_that_an_archive_states_itself(name):
    stated = {text: " ".join(by.split()) for text, by in archive(DATA / "dwca" / name).items()}
    differ = [text for text, by in stated.items() if parse_name(text).authorship != by]
    assert len(differ) <= 3, differ  # a note, a concept, and one of two ranks
