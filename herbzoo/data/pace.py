"""How often a host is asked, shared by all processes and threads that use one cache."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock

from herbzoo.errors import DataError
from herbzoo.whole_file import write_whole

MAX_MISSES = 5
"""Connections to a host that fail in a row before it is left alone."""
QUIET_SECONDS = 600.0
"""How long a host that does not answer is left alone."""
_FAR_AHEAD = 3600.0  # a clock that was set back must not stop everything


@dataclass
class _State:
    next: float = 0.0
    """When the host may be asked again, in seconds since 1970."""
    misses: int = 0
    quiet_until: float = 0.0


@dataclass(frozen=True)
class Pace:
    """Waits its turn before each request, by a file a host below `folder`."""

    folder: Path
    rate: float = 2.0
    """Requests a second to one host."""

    def wait(self, host: str) -> None:
        """Returns when it is this caller's turn to ask the host."""
        with self._state(host) as state:
            now = time.time()
            turn = max(now, state.next) if state.next < now + _FAR_AHEAD else now
            state.next = turn + 1 / self.rate
        time.sleep(max(0.0, turn - time.time()))

    def hold(self, host: str, seconds: float) -> None:
        """Lets nobody ask the host for some time."""
        with self._state(host) as state:
            state.next = max(state.next, time.time() + seconds)

    def missed(self, host: str) -> None:
        """Takes note that the host did not answer."""
        with self._state(host) as state:
            state.misses += 1
            if state.misses >= MAX_MISSES:
                state.quiet_until = time.time() + QUIET_SECONDS

    def answered(self, host: str) -> None:
        """Takes note that the host answered, whatever it said."""
        with self._state(host) as state:
            state.misses, state.quiet_until = 0, 0.0

    def quiet(self, host: str) -> float:
        """Returns for how many seconds the host is to be left alone; 0 if it may be asked."""
        with self._state(host) as state:
            left = state.quiet_until - time.time()
        return left if 0 < left <= QUIET_SECONDS else 0.0

    @contextmanager
    def _state(self, host: str) -> Iterator[_State]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"{self.folder} cannot be written ({error.strerror or error}); name another folder "
                "with HERBZOO_CACHE"
            ) from error
        path = self.folder / f"{quote(host, safe='')[:200]}.json"
        with FileLock(f"{path}.lock", is_singleton=False):
            before = _read(path)
            state = _State(before.next, before.misses, before.quiet_until)
            yield state
            if state != before:
                write_whole(path, json.dumps(vars(state)))


def _read(path: Path) -> _State:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return _State(float(found["next"]), int(found["misses"]), float(found["quiet_until"]))
    except (OSError, ValueError, KeyError, TypeError):  # not there yet, or damaged
        return _State()
