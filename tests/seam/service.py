"""A small HTTP service on loopback: it answers at once, only after some tries, slowly, or never."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer


@dataclass
class Service:
    """What it was asked, and how it answers."""

    failures: int = 0
    """How many requests it refuses (503) before it answers."""
    asked: list[str] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    """A request for /silent waits for it without a word; one for /slow sends a byte now and the rest after it."""
    began: threading.Event = field(default_factory=threading.Event)
    """Set once somebody asks for /slow or /silent."""
    address: str = ""


@contextmanager
def running_service(failures: int = 0) -> Iterator[Service]:
    """Run it until the block ends."""
    service = Service(failures)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service.asked.append(self.path)
            if len(service.asked) <= service.failures:
                self.send_error(503)
            elif self.path.startswith("/silent"):
                service.began.set()
                service.go_on.wait(60)
            elif self.path.startswith("/slow"):
                self._answer(b"01", "application/octet-stream", pause=True)
            else:
                self._answer(b'{"headline": "Three words long"}', "application/json")

        def _answer(self, body: bytes, content_type: str, *, pause: bool = False) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:1])
            self.wfile.flush()
            if pause:
                service.began.set()
                service.go_on.wait(280)
            self.wfile.write(body[1:])

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
