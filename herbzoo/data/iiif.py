"""Sizes of images by the IIIF Image API, and images in IIIF Presentation manifests.

https://iiif.io/api/image/ (1.1 to 3.0) and https://iiif.io/api/presentation/ (2.1 and 3.0).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_REQUEST = re.compile(
    r"(?P<service>https?://[^?#]+)/(?:full|square|[\d.,]+|pct:[\d.,]+)"
    r"/(?:full|max|\^?max|\^?!?\d*,\d*|\^?pct:[\d.]+)/!?[\d.]+"
    r"/(?:default|native|color|gray|bitonal|colour|grey)\.(?:jpe?g|png|webp|tif|gif|jp2)",
    re.IGNORECASE,
)
_FULL = re.compile(r"/full/(?:full|max|\^?max|\^?!?\d*,\d*|\^?pct:[\d.]+)/0/", re.IGNORECASE)
_INFO = "/info.json"
_CONFINED = "sizeByConfinedWh"
_MAX_DEPTH = 8


@dataclass(frozen=True)
class ImageLink:
    """An image that a manifest leads to."""

    url: str
    """Of the file, or '' where only a service is named."""
    service: str = ""
    """Base of its image service, or '' where it has none."""


def service_of(url: str) -> str:
    """Returns the base of the image service that a URL belongs to, or ''.

    `.../info.json` belongs to one, and so does a request for the whole image at any size. A request
    for a part of the image or a turned one is left as it is.
    """
    plain = url.partition("?")[0].partition("#")[0]
    if plain.endswith(_INFO):
        return plain.removesuffix(_INFO)
    found = _REQUEST.fullmatch(url)
    return found["service"] if found and _FULL.search(url) else ""


def bounded_request(service: str, size: int) -> str:
    """Returns the URL of the whole image, fitted into `size` x `size` pixels.

    Every server of level 2 answers it; others are asked by `request_by_info`.
    """
    return f"{service}/full/!{size},{size}/0/default.jpg"


def info_request(service: str) -> str:
    """Returns the URL of what a service says of itself."""
    return service + _INFO


def request_by_info(info: Mapping[str, Any], service: str, size: int) -> str:
    """Returns the URL of the whole image at about `size` pixels, as far as the server goes.

    Args:
        info: its `info.json`.
        service: its base.
        size: pixels of the longer side that suffice.

    Returns:
        A request of the image at the least size it offers that suffices, else at its greatest.
    """
    version = _version(info)
    name = "native.jpg" if version == 1 else "default.jpg"
    whole = "max" if version == 3 else "full"
    width, height = _number(info.get("width")), _number(info.get("height"))
    longer = max(width, height)
    offered = _offered(info, version)
    if offered == "any" and longer > size:
        scaled = max(1, round(width * size / longer))
        return f"{service}/full/{scaled},/0/{name}"
    if offered == "confined" and longer != 0 and longer > size:
        return f"{service}/full/!{size},{size}/0/{name}"
    if offered == "listed":
        fitting = _listed(info, size)
        if fitting is not None:
            asked = f"{fitting[0]},{fitting[1]}" if version == 3 else f"{fitting[0]},"
            return f"{service}/full/{asked}/0/{name}"
    return f"{service}/full/{whole}/0/{name}"


def parse_document(content: bytes) -> Mapping[str, Any] | None:
    """Returns a JSON object, or None if the content is none."""
    if content[:64].lstrip()[:1] != b"{":
        return None
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, Mapping) else None


def image_of(document: Mapping[str, Any]) -> ImageLink | None:
    """Returns the first image of a manifest, or the one that an `info.json` describes.

    Returns:
        None if the document is neither.
    """
    if _is_info(document):
        return ImageLink("", _id(document).rstrip("/").removesuffix(_INFO))
    if "items" in document:  # Presentation 3: canvas, page, annotation, body
        return _first_image(document["items"], _MAX_DEPTH)
    if "sequences" in document:  # Presentation 2: sequence, canvas, image, resource
        return _first_image(document["sequences"], _MAX_DEPTH)
    return None


def _is_info(document: Mapping[str, Any]) -> bool:
    protocol = str(document.get("protocol", ""))
    context = str(document.get("@context", ""))
    return ("iiif.io/api/image" in protocol + context) or (
        "width" in document and "height" in document and "profile" in document
    )


def _first_image(parts: Any, depth: int) -> ImageLink | None:
    """Walks down to the first body or resource that is an image."""
    if depth == 0:
        return None
    for part in _listed_parts(parts):
        kind = str(part.get("type") or part.get("@type") or "")
        if kind in ("Image", "dctypes:Image"):
            return ImageLink(_id(part), _service(part))
        if kind in ("Choice", "oa:Choice"):
            below: Any = part.get("items") or part.get("default")
        else:
            steps = ("items", "canvases", "images", "body", "resource")
            below = next((part[step] for step in steps if step in part), None)
        found = _first_image(below, depth - 1)
        if found is not None:
            return found
    return None


def _listed_parts(parts: Any) -> list[Mapping[str, Any]]:
    several = parts if isinstance(parts, Sequence) and not isinstance(parts, str) else [parts]
    return [part for part in several if isinstance(part, Mapping)]


def _service(part: Mapping[str, Any]) -> str:
    for service in _listed_parts(part.get("service")):
        about = f"{service.get('type', '')} {service.get('@type', '')} "
        about += f"{service.get('@context', '')} {service.get('profile', '')}"
        if "ImageService" in about or "iiif.io/api/image" in about or "image-api" in about:
            return _id(service).rstrip("/").removesuffix(_INFO)
    return ""


def _id(part: Mapping[str, Any]) -> str:
    found = part.get("id") or part.get("@id") or ""
    return found if isinstance(found, str) else ""


def _version(info: Mapping[str, Any]) -> int:
    context = str(info.get("@context", ""))
    if "image/3" in context or info.get("type") == "ImageService3":
        return 3
    return 1 if "image-api/1" in context or "image-api/1" in str(info.get("profile", "")) else 2


def _offered(info: Mapping[str, Any], version: int) -> str:
    """Tells how sizes may be asked: `confined` to a box, by `any` width, or only as `listed`."""
    profile = json.dumps(info.get("profile", ""))
    features = f"{profile} {json.dumps(info.get('extraFeatures', ''))}"
    if "level2" in features or _CONFINED in features:
        return "confined" if version != 1 else "any"
    if "level1" in features or "sizeByW" in features:
        return "any"
    return "listed"


def _listed(info: Mapping[str, Any], size: int) -> tuple[int, int] | None:
    sizes = sorted(
        (_number(each.get("width")), _number(each.get("height")))
        for each in _listed_parts(info.get("sizes"))
    )
    sizes = [each for each in sizes if min(each) > 0]
    fitting = [each for each in sizes if max(each) >= size]
    if fitting:
        return fitting[0]
    return None


def _number(value: Any) -> int:
    return value if isinstance(value, int) and 0 < value < 10**9 else 0
