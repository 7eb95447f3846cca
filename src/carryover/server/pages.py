"""The documentation page: one small HTML page that loads nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from typing import Any

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{overflow:auto;padding:.5rem;background:#8881}"
    "summary{cursor:pointer;padding:.2rem 0}b{display:inline-block;min-width:4.5em}"
)
# It runs nothing, loads nothing, and stands in nobody's frame; the one style is its own.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def page(document: dict[str, Any]) -> str:
    """All routes with their parameters, and all schemas, folded."""
    routes = "".join(
        _route(method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    schemas = "".join(
        f'<details id="{escape(name)}"><summary>{escape(name)}</summary><pre>{escape(json.dumps(schema, indent=1))}'
        "</pre></details>"
        for name, schema in document["components"]["schemas"].items()
    )
    title = escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title} {escape(document['info']['version'])}</h1>"
        f'<p>{escape(document["info"]["description"])} The same as data: <a href="/openapi.json">openapi.json</a>.</p>'
        f"<h2>Routes</h2>{routes}<h2>Schemas</h2>{schemas}</html>"
    )


def _route(method: str, path: str, operation: dict[str, Any]) -> str:
    details = {key: operation[key] for key in ("parameters", "requestBody", "responses") if key in operation}
    return (
        f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code> "
        f"{escape(operation.get('description', ''))}</summary>"
        f"<pre>{escape(json.dumps(details, indent=1))}</pre></details>"
    )
