"""A server of images on 127.0.0.1 that keeps what it is asked, and can be told to misbehave."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

HOST = "127.0.0.1"
ELSEWHERE = "localhost"
"""Another name of the same server, hence another host."""


@dataclass(frozen=True)
class Answer:
    """What a path answers; `cut` sends only so many bytes of what was promised."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    chunked: bool = False


@dataclass(frozen=True)
class Asked:
    """One request that came in."""

    path: str
    host: str
    agent: str
    at: float


class LoopbackImages:
    """Paths and their answers; of several, each request takes the next and the last one stays."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[Asked] = []
        self._answers: dict[str, list[Answer]] = {}
        self._lock = threading.Lock()

    def url(self, path: str, host: str = HOST) -> str:
        return f"http://{host}:{self.port}{path}"

    def put(self, path: str, *answers: Answer | bytes) -> str:
        """Sets what a path answers and returns its URL."""
        self._answers[path] = [a if isinstance(a, Answer) else Answer(a) for a in answers]
        return self.url(path)

    def put_json(self, path: str, document: Any) -> str:
        return self.put(path, json.dumps(document).encode())

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def take(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            waiting = self._answers.get(asked.path, [Answer(b"not here", 404)])
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]


def jpeg(size: tuple[int, int] = (40, 60), colour: str = "green") -> bytes:
    """Returns a picture of this width and height as a file."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


@contextmanager
def serving_images() -> Iterator[LoopbackImages]:
    """Serves until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            host = urlsplit(f"//{self.headers['Host']}").hostname or ""
            asked = Asked(self.path, host, self.headers.get("User-Agent", ""), time.time())
            answer = images.take(asked)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.chunked:
                self.send_header("Connection", "close")
                self.close_connection = True
            else:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body[: answer.cut])
            if answer.cut is not None:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    images = LoopbackImages(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield images
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
