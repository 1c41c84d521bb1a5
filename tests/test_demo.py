"""The demo, asked over its API: the same answers as the command line, and nothing for intruders."""

from __future__ import annotations

import io
import json
import sys
import time
import urllib.request
import zipfile

import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from served_demo import calibrated, indexed, served
from tiny import coloured_leaves, save_run, tiny_model

import herbzoo.cli
import herbzoo.demo.app
from herbzoo.demo.app import demo
from herbzoo.demo.closest import ClosestSheets
from herbzoo.demo.collection_tab import CollectionTab
from herbzoo.demo.model import DemoModel
from herbzoo.errors import HerbzooError, RunError
from herbzoo.index import SpecimenIndex
from herbzoo.inference import Identifier


@pytest.fixture(scope="module")
def leaves(tmp_path_factory):
    return coloured_leaves(tmp_path_factory.mktemp("leaves"), 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    folder = save_run(tmp_path_factory.mktemp("demo") / "leaves", *tiny_model(head="softmax"))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# A card of its own\n")
    calibrated(folder)
    return folder


@pytest.fixture(scope="module")
def index(run, leaves, tmp_path_factory):
    return indexed(run, leaves, tmp_path_factory.mktemp("sheets") / "index")


@pytest.fixture(scope="module")
def address(run, index):
    with served(run, "cpu", index=index) as found:
        yield found


@pytest.fixture(scope="module")
def asked(address):
    return Client(address, verbose=False)


@pytest.fixture(scope="module")
def leaf(leaves):
    return handle_file(leaves / "Quercus_alba" / "0.jpg")


def refusal(asked, *given, **named) -> str:
    with pytest.raises(AppError) as refused:
        asked.predict(*given, **named)
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def test_the_api_answers_as_identify_does(asked, run, leaves, leaf):
    answer = asked.predict(leaf, 0, "", api_name="/identify")
    identifier = Identifier.from_pretrained(run, "cpu")
    picture = leaves / "Quercus_alba" / "0.jpg"
    for rank in ("species", "genus", "family"):
        (found,) = identifier([picture], rank=rank)
        assert [one["scientificName"] for one in answer[rank]] == [
            one.scientificName for one in found.candidates
        ]
        assert [one["score"] for one in answer[rank]] == pytest.approx(
            [one.score for one in found.candidates], abs=1e-5
        )
    assert answer["answer"] == answer["species"][0] and answer["model"] == "leaves"


def test_a_precision_that_no_name_keeps_gets_unknown(asked, run, leaves, leaf):
    answer = asked.predict(leaf, 0.99, "", api_name="/identify")
    identifier = Identifier.from_pretrained(run, "cpu")
    (found,) = identifier([leaves / "Quercus_alba" / "0.jpg"], precision=0.99)
    assert found.best.taxonRank == "unknown"
    assert answer["answer"]["taxonRank"] == "unknown" and answer["answer"]["scientificName"] == ""
    assert "give one above 0" in refusal(asked, leaf, 1.5, "", api_name="/identify")


def test_a_checklist_leaves_the_known_taxa_that_it_names(asked, leaf):
    names = "Quercus alba L.\nFagus sylvatica\n# a comment\nSapindaceae"
    answer = asked.predict(leaf, 0, names, api_name="/identify")
    assert {one["scientificName"] for one in answer["species"]} == {"Quercus alba", "Acer rubrum"}
    assert sum(one["score"] for one in answer["species"]) == pytest.approx(1)
    assert answer["notes"] == ["not known to the model: Fagus sylvatica"]
    assert not answer["calibrated"]
    told = refusal(asked, leaf, 0, "Fagus sylvatica", api_name="/identify")
    assert "knows none of the 1 names" in told


def test_neighbours_are_sheets_with_their_records(asked, leaf):
    oaks = "scientificName like 'Quercus%'"
    found = asked.predict(leaf, 3, oaks, api_name="/neighbours")
    assert len(found["sheets"]) == 3
    assert {sheet["scientificName"].split()[0] for sheet in found["sheets"]} == {"Quercus"}
    likeness = [sheet["similarity"] for sheet in found["sheets"]]
    assert likeness == sorted(likeness, reverse=True) and likeness[0] == pytest.approx(1, abs=1e-4)
    assert found["sheets"][0]["image"].endswith("Quercus_alba/0.jpg")
    assert found["species"][0]["scientificName"] == "Quercus alba"
    none = asked.predict(leaf, 3, "institutionCode = 'K'", api_name="/neighbours")
    assert none["sheets"] == [] and none["species"] == []
    assert "from 1 to 100" in refusal(asked, leaf, 1_000_000, "", api_name="/neighbours")


@pytest.mark.parametrize(
    "where",
    ["genus = (select 1)", "genus = 'Quercus'; drop table sheets", "read_text('/etc/passwd') = ''"],
)
def test_a_filter_that_is_more_than_a_filter_is_refused(asked, leaf, where):
    assert "/etc/passwd: root" not in refusal(asked, leaf, 3, where, api_name="/neighbours")


def test_a_batch_names_what_it_can_and_says_what_it_cannot(asked, leaves, tmp_path):
    (tmp_path / "notes.jpg").write_text("no picture")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(leaves / "Acer_rubrum" / "1.jpg", "deep/1.jpg")
        archive.writestr("readme.txt", "no picture")
    given = [leaves / "Acer_rubrum" / "0.jpg", tmp_path / "notes.jpg", tmp_path / "more.zip"]
    found = asked.predict([handle_file(one) for one in given], 0, api_name="/batch")["answers"]
    assert [one["picture"] for one in found] == ["0.jpg", "notes.jpg", "deep/1.jpg"]
    assert "not an image" in found[1]["problem"]
    assert len(found[0]["species"]) == 3 and found[2]["answer"]["taxonRank"] == "species"
    assert "no pictures" in refusal(asked, [], 0, api_name="/batch")


def bomb() -> bytes:
    """A PNG of 200 megapixels in a few hundred kilobytes."""
    buffer = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("notes.jpg", b"this is a text", "not an image of a known format"),
        ("empty.jpg", b"", "the file is empty"),
        ("cut.jpg", None, "broken or cut short"),
        ("bomb.png", bomb, "megapixels are too many"),
        ("table.csv", b"image,scientificName\n/etc/hostname,Quercus alba\n", "not an image"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(asked, leaves, tmp_path, name, content, told):
    if content is None:
        content = (leaves / "Quercus_alba" / "1.jpg").read_bytes()[:700]
    file = tmp_path / name
    file.write_bytes(content() if callable(content) else content)
    assert told in refusal(asked, handle_file(file), 0, "", api_name="/identify")


def test_a_photo_of_a_hundred_megapixels_is_named(asked, tmp_path):
    file = tmp_path / "large.jpg"
    Image.new("RGB", (12_000, 9_000), (60, 150, 60)).save(file, quality=30)
    answer = asked.predict(handle_file(file), 0, "", api_name="/identify")
    assert len(answer["species"]) == 3


def post(address: str, name: str, data: list) -> str:
    """Asks as an intruder does, without the client's checks; returns what came back."""
    base = f"{address}gradio_api/call/{name}"
    body = json.dumps({"data": data}).encode()
    asking = urllib.request.Request(base, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asking) as response:
        event = json.load(response)["event_id"]
    with urllib.request.urlopen(f"{base}/{event}") as response:
        return response.read().decode()


FILE = {"meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize(
    "given",
    [
        "/etc/hostname",
        {"path": "/etc/hostname"},
        {"path": "/etc/hostname", **FILE},
        {"path": "/tmp/gradio/../../etc/hostname", **FILE},
        {"path": "file:///etc/hostname", **FILE},
    ],
)
def test_a_path_outside_of_the_uploads_is_not_read(address, given):
    back = post(address, "identify", [given, 0, ""])
    assert back.startswith("event: error") and "not an image" not in back


@pytest.mark.parametrize("where", ["http://127.0.0.1:9/x.jpg", "https://example.org/x.jpg"])
def test_a_link_in_the_place_of_an_upload_is_not_fetched(address, where):
    assert "a link is no upload" in post(address, "identify", [{"path": where, **FILE}, 0, ""])


def test_markup_in_a_file_name_comes_back_as_text(asked, leaves, tmp_path):
    file = tmp_path / "<img src=x onerror=alert(1)>.jpg"
    file.write_bytes((leaves / "Acer_rubrum" / "0.jpg").read_bytes())
    answer = asked.predict(handle_file(file), 0, "", api_name="/identify")
    assert answer["species"]


def test_the_page_shows_the_card_without_its_metadata(asked):
    shown = str(asked.config)
    assert "A card of its own" in shown and "license: mit" not in shown


def test_only_what_works_is_offered(run, address, asked):
    assert "/by_name" not in asked.view_api(return_format="dict")["named_endpoints"]
    with served(run, "cpu") as bare:
        ends = Client(bare, verbose=False).view_api(return_format="dict")["named_endpoints"]
    assert set(ends) == {"/identify", "/batch"}


def test_an_index_of_another_model_is_refused(index, tmp_path):
    torch.manual_seed(1)
    other = save_run(tmp_path / "other", *tiny_model(head="softmax"))
    with pytest.raises(RunError, match="cannot be compared"):
        demo(other, "cpu", index=index)
    with pytest.raises(HerbzooError, match="give the index too"):
        demo(other, "cpu", compare=other)


def test_a_model_that_reads_names_ranks_those_it_never_saw(tmp_path):
    torch.manual_seed(0)
    run = save_run(tmp_path / "text", *tiny_model(head="clip_text"))
    Image.fromarray(np.full((60, 60, 3), 120, np.uint8)).save(tmp_path / "grey.png")
    with served(run, "cpu") as address:
        asked = Client(address, verbose=False)
        grey = handle_file(tmp_path / "grey.png")
        names = "Acer rubrum\nPicea abies (L.) H.Karst."
        answer = asked.predict(grey, names, api_name="/by_name")
        assert {one["scientificName"] for one in answer["species"]} == {
            "Acer rubrum",
            "Picea abies",
        }
        assert "without a picture in training: Picea abies" in answer["notes"]
        before = asked.predict(grey, 0, "", api_name="/identify")
        assert len(before["species"]) == 3, "aiming a copy leaves the model as it was"
        assert "no names" in refusal(asked, grey, " ", api_name="/by_name")


def test_uploads_are_deleted_soon_after(run, leaf, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(herbzoo.demo.app, "LOOK_EVERY", 1)
    monkeypatch.setattr(herbzoo.demo.app, "FORGET_SECONDS", 2)
    with served(run, "cpu") as address:
        Client(address, verbose=False).predict(leaf, 0, "", api_name="/identify")
        assert [path for path in tmp_path.rglob("*.jpg")], "it was there"
        until = time.monotonic() + 20
        while [path for path in tmp_path.rglob("*.jpg")] and time.monotonic() < until:
            time.sleep(0.2)
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_two_models_are_compared_on_the_same_sheets(run, tmp_path):
    leaves = coloured_leaves(tmp_path / "leaves", 8)
    index = SpecimenIndex.open(indexed(run, leaves, tmp_path / "index"))
    torch.manual_seed(1)
    other = DemoModel(save_run(tmp_path / "other", *tiny_model(head="softmax")), "cpu")
    model = DemoModel(run, "cpu")
    found = CollectionTab(ClosestSheets(index, model), model, other).maps("")
    assert list(found) == ["leaves", "other"]
    first, second = found.values()
    assert first.species.tolist() == second.species.tolist() and len(first.points) == 24
    assert not np.allclose(first.points, second.points)


def test_the_command_passes_on_what_it_is_told(monkeypatch, capsys):
    told = []
    monkeypatch.setattr(herbzoo.demo.app, "launch", lambda *given, **how: told.append((given, how)))
    asked = ["demo", "runs/leaves", "--index", "sheets", "--image-host", "a.org"]
    asked += ["--image-host", "b.org", "--port", "7777", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["herbzoo", *asked])
    with pytest.raises(SystemExit) as ended:
        herbzoo.cli.main()
    assert not ended.value.code, capsys.readouterr().err
    ((given, how),) = told
    assert given == ("runs/leaves", "cpu") and how["hosts"] == ["a.org", "b.org"]
    assert (how["index"], how["compare"], how["server_port"]) == ("sheets", "", 7777)
