"""Images on the web as the images of a collection: fetched when first used, then kept on disk."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from herbzoo.data import iiif
from herbzoo.data.encoding import Encoding
from herbzoo.data.image_cache import ImageCache, Kept, Missing, cache_folder
from herbzoo.data.images import decode
from herbzoo.data.pace import Pace
from herbzoo.data.records import ImageSource
from herbzoo.data.web import FetchError, NotAsked, Web
from herbzoo.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

DEFAULT_SIZE = 1024
"""Pixels of the longer side that are asked for unless the user says otherwise."""
DEFAULT_RATE = 2.0
"""Requests a second to one host."""
MAX_DOCUMENT_BYTES = 8 * 1024**2
"""The most that a IIIF document may hold."""
_NO_SUCH_SIZE = (400, 404, 405, 500, 501)
"""What servers answer that do not know the form of a IIIF request."""

_log = logging.getLogger(__name__)


class Files(ImageSource, Protocol):
    """Images in files, as folders and archives have them."""

    def encoded(self, key: str) -> bytes:
        """Returns one file as it is."""
        ...

    def fingerprint(self, key: str) -> str:
        """Returns what changes when the file does."""
        ...


def is_link(key: str) -> bool:
    """Tells whether an image is somewhere on the web, and not a file."""
    return key.lower().startswith(("http://", "https://"))


@dataclass(frozen=True)
class RemoteImages:
    """Images by their links, and those that are no links from another source.

    A IIIF service is asked for an image of the size that is needed. Anything else is fetched whole
    and scaled down before it is kept. A manifest stands for its first image. What is kept is found
    again under `HERBZOO_CACHE` by this and any other process, and never asked for a second time.
    """

    hosts: frozenset[str]
    """Hosts, in lower case, that the collection names; no other is asked."""
    size: int | None = DEFAULT_SIZE
    """Pixels that the longer side is bounded to; `None` keeps whole files."""
    rate: float = DEFAULT_RATE
    """Requests a second to one host, by all processes together."""
    trusted: frozenset[str] = frozenset()
    """Further hosts that the user allows, also in a private network."""
    local: Files | None = None
    """Where images are that are no links."""
    backoff: float = 2.0
    """Seconds to wait after a first failure; see `herbzoo.data.web.Web`."""

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image:
        """Decodes one image, fetching it if it is not kept, or kept too small.

        `None` for `min_size` asks for the image as it is kept, or else at `size`.

        Raises:
            ImageError: if it cannot be had or is none; failures are remembered for a while.
        """
        if not is_link(key):
            return self._local().open(key, min_size)
        kept = self.kept(key, min_size)
        return decode(kept.path, min_size, key)

    def encoded(self, key: str) -> bytes:
        """Returns the file of an image; that of a link as it is kept, fetched if it is not."""
        if not is_link(key):
            return bytes(self._local().encoded(key))
        kept = self.kept(key)
        try:
            return kept.path.read_bytes()
        except OSError as error:
            raise ImageError(f"{key}: cannot be read ({error.strerror or error})") from error

    def fingerprint(self, key: str) -> str:
        """Returns what changes when the image does, fetching it if it is not kept."""
        if not is_link(key):
            return str(self._local().fingerprint(key))
        return f"{key}:{self.kept(key).digest}"

    def is_kept(self, key: str) -> bool:
        """Tells whether an image is at hand without the web, at `size` or larger."""
        return not is_link(key) or self._suffices(_find(key), self.size)

    def is_at_hand(self, key: str) -> bool:
        """Tells whether an image is at hand without the web, at any size."""
        return not is_link(key) or isinstance(_find(key), Kept)

    def kept(
        self,
        key: str,
        min_size: tuple[int, int] | None = None,
        *,
        to_size: bool = False,
        again: bool = False,
    ) -> Kept:
        """Returns where an image is kept, fetching it if it is not, or kept too small.

        Args:
            key: its link.
            min_size: height and width in pixels that are needed; by default what is kept will do.
            to_size: whether it is too small if it was bounded to less than `size`.
            again: whether to ask again for what failed not long ago.

        Raises:
            ImageError: if it cannot be had.
        """
        needed = max(min_size) if min_size else 0
        found = _find(key)
        if self._suffices(found, self.size if to_size else needed):
            assert isinstance(found, Kept)
            return found
        if isinstance(found, Missing) and found.again > time.time() and not again:
            raise ImageError(f"{key}: {found.reason}")
        cache = ImageCache(cache_folder())
        size = None if self.size is None else max(self.size, needed)
        try:
            return self._fetch(key, size, cache)
        except (FetchError, ImageError) as error:
            if isinstance(found, Kept):  # better a small image than none
                _log.info("%s is kept smaller than asked for: %s", key, error)
                return found
            reason = str(error).removeprefix(f"{key}: ")
            if not isinstance(error, NotAsked):
                lasting = not isinstance(error, FetchError) or error.lasting
                cache.miss(key, reason, lasting=lasting)
            raise ImageError(f"{key}: {reason}") from error

    def _suffices(self, found: Kept | Missing | None, size: int | None) -> bool:
        """Tells whether an image is kept at this size; nothing but all there is suffices `None`."""
        if not isinstance(found, Kept):
            return False
        return found.size is None or (size is not None and found.size >= size)

    def _local(self) -> Files:
        if self.local is None:
            raise ImageError("this is no link, and the collection has no files")
        return self.local

    def _fetch(self, key: str, size: int | None, cache: ImageCache) -> Kept:
        pace = Pace(cache.folder.parent / "hosts", self.rate)
        web = Web(self.hosts, pace, self.trusted, backoff=self.backoff)
        content, bounded = Download(web, size).follow(key)
        if content[:64].lstrip()[:1] == b"<" and b"<html" in content[:2000].lower():
            raise ImageError(f"{key}: the host sent a web page, not an image")
        box = None if size is None else (size, size)
        encoded = Encoding(box).of_file(content, key, key).content
        whole = size is None or (encoded is content and not bounded)
        return cache.keep(key, encoded, None if whole else size)


def _find(key: str) -> Kept | Missing | None:
    return ImageCache(cache_folder()).find(key)


@dataclass(frozen=True)
class Download:
    """One image from its link, at a size where that can be had; nothing is kept."""

    web: Web
    size: int | None
    """Pixels of the longer side that suffice; `None` asks for the whole file."""

    def follow(self, url: str) -> tuple[bytes, bool]:
        """Returns the image, and whether its size was bounded by the request.

        Raises:
            FetchError: if it cannot be had.
            ImageError: if the link leads to a document without an image.
        """
        service = iiif.service_of(url)
        if service and self.size is not None:
            return self._of_service(service, url)
        content = self.web.get(url)
        document = iiif.parse_document(content)
        link = None if document is None else iiif.image_of(document)
        if document is None:
            return content, False
        if link is None or not (link.url or link.service):
            raise ImageError(f"{url}: the host sent JSON, and no IIIF manifest with an image")
        if not link.service:
            return self.web.get(link.url), False
        return self._of_service(link.service, link.url)

    def _of_service(self, service: str, otherwise: str) -> tuple[bytes, bool]:
        """Asks a service for the size, then by what it says of itself, then for the plain file."""
        if self.size is not None:
            try:
                return self.web.get(iiif.bounded_request(service, self.size)), True
            except FetchError as error:
                if error.status not in _NO_SUCH_SIZE:
                    raise
        try:
            info = iiif.parse_document(self.web.get(iiif.info_request(service), MAX_DOCUMENT_BYTES))
            size = self.size or 1 << 30
            if info is not None:
                return self.web.get(iiif.request_by_info(info, service, size)), True
        except FetchError:
            if not otherwise or otherwise.endswith("/info.json"):
                raise
        if not otherwise or otherwise.endswith("/info.json"):
            raise ImageError(f"{service}: the host sent no description of the image")
        return self.web.get(otherwise), False
