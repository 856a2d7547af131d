"""Writes the pages of docs/reference/ that follow from the code. `--check` only says which are out of date.

A page is a function that returns Markdown, listed in `PAGES`. A page holds nothing that the code does
not say: to change it, change the code and run `make docs`.
"""

import ast
import inspect
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import typer

from quorate.base import limits
from quorate.base.errors import FAULTS
from quorate.model import KINDS, MessageType
from quorate.security import ROLES
from quorate.services.coordinator import OPERATIONS, Observer
from quorate.services.coordinator.operations.jobs import FileIn, JobIn, TaskIn

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by `make docs` from {source}. Change the code, not this page. -->\n\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def errors() -> str:
    """The error table."""
    rows = [(f.code, f"`{f.name}`", f.http, f.description, f.recovery) for f in FAULTS.values()]
    return (
        NOTE.format(source="src/quorate/base/errors.py")
        + "# Errors\n\nEvery error carries one of these codes, in HTTP bodies, between processes and in the log.\n"
        "1000s are a request's fault, 2000s the store's, 3000s a connection's, 4000s a job's.\n\n"
        + table(("code", "name", "HTTP", "what happened", "what to do"), rows)
    )


def bounds() -> str:
    """Every limit with the remark beside it, in the sections of the file."""
    path = Path(limits.__file__)
    text = path.read_text()
    remarks = dict(enumerate(text.splitlines(), start=1))
    parts = [
        NOTE.format(source="src/quorate/base/limits.py"),
        "# Limits\n\nEverything that can grow has a bound. Beyond it, the answer is an error with a code.\n",
    ]
    rows: list[tuple[str, str, str]] = []
    for node in ast.parse(text).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        name = node.targets[0].id
        title = remarks[node.lineno - 1].removeprefix("# -- ")
        if title != remarks[node.lineno - 1]:
            parts += [table(("limit", "value", ""), rows)] if rows else []
            parts.append(f"\n## {title[0].upper()}{title[1:]}\n\n")
            rows = []
        if not name.startswith("_") and len(parts) > 2:
            _, _, remark = remarks[node.end_lineno or node.lineno].partition("# ")
            rows.append((f"`{name}`", f"{getattr(limits, name):,}", remark))
    return "".join([*parts, table(("limit", "value", ""), rows)])


def events() -> str:
    """Every kind of event: its body, who owns it, who may write it."""
    rows = []
    for kind, (body, owner, authority_only) in KINDS.items():
        fields = ", ".join(f"`{name}`" for name in body.__struct_fields__)
        rows.append((f"`{kind}`", owner, "the authority" if authority_only else "whoever has a grant for it", fields))
    return (
        NOTE.format(source="src/quorate/model/bodies.py")
        + "# Events\n\nThe kinds that Quorate itself owns; a pack adds its own. One room folds a kind. "
        "What only the\n"
        "authority writes is ordered; the rest converges, and may be written offline and merged later.\n\n"
        + table(("kind", "room", "written by", "body, in order"), rows)
    )


def messages() -> str:
    """Message types of the header."""
    rows = [(int(number), f"`{number.name}`") for number in MessageType]
    return (
        NOTE.format(source="src/quorate/model/envelope.py")
        + "# Messages\n\nThe numbers of the header's `msg_type`. 1-15 are open-swarm's; those from 32 belong to the\n"
        "link between a coordinator and its nodes; those from 64 never leave a process.\n\n"
        + table(("type", "name"), rows)
    )


def commands() -> str:
    """Every subcommand with its arguments and options."""
    parts = [
        NOTE.format(source="src/quorate/app/cli.py"),
        "# The command\n\n`quorate --install-completion` sets completion up (bash, zsh, fish, "
        "PowerShell). `--json` prints one\n"
        "JSON value a line. An error goes to standard error with its [code](errors.md) and what to do, "
        "and ends with status 1.\n",
    ]
    for name, command in _walk(_command(), "quorate"):
        usage = " ".join([name, *(_argument(p) for p in command.params if not p.opts[0].startswith("-"))])
        rows = [
            (", ".join(f"`{opt}`" for opt in (*p.opts, *p.secondary_opts)), _default(p), p.help or "")
            for p in command.params
            if p.name != "help"
        ]
        parts.append(f"\n## {name}\n\n{_one_line(command.help)}\n\n```\n{usage} [options]\n```\n\n")
        parts.append(table(("argument or option", "default", ""), rows) if rows else "It has no options.\n")
    return "".join(parts)


def _command() -> Any:
    for name in [name for name in os.environ if name.startswith("QUORATE_")]:
        del os.environ[name]  # or the page would hold this machine's settings
    from quorate.app.cli import app

    return typer.main.get_command(app)


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", {})
    if not children:
        yield name, command
    for word, child in children.items():
        yield from _walk(child, f"{name} {word}")


def _argument(parameter: Any) -> str:
    word = parameter.name.upper()
    return word if parameter.required else f"[{word}]"


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    return f"`{value}`" if value not in (None, "", (), []) and value is not False else ""


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def settings() -> str:
    """What `quorate up` and `quorate node` can be told, and from where."""
    tree = dict(_walk(_command(), "quorate"))
    parts = [
        NOTE.format(source="src/quorate/app/cli.py"),
        "# Settings\n\nThere is no settings file: an option, or an environment variable where one is "
        "named. The option wins.\n"
        "What cannot be set is a [limit](limits.md).\n",
    ]
    for name, title in (("quorate up", "A coordinator"), ("quorate node", "A node"), ("quorate status", "A question")):
        rows = [
            (f"`{p.opts[0]}`", f"`{p.envvar}`" if p.envvar else "", _default(p), p.help or "")
            for p in tree[name].params
            if p.name not in ("help", "as_json")
        ]
        remark = "\nThe same for every subcommand that asks a coordinator.\n" if name == "quorate status" else ""
        head = ("option", "environment", "default", "")
        parts.append(f"\n## {title}: `{name}`\n{remark}\n{table(head, rows)}")
    return "".join(parts)


def operations() -> str:
    """Every operation: its route, its aliases, its right."""
    rows = []
    for operation in sorted(OPERATIONS, key=lambda one: one.name):
        routes = [operation.rest, *operation.aliases] if operation.rest else []
        shown = "<br>".join(f"`{method} {_route(path)}`" for method, path in routes)
        mcp = ", ".join(f"`{name}`" for name in operation.mcp)
        rows.append((f"`{operation.name}`", shown, f"`{operation.right}`", mcp, operation.summary))
    return (
        NOTE.format(source="src/quorate/services/coordinator/operations")
        + "# REST and MCP\n\nEvery operation is declared once; its routes, its MCP tool and its page at "
        "`/docs` follow. A request\n"
        "carries `Authorization: Bearer TOKEN`; a write that carries `Idempotency-Key` is carried out "
        "once. Bodies are JSON\n"
        "in camelCase (`Accept: application/msgpack` for msgpack); errors are as in "
        "[errors](errors.md). Fields and types: a\n"
        "coordinator's own `/docs` and `/docs/openapi.json`.\n\n"
        + table(("operation", "routes", "right", "MCP tool", ""), rows)
        + "\nBeside them: `GET /health`, `/ready`, `/metrics` (no token), `GET /api/v1/events/stream` "
        "(server-sent events, resumed by\n"
        '`Last-Event-ID`), `/ws` (a WebSocket: send `{"type": "subscribe", "token": …}`), `/link` (nodes), `/mcp` (MCP '
        "over streamable HTTP).\n"
    )


def _route(path: str) -> str:
    return path if path.startswith("/api/") else f"/api/v1{path}"


def roles() -> str:
    """Operation by role: who may call what."""
    names = [name for name in ROLES if name not in ("node", "join")]
    rows = [
        (
            f"`{operation.name}`",
            f"`{operation.right}`",
            *("yes" if operation.right == "public" or operation.right in ROLES[name] else "" for name in names),
        )
        for operation in sorted(OPERATIONS, key=lambda one: one.name)
    ]
    return (
        NOTE.format(source="src/quorate/security/roles.py")
        + "# Roles\n\nA token has one role, a role is a set of rights, an operation needs one right. "
        "Without a token only what is\n"
        "`public` answers. Two roles are of machines and call no operation of this table: `join`, the "
        "token with which one\n"
        "node may register once, and `node`, the key that did.\n\n" + table(("operation", "right", *names), rows)
    )


def jobs() -> str:
    """The job format, from the structs that check it."""
    source = "src/quorate/services/coordinator/operations/jobs.py"
    parts = [
        NOTE.format(source=source),
        "# The job format\n\nYAML or JSON, for `quorate submit`, `POST /api/v1/jobs` and "
        "`Client.submit`. Keys are camelCase; one\n"
        "that is not named here is refused. Bounds are in [limits](limits.md).\n",
    ]
    for kind, title in ((JobIn, "A job"), (TaskIn, "A task"), (FileIn, "A file")):
        remarks = _remarks(kind)
        rows = [
            (f"`{field.encode_name}`", f"`{_type(field.type)}`", _given(field), remarks.get(field.name, ""))
            for field in msgspec.structs.fields(kind)
        ]
        parts.append(f"\n## {title}\n\n{inspect.getdoc(kind)}\n\n{table(('key', 'type', 'default', ''), rows)}")
    return "".join(parts)


def _remarks(kind: type) -> dict[str, str]:
    """The remark beside each field of a struct."""
    lines = textwrap.dedent(inspect.getsource(kind)).splitlines()
    pairs = (line.partition("  # ") for line in lines)
    return {code.strip().partition(":")[0]: remark for code, _, remark in pairs if remark}


def _type(kind: Any) -> str:
    return (
        (getattr(kind, "__name__", "") if isinstance(kind, type) and not getattr(kind, "__args__", ()) else str(kind))
        .replace("typing.", "")
        .replace("quorate.services.coordinator.operations.jobs.", "")
    )


def _given(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    return f"`{field.default}`" if field.default not in (msgspec.NODEFAULT, None, "") else ""


def metrics() -> str:
    """Every metric of a coordinator."""
    registry = Observer(lambda: 0, lambda *_, **__: None).registry
    found = sorted(registry.collect(), key=lambda one: one.name)
    labels = {
        name: collector._labelnames for collector, names in registry._collector_to_names.items() for name in names
    }
    rows = [
        (
            f"`{one.name}{'_total' if one.type == 'counter' else ''}`",
            one.type,
            ", ".join(f"`{label}`" for label in labels.get(one.name, ())),
            one.documentation,
        )
        for one in found
    ]
    return (
        NOTE.format(source="src/quorate/services/coordinator/observer.py")
        + "# Metrics\n\n`GET /metrics`, in Prometheus' text format, without a token. A histogram has "
        "`_bucket`, `_sum` and `_count`.\n\n" + table(("metric", "type", "labels", ""), rows)
    )


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": commands,
    "errors.md": errors,
    "events.md": events,
    "jobs.md": jobs,
    "limits.md": bounds,
    "messages.md": messages,
    "metrics.md": metrics,
    "rest.md": operations,
    "roles.md": roles,
    "settings.md": settings,
}


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or name those that differ. The exit code is 1 if any did under `--check`."""
    stale = []
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page()
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text)
    if stale:
        sys.stdout.write(f"{'out of date' if '--check' in arguments else 'written'}: {', '.join(stale)}\n")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
