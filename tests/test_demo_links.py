"""Pictures by their links: from the hosts that were named, and from nowhere else."""

from __future__ import annotations

import re

import pytest
from loopback_images import ELSEWHERE, HOST, Answer, jpeg, serving_images

from herbzoo.data.web import HOSTS_VARIABLE
from herbzoo.demo.web_picture import LinkedPictures
from herbzoo.errors import ImageError


@pytest.fixture
def server():
    with serving_images() as running:
        yield running


@pytest.fixture
def links(monkeypatch):
    """A demo whose keeper allows the server, though it is in a private network."""
    monkeypatch.setenv(HOSTS_VARIABLE, HOST)
    return LinkedPictures([HOST])


def refusal(links: LinkedPictures, address: str) -> str:
    with pytest.raises(ImageError) as refused:
        links.fetch(address)
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def test_a_picture_is_fetched_and_named_for_its_file(server, links):
    found = links.fetch(server.put("/sheets/leaf.jpg", jpeg()))
    assert found.name == "leaf.jpg" and found.content == jpeg()


def test_a_manifest_leads_to_its_first_picture(server, links):
    server.put("/iiif/a/full/!2000,2000/0/default.jpg", jpeg())
    body = {
        "type": "Image",
        "id": server.url("/a.jpg"),
        "service": [{"id": server.url("/iiif/a"), "type": "ImageService3"}],
    }
    page = {"items": [{"items": [{"body": body}]}]}
    manifest = server.put_json("/manifest.json", {"items": [page]})
    assert links.fetch(manifest).content == jpeg()


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("", "there is no address"),
        ("file:///etc/hostname", "no http or https address"),
        ("ftp://127.0.0.1/a.jpg", "no http or https address"),
        ("/etc/hostname", "no http or https address"),
        ("http://[::1", "no http or https address"),
        ("http://169.254.169.254/latest/meta-data", "fetches pictures from 127.0.0.1 only"),
        ("https://example.org/a.jpg", "fetches pictures from 127.0.0.1 only"),
        ("http://127.0.0.1@example.org/a.jpg", "fetches pictures from 127.0.0.1 only"),
        ("https://example.org/" + "a" * 3000, "no http or https address"),
    ],
)
def test_other_places_are_not_asked(links, address, told):
    assert told in refusal(links, address)


def test_a_private_address_is_not_asked_though_it_was_named(server):
    named = LinkedPictures([HOST])
    assert "private network" in refusal(named, server.put("/a.jpg", jpeg()))
    assert not server.asked


def test_a_redirection_elsewhere_is_not_followed(server, links):
    target = server.url("/secret", ELSEWHERE)
    moved = server.put("/moved.jpg", Answer(status=302, headers={"Location": target}))
    server.put("/secret", jpeg())
    assert "leads to another host" in refusal(links, moved)
    assert server.paths() == ["/moved.jpg"]


def test_what_is_not_there_or_no_picture_is_said(server, links):
    assert "404" in refusal(links, server.put("/none.jpg", Answer(status=404)))
    assert "no IIIF manifest" in refusal(links, server.put("/a.json", b'{"a": 1}'))
    assert not re.search("herbzoo data fetch", refusal(links, "https://example.org/a.jpg"))
