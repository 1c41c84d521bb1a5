"""Tables of accepted names and synonyms, and what they make of a name."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest

from herbzoo.errors import DataError
from herbzoo.name_table import NameTable
from herbzoo.resolution import resolve

OAK, RED, OLD = "Quercus robur", "Acer rubrum", "Quercus pedunculata"

WFO = """\
taxonID\tscientificNameID\tlocalID\tscientificName\ttaxonRank\tscientificNameAuthorship\tfamily\t\
genus\ttaxonomicStatus\tacceptedNameUsageID
wfo-1\t\t\tQuercus robur\tspecies\tL.\tFagaceae\tQuercus\tAccepted\t
wfo-2\t\t\tQuercus pedunculata\tspecies\tEhrh.\tFagaceae\tQuercus\tSynonym\twfo-1
wfo-3\t\t\tAcer rubrum\tspecies\tL.\tSapindaceae\tAcer\tUnchecked\t
"""
WCVP = """\
plant_name_id|taxon_rank|taxon_status|family|genus_hybrid|genus|taxon_name|taxon_authors|\
accepted_plant_name_id|reviewed
1|Species|Accepted|Fagaceae||Quercus|Quercus robur|L.|1|Y
2|Species|Synonym|Fagaceae||Quercus|Quercus pedunculata|"Ehrh.|1|Y
3|Species|Unplaced|Sapindaceae||Acer|Acer rubrum|L.||Y
4|Species|Misapplied|Fagaceae||Quercus|Quercus robur|auct.|9|Y
"""
WCVP_TAXON = """\
taxonid|family|genus|scientfiicname|scientfiicnameauthorship|taxonomicstatus|acceptednameusageid
1|Fagaceae|Quercus|Quercus robur|L.|Accepted|1
2|Fagaceae|Quercus|Quercus pedunculata|Ehrh.|Synonym|1
3|Sapindaceae|Acer|Acer rubrum|L.|Unplaced|
"""
GBIF = "\n".join(
    "\t".join(row.split("|"))
    for row in (
        "taxonID|datasetID|acceptedNameUsageID|scientificName|scientificNameAuthorship|"
        "canonicalName|taxonomicStatus|kingdom|family|genus",
        "1|x||Quercus robur L.|L.|Quercus robur|accepted|Plantae|Fagaceae|Quercus",
        "2|x|1|Quercus pedunculata Ehrh.|Ehrh.|Quercus pedunculata|heterotypic synonym|Plantae|"
        "Fagaceae|Quercus",
        "3|x||Acer rubrum L.|L.|Acer rubrum|doubtful|Plantae|Sapindaceae|Acer",
        "4|x||Quercus robur Beetle, 1900|Beetle, 1900|Quercus robur|accepted|Animalia|"
        "Buprestidae|Quercus",
    )
)


def simple(*values: str) -> str:
    id, parent, status, kingdom, name = values
    cells = [id, parent, "\\N", "t" if "SYNONYM" in status else "f", status, *["\\N"] * 5, kingdom]
    return "\t".join([*cells, *["\\N"] * 7, name, *["\\N"] * 11])


SIMPLE = "\n".join(
    [
        simple("1", "77", "ACCEPTED", "6", "Quercus robur L."),
        simple("2", "1", "HOMOTYPIC_SYNONYM", "6", "Quercus pedunculata Ehrh."),
        simple("3", "78", "DOUBTFUL", "6", "Acer rubrum L."),
        simple("4", "79", "ACCEPTED", "1", "Quercus robur Beetle, 1900"),
    ]
)
LCVP_1 = """\
Input Taxon,Status,PL comparison,PL alternative,Output Taxon,Family,Order
Quercus robur L.,valid,identical,,Quercus robur L.,Fagaceae,Fagales
Quercus pedunculata Ehrh.,synonym,,,Quercus robur L.,Fagaceae,Fagales
Acer rubrum L.,unresolved,,,unresolved,,
"""
LCVP_2 = """\
"global.Id","Input.Genus","Input.Epitheton","Rank","Input.Subspecies.Epitheton","Input.Authors",\
"Status","globalId.of.Output.Taxon","Output.Taxon","Family","Order"
"1","Quercus","robur","species","nil","L.","accepted","1","Quercus robur L.","Fagaceae","Fagales"
"2","Quercus","pedunculata","species","nil","Ehrh.","synonym","1","Quercus robur L.","Fagaceae",""
"3","Acer","rubrum","species","nil","L.","unresolved","","","",""
"""
OWN = """\
scientificName,authorship,acceptedName,status,family
Quercus robur,L.,,accepted,Fagaceae
Quercus pedunculata,Ehrh.,Quercus robur L.,synonym,Fagaceae
Acer rubrum,L.,,unclear,Sapindaceae
"""
LAYOUTS = {
    "World Flora Online": WFO,
    "WCVP": WCVP,
    "WCVP archive": WCVP_TAXON,
    "GBIF backbone": GBIF,
    "GBIF backbone simple": SIMPLE,
    "LCVP": LCVP_1,
    "LCVP 2": LCVP_2,
    "a table of names": OWN,
}


def written(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def own(folder: Path, *rows: str) -> Path:
    """Writes a table of one's own; a row is `name,authorship,acceptedName`."""
    return written(folder, "\n".join(["scientificName,authorship,acceptedName", *rows, ""]))


def one(path: Path, name: str, **options):
    (found,) = resolve([name], NameTable.load(path, [name], **options))
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("all_rows", [False, True])
def test_a_table_is_told_by_its_columns(tmp_path, layout, all_rows):
    path = written(tmp_path, LAYOUTS[layout])
    names = [OLD, f"{OAK} L.", OAK, RED, "Ficus alba"]
    table = NameTable.load(path, None if all_rows else names)
    assert layout.startswith(table.title)
    synonym, accepted, plain, unplaced, unmatched = resolve(names, table)
    assert [synonym.status, accepted.status, plain.status] == ["synonym", "accepted", "accepted"]
    for found in (synonym, accepted, plain):
        assert (found.accepted, found.authorship, found.genus) == (OAK, "L.", "Quercus")
        assert found.family == ("" if layout == "GBIF backbone simple" else "Fagaceae")
        assert found.id.lstrip("wfo-") == ("" if layout in ("LCVP", "a table of names") else "1")
    assert (unplaced.status, unmatched.status) == ("unplaced", "unmatched")
    assert "does not place Acer rubrum L." in unplaced.reason
    assert table.unreadable == 0


@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_a_packed_table_is_read_as_it_is(tmp_path, kind):
    path = tmp_path / f"wcvp.{kind}"
    if kind == "gz":
        path.write_bytes(gzip.compress(WCVP.encode()))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("README.txt", "nothing of use")
            archive.writestr("wcvp_names.csv", WCVP)
    assert one(path, OLD).accepted == OAK


def test_only_the_rows_of_wanted_names_are_kept(tmp_path):
    rows = [f"Genus{'abcdefghij'[i % 10]} species{'x' * (i // 10 + 1)},L.," for i in range(300)]
    table = NameTable.load(own(tmp_path, *rows), ["Genusa speciesx", "Genusb nowhere"])
    assert table.rows == 300
    assert len(table.usages("Genusa speciesx")) == 1
    assert table.usages("Genusa speciesxx") == ()


def test_the_version_is_the_users_or_a_digest_of_the_file(tmp_path):
    path = own(tmp_path, "Acer rubrum,L.,")
    assert NameTable.load(path, [], version="2026-11").version == "2026-11"
    before = NameTable.load(path, []).version
    assert before.startswith("sha256:")
    own(tmp_path, "Acer rubrum,L.,", "Acer album,L.,")
    assert NameTable.load(path, []).version != before


# -- failing closed -------------------------------------------------------------------------------


def test_homonyms_that_differ_in_their_accepted_name_need_the_author(tmp_path):
    path = own(tmp_path, "Acer rubrum,L.,", "Acer rubrum,Lam.,Acer album Foo", "Acer album,Foo,")
    found = one(path, RED)
    assert (found.status, found.accepted) == ("ambiguous", "")
    assert found.candidates == ("Acer album Foo", "Acer rubrum L.")
    assert "state the author" in found.reason
    assert one(path, "Acer rubrum Lam.").accepted == "Acer album"
    assert one(path, "Acer rubrum Linn.").accepted == "Acer rubrum"
    other = one(path, "Acer rubrum Marshall")
    assert other.status == "ambiguous" and "none of them by Marshall" in other.reason


def test_homonyms_that_agree_are_no_problem(tmp_path):
    path = own(tmp_path, "Acer rubrum,L.,Acer album", "Acer rubrum,Lam.,Acer album")
    assert one(path, RED).accepted == "Acer album"


def test_a_name_by_another_author_than_the_tables_only_one_says_so(tmp_path):
    found = one(own(tmp_path, "Acer rubrum,L.,"), "Acer rubrum Marshall")
    assert found.status == "accepted"
    assert found.reason == "the table knows it by L."


def test_a_name_that_was_split_is_ambiguous_even_with_its_author(tmp_path):
    path = own(tmp_path, "Acer rubrum,L.,Acer one", "Acer rubrum,L.,Acer two")
    found = one(path, "Acer rubrum L.")
    assert (found.status, found.candidates) == ("ambiguous", ("Acer one", "Acer two"))


def test_a_placed_and_an_unplaced_homonym_are_ambiguous(tmp_path):
    path = written(tmp_path, OWN + "Acer rubrum,Lam.,,accepted,Sapindaceae\n")
    assert one(path, RED).status == "ambiguous"
    assert one(path, "Acer rubrum Lam.").status == "accepted"


def test_chains_are_followed_to_their_end(tmp_path):
    path = own(tmp_path, "Aa one,,Aa two", "Aa two,,Aa three", "Aa three,,Aa four", "Aa four,L.,")
    found = one(path, "Aa one")
    assert (found.status, found.accepted, found.authorship) == ("synonym", "Aa four", "L.")


def test_chains_by_id_are_followed_to_their_end(tmp_path):
    rows = ["4|Species|Synonym|F||Xx|Xx four||5|Y", "5|Species|Synonym|F||Xy|Xy five||1|Y"]
    assert one(written(tmp_path, WCVP + "\n".join(rows)), "Xx four").accepted == OAK


def test_cycles_and_dead_ends_are_unplaced(tmp_path):
    found = one(own(tmp_path, "Aa one,,Aa two", "Aa two,,Aa one"), "Aa one")
    assert found.status == "unplaced" and "synonym of itself" in found.reason
    path = written(tmp_path, WCVP + "4|Species|Synonym|F||Xx|Xx four||99|Y\n")
    found = one(path, "Xx four")
    assert found.status == "unplaced" and "99, which is not in the table" in found.reason


def test_an_accepted_name_that_is_itself_ambiguous_is_not_taken(tmp_path):
    path = own(tmp_path, "Aa one,,Aa two", "Aa two,L.,", "Aa two,Foo,Aa three")
    found = one(path, "Aa one")
    assert found.status == "unplaced" and "is itself several names" in found.reason


def test_an_autonym_is_a_name_of_its_own(tmp_path):
    path = own(tmp_path, "Acer rubrum,L.,", "Acer rubrum var. rubrum,,Acer album")
    assert one(path, "Acer rubrum L. var. rubrum").accepted == "Acer album"
    assert one(own(tmp_path, "Acer rubrum,L.,"), "Acer rubrum var. rubrum").status == "unmatched"


def test_another_spelling_is_suggested_and_not_taken(tmp_path):
    found = one(own(tmp_path, "Acer rubrum,L.,", "Acer album,L.,"), "Acer rubra")
    assert (found.status, found.accepted) == ("unmatched", "")
    assert found.suggestions == ("Acer rubrum",)


@pytest.mark.parametrize(
    "name", ["Acer cf. rubrum", "Acer rubrum agg.", "Acer sp.", "Acer rubrum 'Red'", "12", ""]
)
def test_what_is_not_the_plain_name_is_not_matched(tmp_path, name):
    found = one(own(tmp_path, "Acer rubrum,L.,", "Acer,L.,"), name)
    assert found.status == "unmatched" and found.reason


@pytest.mark.parametrize("name", ["Rosa damascena", "Rosa x damascena", "Rosa ×damascena"])
def test_the_sign_of_a_hybrid_makes_no_other_name(tmp_path, name):
    path = own(tmp_path, "Rosa × damascena,Mill.,")
    assert one(path, name).accepted == "Rosa × damascena"


def test_a_third_name_without_rank_finds_any_rank_and_not_the_other_way(tmp_path):
    path = own(tmp_path, "Acer rubrum var. album,L.,")
    assert one(path, "Acer rubrum album").accepted == "Acer rubrum var. album"
    assert one(path, "Acer rubrum subsp. album").status == "unmatched"
    both = own(tmp_path, "Acer rubrum var. album,L.,", "Acer rubrum f. album,L.,")
    assert one(both, "Acer rubrum album").status == "ambiguous"


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [("Linn.", "L."), ("R. Br.", "R.Br."), ("Hook.f.", "Hook. f."), ("Ruiz et Pav.", "Ruiz & Pav."),
     ("Foo in Bar", "Foo"), ("Wall. ex Roxb.", "Roxb."), ("L. 1753", "L."), ("Mérat", "Merat"),
     ("(Wall. ex Foo) Bar", "(Foo) Bar")],
)  # fmt: skip
def test_authors_are_compared_without_their_typing(tmp_path, mine, theirs):
    path = own(tmp_path, f"Acer rubrum,{theirs},", "Acer rubrum,Zzz,Acer album")
    assert one(path, f"Acer rubrum {mine}").accepted == RED


def test_a_basionym_author_alone_is_another_author(tmp_path):
    path = own(tmp_path, "Acer rubrum,(Foo) Bar,", "Acer rubrum,Zzz,Acer album")
    assert one(path, "Acer rubrum Foo").status == "ambiguous"


# -- files that are no tables ---------------------------------------------------------------------


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as error:
        NameTable.load(path, [OAK])
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_table_of_names_is_refused_in_one_line(tmp_path):
    assert "there is no table of names" in refusal(tmp_path / "missing.csv")
    assert "no table of names that is known" in refusal(written(tmp_path, "a,b\n1,2\n"))
    assert "no table of names that is known" in refusal(written(tmp_path, ""))
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x05\x06" + b"\0" * 18)
    assert "no table of names that is known" in refusal(broken)
    packed = tmp_path / "cut.gz"
    packed.write_bytes(gzip.compress(WCVP.encode() * 50)[:60])
    assert "cut.gz cannot be read" in refusal(packed)


def test_another_encoding_is_said_and_not_guessed(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("scientificName,acceptedName\nAcer rubrum Mérat,\n".encode("latin-1"))
    assert "not UTF-8: convert it with iconv" in refusal(path)


def test_broken_rows_are_passed_over_and_counted(tmp_path):
    path = written(tmp_path, WCVP + "5|too|few\n")
    table = NameTable.load(path, [OLD])
    assert table.unreadable == 1
    assert resolve([OLD], table)[0].accepted == OAK


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    assert one(written(tmp_path, "\ufeff" + OWN), OLD).accepted == OAK
