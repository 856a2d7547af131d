"""The API's reference page at /docs: plain HTML made from the OpenAPI, no script and nothing from elsewhere."""

import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape
from typing import Any

from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

STYLE = """
:root{color-scheme:light dark;--line:light-dark(#dfe4e9,#263040);--soft:light-dark(#4b5666,#a4b0bf);
--main:light-dark(#1f4fc4,#8fb0ff);--good:light-dark(#0a6b50,#5fcfa6);--wrong:light-dark(#b3311a,#ff9478);
font:14px/1.5 "Segoe UI",-apple-system,Inter,Ubuntu,"Liberation Sans",system-ui,sans-serif;
background:light-dark(#f3f5f7,#0d1117);color:light-dark(#141b26,#e8edf3);scroll-padding-top:1rem}
body{max-width:64rem;margin:0 auto;padding:1.5rem 1rem 4rem}a{color:var(--main)}h1{font-size:1.75rem;margin:0}
h2{font-size:1.25rem;margin:2.5rem 0 .75rem;text-transform:capitalize}
h3{font-size:.86rem;margin:1rem 0 .25rem;color:var(--soft)}
code{font:.93rem/1.4 ui-monospace,Menlo,Consolas,"Liberation Mono",monospace;overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1rem;margin-top:1rem;text-transform:capitalize}
details{background:light-dark(#fff,#141a22);border:1px solid var(--line);border-radius:10px;margin:.5rem 0}
summary{cursor:pointer;padding:.625rem .875rem;display:flex;flex-wrap:wrap;gap:.125rem .75rem;
align-items:baseline;list-style:none}
summary::-webkit-details-marker{display:none}
summary:focus-visible,a:focus-visible{outline:2px solid var(--main);outline-offset:2px}
summary b{font-size:.82rem;min-width:4rem;color:var(--main)}summary span{color:var(--soft)}
[data-method=post] b,[data-method=put] b{color:var(--good)}[data-method=delete] b{color:var(--wrong)}
details>div{border-top:1px solid var(--line);padding:.25rem .875rem .875rem}p{margin:.5rem 0}
table{border-collapse:collapse;width:100%}
td{padding:.25rem 1rem .25rem 0;vertical-align:top;border-top:1px solid var(--line)}
td:first-child{width:14rem}tr:first-child td{border-top:0}td:last-child{color:var(--soft)}
@media(max-width:40rem){td:first-child{width:auto}td:last-child{overflow-wrap:anywhere}}
"""
_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; img-src 'self'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
HEAD = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>"
    f'<meta http-equiv=Content-Security-Policy content="{POLICY}"><link rel=icon href=/assets/icon.svg>'
)
INTRO = (
    "<p>Every operation of this coordinator, as it is checked. Machine-readable:"
    " <a href='/docs/openapi.json'>openapi.json</a>. The dashboard is <a href='/'>here</a>.</p>"
    "<p>Send <code>Authorization: Bearer TOKEN</code>; a write that carries"
    " <code>Idempotency-Key</code> is carried out once, however often it is sent. An error has a <code>code</code>,"
    " a <code>message</code> and <code>whatToDo</code>.</p>"
)
Described = dict[str, Any]


class ReferencePage(OpenAPIRenderPlugin):
    """Renders the OpenAPI as a page."""

    def __init__(self) -> None:
        super().__init__(path="/", media_type="text/html")  # type: ignore[arg-type]

    def render(self, request: Request[Any, Any, Any], openapi_schema: Described) -> bytes:
        """The page."""
        schemas = openapi_schema.get("components", {}).get("schemas", {})
        sections: dict[str, list[str]] = {}
        for path, methods in sorted(openapi_schema.get("paths", {}).items()):
            for method, described in methods.items():
                tag = (described.get("tags") or ["other"])[0]
                sections.setdefault(tag, []).append(_operation(method, path, described, schemas))
        title = escape(f"{openapi_schema['info']['title']} {openapi_schema['info']['version']}")
        names = sorted(sections)
        links = "".join(f"<a href='#{escape(tag)}'>{escape(tag)}</a>" for tag in names)
        body = "".join(f"<h2 id='{escape(tag)}'>{escape(tag)}</h2>{''.join(sections[tag])}" for tag in names)
        page = f"{HEAD}<title>{title}</title><style>{STYLE}</style><h1>{title}</h1>{INTRO}<nav>{links}</nav>{body}"
        return page.encode()


def _operation(method: str, path: str, described: Described, schemas: Described) -> str:
    given = [
        (p["name"], p.get("schema", {}), bool(p.get("required")))
        for p in described.get("parameters", [])
        if p["in"] in ("path", "query")
    ]
    parts = [f"<p>{_marked(described.get('description', ''))}</p>", _table("Parameters", given)]
    contents = [("Body", content) for content in described.get("requestBody", {}).get("content", {}).values()]
    for status, answer in sorted(described.get("responses", {}).items()):
        if status.startswith("2"):
            contents += [(f"Answer, {status}", content) for content in answer.get("content", {}).values()]
    parts += [_fields(title, content.get("schema", {}), schemas) for title, content in contents]
    summary = f"<b>{method.upper()}</b><code>{escape(path)}</code><span>{escape(described.get('summary', ''))}</span>"
    return f"<details data-method={method}><summary>{summary}</summary><div>{''.join(parts)}</div></details>"


def _fields(title: str, schema: Described, schemas: Described) -> str:
    """The fields of a struct; of anything else its type."""
    name = _type(schema)
    struct = schemas.get(name, {})
    properties = struct.get("properties")
    if not properties:
        return f"<h3>{escape(title)}</h3><p><code>{escape(name)}</code></p>"
    needed = struct.get("required", ())
    rows = [(field, described, field in needed) for field, described in properties.items()]
    return _table(f"{title}: {name}", rows)


def _table(title: str, rows: Iterable[tuple[str, Described, bool]]) -> str:
    lines = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{escape(_type(schema))}<td>{_default(schema, needed)}"
        for name, schema, needed in rows
    )
    return f"<h3>{escape(title)}</h3><table>{lines}</table>" if lines else ""


def _default(schema: Described, needed: bool) -> str:
    if needed:
        return "required"
    default = schema.get("default")
    return "" if default in (None, "", [], {}) else f"<code>{escape(str(default))}</code>"


def _marked(text: str) -> str:
    """Text in which `this` is code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _type(schema: Described) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    choices = schema.get("oneOf") or schema.get("anyOf")
    if choices:
        return " or ".join(_type(choice) for choice in choices)
    kind = schema.get("type", "any")
    if kind == "array" and "items" in schema:
        return f"list of {_type(schema['items'])}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
