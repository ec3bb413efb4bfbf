"""A language model on loopback that reads what it is asked, and answers as a good one would, unless told otherwise."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.services.server import Exchange, Server, serving

LINE = re.compile(r"^\[(\d+)\] (.*)$", re.MULTILINE)
GAP = "_____"


@dataclass
class Request:
    """What the model was asked."""

    document: dict[str, Any]
    number: int

    @property
    def instruction(self) -> str:
        """What is for the model."""
        return self.document["messages"][0]["content"]

    @property
    def matter(self) -> str:
        """What it works on."""
        return self.document["messages"][1]["content"]

    @property
    def form(self) -> str:
        """The name of the form in which it is to answer."""
        return self.document["response_format"]["json_schema"]["name"]

    @property
    def lines(self) -> list[tuple[int, str]]:
        """The numbered lines that it was shown."""
        return [(int(number), text) for number, text in LINE.findall(self.matter)]


def good_answer(request: Request) -> dict[str, Any]:
    """An answer that keeps to what the talk says."""
    lines = [(number, text) for number, text in request.lines if len(text.split()) > 7]
    some = lines[:: max(1, len(lines) // 8)][:8]
    if request.form == "Picked":
        return {"summary": some[0][1], "points": [number for number, _ in some]}
    if request.form == "Questions":
        return {"questions": [question(*line) for line in some]}
    return {
        "summary": f"{some[0][1]} {some[-1][1]}",
        "sections": [{"title": some[0][1].split()[0], "line": some[0][0]}],
        "points": [{"text": f"In short: {text}", "line": number, "formula": "", "code": ""} for number, text in some],
        "terms": [{"term": some[0][1].split()[-1].strip("."), "meaning": some[0][1], "line": some[0][0]}],
    }


def question(number: int, text: str) -> dict[str, Any]:
    """A cloze question about a line."""
    word = max(text.split(), key=len).strip(".,")
    prompt = text.replace(word, GAP, 1)
    return {"kind": "cloze", "prompt": prompt, "options": [], "answer": word, "explanation": text, "line": number}


def completion(content: Any, **message: Any) -> dict[str, Any]:
    """An answer of the service around what the model says."""
    said = content if isinstance(content, str) or content is None else json.dumps(content)
    reason = message.pop("finish_reason", "stop")
    return {
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": said, **message}, "finish_reason": reason}
        ],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100},
    }


Behaviour = Callable[[Request, Exchange], None]


def well(request: Request, exchange: Exchange) -> None:
    """Answer as a good model does."""
    exchange.answer(completion(good_answer(request)))


@dataclass
class Model:
    """A running model, and what it was asked."""

    server: Server
    requests: list[Request] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings under which guides are written by it."""
        return {"study_writer": "openai", "llm_url": f"{self.server.url}/v1", "llm_model": "test-model"}


@contextmanager
def running_model(behave: Behaviour = well) -> Generator[Model]:
    """A model that answers as `behave` says."""
    requests: list[Request] = []

    def answer(exchange: Exchange) -> None:
        request = Request(json.loads(exchange.body), exchange.number)
        requests.append(request)
        behave(request, exchange)

    with serving(answer) as server:
        yield Model(server, requests)
