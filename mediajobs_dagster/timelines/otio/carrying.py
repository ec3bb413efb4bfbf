"""What OpenTimelineIO cannot express is stored in the metadata of the object that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from mediajobs_dagster.models import Value

Made = TypeVar("Made", bound=Value)


def made(model: type[Made], carried: Mapping[str, Any], kept: tuple[str, ...], **fields: Any) -> Made:
    """A value made of `fields`, and of the `kept` fields (JSON names) that are in the metadata.

    Damaged metadata is ignored. Raises ValidationError when `fields` are not valid.
    """
    given = {name: carried[name] for name in kept if name in carried}
    try:
        return model.model_validate(given | fields)
    except ValidationError:
        return model.model_validate(fields)
