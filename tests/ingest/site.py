"""A site on loopback that has videos, pages, streams and lists, and misbehaves as a test says."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.services.server import Exchange, Server, serving

HTML = {"Content-Type": "text/html; charset=utf-8"}
MP4 = {"Content-Type": "video/mp4"}
Behaviour = Callable[[Exchange], None]


@dataclass
class Site:
    """What it answers, by path."""

    server: Server
    paths: dict[str, Behaviour] = field(default_factory=dict[str, Behaviour])

    @property
    def url(self) -> str:
        """Its root, without a slash at the end."""
        return self.server.url

    def has(self, path: str, body: bytes, headers: Mapping[str, str] = MP4, status: int = 200) -> str:
        """Something whole at a path; returns its address."""
        return self.does(path, lambda exchange: exchange.answer(body, status, headers))

    def page(self, path: str, body: str) -> str:
        """A page at a path; returns its address."""
        return self.has(path, f"<!doctype html><html>{body}</html>".encode(), HTML)

    def does(self, path: str, behaviour: Behaviour) -> str:
        """Whatever a test wants at a path; returns its address."""
        self.paths[path] = behaviour
        return self.url + path

    def asked(self, path: str) -> list[Exchange]:
        """The requests for a path."""
        return [each for each in self.server.exchanges if each.target.partition("?")[0] == path]


@contextmanager
def running_site() -> Generator[Site]:
    """A site that has nothing yet."""
    paths: dict[str, Behaviour] = {}

    def behave(exchange: Exchange) -> None:
        found = paths.get(exchange.target.partition("?")[0])
        if found is None:
            exchange.answer(b"", 404)
        else:
            found(exchange)

    with serving(behave) as server:
        yield Site(server, paths)
