"""Subcommands that ask a coordinator: each is one call of the client, and how its answer is printed."""

import asyncio
import glob
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml
from rich.console import Console
from rich.live import Live
from rich.table import Table

from quorate.app.output import emit
from quorate.base.errors import INVALID, NOT_FOUND, UNAUTHENTICATED, QuorateError, require
from quorate.base.limits import JOB_TASKS_MAX
from quorate.client import AsyncClient

UPLOADS_AT_ONCE = 16
WATCH_S = 0.5
RETRIES = 3  # someone waits at the terminal


def token_of(token: str, data: Path) -> str:
    """The token given, or the first admin token of a data directory of this machine."""
    if token:
        return token
    path = data / "admin.token"
    if not path.exists():
        hint = "Give --token, set QUORATE_TOKEN, or --data of a coordinator on this machine"
        raise QuorateError(UNAUTHENTICATED, "no token was given", hint)
    return f"admin-{path.read_bytes().hex()}"


async def connected(url: str, token: str, data: Path, name: str, as_json: bool, *arguments: Any) -> int:
    """Run one of the functions below with a client; the exit status."""
    async with AsyncClient(url, token_of(token, data), retries=RETRIES) as client:
        return int(await COMMANDS[name](client, as_json, *arguments) or 0)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows for people."""
    out = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        out.add_column(column, overflow="fold")
    for row in rows:
        out.add_row(*(str(cell) for cell in row))
    Console().print(out)


async def status(client: AsyncClient, as_json: bool) -> None:
    emit(as_json, await client.status())


async def nodes(client: AsyncClient, as_json: bool) -> None:
    page = await client.nodes()
    if as_json:
        return emit(True, page)
    rows = [
        (n.id[:12], n.name, n.state, f"{n.running}/{n.slots}", f"{n.reputation:.3f}", "/".join(map(str, n.evidence)))
        for n in page.items
    ]
    return table("Nodes", ("node", "name", "state", "load", "reputation", "agreed/differed/failed"), rows)


async def tasks(client: AsyncClient, as_json: bool, query: dict[str, Any]) -> None:
    page = await client.query_tasks(**query)
    if as_json:
        return emit(True, page)
    rows = [(t.id, t.name, t.state, t.executor or t.assignee, len(t.attempts), t.reason) for t in page.items]
    return table("Tasks", ("id", "name", "state", "by", "attempts", "reason"), rows)


async def task_show(client: AsyncClient, as_json: bool, id: str) -> None:
    task = await client.task(id)
    if as_json:
        return emit(True, task)
    shown = {k: v for k, v in msgspec.to_builtins(task).items() if k != "attempts" and v not in ("", [], {}, None)}
    emit(False, shown)
    rows = [(a.slot, a.epoch, a.node[:12], "running" if a.code is None else a.code, a.reason) for a in task.attempts]
    return table("Attempts", ("slot", "epoch", "node", "code", "reason"), rows)


async def cancel(client: AsyncClient, as_json: bool, id: str) -> None:
    try:
        emit(as_json, msgspec.to_builtins(await client.cancel_job(id)))
    except QuorateError as error:
        if error.code != NOT_FOUND:
            raise
        task = await client.cancel_task(id)
        emit(as_json, {"id": task.id, "state": task.state, "reason": task.reason})


async def invite(client: AsyncClient, as_json: bool, label: str) -> None:
    emit(as_json, {"token": await client.invite(label)})


async def grant_issue(client: AsyncClient, as_json: bool, role: str, label: str, ttl_ms: int) -> None:
    emit(as_json, await client.call("POST", "/grants", {"role": role, "label": label, "ttlMs": ttl_ms}))


async def grant_list(client: AsyncClient, as_json: bool) -> None:
    page = await client.call("GET", "/grants")
    if as_json:
        return emit(True, page)
    rows = [(g["id"][:16], g["role"], g["label"], "revoked" if g["revoked"] else "") for g in page["items"]]
    return table("Grants", ("id", "role", "label", ""), rows)


async def grant_revoke(client: AsyncClient, as_json: bool, id: str) -> None:
    emit(as_json, await client.call("DELETE", f"/grants/{id}"))


async def receipt_get(client: AsyncClient, as_json: bool, id: str, out: Path | None) -> None:
    receipt = await client.receipt(id)
    if out is None:
        sys.stdout.write(receipt.decode() + "\n")
    else:
        out.write_bytes(receipt)
        emit(as_json, {"written": str(out), "bytes": len(receipt)})


async def events(client: AsyncClient, as_json: bool, follow: bool, since: str, kind: str, limit: int) -> None:
    def show(event: Any) -> None:
        if as_json:
            sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
        else:
            sys.stdout.write(f"{event.position:>8}  {event.kind:<16} {event.subject[:16]:<16}  {_short(event.body)}\n")
        sys.stdout.flush()

    cursor = since
    if not follow or since:
        page = await client.events(since, kind=kind, limit=limit)
        for event in page.items:
            show(event)
        cursor = page.next or since
    if follow:
        async for event in client.stream(cursor, kind=kind):
            show(event)


def _short(body: Any) -> str:
    text = msgspec.json.encode(body).decode()
    return text if len(text) <= 100 else text[:97] + "..."


async def submit(
    client: AsyncClient, as_json: bool, file: str, command: str, over: str, fields: dict[str, Any], wait: bool
) -> int:
    """Submit, and wait if asked to; the exit status."""
    if command or over:
        require(command and over and not file, "give --command and --over together, and no file")
        name, given, defaults = command, await over_files(client, command, over), fields
    else:
        require(file, "give a job file, - for standard input, or --command with --over")
        name, given, defaults = read_job(file)
    submitted = await client.submit(name, given, defaults=defaults)
    if not wait:
        emit(as_json, submitted)
        return 0
    job = await client.wait(submitted.job_id)
    emit(as_json, job)
    return 0 if job.state == "completed" else 1


def read_job(file: str) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """A job file: name, tasks, defaults. Raises 1002 with what is wrong."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
        job = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise QuorateError(
            INVALID, f"cannot read {file}: {error}", "See docs/reference/jobs.md for the format"
        ) from None
    fits = (
        isinstance(job, dict) and isinstance(job.get("tasks"), list) and all(isinstance(t, dict) for t in job["tasks"])
    )
    require(fits, f"{file} is no job: it has no list `tasks`")
    unknown = sorted(set(job) - {"name", "tasks", "defaults"})
    require(not unknown, f"{file} has unknown keys {unknown}: a job has name, tasks, defaults")
    return str(job.get("name") or Path(file).stem), job["tasks"], job.get("defaults") or {}


async def over_files(client: AsyncClient, command: str, over: str) -> list[dict[str, Any]]:
    """One task a file: the file is uploaded once and lies at `in/<name>`, which `{}` stands for."""
    paths = sorted(path for path in glob.glob(over, recursive=True) if Path(path).is_file())  # noqa: PTH207
    require(paths, f"--over {over!r} matches no file", NOT_FOUND)
    require(len(paths) <= JOB_TASKS_MAX, f"{len(paths)} files, a job has at most {JOB_TASKS_MAX} tasks")
    gate = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def task(path: str) -> dict[str, Any]:
        async with gate:
            blob = await client.put_blob(await asyncio.to_thread(Path(path).read_bytes))
        name = Path(path).name
        line = command.replace("{}", f"'in/{name}'" if "'" not in name else f'"in/{name}"')
        return {"name": path, "command": line, "files": [{"name": name, "blob": blob}]}

    return list(await asyncio.gather(*(task(path) for path in paths)))


async def watch(client: AsyncClient, as_json: bool, job: str) -> int:
    """Watch a job to its end, or the swarm until interrupted."""
    if as_json:
        async for event in client.stream():
            sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
            sys.stdout.flush()
    with Live(console=Console(), refresh_per_second=4) as live:
        while True:
            status_now = await client.status()
            out = Table(box=None, show_header=False)
            if job:
                view = await client.job(job)
                done = view.completed + view.failed + view.cancelled
                out.add_row(f"{view.name}", f"{view.state}  {done}/{view.total}  failed {view.failed}")
                if view.state != "running":
                    live.update(out)
                    return 0 if view.state == "completed" else 1
            out.add_row("nodes", f"{status_now['nodes']['online']} of {status_now['nodes']['total']}")
            out.add_row("tasks", "  ".join(f"{k} {v}" for k, v in status_now["tasks"].items() if v))
            out.add_row("rate", f"{status_now['tasksPerSecond']}/s   p95 {status_now['p95Ms']} ms")
            live.update(out)
            await asyncio.sleep(WATCH_S)


COMMANDS: dict[str, Any] = {
    "status": status,
    "nodes": nodes,
    "tasks": tasks,
    "task_show": task_show,
    "cancel": cancel,
    "invite": invite,
    "grant_issue": grant_issue,
    "grant_list": grant_list,
    "grant_revoke": grant_revoke,
    "receipt_get": receipt_get,
    "events": events,
    "submit": submit,
    "watch": watch,
}
