"""A client of the HTTP API."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.servers.asgi import Answer, Headers, send


@dataclass(frozen=True)
class Client:
    """Asks the server at an address. Paths are sent as they are."""

    url: str

    def get(self, path: str, headers: Headers = ()) -> Answer:
        """Ask for something."""
        return self.ask("GET", path, headers)

    def post(self, path: str, body: object = None, headers: Headers = ()) -> Answer:
        """Send a body as JSON; None: no body."""
        if body is None:
            return self.ask("POST", path, headers)
        return self.ask("POST", path, [("Content-Type", "application/json"), *headers], json.dumps(body))

    def ask(self, method: str, path: str, headers: Headers = (), body: str | None = None) -> Answer:
        """Send anything."""
        return send(f"{self.url}{path}", method, headers, body)
