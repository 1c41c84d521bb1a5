"""`herbzoo data fetch`, and collections whose images are on the web."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from dwca_samples import DCT, IMAGES, MULTIMEDIA, RECORDS, Table, members, write_zip
from loopback_images import ELSEWHERE, HOST, Answer, jpeg, serving_images
from torch.utils.data import DataLoader

from herbzoo import cli
from herbzoo.data.batches import ImageRows
from herbzoo.data.fetching import plan_fetch
from herbzoo.data.image_cache import cache_folder
from herbzoo.data.readers import open_collection
from herbzoo.data.transforms import Letterbox
from herbzoo.interfaces import ImageSpec

COUNT = 12


@pytest.fixture
def server():
    with serving_images() as images:
        yield images


@pytest.fixture
def data(tmp_path, server):
    """An archive of twelve images of three species on the server."""
    rows = [
        (str(i % 3 + 1), server.put(f"/{i}.jpg", jpeg((300, 400))), "StillImage", "", "CC BY")
        for i in range(COUNT)
    ]
    images = Table("multimedia.txt", IMAGES.terms, rows, MULTIMEDIA)
    return write_zip(tmp_path / "a.zip", members(RECORDS, images))


def fetch(monkeypatch, tmp_path, data, *options):
    """Runs the command and returns its exit code."""
    fast = ("--rate", "50", "--host", HOST, "--failures", str(tmp_path / "failures.csv"))
    monkeypatch.setattr(sys, "argv", ["herbzoo", "data", "fetch", str(data), *fast, *options])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    return exit.value.code or 0


def failures(tmp_path):
    with (tmp_path / "failures.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_it_says_what_it_will_do_and_does_it(monkeypatch, capsys, tmp_path, data, server):
    assert fetch(monkeypatch, tmp_path, data) == 0
    printed = capsys.readouterr()
    assert f"12 images of 3 names, 0 of them at hand; 12 to fetch from {HOST} 12" in printed.err
    assert "fetched 12 of 12 images" in printed.out
    assert sorted(server.paths()) == sorted(f"/{i}.jpg" for i in range(COUNT))
    assert not (tmp_path / "failures.csv").exists()


def test_a_second_run_asks_for_nothing(monkeypatch, capsys, tmp_path, data, server):
    fetch(monkeypatch, tmp_path, data)
    assert fetch(monkeypatch, tmp_path, data) == 0
    assert "12 of them at hand; 0 to fetch" in capsys.readouterr().err
    assert len(server.asked) == COUNT


def test_a_larger_size_is_fetched_anew(monkeypatch, tmp_path, data, server):
    fetch(monkeypatch, tmp_path, data, "--size", "100")
    fetch(monkeypatch, tmp_path, data, "--size", "50")
    assert len(server.asked) == COUNT
    fetch(monkeypatch, tmp_path, data, "--size", "200")
    assert len(server.asked) == 2 * COUNT


def test_a_dry_run_asks_for_nothing(monkeypatch, tmp_path, data, server):
    assert fetch(monkeypatch, tmp_path, data, "--dry-run") == 0
    assert server.asked == []


def test_failures_are_listed_and_the_rest_goes_on(monkeypatch, capsys, tmp_path, data, server):
    server.put("/4.jpg", Answer(status=404))
    server.put("/5.jpg", b"<html>no</html>")
    assert fetch(monkeypatch, tmp_path, data) == 0
    assert "fetched 10 of 12" in capsys.readouterr().out
    reasons = {row["where"].rpartition("/")[2]: row["reason"] for row in failures(tmp_path)}
    assert "404" in reasons["4.jpg"]
    assert "web page" in reasons["5.jpg"]
    before = len(server.asked)
    fetch(monkeypatch, tmp_path, data)
    assert len(server.asked) == before
    fetch(monkeypatch, tmp_path, data, "--again")
    assert len(server.asked) == before + 2


def test_a_killed_run_goes_on_where_it_was(monkeypatch, tmp_path, data, server):
    command = [sys.executable, "-m", "herbzoo", "data", "fetch", str(data), "--host", HOST]
    run = subprocess.Popen([*command, "--rate", "10", "--workers", "1"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(server.asked) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert 4 <= len(server.asked) < COUNT
    assert fetch(monkeypatch, tmp_path, data) == 0
    assert COUNT <= len(server.asked) <= COUNT + 1  # the one that was on its way
    for path in cache_folder().rglob("*.jpg"):
        assert path.read_bytes()[-2:] == b"\xff\xd9"


def test_images_of_a_species_are_of_as_many_specimens_as_it_has(tmp_path, server):
    core = Table(
        RECORDS.file,
        RECORDS.terms,
        [(str(i), f"SANT:{i}", "", "Acer campestre L.", "L.", str(i)) for i in range(3)],
    )
    links = [(str(i // 2), server.url(f"/{i}.jpg")) for i in range(6)]
    images = Table("multimedia.txt", (f"{DCT}identifier",), links, MULTIMEDIA)
    collection = open_collection(write_zip(tmp_path / "a.zip", members(core, images)))
    plan = plan_fetch(collection, size=64, rate=50, per_species=3)
    assert [link.rpartition("/")[2] for link in plan.links] == ["0.jpg", "2.jpg", "4.jpg"]


def test_hosts_take_turns(tmp_path, server):
    hosts = (HOST, HOST, HOST, ELSEWHERE, ELSEWHERE)
    links = [("1", server.url(f"/{i}.jpg", host)) for i, host in enumerate(hosts)]
    images = Table("multimedia.txt", (f"{DCT}identifier",), links, MULTIMEDIA)
    collection = open_collection(write_zip(tmp_path / "a.zip", members(RECORDS, images)))
    plan = plan_fetch(collection, size=64, rate=2)
    assert [link.rpartition("/")[2][0] for link in plan.links] == ["0", "3", "1", "4", "2"]
    assert plan.seconds == 1.5


def test_a_plain_folder_opens_like_any_other(monkeypatch, tmp_path, data, server):
    server.put("/0.jpg", Answer(status=404))
    output = tmp_path / "plain"
    assert fetch(monkeypatch, tmp_path, data, "--size", "100", "--output", str(output)) == 0
    plain, archive = open_collection(output), open_collection(data)
    assert plain.facts["reader"] == "table"
    assert len(plain) == COUNT - 1
    merged = plain.frame.merge(archive.frame, left_on="accessURI", right_on="image")
    assert len(merged) == COUNT - 1
    for name in ("scientificName", "license", "occurrenceID", "verbatimScientificName"):
        assert merged[f"{name}_x"].tolist() == merged[f"{name}_y"].tolist()
    assert plain.images.open(plain.frame.at[0, "image"]).size == (75, 100)


def test_a_folder_that_holds_anything_is_refused_before_anything_is_asked(
    monkeypatch, capsys, tmp_path, data, server
):
    assert fetch(monkeypatch, tmp_path, data, "--output", str(tmp_path)) == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert server.asked == []


def test_if_nothing_can_be_had_no_folder_appears(monkeypatch, capsys, tmp_path, data, server):
    for i in range(COUNT):
        server.put(f"/{i}.jpg", Answer(status=404))
    assert fetch(monkeypatch, tmp_path, data, "--output", str(tmp_path / "plain")) == 2
    assert "none of its images could be had" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "failures.csv"]
    assert fetch(monkeypatch, tmp_path, data) == 1


def test_bad_rows_are_listed_with_the_failures(monkeypatch, tmp_path, server):
    rows = [("1", server.put("/0.jpg", jpeg())), ("99", server.url("/1.jpg"))]
    images = Table("multimedia.txt", (f"{DCT}identifier",), rows, MULTIMEDIA)
    data = write_zip(tmp_path / "a.zip", members(RECORDS, images))
    assert fetch(monkeypatch, tmp_path, data) == 2
    assert fetch(monkeypatch, tmp_path, data, "--skip-bad") == 0
    assert "belongs to record '99'" in failures(tmp_path)[0]["reason"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--rate", "0"), "--rate"),
        (("--rate", "1000"), "--rate"),
        (("--size", "-1"), "--size"),
        (("--workers", "0"), "--workers"),
    ],
)
def test_a_value_that_makes_no_sense_is_one_line(
    monkeypatch, capsys, tmp_path, data, options, said
):
    assert fetch(monkeypatch, tmp_path, data, *options) == 2
    assert said in capsys.readouterr().err


def test_a_collection_of_files_has_nothing_to_fetch(monkeypatch, capsys, tmp_path):
    (tmp_path / "Acer_rubrum").mkdir()
    (tmp_path / "Acer_rubrum" / "a.jpg").write_bytes(jpeg())
    assert fetch(monkeypatch, tmp_path, tmp_path) == 2
    assert "no links to images" in capsys.readouterr().err


def test_training_fetches_what_it_needs_in_its_workers_and_once(monkeypatch, data, server):
    monkeypatch.setenv("HERBZOO_HOSTS", HOST)
    collection = open_collection(data)
    collection = replace(collection, images=replace(collection.images, rate=50.0))
    labels = collection.frame["scientificName"].astype("category").cat.codes.to_numpy()
    rows = ImageRows(collection, Letterbox(ImageSpec((32, 32))), labels)
    for _ in range(2):
        batches = list(DataLoader(rows, batch_size=6, num_workers=2))
        assert sum(len(batch["labels"]) for batch in batches) == COUNT
    assert sorted(server.paths()) == sorted(f"/{i}.jpg" for i in range(COUNT))
