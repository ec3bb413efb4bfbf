"""Tables of the fields of values, from their JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mediajobs_dagster.models import Value
from tools.reference.markdown import code, section, table
from tools.reference.source import first_paragraph

Schema = dict[str, Any]
Places = Mapping[str, str]
"""Values that are described on another page: name → address."""

_NAMES = {"integer": "whole number", "string": "text", "boolean": "true or false", "null": "null", "object": "object"}


def fields_of(*kinds: type[Value], elsewhere: Places | None = None) -> str:
    """A section for each of these values, and for every value in them that is not described elsewhere."""
    elsewhere = elsewhere or {}
    found: dict[str, Schema] = {}
    for kind in kinds:
        whole: Schema = kind.model_json_schema(by_alias=True, mode="serialization")
        for name, schema in ((kind.__name__, whole), *whole.get("$defs", {}).items()):
            found.setdefault(name, schema)
    shown = (name for name, schema in found.items() if "properties" in schema and name not in elsewhere)
    return "\n\n".join(_section(name, found, elsewhere) for name in shown)


def _section(name: str, found: Mapping[str, Schema], elsewhere: Places) -> str:
    schema = found[name]
    rows = ((code(field), _type(of, found, elsewhere), _said(of)) for field, of in schema["properties"].items())
    said = " ".join(schema.get("description", "").split("\n\n")[0].split())
    return section(name, said, table(("Field", "Type", "Meaning"), rows))


def _said(field: Schema) -> str:
    most = f" At most {field['maxItems']} entries." if "maxItems" in field and "prefixItems" not in field else ""
    return field.get("description", "") + most


def _type(schema: Schema, found: Mapping[str, Schema], elsewhere: Places) -> str:
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        if "properties" not in found[name]:
            return _type(found[name], found, elsewhere)
        return f"[{name}]({elsewhere.get(name, '')}#{name.lower()})"
    return " or ".join(_types(schema, found, elsewhere))


def _types(schema: Schema, found: Mapping[str, Schema], elsewhere: Places) -> Iterator[str]:
    if "anyOf" in schema:
        yield from (_type(each, found, elsewhere) for each in schema["anyOf"])
    elif "enum" in schema:
        yield from map(code, schema["enum"])
    elif "prefixItems" in schema:
        yield "list of " + ", ".join(_type(each, found, elsewhere) for each in schema["prefixItems"])
    elif schema.get("type") == "array":
        yield f"list of {_type(schema['items'], found, elsewhere)}"
    elif schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        yield f"object of {_type(schema['additionalProperties'], found, elsewhere)}"
    elif schema.get("format") in ("date-time", "date"):
        yield "time" if schema["format"] == "date-time" else "day"
    else:
        kind: str = schema.get("type", "any value")
        yield _NAMES.get(kind, kind)


def params_of(kind: type[Value]) -> str:
    """The parameters of a job type, in one table; a sentence where it has none."""
    whole: Schema = kind.model_json_schema(by_alias=True)
    properties: dict[str, Schema] = whole.get("properties", {})
    if not properties:
        return "It takes no parameters."
    defs: Mapping[str, Schema] = whole.get("$defs", {})
    rows = (
        (code(name), _type(of, defs, {}), code(_default(of["default"])) if "default" in of else "–", _said(of))
        for name, of in properties.items()
    )
    return f"{first_paragraph(kind)}\n\n" + table(("Parameter", "Type", "Default", "Meaning"), rows)


def _default(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
