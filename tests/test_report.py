from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from test_figures import ACER, ALBA, RUBRA, evaluated_of, write_logs
from tiny import TAXONOMY, coloured_leaves

from herbzoo.data.readers import open_collection
from herbzoo.data.records import FIELD, HERBARIUM
from herbzoo.evaluation.evaluated import Evaluated
from herbzoo.evaluation.metrics import grouped
from herbzoo.evaluation.report import Picture, write_report
from herbzoo.evaluation.report_tables import (
    NOT_KNOWN,
    overall_table,
    sections,
    shown,
    species_tables,
)

ALL_FIGURES = {
    "class_distribution.png",
    "class_distribution_train.png",
    "confusion.png",
    "neighbours.png",
    "reliability.png",
    "risk_coverage.png",
    "species_f1.png",
    "training_curves.png",
}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> Evaluated:
    folder = coloured_leaves(tmp_path_factory.mktemp("leaves"), images_a_species=2)
    collection = open_collection(folder)
    frame = collection.frame.sort_values(["image"], ignore_index=True)
    collection = replace(collection, frame=frame.assign(basisOfRecord=[FIELD, HERBARIUM] * 3))
    answers = [ACER, ALBA, ALBA, ALBA, RUBRA, ALBA]
    return evaluated_of(collection, answers, np.eye(6, dtype=np.float32))


def metrics_of(evaluated: Evaluated, **more) -> dict:
    groups = {"basisOfRecord": evaluated.collection.frame["basisOfRecord"].tolist()}
    return grouped(evaluated.outcomes, groups) | {"data": "/home/somebody/leaves"} | more


class Page(HTMLParser):
    """What a page consists of, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.alternatives: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        if tag not in ("meta", "img", "link"):
            self.open.append(tag)
        self.loaded += [value for key, value in attributes if key in ("src", "href", "srcset")]
        if tag == "img":
            self.alternatives.append(given["alt"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_everything_is_drawn_and_the_page_loads_nothing(evaluated, tmp_path):
    run, folder = tmp_path / "oaks", tmp_path / "out"
    write_logs(run, [3, 2, 1])
    path = write_report(
        folder,
        evaluated,
        metrics_of(evaluated),
        run=run,
        train=evaluated.collection,
        gallery=lambda: evaluated,
        before=evaluated.outcomes,
        thresholds={"0.90 promised": (0.5, 0.1)},
    )
    assert {item.name for item in folder.iterdir()} == {"report.html", "figures"}
    assert {item.name for item in (folder / "figures").iterdir()} == ALL_FIGURES
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert not page.open, "every tag is closed"
    assert "script" not in page.tags and "link" not in page.tags
    own = [one for one in page.loaded if not one.startswith("#")]
    assert len(own) == len(ALL_FIGURES)
    assert all(one.startswith("data:image/png;base64,") for one in own)
    assert all(page.alternatives)
    assert "url(" not in text and "@import" not in text
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text
    assert "oaks on leaves" in page.text and "/home/somebody" not in text
    assert "not here" not in page.text
    anchors = {one[1:] for one in page.loaded if one.startswith("#")}
    assert anchors <= set(re.findall(r'id="([^"]+)"', text))


def test_figures_without_their_input_are_left_out_with_the_reason(evaluated, tmp_path):
    arguments = {"run": None, "train": None}
    stale = tmp_path / "figures" / "training_curves.png"
    stale.parent.mkdir()
    stale.write_bytes(b"of another run")
    path = write_report(tmp_path, evaluated, metrics_of(evaluated), **arguments)
    there = {item.name for item in (tmp_path / "figures").iterdir()}
    missing = {"class_distribution_train.png", "neighbours.png", "training_curves.png"}
    assert there == ALL_FIGURES - missing
    text = Page(path.read_text(encoding="utf-8")).text
    assert "Course of the training: the run has no logs here" in text
    assert "Nearest herbarium sheets: there are no embeddings of training rows" in text
    assert "a model on leaves" in text


def test_text_of_users_is_no_markup(evaluated, tmp_path):
    bad = "<script>alert('1')</script>"
    frame = evaluated.collection.frame.assign(scientificName=f"Acer {bad}")
    named = replace(
        evaluated,
        collection=replace(evaluated.collection, frame=frame),
        taxonomy=replace(
            TAXONOMY,
            taxa=tuple(replace(t, scientificName=f"{bad} {t.genus}") for t in TAXONOMY.taxa),
        ),
    )
    metrics = metrics_of(named, data=bad, leak_audit={"institution": {"skipped": bad}})
    metrics["groups"][bad] = {bad: metrics["overall"]}
    extra = tmp_path / "extra.png"
    extra.write_bytes(b"png")
    path = write_report(
        tmp_path / "out",
        named,
        metrics,
        run=None,
        train=None,
        thresholds={bad: (0.5, 0.1)},
        more=[Picture(bad, extra, f'" onload="{bad}')],
    )
    page = Page(path.read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert page.text.count("alert('1')") > 5
    assert any('" onload=' in text for text in page.alternatives), "it stayed inside its attribute"


def test_the_overall_table_has_groups_and_harmonic_means(evaluated):
    table = overall_table(metrics_of(evaluated))
    assert [row[0] for row in table.rows] == [
        "all test images",
        f"basisOfRecord: {FIELD}",
        f"basisOfRecord: {HERBARIUM}",
        "basisOfRecord: harmonic mean",
    ]
    top1 = table.header.index("top-1")
    assert [row[top1] for row in table.rows] == ["0.667", "1.000", "0.333", "0.500"]
    assert table.rows[0][table.header.index("images")] == "6"
    assert "unknown" not in " ".join(table.header), "there are none"


def test_whatever_else_metrics_hold_is_shown(evaluated):
    metrics = metrics_of(
        evaluated,
        selective={
            "0.90": {
                "n": 1234,
                "precision": 0.91,
                "ranks": {"species": {"n": 0, "precision": None}},
            }
        },
        leak_audit={
            "n": 4,
            "views": {"plant": {"top1": {"value": 0.5, "low": 0.4, "high": 0.6}}},
            "institution": {"skipped": "too few"},
        },
        a_new_figure=0.25,
        later=[{"name": "x", "share": 0.1}, {"name": "y", "share": 0.2}],
    )
    found = {section.title: section.tables for section in sections(metrics)}
    assert list(found) == ["Answers that keep a promise", "Leak audit", "Later", "More"]
    (promise,) = found["Answers that keep a promise"]
    assert promise.header == ("", "images", "precision")
    assert promise.rows == (("0.90", "1,234", "0.910"), ("0.90 · species", "0", NOT_KNOWN))
    assert [(table.title, table.rows) for table in found["Leak audit"]] == [
        ("", (("images", "4"),)),
        ("plant", (("top-1", "0.500 [0.400, 0.600]"),)),
        ("institution", (("skipped", "too few"),)),
    ]
    assert found["Later"][0].rows == (("1", "x", "0.100"), ("2", "y", "0.200"))
    assert found["More"][0].rows == (("a new figure", "0.250"),)


def test_long_tables_are_cut_and_say_so():
    (section,) = sections({"overall": {}, "species": {f"s{n}": {"n": n} for n in range(1000)}})
    (table,) = section.tables
    assert len(table.rows) == 200 and table.note == "800 more rows are in metrics.json"


def test_cells_are_readable():
    values = [None, float("nan"), True, 12345, 0.5624, 0.0001, 12345.6, "text", [1, 2], []]
    cells = [NOT_KNOWN, NOT_KNOWN, "yes", "12,345", "0.562", "1.0e-04", "12,346", "text", "1, 2"]
    assert [shown(value) for value in values] == [*cells, NOT_KNOWN]
    assert shown(0.0) == "0.000"
    assert shown(list(range(20))).endswith("11 and 8 more")


def test_species_come_lowest_first_and_name_what_they_are_taken_for(evaluated):
    answers = [ACER, ALBA, ALBA, ALBA, RUBRA, RUBRA]
    (table,) = species_tables(evaluated_of(evaluated.collection, answers))
    assert table.rows[0] == (
        "Acer rubrum",
        "2",
        "10",
        "1.000",
        "0.500",
        "0.667",
        "Quercus alba (1)",
    )
    assert [row[5] for row in table.rows] == ["0.667", "0.800", "1.000"]
    assert [row[6] for row in table.rows] == ["Quercus alba (1)", "", ""]
    frame = evaluated.collection.frame.assign(scientificName=["Salix alba"] + ["Acer rubrum"] * 5)
    strange = evaluated_of(replace(evaluated.collection, frame=frame), [ACER] * 6)
    (table,) = species_tables(strange)
    assert table.rows[0][0] == "Salix alba (unknown to the model)"
    assert table.rows[0][5] == "0.000"
