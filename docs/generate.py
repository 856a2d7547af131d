"""Writes the pages of docs/reference/ that follow from the code. `--check` only says which are out of date.

A page is a function that returns Markdown, listed in `PAGES`. A page holds nothing that the code does
not say: to change it, change the code and run `make docs`.
"""

import ast
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from quorate.base import limits
from quorate.base.errors import FAULTS
from quorate.model import KINDS, MessageType

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
        + "# Events\n\nThe kinds that Quorate itself owns; a pack adds its own. One room folds a kind. What only the\n"
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


PAGES: dict[str, Callable[[], str]] = {
    "errors.md": errors,
    "events.md": events,
    "limits.md": bounds,
    "messages.md": messages,
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
