"""How much a client may send before the body of its request: the parser itself takes a head without end."""

from __future__ import annotations

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST = 64 * 1024
"""Of request line and headers together, bytes."""


class BoundedHead(HttpToolsProtocol):
    """uvicorn's connection by HTTP, which ends a connection whose head is larger with 400."""

    _head: int | None = None
    """Bytes of the head so far; None: no head is under way."""

    @override
    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None and not self.transport.is_closing():
            self._head += len(data)
            if self._head > LARGEST:
                self.send_400_response(f"The head of the request has more than {LARGEST:,} bytes.\n")
