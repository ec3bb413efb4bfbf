"""A target of alerts on loopback, as Apprise's `json://` addresses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class AlertTarget:
    """Where it is, what it got, and how it answers."""

    port: int
    status: int = 200
    got: list[dict[str, Any]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Its address, with secrets wherever an address may have some."""
        return f"json://bob:hunter2pass@127.0.0.1:{self.port}/hooks/tokenhunter3?+X-Api-Key=keyhunter4"

    @property
    def titles(self) -> list[str]:
        """The titles of what it took, the first one first."""
        return [each["title"] for each in self.got]

    @classmethod
    @contextmanager
    def serving(cls, port: int = 0) -> Iterator[AlertTarget]:
        """Serve until the block ends; then nobody listens there any more."""

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if target.status == 200:
                    target.got.append(content)
                self.send_response(target.status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
            target = cls(server.server_address[1])
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield target
            finally:
                server.shutdown()
                thread.join()
