"""A receiver of webhooks on loopback, which reckons the signature of each by itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.services.server import Exchange, Server, serving

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OLDER = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()

Answer = int | Callable[[Exchange], None]
"""A status, or a function that answers."""


@dataclass
class Got:
    """One webhook that came in."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        """Its `webhook-id`."""
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        """What it says."""
        return json.loads(self.body)

    @property
    def type(self) -> str:
        """What happened."""
        return self.json["type"]

    def is_signed_with(self, secret: str) -> bool:
        """Whether one of its signatures is of this secret, as the specification says it is made."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        content = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        return expected in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """Where it is, and what it got."""

    server: Server
    answers: list[Answer]
    got: list[Got] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its callback address."""
        return f"{self.server.url}/hooks"

    @property
    def types(self) -> list[str]:
        """What it was told, in that order, each try by itself."""
        return [each.type for each in self.got]


@contextmanager
def receiving(*answers: Answer) -> Generator[Receiver]:
    """A receiver that answers the first request with the first of `answers`, and so on; later ones with the last."""

    def behave(exchange: Exchange) -> None:
        headers = {name.lower(): value for name, value in exchange.headers.items()}
        receiver.got.append(Got(exchange.target, headers, exchange.body, time.monotonic()))
        answer = receiver.answers[min(exchange.number, len(receiver.answers) - 1)]
        if callable(answer):
            answer(exchange)
        else:
            exchange.answer(b"", answer)

    with serving(behave) as server:
        receiver = Receiver(server, list(answers or (204,)))
        yield receiver


def wait_until(is_so: Callable[[], bool], within_s: float = 30.0) -> None:
    """Wait for something that happens elsewhere."""
    give_up = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.01)
