"""The `quorate` command. Each subcommand loads what it needs when it is called: `--help` stays quick."""

import asyncio
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from quorate.app.output import fail
from quorate.base.errors import INVALID, QuorateError

DEFAULT_URL = "http://127.0.0.1:8080"
DATA = Path(os.environ.get("QUORATE_DATA") or "quorate-data")

app = typer.Typer(
    name="quorate",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A swarm that nobody in it has to trust: work comes back with a receipt that anyone can check offline.",
)
task_app = typer.Typer(no_args_is_help=True, help="One task.")
log_app = typer.Typer(no_args_is_help=True, help="The signed event log.")
receipt_app = typer.Typer(no_args_is_help=True, help="Receipts of completed tasks.")
grant_app = typer.Typer(no_args_is_help=True, help="Tokens for people and programs.")
app.add_typer(task_app, name="task")
app.add_typer(log_app, name="log")
app.add_typer(receipt_app, name="receipt")
app.add_typer(grant_app, name="grant")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Url = Annotated[str, typer.Option("--url", envvar="QUORATE_URL", help="The coordinator's address.")]
Token = Annotated[
    str, typer.Option("--token", envvar="QUORATE_TOKEN", help="A bearer token; default: admin.token of --data.")
]
Data = Annotated[Path, typer.Option("--data", envvar="QUORATE_DATA", help="The data directory.")]
Id = Annotated[str, typer.Argument(help="An id as the lists show it.")]
Limit = Annotated[int, typer.Option(help="At most so many.")]
LogLevel = Annotated[str, typer.Option(help="debug, info, warning or error.")]
LogForm = Annotated[str, typer.Option(help="console or json.")]


def _use(module: str) -> Any:
    return importlib.import_module(f"quorate.app.{module}")


def _run(as_json: bool, work: Callable[[], Any]) -> None:
    """Run a subcommand; an error is told with its code and what to do, and ends with status 1."""
    try:
        status = work()
    except QuorateError as error:
        status = fail(as_json, error)
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:  # the reader of our output went away
        sys.stderr.close()
        status = 0
    raise typer.Exit(status or 0)


def _ask(as_json: bool, url: str, token: str, data: Path, name: str, *arguments: Any) -> None:
    _run(as_json, lambda: asyncio.run(_use("ask").connected(url, token, data, name, as_json, *arguments)))


@app.command()
def up(
    data: Data = DATA,
    host: Annotated[
        str, typer.Option(envvar="QUORATE_HOST", help="The address to listen on; 0.0.0.0: every one.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="QUORATE_PORT", min=0, max=65535, help="0: any free one.")] = 8080,
    name: Annotated[str, typer.Option(help="What the dashboard calls this swarm.")] = "quorate",
    pack: Annotated[list[str] | None, typer.Option(help="A pack as module:function; may be repeated.")] = None,
    cors: Annotated[list[str] | None, typer.Option(help="An origin that browsers may call from.")] = None,
    rate: Annotated[
        int, typer.Option(min=1, help="Requests a second of one token; five times as many at once.")
    ] = 2_000,
    heartbeat_ms: Annotated[int, typer.Option(help="How often nodes say that they are there.")] = 1_000,
    lost_ms: Annotated[int, typer.Option(help="Silence after which a node is lost.")] = 2_500,
    log_level: LogLevel = "info",
    log_form: LogForm = "console",
    as_json: Json = False,
) -> None:
    """Start a coordinator: prints its address and the first admin token; SIGTERM drains and exits 0."""

    def work() -> None:
        module = _use("up")
        settings = module.UpSettings(
            data=data,
            host=host,
            port=port,
            name=name,
            packs=tuple(pack or ()),
            cors=tuple(cors or ()),
            rate=rate,
            heartbeat_ms=heartbeat_ms,
            lost_ms=lost_ms,
            log_level=log_level,
            log_form=log_form,
            announce="json" if as_json else "text",
        )
        _use("loops").run(module.serve(settings))

    _run(as_json, work)


@app.command()
def node(
    url: Annotated[str, typer.Argument(help="The coordinator's address.")],
    token: Annotated[
        str, typer.Option("--token", envvar="QUORATE_JOIN", help="A join token, for the first time.")
    ] = "",
    data: Annotated[Path, typer.Option(help="Where the node keeps its key.")] = Path("quorate-node"),
    name: Annotated[str, typer.Option(help="What others call this node; default: the host and a bit of its key.")] = "",
    slots: Annotated[int, typer.Option(help="Tasks at a time; 0: one a core.")] = 0,
    authority: Annotated[str, typer.Option(help="The coordinator's key, if you know it: pins it.")] = "",
    network: Annotated[bool, typer.Option(help="Let tasks that ask for it reach the network.")] = False,
    capability: Annotated[list[str] | None, typer.Option(help="A further capability to offer.")] = None,
    pack: Annotated[list[str] | None, typer.Option(help="A pack as module:function.")] = None,
    drill: Annotated[str, typer.Option(help="Misbehave on purpose: lie=333 or sleep=100 (per mille).")] = "",
    drain_ms: Annotated[int, typer.Option(help="On SIGTERM, how long what runs may take to finish.")] = 10_000,
    log_level: LogLevel = "info",
    log_form: LogForm = "console",
    as_json: Json = False,
) -> None:
    """Join a coordinator and run its tasks; SIGTERM finishes or hands back what runs."""

    def work() -> None:
        module = _use("node")
        options = module.NodeOptions(
            url=url,
            data=data,
            token=token,
            name=name,
            slots=slots,
            authority=authority,
            network=network,
            drill=drill,
            packs=tuple(pack or ()),
            capabilities=tuple(capability or ()),
            drain_ms=drain_ms,
            log_level=log_level,
            log_form=log_form,
            announce="json" if as_json else "text",
        )
        _use("loops").run(module.serve(options))

    _run(as_json, work)


@app.command()
def submit(
    file: Annotated[str, typer.Argument(help="A job in YAML or JSON; - reads standard input.")] = "",
    command: Annotated[str, typer.Option(help="A command for each file of --over; {} is the file.")] = "",
    over: Annotated[str, typer.Option(help="A glob of files, one task each.")] = "",
    replicas: Annotated[int, typer.Option(help="With --over: how many nodes run each task.")] = 1,
    quorum: Annotated[int, typer.Option(help="With --over: how many of them must agree.")] = 1,
    timeout_ms: Annotated[int, typer.Option(help="With --over: of one attempt.")] = 60_000,
    retries: Annotated[int, typer.Option(help="With --over: further attempts after a failure.")] = 2,
    wait: Annotated[bool, typer.Option(help="Wait until the job is over; exit 1 unless it completed.")] = False,
    isolation: Annotated[bool, typer.Option(help="Demand a sandbox.")] = True,
    url: Url = DEFAULT_URL,
    token: Token = "",
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Submit a job: tasks, deps, executor, replicas, quorum, timeout, retries."""
    fields = {
        "replicas": replicas,
        "quorum": quorum,
        "timeoutMs": timeout_ms,
        "retries": retries,
        "isolation": isolation,
    }
    _ask(as_json, url, token, data, "submit", file, command, over, fields, wait)


@app.command()
def status(url: Url = DEFAULT_URL, token: Token = "", data: Data = DATA, as_json: Json = False) -> None:
    """The swarm at a glance."""
    _ask(as_json, url, token, data, "status")


@app.command()
def watch(
    job: Annotated[str, typer.Argument(help="A job to watch until it is over; none: the swarm.")] = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Watch progress live."""
    _ask(as_json, url, token, data, "watch", job)


@app.command()
def tasks(
    state: Annotated[
        str, typer.Option(help="queued, assigned, executing, validating, completed, failed, cancelled.")
    ] = "",
    job: Annotated[str, typer.Option(help="Only tasks of this job.")] = "",
    assignee: Annotated[str, typer.Option(help="Only tasks of this agent.")] = "",
    q: Annotated[str, typer.Option("--q", help="Text in name, id or reason.")] = "",
    limit: Limit = 50,
    url: Url = DEFAULT_URL,
    token: Token = "",
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """List tasks, newest first."""
    _ask(as_json, url, token, data, "tasks", {"state": state, "job": job, "assignee": assignee, "q": q, "limit": limit})


@app.command()
def nodes(url: Url = DEFAULT_URL, token: Token = "", data: Data = DATA, as_json: Json = False) -> None:
    """List nodes: state, load, reputation."""
    _ask(as_json, url, token, data, "nodes")


@app.command()
def invite(
    label: Annotated[str, typer.Option(help="A remark that stays with the token.")] = "node",
    url: Url = DEFAULT_URL,
    token: Token = "",
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Make a token with which one node can join, once."""
    _ask(as_json, url, token, data, "invite", label)


@task_app.command("show")
def task_show(id: Id, url: Url = DEFAULT_URL, token: Token = "", data: Data = DATA, as_json: Json = False) -> None:
    """One task: attempts, who agreed, and why it ended as it did."""
    _ask(as_json, url, token, data, "task_show", id)


@app.command()
def cancel(id: Id, url: Url = DEFAULT_URL, token: Token = "", data: Data = DATA, as_json: Json = False) -> None:
    """Cancel a job or a task."""
    _ask(as_json, url, token, data, "cancel", id)


@app.command()
def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    since: Annotated[str, typer.Option(help="A cursor.")] = "",
    kind: Annotated[str, typer.Option(help="Only events of this kind.")] = "",
    limit: Limit = 50,
    url: Url = DEFAULT_URL,
    token: Token = "",
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Read the event log."""
    _ask(as_json, url, token, data, "events", follow, since, kind, limit)


@log_app.command("verify")
def log_verify(
    offline: Annotated[
        Path | None, typer.Option(help="A data directory to read instead of asking a coordinator.")
    ] = None,
    authority: Annotated[str, typer.Option(help="The key that must have signed it.")] = "",
    url: Url = DEFAULT_URL,
    token: Token = "",
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Check every event of the log: chains, signatures, tree. Names the first bad one."""
    _run(
        as_json,
        lambda: asyncio.run(_use("verify").verify_log(offline, authority, url, token, data, as_json)),
    )


@receipt_app.command("get")
def receipt_get(
    id: Id,
    out: Annotated[Path | None, typer.Option(help="Write it here; default: standard output.")] = None,
    url: Url = DEFAULT_URL,
    token: Token = "",
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Fetch the receipt of a completed task."""
    _ask(as_json, url, token, data, "receipt_get", id, out)


@receipt_app.command("verify")
def receipt_verify(
    file: Annotated[Path, typer.Argument(help="The receipt.")],
    authority: Annotated[str, typer.Option(help="The coordinator's key that you expect.")] = "",
    node: Annotated[
        list[str] | None, typer.Option(help="A node's key that you trust to sign; may be repeated.")
    ] = None,
    cosigners: Annotated[
        int, typer.Option(help="Cosignatures of the log's head to demand; -1: the task's quorum.")
    ] = -1,
    as_json: Json = False,
) -> None:
    """Check a receipt offline: who signed which output, that a quorum agreed, that the cosigned log holds it."""
    _run(as_json, lambda: _use("verify").verify_receipt_file(file, authority, tuple(node or ()), cosigners, as_json))


@grant_app.command("issue")
def grant_issue(
    role: Annotated[str, typer.Argument(help="admin, operator, user, observer, node_operator, reviewer or moderator.")],
    label: Annotated[str, typer.Argument(help="Who or what it is for.")],
    ttl_ms: Annotated[int, typer.Option(help="0: does not expire.")] = 0,
    url: Url = DEFAULT_URL,
    token: Token = "",
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Issue a token with a role; it is shown this once."""
    _ask(as_json, url, token, data, "grant_issue", role, label, ttl_ms)


@grant_app.command("list")
def grant_list(url: Url = DEFAULT_URL, token: Token = "", data: Data = DATA, as_json: Json = False) -> None:
    """List grants."""
    _ask(as_json, url, token, data, "grant_list")


@grant_app.command("revoke")
def grant_revoke(id: Id, url: Url = DEFAULT_URL, token: Token = "", data: Data = DATA, as_json: Json = False) -> None:
    """Revoke a grant."""
    _ask(as_json, url, token, data, "grant_revoke", id)


@app.command()
def sim(
    seeds: Annotated[str, typer.Option(help="One seed, or first:last.")] = "0:100",
    profile: Annotated[str, typer.Option(help="A kind of fault, or all.")] = "all",
    replay: Annotated[int, typer.Option(help="Replay this seed and print its trace.")] = -1,
    jobs: Annotated[int, typer.Option(help="Processes.")] = 1,
    as_json: Json = False,
) -> None:
    """Run the real drivers in a simulated world full of faults, from seeds."""

    def work() -> Any:
        first, _, last = seeds.partition(":")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise QuorateError(INVALID, f"--seeds {seeds!r}: give one number, or first:last")
        run = importlib.import_module("quorate.sim").main
        return run(seeds, profile, None if replay < 0 else replay, jobs, typer.echo)

    _run(as_json, work)


@app.command()
def demo(
    dir: Annotated[Path, typer.Option("--dir", help="The files to work on.")] = Path(),
    keep: Annotated[bool, typer.Option(help="Leave it running afterwards.")] = False,
    port: Annotated[int, typer.Option(help="Of the coordinator; 0: any free one.")] = 0,
    work_dir: Annotated[Path, typer.Option(help="Where the demo keeps its data.")] = Path("demo"),
    as_json: Json = False,
) -> None:
    """A swarm of five nodes, one a liar, one killed on the way, on real files; ends with a receipt."""
    _run(as_json, lambda: _use("demo").main(dir, keep, port, work_dir, as_json))


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="dispatch, api, footprint or all.")],
    quick: Annotated[bool, typer.Option(help="Fewer repetitions: a look, no figure.")] = False,
    out: Annotated[Path, typer.Option(help="Where results are written.")] = Path("benchmarks/results"),
    as_json: Json = False,
) -> None:
    """Measure, side by side with a peer, and write the result."""
    _run(as_json, lambda: _use("bench").main(name, quick, out, as_json))


@app.command()
def mcp(url: Url = DEFAULT_URL, token: Token = "", data: Data = DATA, as_json: Json = False) -> None:
    """Serve a coordinator's operations as MCP tools on standard input and output."""
    _run(as_json, lambda: _use("mcp").main(url, token, data))


@app.command()
def version(as_json: Json = False) -> None:
    """The version."""
    _run(as_json, lambda: _use("output").emit(as_json, {"version": importlib.import_module("quorate").__version__}))


def main() -> None:
    """Entry point of the `quorate` command."""
    app()
