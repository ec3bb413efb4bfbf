"""A language model behind any service that answers as OpenAI's `POST /chat/completions` does.

Ollama, vLLM, llama.cpp and most hosted models do. The answer is asked for as JSON of a schema (`response_format`), and
what comes is checked here all the same: not every service keeps to the schema.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from typing_extensions import override

from mediajobs_dagster.errors import (
    JobSettingsError,
    ModelAnswerError,
    ModelCutOffError,
    ModelRefusedError,
    ServiceError,
    ServiceKeyError,
)
from mediajobs_dagster.models import JsonObject, ServiceCall
from mediajobs_dagster.services.base import ServiceContext
from mediajobs_dagster.services.http import HttpClient
from mediajobs_dagster.storage.redaction import redact

SERVICE, CHAT = "language_model", "chat"
_MOST_BYTES = 4 << 20
_LONGEST_WAIT_S = 30.0
_BUSY = (429, 503)
"""Statuses by which a service says that it has not done the work, so that nothing was paid for."""
_SHOWN = 200

Shape = TypeVar("Shape", bound=BaseModel)


@dataclass(frozen=True)
class Usage:
    """What answers took."""

    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens)

    @property
    def tokens(self) -> int:
        """Those of questions and answers together."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True)
class Told:
    """An answer, and what it took."""

    answer: JsonObject
    usage: Usage


class LanguageModel(HttpClient):
    """Asks a language model that operators have set (MEDIAJOBS_LLM_URL); its address may be a private one."""

    def __init__(self, context: ServiceContext) -> None:
        self._record = context.record
        self._latest = threading.local()
        super().__init__(replace(context, record=self._keep))

    @property
    @override
    def silence_s(self) -> float:
        """An answer that is not streamed comes after a long silence."""
        return self._context.settings.llm_timeout_s

    def ask(self, instruction: str, matter: str, shape: type[Shape]) -> Told:
        """An answer in the form of `shape`; `instruction` is for the model, `matter` is what it works on.

        Waits and asks again where the service says that it is busy, for as long as it says. Raises JobSettingsError,
        ModelAnswerError for an answer of another form, ModelCutOffError, ModelRefusedError, and what `request` raises.
        """
        settings = self._context.settings
        if not (settings.llm_url and settings.llm_model):
            raise JobSettingsError("Set MEDIAJOBS_LLM_URL and MEDIAJOBS_LLM_MODEL: the language model to ask.")
        asked: JsonObject = {
            "model": settings.llm_model,
            "messages": [{"role": "system", "content": instruction}, {"role": "user", "content": matter}],
            settings.llm_tokens_field: settings.llm_answer_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": shape.__name__, "strict": True, "schema": strict_schema(shape)},
            },
        }
        tries = 0
        while True:
            tries += 1
            try:
                return self._asked(asked, shape)
            except ServiceError as error:
                wait_s = error.retry_after_s if error.retry_after_s is not None else 2.0**tries
                is_busy = error.http_status in _BUSY and tries < settings.service_tries
                if not is_busy or wait_s > min(_LONGEST_WAIT_S, self._context.deadline.left_s):
                    raise
                self._pause(wait_s)

    def _pause(self, seconds: float) -> None:
        woken = threading.Event()
        with self._context.cancellation.waking(woken.set):
            woken.wait(seconds)
        self._context.cancellation.check()

    # --- one call ----------------------------------------------------------------------------------------------------

    def _keep(self, call: ServiceCall) -> None:
        self._latest.call = call  # recorded once it is known what it took

    def _asked(self, asked: JsonObject, shape: type[Shape]) -> Told:
        settings = self._context.settings
        key = settings.llm_api_key.get_secret_value() if settings.llm_api_key else None
        usage, status = Usage(), None
        try:
            answer = self.request(
                *("POST", f"{settings.llm_url.rstrip('/')}/chat/completions"),
                service=SERVICE,
                op=CHAT,
                headers={"Authorization": f"Bearer {key}"} if key else {},
                json=asked,
                max_bytes=_MOST_BYTES,
                timeout_s=settings.llm_timeout_s,
                trusted=True,
            )
            document = answer.json()
            usage = _usage_of(document)
            return Told(_answer_of(document, shape, answer.what), usage)
        except ServiceError as error:
            explained = _explained(error, key)
            status = explained.code
            raise explained from None
        finally:
            self._settle(usage, status)

    def _settle(self, usage: Usage, status: str | None) -> None:
        call: ServiceCall = self._latest.call
        changes = {"units": float(usage.tokens), **({"status": status} if status else {})}
        self._record(call.model_copy(update=changes))


def strict_schema(shape: type[BaseModel]) -> JsonObject:
    """The JSON Schema of a shape as OpenAI's strict mode takes it: every field required, no others, few keywords."""
    return cast("JsonObject", _strict(shape.model_json_schema(by_alias=True)))


_NOT_IN_STRICT_MODE = frozenset({"default", "title", "maxLength", "minLength", "minimum", "maximum", "maxItems"})


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(each) for each in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    schema = cast("dict[str, Any]", node)
    if isinstance(properties := schema.get("properties"), dict):
        fields = {name: _strict(each) for name, each in cast("dict[str, Any]", properties).items()}
        rest = {name: each for name, each in schema.items() if name not in (*_NOT_IN_STRICT_MODE, "properties")}
        return {
            **{name: _strict(each) for name, each in rest.items()},
            "properties": fields,
            "required": list(fields),
            "additionalProperties": False,
        }
    return {name: _strict(each) for name, each in schema.items() if name not in _NOT_IN_STRICT_MODE}


def _usage_of(document: Any) -> Usage:
    usage = _at(document, "usage")
    counts = (_at(usage, name) for name in ("prompt_tokens", "completion_tokens"))
    known = (each if isinstance(each, int) and not isinstance(each, bool) and each > 0 else 0 for each in counts)
    return Usage(*known)


def _answer_of(document: Any, shape: type[Shape], what: str) -> JsonObject:
    choices = _at(document, "choices")
    choice = cast("list[Any]", choices)[0] if isinstance(choices, list) and choices else None
    content, refusal = _at(choice, "message", "content"), _at(choice, "message", "refusal")
    reason = _at(choice, "finish_reason")
    if (isinstance(refusal, str) and refusal) or reason == "content_filter":
        said = f": {_shown(refusal)}" if isinstance(refusal, str) and refusal else "."
        raise ModelRefusedError(f"The language model does not write about this talk{said}")
    if reason == "length":
        raise ModelCutOffError(
            "The answer of the language model was cut off at its limit. Raise MEDIAJOBS_LLM_ANSWER_TOKENS, or lower "
            "MEDIAJOBS_LLM_CONTEXT_TOKENS, so that it is asked about less at once."
        )
    if not isinstance(content, str) or not content.strip():
        raise ModelAnswerError(f"{what} was answered without any text.")
    return _checked(content, shape, what)


def _checked(content: str, shape: type[Shape], what: str) -> JsonObject:
    try:
        # Some put it between fences, or begin with a sentence, whatever they are asked for.
        found, _ = json.JSONDecoder().raw_decode(content, max(0, content.find("{")))
        return shape.model_validate(found).model_dump(mode="json")
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        reason = f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {fault['msg']}"
    except (ValueError, RecursionError) as error:
        reason = str(error)
    raise ModelAnswerError(
        f"{what} was not answered in the form that was asked for: {reason}. It began: {_shown(content)!a}"
    )


def _explained(error: ServiceError, key: str | None) -> ServiceError:
    message = redact(error.message, [key] if key else [])
    if error.http_status in (401, 403):
        told = f"{message} The language model does not accept MEDIAJOBS_LLM_API_KEY. Correct it."
        return ServiceKeyError(told, http_status=error.http_status)
    return error if message == error.message else error.with_message(message)


def _shown(text: str) -> str:
    return " ".join(redact(text).split())[:_SHOWN]


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None
    return value
