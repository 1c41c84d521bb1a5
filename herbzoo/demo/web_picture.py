"""A picture by its link: a file or a IIIF address, from hosts that whoever runs the demo named."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from herbzoo.data.image_cache import cache_folder
from herbzoo.data.pace import Pace
from herbzoo.data.remote import Download
from herbzoo.data.web import FetchError, NotAsked, Web
from herbzoo.demo.pictures import Picture, shortened
from herbzoo.errors import ImageError

SIZE = 2000
"""Pixels of the longer side that are asked of a IIIF service."""
_RATE = 2.0
_LONGEST = 2000


class LinkedPictures:
    """Fetches pictures from some hosts, and from nowhere else.

    Neither another host that one of them redirects to is asked, nor an address inside a private
    network. Nothing that is fetched is kept.

    Args:
        hosts: that may be asked, such as `iiif.example.org`.
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        self.hosts = frozenset(host.strip().lower() for host in hosts if host.strip())
        pace = Pace(cache_folder().parent / "hosts", _RATE)
        self._web = Web(self.hosts, pace, attempts=2, backoff=0.5, timeout=15.0)

    def fetch(self, address: str) -> Picture:
        """Returns the picture behind a link; of a IIIF manifest, the first one.

        Raises:
            ImageError: if it may not be asked for, cannot be had, or is no picture.
        """
        link = address.strip()
        shown = shortened(link)
        if not link:
            raise ImageError("there is no address: paste the link of a picture")
        host = _host_of(link)
        if host not in self.hosts:
            raise ImageError(
                f"{shown}: this demo fetches pictures from {self.named()} only; save the picture "
                "and upload it instead"
            )
        try:
            content, _ = Download(self._web, SIZE).follow(link)
        except NotAsked as error:
            reason = "it leads to another host or into a private network"
            if self._web.pace.quiet(host):
                reason = "it has not answered for a while"
            raise ImageError(f"{shown}: {host} is not asked, because {reason}") from error
        except FetchError as error:
            raise ImageError(f"{shown}: {error}") from error
        return Picture(shortened(link.rpartition("/")[2] or host), content)

    def named(self) -> str:
        """Returns the hosts in words."""
        *others, last = sorted(self.hosts)
        return f"{', '.join(others)} and {last}" if others else last


def _host_of(link: str) -> str:
    """Returns the host of a link.

    Raises:
        ImageError: if it is no http or https address.
    """
    try:
        parts = urlsplit(link)
        host = (parts.hostname or "").lower()
    except ValueError:
        parts, host = None, ""
    if parts is None or parts.scheme not in ("http", "https") or not host or len(link) > _LONGEST:
        raise ImageError(f"{shortened(link)}: this is no http or https address")
    return host
