"""The table of decisions: what counts of it, and that nothing that happens to it loses a row."""

from __future__ import annotations

import csv
import multiprocessing
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from herbzoo.data.decisions import (
    COLUMNS,
    Decision,
    append_decisions,
    read_decisions,
    read_rows,
)
from herbzoo.errors import DataError


def decision(
    case: str = "c1", who: str = "Jo", what: str = "agree", name: str = "Acer rubrum", **more
):
    blank = dict.fromkeys(COLUMNS, "")
    said = {"caseID": case, "identifiedBy": who, "decision": what, "scientificName": name}
    moment = f"2026-01-01T00:00:{len(more):02}Z-{case}-{who}-{what}-{name}"
    return Decision(**blank | {"image": f"{case}.jpg", "dateIdentified": moment} | said | more)


@pytest.fixture
def table(tmp_path):
    return tmp_path / "decisions.csv"


def decided(path) -> list[tuple[str, str, str]]:
    return [(one.caseID, one.decision, one.scientificName) for one in read_decisions(path)]


def test_what_is_written_is_read_back(table):
    odd = decision(name='Rosa "x", L.', image="a  b ,\té.jpg", identificationRemarks="one\ntwo")
    assert append_decisions(table, [odd]) == 1
    (found,) = read_rows(table)
    assert found == replace(odd, image="a  b , é.jpg", identificationRemarks="one two")
    assert table.read_bytes().count(b"\n") == 2, "a row is a line"


def test_the_last_decision_of_a_reviewer_counts(table):
    append_decisions(table, [decision(what="reject", name="Acer"), decision("c2")])
    append_decisions(table, [decision(), decision("c2", what="withdrawn", name="")])
    assert decided(table) == [("c1", "agree", "Acer rubrum")]


def test_reviewers_who_contradict_each_other_leave_a_case_unsure(table, caplog):
    append_decisions(table, [decision(), decision(who="Al", what="reject", name="Acer negundo")])
    (found,) = read_decisions(table)
    assert (found.decision, found.scientificName, found.disputed) == ("unsure", "", True)
    assert "Jo: agree Acer rubrum | Al: reject Acer negundo" in found.identificationRemarks
    assert "contradict" in caplog.text


def test_reviewers_who_say_the_same_in_other_words_do_not_contradict(table):
    append_decisions(table, [decision(), decision(who="Al", what="other")])
    append_decisions(table, [decision(who="Bo", what="unsure", name="")])
    (found,) = read_decisions(table)
    assert found.scientificName == "Acer rubrum" and found.identifiedBy == "Jo | Al"


def test_what_is_sent_twice_is_kept_once(table):
    assert append_decisions(table, [decision(), decision()]) == 1
    assert append_decisions(table, [decision(), decision("c2")]) == 1
    assert len(read_rows(table)) == 2


@pytest.mark.parametrize("lost", [1, 5, 60, 90])
def test_a_last_line_that_was_cut_short_is_left_out_and_spoils_nothing(table, lost, caplog):
    append_decisions(table, [decision("c1"), decision("c2", identificationRemarks='"so", he said')])
    content = table.read_bytes()
    table.write_bytes(content[:-lost])
    rows = read_rows(table)
    assert rows[0].caseID == "c1"
    if lost > 1:  # without the line end alone, the row is there
        assert len(rows) == 1 and "cut short" in caplog.text
    append_decisions(table, [decision("c3")])
    assert [row.caseID for row in read_rows(table)][-1] == "c3"
    assert len(read_rows(table)) == (3 if lost == 1 else 2)


def test_a_head_that_was_cut_short_is_written_anew(table):
    append_decisions(table, [decision()])
    whole = table.read_bytes()
    table.write_bytes(whole[:20])
    assert append_decisions(table, [decision()]) == 1
    assert table.read_bytes() == whole


@pytest.mark.parametrize("length", [0, 20, -1])
def test_a_table_that_ended_within_its_head_holds_nothing_yet(table, length):
    table.write_text(",".join(COLUMNS)[: length or None] if length else "")
    assert read_rows(table) == []


@pytest.mark.parametrize("text", ["mine", "a,b\n1", "caseID,image\n1"])
def test_a_table_of_something_else_is_left_as_it_is(table, text):
    table.write_text(text)
    with pytest.raises(DataError, match="holds no decisions"):
        append_decisions(table, [decision()])
    assert table.read_text() == text


def test_a_last_row_of_several_lines_without_a_line_end_is_whole(table):
    odd = decision("c1", identificationRemarks="one, two")
    append_decisions(table, [odd, decision("c2", identificationRemarks="one, two")])
    edited = table.read_bytes().replace(b"one, two", b"one,\n\ntwo").removesuffix(b"\n")
    table.write_bytes(edited)  # as an office program may leave it
    append_decisions(table, [decision("c3")])
    assert [row.caseID for row in read_rows(table)] == ["c1", "c2", "c3"]
    assert table.read_bytes().startswith(edited)


def test_a_table_that_a_person_edited_keeps_its_columns(table):
    row = {**dict.fromkeys(COLUMNS, ""), "caseID": "c9", "decision": "unsure", "own": "mine"}
    with table.open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.DictWriter(stream, ["own", *reversed(COLUMNS)])
        writer.writeheader()
        writer.writerow(row)
    append_decisions(table, [decision()])
    assert decided(table) == [("c9", "unsure", ""), ("c1", "agree", "Acer rubrum")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a,b\n1,2\n", "holds no decisions: it lacks the columns caseID"),
        (",".join(COLUMNS) + "\n" + "," * (len(COLUMNS) - 1) + "\n", "line 2: there is no caseID"),
        ("caseID,image,previousScientificName,decision,scientificName\nc,,,yes,\n", "'yes'"),
    ],
)
def test_what_is_no_table_of_decisions_is_refused(table, text, problem):
    table.write_text(text)
    with pytest.raises(DataError, match=problem):
        read_decisions(table)
    with pytest.raises(DataError):
        append_decisions(table, [decision()])
    assert table.read_text() == text, "and left as it is"


def write_many(path, who: str) -> None:
    for number in range(40):
        append_decisions(path, [decision(f"c{number}", who)])


def test_several_reviewers_write_at_once(table):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(table, who)) for who in ("Jo", "Al", "Bo")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read_rows(table)) == 120


FULL = """
import resource, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_decisions import decision
from herbzoo.data.decisions import append_decisions
path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = path.stat().st_size + 30 if path.exists() else 100
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    append_decisions(path, [decision("c2")])
except OSError as error:
    print("refused", error.errno)
"""


@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk_leaves_the_table_as_it_was(table, there, request):
    if there:
        append_decisions(table, [decision()])
    before = table.read_bytes() if there else None
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(table), str(request.path.parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("refused")
    assert (table.read_bytes() if table.exists() else None) == before


KILLED = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_decisions import decision
from herbzoo.data.decisions import append_decisions
number = 0
while True:
    append_decisions(Path(sys.argv[1]), [decision(f"c{number}")])
    print(number, flush=True)
    number += 1
"""


def test_what_was_said_to_be_written_survives_the_end_of_the_process(table, request):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(table), str(request.path.parent)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(12)]
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()
    process.wait()
    told = int((rest.split() or said)[-1])
    assert [row.caseID for row in read_rows(table)][: told + 1] == [
        f"c{number}" for number in range(told + 1)
    ]


def test_decisions_are_determinations_for_an_index(table, caplog):
    from herbzoo.index.determination_table import read_determinations

    append_decisions(
        table,
        [
            decision("c1", catalogNumber="7", institutionCode="K", genus="Acer"),
            decision("c2", what="unsure", name=""),
            decision("c3", name="Acer negundo"),
            decision("c3", "Al", "reject", "Acer rubrum"),
        ],
    )
    (found,) = read_determinations(table)
    assert (found.scientificName, found.image, found.catalogNumber) == (
        "Acer rubrum",
        "c1.jpg",
        "7",
    )
    assert found.identifiedBy == "Jo" and found.genus == "Acer"
    assert "2 decisions give no name, and are passed over" in caplog.text
