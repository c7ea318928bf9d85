"""Page ``/docs``: the OpenAPI description, which needs no network and runs no script."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
h2 { margin-top: 2em; border-top: 1px solid #ddd; padding-top: .6em; font-size: 1.05em }
code, pre { font: 13px/1.45 ui-monospace, monospace; background: #f5f5f5; border-radius: 4px; padding: .1em .3em }
pre { padding: .7em; overflow-x: auto; white-space: pre-wrap }
.method { color: #0a6; font-weight: 700; margin-right: .5em }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .25em .8em .25em 0 }
td:nth-child(2) { color: #666; max-width: 26em } summary { cursor: pointer }
"""


def api_page(schema: dict[str, Any]) -> str:
    """The page of an OpenAPI schema."""
    shapes = schema.get("components", {}).get("schemas", {})
    routes = [
        part
        for path, methods in schema["paths"].items()
        for method, route in methods.items()
        for part in _route(path, method.upper(), route, shapes)
    ]
    title = escape(schema["info"]["title"])
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    about = f"<p>{_prose(schema['info'].get('description', ''))}</p>"
    about += "<p>Everything below is also at <a href='openapi.json'>openapi.json</a>, for machines.</p>"
    records = ["<h2>Records</h2>", *(part for name in sorted(shapes) for part in _record(name, shapes[name]))]
    return "\n".join([head, f"<h1>{title}</h1>", about, *routes, *records, "</html>"])


def _route(path: str, method: str, route: dict[str, Any], shapes: dict[str, Any]) -> Iterator[str]:
    yield f'<h2><span class="method">{method}</span><code>{escape(path)}</code></h2>'
    if route.get("description"):
        yield f"<p>{_prose(route['description'])}</p>"
    parameters = [p for p in route.get("parameters", []) if p["in"] == "query"]
    if parameters:
        rows = ((p["name"], p["schema"], p.get("description", "")) for p in parameters)
        yield _table(rows)
    yield from _content("Body", route.get("requestBody", {}).get("content", {}), shapes)
    refusals = []
    for status, answer in sorted(route["responses"].items()):
        if status.startswith("2"):
            yield from _content(f"Answer {status}", answer.get("content", {}), shapes)
        else:
            refusals.append(f"{status} {answer['description']}")
    if refusals:
        yield f"<p>Refusals: {escape('; '.join(refusals))}</p>"


def _content(title: str, content: dict[str, Any], shapes: dict[str, Any]) -> Iterator[str]:
    """What a body or an answer holds: a record with examples, or files of some kinds."""
    schema = content.get("application/json", {}).get("schema", {})
    if schema:
        name = str(schema.get("items", schema).get("$ref", "")).rpartition("/")[2]
        yield f"<p>{title}: {_kind(schema)}</p>"
        for example in shapes.get(name, {}).get("examples", []):
            yield f"<pre>{escape(json.dumps([example] if 'items' in schema else example, ensure_ascii=False))}</pre>"
    elif content:
        yield f"<p>{title}: {escape(', '.join(content))}</p>"


def _record(name: str, shape: dict[str, Any]) -> Iterator[str]:
    yield f"<details id='{escape(name)}' open><summary><b>{escape(name)}</b></summary>"
    yield f"<p>{_prose(shape.get('description', ''))}</p>"
    yield _table((field, value, value.get("description", "")) for field, value in shape.get("properties", {}).items())
    yield "</details>"


def _prose(text: str) -> str:
    """A description; what stands in backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _table(rows: Iterator[tuple[str, dict[str, Any], str]]) -> str:
    lines = [
        f"<tr><td><code>{escape(name)}</code></td><td>{_kind(value)}</td><td>{_prose(text)}</td></tr>"
        for name, value, text in rows
    ]
    return f"<table>{''.join(lines)}</table>"


def _kind(value: dict[str, Any]) -> str:
    """A type in a few words, with its default and bounds."""
    if "$ref" in value:
        name = escape(value["$ref"].rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    choices = value.get("anyOf") or value.get("oneOf")
    if choices:
        words = " or ".join(_kind(choice) for choice in choices)
    elif "enum" in value:
        words = escape(" | ".join(map(str, value["enum"])))
    elif "const" in value:
        words = escape(json.dumps(value["const"]))
    elif value.get("type") == "array":
        words = "list of " + (_kind(value["items"]) if "items" in value else "numbers")
    elif "additionalProperties" in value and isinstance(value["additionalProperties"], dict):
        words = "by name: " + _kind(value["additionalProperties"])
    else:
        words = escape(str(value.get("type", "")))
    low, high = value.get("minimum"), value.get("maximum")
    if low is not None or high is not None:
        words += f" {'' if low is None else low}…{'' if high is None else high}"
    if "default" in value and value["default"] not in ({}, ""):
        words += f" = {escape(json.dumps(value['default']))}"
    return words
