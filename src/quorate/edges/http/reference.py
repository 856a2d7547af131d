"""The API's reference page at /docs: plain HTML made from the OpenAPI, no script and nothing from elsewhere."""

from html import escape
from typing import Any

from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

STYLE = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:62rem;margin:2rem auto;padding:0 1rem}
code,pre{font-family:ui-monospace,monospace;font-size:.875rem}h2{margin-top:2.5rem;text-transform:capitalize}
details{border:1px solid color-mix(in srgb,currentColor 20%,transparent);border-radius:.5rem;margin:.5rem 0;
padding:.5rem .75rem}summary{cursor:pointer}b{display:inline-block;min-width:4.5rem}
td,th{text-align:left;padding:.1rem 1rem .1rem 0;vertical-align:top}pre{overflow:auto}
"""


class ReferencePage(OpenAPIRenderPlugin):
    """Renders the OpenAPI as a page."""

    def __init__(self) -> None:
        super().__init__(path="/", media_type="text/html")  # type: ignore[arg-type]

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page."""
        sections: dict[str, list[str]] = {}
        for path, methods in sorted(openapi_schema.get("paths", {}).items()):
            for method, described in methods.items():
                tag = (described.get("tags") or ["other"])[0]
                sections.setdefault(tag, []).append(_operation(method, path, described))
        title = escape(f"{openapi_schema['info']['title']} {openapi_schema['info']['version']}")
        body = "".join(f"<h2>{escape(tag)}</h2>{''.join(found)}" for tag, found in sorted(sections.items()))
        head = (
            "<!doctype html><html lang=en><meta charset=utf-8>"
            f"<meta name=viewport content='width=device-width'><title>{title}</title>"
        )
        intro = (
            "<p>Machine-readable: <a href='/docs/openapi.json'>openapi.json</a>. "
            "Send <code>Authorization: Bearer …</code>.</p>"
        )
        return f"{head}<style>{STYLE}</style><h1>{title}</h1>{intro}{body}".encode()


def _operation(method: str, path: str, described: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code><td>{escape(p['in'])}<td>{escape(_type(p.get('schema', {})))}"
        for p in described.get("parameters", [])
    )
    bodies = described.get("requestBody", {}).get("content", {})
    body = "".join(
        f"<p>Body: <code>{escape(_type(content.get('schema', {})))}</code></p>" for content in bodies.values()
    )
    words = escape(described.get("summary", ""))
    summary = f"<summary><b>{method.upper()}</b><code>{escape(path)}</code> {words}</summary>"
    table = f"<table>{rows}</table>" if rows else ""
    return f"<details>{summary}<p>{escape(described.get('description', ''))}</p>{table}{body}</details>"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    choices = schema.get("oneOf") or schema.get("anyOf")
    if choices:
        return " or ".join(_type(choice) for choice in choices)
    return str(schema.get("type", "any"))
