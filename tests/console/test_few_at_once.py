"""How many requests are answered at once."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive, Scope, Send

from mediajobs_dagster.console.few_at_once import FewAtOnce


async def _receive() -> Message:
    return {"type": "http.request"}


async def _send(_message: Message) -> None:
    """Nobody listens."""


def test_further_requests_wait_until_an_answer_begins() -> None:
    """A stream that goes on, what is sent with a request, and a storage that is slow hold up nobody."""
    begun: list[str] = []
    may_answer, may_end = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        begun.append(scope["path"])
        await may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await may_end.wait()

    async def ask() -> None:
        few = FewAtOnce(app, slow=("/content",), most=2)
        asked = [("GET", "/1"), ("GET", "/2"), ("GET", "/3"), ("POST", "/4"), ("GET", "/uploads/5/content")]
        scopes = [{"type": "http", "method": method, "path": path} for method, path in asked]
        tasks = [asyncio.create_task(few(scope, _receive, _send)) for scope in scopes]
        while len(begun) < 4:
            await asyncio.sleep(0)
        assert begun == ["/1", "/2", "/4", "/uploads/5/content"]
        may_answer.set()
        while len(begun) < 5:
            await asyncio.sleep(0)
        may_end.set()
        await asyncio.gather(*tasks)

    asyncio.run(ask())
    assert begun[-1] == "/3"


def test_a_request_that_fails_makes_room() -> None:
    """However it ends."""

    async def app(*_: object) -> None:
        raise ValueError

    async def ask() -> list[BaseException | None]:
        few = FewAtOnce(app, slow=(), most=1)
        scope = {"type": "http", "method": "GET", "path": "/"}
        return await asyncio.gather(*(few(scope, _receive, _send) for _ in range(3)), return_exceptions=True)

    assert [type(each) for each in asyncio.run(ask())] == 3 * [ValueError]
