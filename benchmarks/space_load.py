"""Ten visitors of the demo at once, for a minute: errors, waiting times, memory.

    python benchmarks/space_load.py RUN PICTURES [--index INDEX] [--users 10] [--seconds 60]

Starts `herbzoo demo RUN` as a process of its own. Each visitor uploads a picture, waits for its
name (with an index also for its closest sheets, in turn), and asks again at once. One in twenty
hands over a text that is called a picture, which must be refused and harm nobody else.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np

STARTING = 180.0
"""Seconds that the demo may take until it listens."""
BROKEN_EVERY = 20


class Visits:
    """What the visitors met."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.errors: Counter[str] = Counter()
        self.refused = 0
        self._lock = threading.Lock()

    def took(self, what: str, seconds: float) -> None:
        """Notes how long an answer was waited for."""
        with self._lock:
            self.seconds.setdefault(what, []).append(seconds)

    def failed(self, why: str) -> None:
        """Notes an answer that should not have been."""
        with self._lock:
            self.errors[why] += 1

    def refuse(self) -> None:
        """Notes that what is no picture was refused."""
        with self._lock:
            self.refused += 1


def visit(address: str, pictures: list[Path], text: Path, ends: list[str], until: float,
          visits: Visits, number: int) -> None:  # fmt: skip
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    client = Client(address, verbose=False)
    turn = number
    while time.monotonic() < until:
        turn += 1
        broken = turn % BROKEN_EVERY == 0
        given = handle_file(text if broken else pictures[turn % len(pictures)])
        end = ends[turn % len(ends)]
        more = (0, "") if end == "/identify" else (7, "")
        start = time.monotonic()
        try:
            client.predict(given, *more, api_name=end)
            if broken:
                visits.failed("a text was taken for a picture")
        except AppError as error:
            if broken and "not an image" in str(error):
                visits.refuse()
            else:
                visits.failed(str(error))
        except Exception as error:  # whatever goes wrong is what is counted here
            visits.failed(f"{type(error).__name__}: {error}")
        visits.took(end, time.monotonic() - start)


def memory(process: subprocess.Popen[bytes], what: str) -> float:
    """Returns MiB of a process: `VmRSS` now, `VmHWM` at most."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    return float("nan")


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + STARTING
    while time.monotonic() < until:
        if process.poll() is not None:
            sys.exit("the demo ended before it listened")
        with socket.socket() as asking:
            asking.settimeout(1)
            if asking.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    sys.exit(f"the demo does not listen after {STARTING:.0f} s")


def free_port() -> int:
    with socket.socket() as asking:
        asking.bind(("127.0.0.1", 0))
        return int(asking.getsockname()[1])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("run")
    options.add_argument("pictures", type=Path, help="a folder with JPEGs at any depth")
    options.add_argument("--index", default="")
    options.add_argument("--users", type=int, default=10)
    options.add_argument("--seconds", type=float, default=60)
    given = options.parse_args()
    pictures = sorted(given.pictures.rglob("*.jpg"))[:: max(1, given.users)][:200]
    port = free_port()
    command = [sys.executable, "-m", "herbzoo", "demo", given.run, "--port", str(port)]
    command += ["--index", given.index] if given.index else []
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "notes.jpg"
        text.write_text("this is no picture")
        quiet = {**os.environ, "GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=quiet
        )
        try:
            wait_for(port, process)
            before = memory(process, "VmRSS")
            ends = ["/identify", "/neighbours"] if given.index else ["/identify"]
            visits = Visits()
            until = time.monotonic() + given.seconds
            users = [
                threading.Thread(
                    target=visit,
                    args=(f"http://127.0.0.1:{port}", pictures, text, ends, until, visits, n),
                )
                for n in range(given.users)
            ]
            for user in users:
                user.start()
            for user in users:
                user.join()
            after, most = memory(process, "VmRSS"), memory(process, "VmHWM")
            alive = process.poll() is None
        finally:
            process.terminate()
            process.wait(30)
    print(f"{given.users} visitors, {given.seconds:.0f} s, {os.cpu_count()} cores, {given.run}")
    for end, seconds in sorted(visits.seconds.items()):
        median, late = np.percentile(seconds, [50, 95])
        each = len(seconds) / given.seconds
        print(
            f"{end:12} {len(seconds):5} answers, {each:5.1f}/s, "
            f"p50 {median:.2f} s, p95 {late:.2f} s"
        )
    print(f"{visits.refused} texts refused in one line; errors: {dict(visits.errors) or 'none'}")
    print(f"memory {before:,.0f} MiB before, {after:,.0f} after, {most:,.0f} at most")
    sys.exit(bool(visits.errors) or not alive)


if __name__ == "__main__":
    main()
