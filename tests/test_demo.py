"""The demo, asked over its API as a browser asks it."""

from __future__ import annotations

import re

import pytest
import torch
from PIL import Image
from tiny import save_run, tiny_model

from herbzoo.demo.answers import answers_html, problem_html
from herbzoo.demo.app import demo
from herbzoo.identification import Candidate
from herbzoo.inference import Identifier


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    folder = save_run(tmp_path_factory.mktemp("demo") / "run", *tiny_model(head="softmax"))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# A card of its own\n")
    return folder


@pytest.fixture(scope="module")
def asked(run):
    from gradio_client import Client

    app = demo(run, "cpu")
    _, address, _ = app.launch(
        prevent_thread_lock=True, server_name="127.0.0.1", quiet=True, ssr_mode=False
    )
    yield Client(address, verbose=False)
    app.close()


def test_the_demo_ranks_taxa_as_identify_does(asked, run, tmp_path):
    from gradio_client import handle_file

    Image.new("RGB", (60, 80), (40, 120, 50)).save(tmp_path / "leaf.png")
    html = asked.predict(handle_file(tmp_path / "leaf.png"), api_name="/identify")
    (found,) = Identifier.from_pretrained(run, "cpu")([tmp_path / "leaf.png"])
    named = re.findall(r"<em>(.*?)</em>", html.partition("Genus")[0])
    assert named == [candidate.scientificName for candidate in found.candidates]
    assert f"{100 * found.best.score:.1f}&nbsp;%" in html
    assert "not calibrated" in html


def test_the_demo_shows_the_card_without_its_metadata(asked):
    shown = str(asked.config)
    assert "A card of its own" in shown and "license: mit" not in shown


def test_names_and_problems_are_shown_as_text():
    evil = Candidate("<b>Q</b>", "<script>", "", "", "", "species", 0.25)
    html = answers_html({"species": [evil]}, calibrated=True)
    assert "<script>" not in html and "<b>" not in html and "25.0&nbsp;%" in html
    assert "<img" not in problem_html("<img src=x>")
