"""Files from the web, from hosts that were named and from no other.

urllib3 is used as it is, without a layer that would send cookies or passwords of `~/.netrc` along.
Redirections are followed here, one by one, because each may lead to another host; and each
connection is looked at before anything is sent, because a name may resolve to an address inside
the user's own network.
"""

from __future__ import annotations

import ipaddress
import os
import random
import socket
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from herbzoo.data.images import reason_of
from herbzoo.data.pace import Pace

HOSTS_VARIABLE = "HERBZOO_HOSTS"
"""Environment variable with further hosts that the user allows, separated by commas."""
MAX_BYTES = 100 * 1024**2
"""The most that one file may hold."""
MAX_SECONDS = 300.0
"""The longest that one file may take."""
MAX_WAIT = 120.0
"""The longest that a host may ask us to wait before the next try; beyond it the try is given up."""
_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 5
_FOR_NOW = (408, 425, 429, 500, 502, 503, 504)
"""Answers that may be another the next time."""
_CHUNK = 64 * 1024


class FetchError(Exception):
    """A file that could not be had; its text says why, on one line."""

    def __init__(self, reason: str, *, lasting: bool = False, status: int = 0) -> None:
        super().__init__(reason)
        self.lasting = lasting
        """Whether it will be the same the next time."""
        self.status = status
        """What the host answered, 0 if it did not."""


class NotAsked(FetchError):
    """A file that was not asked for: its host is not allowed, or left alone for a while."""


class _PrivateAddress(Exception):
    """The connection leads into a private network; nothing was sent."""


@dataclass(frozen=True)
class Web:
    """Gets files from some hosts."""

    hosts: frozenset[str]
    """Hosts, in lower case, that may be asked."""
    pace: Pace
    trusted: frozenset[str] = frozenset()
    """Hosts that the user named, which may also be in a private network."""
    attempts: int = 4
    """Tries of one file."""
    backoff: float = 2.0
    """Seconds to wait after the first failure, doubled after each further one."""
    timeout: float = 30.0
    """Seconds without a byte that are waited."""

    def get(self, url: str, max_bytes: int = MAX_BYTES) -> bytes:
        """Returns the content of a file.

        Args:
            url: where it is.
            max_bytes: the most that it may hold.

        Raises:
            FetchError: if it cannot be had; what may be of passing nature was tried again.
        """
        for attempt in range(self.attempts):
            try:
                return self._get(url, max_bytes)
            except _Passing as passing:
                failure = passing
                delay = passing.after or self.backoff * 2.0**attempt * random.uniform(0.75, 1.25)
                if delay > MAX_WAIT or attempt == self.attempts - 1:
                    break
                self.pace.hold(passing.host, delay)
        if failure.after:
            self.pace.hold(failure.host, min(failure.after, 2 * MAX_WAIT))
        raise FetchError(str(failure), status=failure.status) from failure

    def _get(self, url: str, max_bytes: int) -> bytes:
        deadline = time.monotonic() + MAX_SECONDS
        for _ in range(_MAX_REDIRECTS + 1):
            host = self._permitted(url)
            response = self._ask(url, host)
            try:
                if response.status in _REDIRECTS and "location" in response.headers:
                    url = urljoin(url, response.headers["location"])
                    continue
                self._check(response, host)
                return _body(response, host, max_bytes, deadline)
            finally:
                response.close()
        raise FetchError(f"{host} redirects more than {_MAX_REDIRECTS} times", lasting=True)

    def _permitted(self, url: str) -> str:
        """Returns the host of a URL that may be asked."""
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").lower()
            parts.port  # noqa: B018 - raises on a port that is none
        except ValueError as error:
            raise FetchError(f"{url} is no address", lasting=True) from error
        if parts.scheme not in ("http", "https") or not host:
            raise FetchError(f"{url} is no http or https address", lasting=True)
        if parts.username is not None:
            raise FetchError(
                f"{host} is asked for with a user name, which is refused", lasting=True
            )
        if host not in self.hosts and host not in self._trusted():
            raise NotAsked(
                f"{host} is none of the hosts of the collection; to allow it: "
                f"herbzoo data fetch --host {host}"
            )
        return host

    def _trusted(self) -> frozenset[str]:
        named = os.environ.get(HOSTS_VARIABLE, "").split(",")
        return self.trusted | {name.strip().lower() for name in named if name.strip()}

    def _ask(self, url: str, host: str) -> urllib3.BaseHTTPResponse:
        left = self.pace.quiet(host)
        if left:
            raise NotAsked(f"{host} has not answered for a while; try again in {left / 60:.0f} min")
        self.pace.wait(host)
        pool = _pool(url, host, host in self._trusted())
        try:
            response = pool.request(
                "GET",
                url,
                headers={"User-Agent": user_agent(), "Accept-Encoding": "identity"},
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=self.timeout / 2, read=self.timeout),
            )
        except _PrivateAddress as error:
            raise NotAsked(
                f"{host} is in a private network ({error}); to allow it: "
                f"herbzoo data fetch --host {host}"
            ) from error
        except urllib3.exceptions.LocationValueError as error:
            raise FetchError(f"{url} is no address ({reason_of(error)})", lasting=True) from error
        except urllib3.exceptions.HTTPError as error:
            self.pace.missed(host)
            raise _Passing(host, f"{host} does not answer ({_cause(error)})") from error
        self.pace.answered(host)
        return response

    def _check(self, response: urllib3.BaseHTTPResponse, host: str) -> None:
        status = response.status
        if status == 200:
            return
        said = f"{host} answers {status} {response.reason or ''}".rstrip()
        if status in _FOR_NOW:
            raise _Passing(host, said, _retry_after(response), status)
        raise FetchError(said, lasting=True, status=status)


class _Passing(Exception):
    """A failure that another try may not meet."""

    def __init__(self, host: str, reason: str, after: float = 0.0, status: int = 0) -> None:
        super().__init__(reason)
        self.host = host
        self.after = after
        self.status = status


def user_agent() -> str:
    """Returns what hosts are told of who asks."""
    return f"herbzoo/{version('herbzoo')} (plant image collections; urllib3/{version('urllib3')})"


def _body(response: urllib3.BaseHTTPResponse, host: str, max_bytes: int, deadline: float) -> bytes:
    length = response.headers.get("content-length", "")
    too_large = FetchError(
        f"the file is larger than the {max_bytes / 1024**2:,.0f} MiB that are read", lasting=True
    )
    if length.isdigit() and int(length) > max_bytes:
        raise too_large
    content = bytearray()
    try:
        for chunk in response.stream(_CHUNK, decode_content=False):
            content += chunk
            if len(content) > max_bytes:
                raise too_large
            if time.monotonic() > deadline:
                raise _Passing(host, f"{host} takes longer than {MAX_SECONDS:.0f} s for a file")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _Passing(host, f"{host} breaks off ({_cause(error)})") from error
    return bytes(content)


def _retry_after(response: urllib3.BaseHTTPResponse) -> float:
    """Returns the seconds that a host asks to wait (RFC 9110, 10.2.3), 0 if it does not say."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def _cause(error: BaseException) -> str:
    """Returns what is wrong, without the names of Python objects that urllib3 puts before it."""
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "no answer in time"
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "its name is not known"
    return reason_of(error).rpartition("object at 0x")[2].partition(">: ")[2] or reason_of(error)


class _Outside:
    """Connections that refuse to speak to an address in a private network."""

    def _new_conn(self) -> socket.socket:
        connected: socket.socket = super()._new_conn()  # type: ignore[misc]
        address = str(connected.getpeername()[0]).partition("%")[0]
        if not _is_public(address):
            connected.close()
            raise _PrivateAddress(address)
        return connected


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_global and not found.is_multicast


class _OutsideHTTP(_Outside, HTTPConnection):
    pass


class _OutsideHTTPS(_Outside, HTTPSConnection):
    pass


class _OutsidePool(HTTPConnectionPool):
    ConnectionCls = _OutsideHTTP


class _OutsideTLSPool(HTTPSConnectionPool):
    ConnectionCls = _OutsideHTTPS


@dataclass
class _Pools:
    """The open connections of one process; sockets cannot be shared by forking."""

    process: int = -1
    lock: threading.Lock = field(default_factory=threading.Lock)
    by_use: dict[str, urllib3.PoolManager] = field(default_factory=dict)


_POOLS = _Pools()


def _pool(url: str, host: str, trusted: bool) -> urllib3.PoolManager:
    """Returns the connections to use: through the user's proxy, if there is one."""
    if _POOLS.process != os.getpid():
        _POOLS.lock, _POOLS.by_use, _POOLS.process = threading.Lock(), {}, os.getpid()
    scheme = urlsplit(url).scheme
    proxies: Collection[str] = () if proxy_bypass(host) else getproxies()
    proxy = getproxies()[scheme] if scheme in proxies else ""
    use = proxy or ("trusted" if trusted else "outside")
    with _POOLS.lock:
        if use not in _POOLS.by_use:
            _POOLS.by_use[use] = _new_pool(proxy, trusted)
        return _POOLS.by_use[use]


def _new_pool(proxy: str, trusted: bool) -> urllib3.PoolManager:
    if proxy:  # which resolves names itself
        return urllib3.ProxyManager(proxy, maxsize=16)
    pool = urllib3.PoolManager(maxsize=16)
    if not trusted:
        pool.pool_classes_by_scheme = {"http": _OutsidePool, "https": _OutsideTLSPool}
    return pool
