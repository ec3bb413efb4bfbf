"""What OpenTimelineIO has no word for travels in the metadata of what it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from mediajobs_dagster.models import Value

Made = TypeVar("Made", bound=Value)


def made(model: type[Made], carried: Mapping[str, Any], kept: tuple[str, ...], **fields: Any) -> Made:
    """A value of `fields`, with those of the `kept` fields (by their JSON names) that the metadata carried.

    What was damaged on its way is as if it had not been there. Raises ValidationError when `fields` make no value.
    """
    given = {name: carried[name] for name in kept if name in carried}
    try:
        return model.model_validate(given | fields)
    except ValidationError:
        return model.model_validate(fields)
