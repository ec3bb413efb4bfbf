"""A small object server on loopback: range reads, refusals, and a list of what was asked of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


@dataclass
class Web:
    """What is served, and what was asked for."""

    files: dict[str, Path] = field(default_factory=dict)
    """Files by path, such as `/clip.mp4`."""
    refusals: dict[str, int] = field(default_factory=dict)
    """HTTP status by path, for paths that are refused."""
    content_type: str = "video/mp4"
    asked: list[str] = field(default_factory=list)
    """The paths asked for, in turn."""
    base: str = ""

    def address(self, path: str) -> str:
        """A signed address of `path`."""
        return f"{self.base}{path}?X-Amz-Credential=me&X-Amz-Signature=5ec3e7"


@contextmanager
def serve(web: Web) -> Iterator[Web]:
    """Serve `web` on a free port of loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            web.asked.append(path)
            if path not in web.files:
                self.send_error(web.refusals.get(path, 404))
                return
            content = web.files[path].read_bytes()
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            start = int(match[1]) if match else 0
            end = int(match[2]) + 1 if match and match[2] else len(content)
            self.send_response(206 if match else 200)
            self.send_header("Content-Type", web.content_type)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(end - start))
            if match:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
            self.end_headers()
            try:
                self.wfile.write(content[start:end])
            except (BrokenPipeError, ConnectionResetError):  # ffmpeg has seen enough and reads elsewhere
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # joined at the end, so that no socket outlives the block
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    web.base = f"http://127.0.0.1:{server.server_port}"
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
