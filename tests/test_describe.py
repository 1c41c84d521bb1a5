from __future__ import annotations

import csv
import json
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_samples import records_collection, table_folder
from PIL import Image
from terminal import run_herbzoo

from herbzoo.data.class_figure import ALIGNED, NAMED, class_figure
from herbzoo.data.describe import Group, describe, domain_of
from herbzoo.data.description_text import description_text
from herbzoo.data.readers import open_collection
from herbzoo.data.records import COLUMNS, FIELD, HERBARIUM, Collection, SpecimenRecord
from herbzoo.data.tail import tail_of
from herbzoo.errors import DataError


def flora(**counts: tuple[int, int]) -> Collection:
    """Makes a collection of `Genus name=(sheets, photos)`."""
    return records_collection(
        SpecimenRecord(
            f"{epithet}/{basis}{number}.jpg",
            f"Genus {epithet}",
            genus="Genus",
            family="Familiaceae",
            basisOfRecord=basis,
        )
        for epithet, images in counts.items()
        for basis, many in zip((HERBARIUM, FIELD), images, strict=True)
        for number in range(many)
    )


def long_tail(rows: int, species: int) -> Collection:
    """Makes a frame of a size that people have, without images."""
    generator = np.random.default_rng(0)
    weights = 1 / (np.arange(species) + 8)
    codes = generator.choice(species, rows, p=weights / weights.sum())
    frame = pd.DataFrame({column: pd.Series("", range(rows), dtype=str) for column in COLUMNS})
    frame["image"] = [f"{row}.jpg" for row in range(rows)]
    frame["scientificName"] = np.array([f"Genus{s % 97} species{s}" for s in range(species)])[codes]
    frame["genus"] = np.array([f"Genus{s % 97}" for s in range(species)])[codes]
    frame["basisOfRecord"] = np.where(codes % 3 == 0, FIELD, HERBARIUM)
    frame["license"] = np.where(codes % 2 == 0, "CC_BY_4_0", "")
    return Collection(frame.astype(str), None, "long tail")  # type: ignore[arg-type]


def test_counts_images_and_species_of_each_value_with_what_is_not_stated_last():
    collection = flora(alba=(3, 1), nigra=(0, 2))
    collection.frame.loc[:1, "institutionCode"] = "NY"
    description = describe(collection)
    assert description.domains == (Group("field", 3, 2), Group("herbarium", 3, 1))
    assert description.institutions == (Group("NY", 2, 1), Group("not stated", 4, 2))
    assert description.families == (Group("Familiaceae", 6, 2),)
    assert [kind.scientificName for kind in description.species] == ["Genus alba", "Genus nigra"]
    first = description.species[0]
    assert (first.images, first.herbarium, first.field) == (4, 3, 1)


def test_pairs_are_species_of_both_domains():
    pairs = describe(flora(both=(1, 1), sheet=(2, 0), photo=(0, 1))).pairs
    assert (pairs.both, pairs.herbarium_only, pairs.field_only) == (
        ("Genus both",),
        ("Genus sheet",),
        ("Genus photo",),
    )
    unsaid = records_collection([SpecimenRecord("a.jpg", "Acer rubrum")])
    assert describe(unsaid).pairs.neither == ("Acer rubrum",)


@pytest.mark.parametrize("basis", ["PRESERVED_SPECIMEN", "preservedspecimen", HERBARIUM])
def test_domains_are_known_in_other_spellings(basis):
    assert domain_of(basis) == "herbarium"


def test_other_kinds_of_record_keep_their_name():
    assert domain_of("LivingSpecimen") == "LivingSpecimen"


def test_train_rows_are_described_by_themselves():
    collection = flora(alba=(3, 2), nigra=(2, 2), rara=(0, 1))
    frame = collection.frame
    frame["protocol"] = "Train"
    frame.loc[
        (frame["scientificName"] == "Genus nigra") & (frame.basisOfRecord == FIELD), "protocol"
    ] = "test"
    frame.loc[frame["scientificName"] == "Genus rara", "protocol"] = "test"
    description = describe(collection, "protocol")
    assert {group.value: group.images for group in description.splits} == {"train": 7, "test": 3}
    assert description.pairs.both == ("Genus alba", "Genus nigra")
    assert description.train is not None
    assert description.train.pairs.both == ("Genus alba",)
    assert description.train.pairs.herbarium_only == ("Genus nigra",)
    assert description.train.test_species_unseen == ("Genus rara",)
    assert describe(collection).train is None


def test_a_split_column_that_is_not_there_is_an_error():
    with pytest.raises(DataError, match="no column 'protocol'"):
        describe(flora(alba=(1, 0)), "protocol")


def test_facts_of_a_species_are_the_most_usual_of_its_rows():
    collection = flora(alba=(4, 0))
    collection.frame["family"] = ["", "Fabaceae", "Rosaceae", "Rosaceae"]
    collection.frame["scientificNameAuthorship"] = ["Mill.", "L.", "", ""]
    description = describe(collection)
    assert description.species[0].family == "Rosaceae"
    assert description.species[0].scientificNameAuthorship == "L."  # a tie goes to the first
    assert description.without_family == ()


def test_species_without_genus_or_family_are_named():
    records = [SpecimenRecord("a.jpg", "12"), SpecimenRecord("b.jpg", "Acer rubrum", genus="Acer")]
    description = describe(records_collection(records))
    assert description.without_genus == ("12",)
    assert description.without_family == ("12", "Acer rubrum")
    assert "1 species without a genus: 12" in description_text(description)


def test_specimens_and_gatherings_are_counted_where_they_are_known():
    facts = {"recordedBy": "Hooker", "eventDate": "1850"}
    records = [
        SpecimenRecord("a.jpg", "A b", occurrenceID="1", recordNumber="7", **facts),
        SpecimenRecord("b.jpg", "A b", occurrenceID="1", recordNumber="7", **facts),
        SpecimenRecord("c.jpg", "A b", occurrenceID="2", recordNumber="7", **facts),
        SpecimenRecord("d.jpg", "A b", recordNumber="s.n.", **facts),
    ]
    specimens = describe(records_collection(records)).specimens
    assert (specimens.identified_images, specimens.specimens, specimens.most_images) == (3, 2, 2)
    assert (specimens.numbered_images, specimens.gatherings) == (3, 1)


def test_tail_bands_and_measures_by_hand():
    tail = tail_of([1, 2, 4, 5, 100, 0])
    assert tail is not None
    assert {band.label: (band.species, band.images) for band in tail.bands} == {
        "1": (1, 1),
        "2-4": (2, 6),
        "5-9": (1, 5),
        "10-19": (0, 0),
        "20-99": (0, 0),
        "100+": (1, 100),
    }
    assert (tail.fewest, tail.median, tail.most, tail.imbalance) == (1, 4, 100, 100)
    assert (tail.head_species, tail.half_species) == (1, 1)
    assert tail.head_share == pytest.approx(100 / 112)
    # Mean difference of all ordered pairs, over twice the mean (Damgaard and Weiner 2000, eq. 1).
    counts = np.array([1, 2, 4, 5, 100])
    expected = np.abs(counts[:, None] - counts[None, :]).mean() / (2 * counts.mean())
    assert tail.gini == pytest.approx(expected)


def test_tail_of_equal_species_is_flat_and_of_none_is_none():
    tail = tail_of([7] * 10)
    assert tail is not None
    assert (tail.gini, tail.imbalance, tail.head_share) == (pytest.approx(0), 1, 0.2)
    assert tail_of([0, 0]) is None


def test_terms_of_kaggle_2022_are_told():
    collection = flora(alba=(1, 0))
    facts = {"reader": "kaggle", "year": "2022"}
    known = Collection(collection.frame, collection.images, "herbarium-2022", facts)
    assert "CC BY-NC-ND" in description_text(describe(known))
    assert describe(collection).terms == ()


def test_hundreds_of_thousands_of_rows_take_seconds():
    collection = long_tail(400_000, 15_501)
    start = time.perf_counter()
    description = describe(collection)
    assert time.perf_counter() - start < 20
    assert sum(kind.images for kind in description.species) == 400_000


@pytest.mark.parametrize("species", [1, 20, NAMED, ALIGNED, 3000])
def test_figure_shows_both_domains_whatever_the_number_of_species(species):
    collection = long_tail(10 * species + 200, species)
    description = describe(collection)
    figure = class_figure(description)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    shown = {domain.value: domain for domain in description.domains}
    for text, domain in zip(legend, ("field", "herbarium"), strict=False):
        if domain in shown:
            assert text.startswith(f"{shown[domain].images:,} ")
    names = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert ("Genus0 species0" in names) == (len(description.species) <= NAMED)


def test_figure_has_a_log_axis_for_a_long_tail_only():
    assert class_figure(describe(flora(alba=(40, 1), rara=(2, 0)))).axes[0].get_yscale() == "log"
    assert class_figure(describe(flora(alba=(9, 1), rara=(2, 0)))).axes[0].get_yscale() == "linear"


def test_figure_leaves_pyplot_alone(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    class_figure(describe(flora(alba=(3, 1), nigra=(2, 0))))


def test_command_prints_lines_and_writes_files(tmp_path, monkeypatch, capsys):
    data = table_folder(
        tmp_path / "leaves",
        "image,scientificName,basisOfRecord,license\n"
        "sheets/a.jpg,Quercus robur,PreservedSpecimen,CC_BY_NC_4_0\n"
        "sheets/b.jpg,Quercus robur,PreservedSpecimen,CC0\n"
        "field/c.jpg,Acer campestre,HumanObservation,\n",
    )
    output = tmp_path / "described"
    code, out, err = run_herbzoo(monkeypatch, capsys, "data", "describe", data, "--output", output)
    assert code == 0
    assert "3 images of 2 species, 2 genera, 0 families" in out
    assert "1 of 3 images must not be used commercially (CC BY-NC 4.0)" in out
    assert f"wrote {output / 'description.json'} and {output / 'class_distribution.png'}" in err
    document = json.loads((output / "description.json").read_text(encoding="utf-8"))
    assert document["schema_version"] == 1
    assert document["species"][0]["scientificName"] == "Quercus robur"
    assert [licence["name"] for licence in document["licences"]] == [
        "CC BY-NC 4.0",
        "CC0 1.0",
        "not stated",
    ]
    assert Image.open(output / "class_distribution.png").width > 1000
    assert sorted(path.name for path in output.iterdir()) == [
        "class_distribution.png",
        "description.json",
    ]


def test_command_prints_json_that_parses(tmp_path, monkeypatch, capsys):
    data = table_folder(tmp_path, "image,scientificName\nsheets/a.jpg,Quercus robur\n")
    code, out, _ = run_herbzoo(monkeypatch, capsys, "data", "describe", data, "--format", "json")
    assert code == 0
    assert json.loads(out)["images"] == 1


def test_command_refuses_a_file_as_output(tmp_path, monkeypatch, capsys):
    taken = tmp_path / "taken"
    taken.write_text("")
    code, _, err = run_herbzoo(
        monkeypatch, capsys, "data", "describe", "synthetic", "--output", taken
    )
    assert code == 2
    assert err == f"herbzoo: {taken} is a file: give --output a folder\n"


@pytest.mark.realdata
def test_leafsnap_is_described_as_its_makers_say():
    data = Path(os.environ.get("HERBZOO_DATA", Path(__file__).parents[2] / "shared/data"))
    if not (data / "leafsnap").is_dir():
        pytest.skip(f"there is no {data / 'leafsnap'}; set HERBZOO_DATA")
    description = describe(open_collection(data / "leafsnap"), "cross_domain")
    assert (description.images, len(description.species)) == (3273, 60)
    assert description.train is not None
    assert len(description.train.pairs.both) == 36
    assert len(description.train.pairs.herbarium_only) == 24
    with (data / "leafsnap/metadata.csv").open(encoding="utf-8") as stream:
        assert description.images == sum(1 for _ in csv.reader(stream)) - 1
