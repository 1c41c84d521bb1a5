"""IIIF services and manifests: only the pixels that are needed travel."""

from __future__ import annotations

import pytest
from loopback_images import ELSEWHERE, HOST, Answer, jpeg, serving_images

from herbzoo.data.iiif import image_of, request_by_info, service_of
from herbzoo.data.remote import RemoteImages
from herbzoo.errors import ImageError

BOUNDED = "/iiif/sheet/full/!64,64/0/default.jpg"
SIZES = [{"width": 40, "height": 60}, {"width": 80, "height": 120}, {"width": 160, "height": 240}]


@pytest.fixture
def server():
    with serving_images() as images:
        yield images


def open_image(link, size=64):
    return RemoteImages(frozenset({HOST}), size, 500.0, frozenset({HOST}), backoff=0.01).open(link)


def info(server, profile, **more):
    about = {"@context": "http://iiif.io/api/image/2/context.json", "width": 3000, "height": 4500}
    about |= {"@id": server.url("/iiif/sheet"), "protocol": "http://iiif.io/api/image"}
    return server.put_json("/iiif/sheet/info.json", about | {"profile": [profile]} | more)


def manifest_2(server, host=HOST):
    service = {"@id": server.url("/iiif/sheet", host), "profile": "http://iiif.io/api/image/2/x"}
    resource = {"@type": "dctypes:Image", "@id": server.url("/sheet.jpg", host), "service": service}
    canvases = [{"@type": "sc:Canvas", "images": [{"resource": resource}]}]
    document = {"@type": "sc:Manifest", "sequences": [{"canvases": canvases}]}
    return server.put_json("/manifest", document)


def manifest_3(server, service=True):
    body = {"type": "Image", "id": server.url("/sheet.jpg")}
    if service:
        body["service"] = [{"type": "ImageService3", "id": server.url("/iiif/sheet")}]
    pages = [{"type": "AnnotationPage", "items": [{"type": "Annotation", "body": body}]}]
    document = {"type": "Manifest", "items": [{"type": "Canvas", "items": pages}]}
    return server.put_json("/manifest", document)


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("https://a.org/iiif/x/info.json", "https://a.org/iiif/x"),
        ("https://a.org/iiif/x/full/full/0/default.jpg", "https://a.org/iiif/x"),
        ("https://a.org/iiif/a%2Fb/full/max/0/default.png", "https://a.org/iiif/a%2Fb"),
        ("https://a.org/iiif/x/full/800,/0/native.jpg", "https://a.org/iiif/x"),
        ("https://a.org/iiif/x/10,10,50,50/max/0/default.jpg", ""),
        ("https://a.org/iiif/x/full/max/90/default.jpg", ""),
        ("https://a.org/full/photo.jpg", ""),
        ("http://a.org/iipsrv.fcgi?fif=/a.pyr.tif&WID=300&CVT=jpeg", ""),
    ],
)
def test_a_service_is_told_by_its_address(url, service):
    assert service_of(url) == service


@pytest.mark.parametrize("path", ["/iiif/sheet/info.json", "/iiif/sheet/full/max/0/default.jpg"])
def test_a_service_is_asked_for_the_size_that_is_needed(server, path):
    server.put(BOUNDED, jpeg((43, 64)))
    assert open_image(server.url(path)).size == (43, 64)
    assert server.paths() == [BOUNDED]


@pytest.mark.parametrize("manifest", [manifest_2, manifest_3])
def test_a_manifest_leads_to_its_first_image(server, manifest):
    server.put(BOUNDED, jpeg((43, 64)))
    assert open_image(manifest(server)).size == (43, 64)
    assert server.paths() == ["/manifest", BOUNDED]


def test_a_manifest_without_a_service_leads_to_a_file(server):
    server.put("/sheet.jpg", jpeg((400, 600)))
    assert open_image(manifest_3(server, service=False)).size == (43, 64)


def test_a_manifest_cannot_lead_to_another_host(server):
    server.put(BOUNDED, jpeg())
    with pytest.raises(ImageError, match=f"--host {ELSEWHERE}"):
        open_image(manifest_2(server, ELSEWHERE))
    assert server.paths() == ["/manifest"]


@pytest.mark.parametrize(
    ("profile", "more", "asked"),
    [
        ("http://iiif.io/api/image/2/level1.json", {}, "/iiif/sheet/full/43,/0/default.jpg"),
        (
            "http://iiif.io/api/image/2/level0.json",
            {"sizes": SIZES},
            "/iiif/sheet/full/80,/0/default.jpg",
        ),
        ("http://iiif.io/api/image/2/level0.json", {}, "/iiif/sheet/full/full/0/default.jpg"),
    ],
)
def test_a_lesser_service_is_asked_as_it_says(server, profile, more, asked):
    server.put(BOUNDED, Answer(status=501))
    server.put(asked, jpeg((43, 64)))
    assert open_image(info(server, profile, **more)).size == (43, 64)
    assert server.paths() == [BOUNDED, "/iiif/sheet/info.json", asked]


def test_a_service_that_answers_nothing_leaves_the_link_itself(server):
    server.put(BOUNDED, Answer(status=400))
    link = server.put("/iiif/sheet/full/full/0/default.jpg", jpeg((400, 600)))
    assert open_image(link).size == (43, 64)


def test_version_3_asks_for_both_sides_of_a_listed_size():
    about = {"type": "ImageService3", "profile": "level0", "sizes": SIZES}
    assert request_by_info(about, "s", 64) == "s/full/80,120/0/default.jpg"
    assert request_by_info(about | {"sizes": SIZES[:1]}, "s", 64) == "s/full/max/0/default.jpg"


def test_an_image_smaller_than_asked_is_not_enlarged():
    about = {"width": 40, "height": 60, "profile": ["http://iiif.io/api/image/2/level1.json"]}
    assert request_by_info(about, "s", 64) == "s/full/full/0/default.jpg"


@pytest.mark.parametrize(
    "document", [{}, {"items": "x"}, {"items": [[[]]]}, {"sequences": [{"canvases": None}]}]
)
def test_other_documents_hold_no_image(document):
    assert image_of(document) is None


def test_other_json_is_no_image(server):
    with pytest.raises(ImageError, match="no IIIF manifest"):
        open_image(server.put_json("/a.json", {"error": "no such sheet"}))
