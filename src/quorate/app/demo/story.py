"""The demo's story: five nodes, one lies, one is killed and comes back; nothing is lost, nothing wrong is accepted.

It trusts nobody either: it computes every expected result itself and compares, and has fresh processes
verify the receipt (without the coordinator) and the log.
"""

import asyncio
import shutil
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

from msgspec import Struct

from quorate.app.demo.analyse import analyse
from quorate.app.demo.processes import Process, run
from quorate.app.demo.reduce import reduce
from quorate.app.demo.screen import Screen
from quorate.app.output import emit
from quorate.base.errors import CONFLICT, NOT_FOUND, UNSUPPORTED, QuorateError, require
from quorate.client import AsyncClient, Submitted
from quorate.model.views import JobView, TaskView

NODES = 5
LIAR, VICTIM = 3, 2
LIE_PER_MILLE = 333
SLOTS = 2
REPLICAS, QUORUM = 3, 2
FILES_WANTED, FILES_MAX = 200, 240
FILE_MAX_BYTES = 256 * 1024
SKIPPED = {"node_modules", "__pycache__", "build", "dist", "demo"}
KILL_AT, BACK_AFTER_S = 0.35, 4.0
LOOK_S = 0.25
MARK = ".quorate-demo"


class Outcome(Struct, rename="camel"):
    """What the demo found; `ok` decides the exit status."""

    ok: bool
    files: int
    tasks: int
    completed: int
    wrong_accepted: int
    wrong_caught: int
    liar_reputation: float
    honest_reputation: float
    leases_lost: int
    reassigned: int
    p50_ms: float | None
    p95_ms: float | None
    events: int
    missing: int
    seconds: float
    receipt: str
    receipt_verified: bool
    log_verified: bool


def main(folder: Path, keep: bool, port: int, work: Path, as_json: bool) -> int:
    """Run it; exit status 0 only if everything held."""
    return asyncio.run(_main(folder, keep, port, work, as_json))


async def _main(folder: Path, keep: bool, port: int, work: Path, as_json: bool) -> int:
    chosen = choose(folder)
    prepare(work)
    swarm = Swarm(work, port)
    try:
        await swarm.start()
        print(f"dashboard  {swarm.url}/#token={swarm.token}", flush=True)
        print(f"files      {len(chosen)} under {folder}", flush=True)
        outcome = await tell(swarm, chosen, work)
        if as_json:
            emit(True, outcome)
        if keep:
            print(f"\nleft running: {swarm.url}/#token={swarm.token}\nend it with Ctrl-C", flush=True)
            await asyncio.Event().wait()
        return 0 if outcome.ok else 1
    finally:
        await swarm.end()


def choose(folder: Path) -> dict[str, bytes]:
    """What the files to work on hold at this moment, by the name of their task."""
    require(folder.is_dir(), f"{folder} is no directory", NOT_FOUND)
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") or part in SKIPPED for part in relative.parts)
        if not hidden and path.is_file() and 0 < path.stat().st_size <= FILE_MAX_BYTES:
            found[str(relative)] = path.read_bytes()
        if len(found) == FILES_MAX:
            break
    require(found, f"{folder} has no file of at most {FILE_MAX_BYTES} bytes", NOT_FOUND)
    if len(found) < FILES_WANTED:
        print(f"note: {folder} has only {len(found)} files; {FILES_WANTED} make a better show", flush=True)
    return found


def prepare(work: Path) -> None:
    """An empty working directory; one that is not a demo's is left alone."""
    if work.exists():
        mine = (work / MARK).exists()
        hint = "Name another with --work-dir, or remove it"
        if not mine and any(work.iterdir()):
            raise QuorateError(CONFLICT, f"{work} is there and no demo made it", hint)
        shutil.rmtree(work)
    work.mkdir(parents=True)
    (work / MARK).touch()


class Swarm:
    """A coordinator and five nodes, as processes."""

    def __init__(self, work: Path, port: int) -> None:
        self._work = work
        data = str(work / "coordinator")
        up = ["up", "--json", "--data", data, "--port", str(port), "--name", "demo", "--log-level", "warning"]
        self.coordinator = Process("coordinator", up, work / "coordinator.log")
        self.nodes: list[Process] = []
        self.url = self.token = ""

    async def start(self) -> None:
        said = await self.coordinator.start()
        self.url, self.token = said["url"], said["token"]
        async with self.client() as client:
            for number in range(1, NODES + 1):
                self.nodes.append(self._node(number, await client.invite(f"node-{number}")))
            await asyncio.gather(*(node.start() for node in self.nodes))
            while (await client.status())["nodes"]["online"] < NODES:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)

    def client(self) -> AsyncClient:
        return AsyncClient(self.url, self.token)

    def _node(self, number: int, token: str) -> Process:
        name = f"node-{number}"
        arguments = ["node", self.url, "--json", "--token", token, "--data", str(self._work / name), "--name", name]
        arguments += ["--slots", str(SLOTS), "--log-level", "warning"]
        if number == LIAR:
            arguments += ["--drill", f"lie={LIE_PER_MILLE}"]
        return Process(name, arguments, self._work / f"{name}.log")

    async def end(self) -> None:
        await asyncio.gather(*(node.end() for node in self.nodes))
        await self.coordinator.end()


async def tell(swarm: Swarm, chosen: dict[str, bytes], work: Path) -> Outcome:
    """Submit, disturb, wait, check."""
    began = time.monotonic()
    async with swarm.client() as client:
        submitted = await submit(client, chosen)
        liar = swarm.nodes[LIAR - 1].said["node"]
        with Screen(submitted.total) as screen:
            disturbing = asyncio.create_task(disturb(swarm, client, submitted, screen))
            job = await client.job(submitted.job_id)
            while job.state == "running":
                job = await client.job(submitted.job_id)
                screen.show(job, (await client.nodes()).items, await client.status(), liar)
                await asyncio.sleep(LOOK_S)
            await disturbing
        seconds = time.monotonic() - began
        outcome = await check(client, chosen, submitted, job, liar, work)
        outcome.seconds = round(seconds, 1)
        outcome.receipt_verified = await told("receipt", "verify", outcome.receipt)
        outcome.log_verified = await told("log", "verify", "--url", swarm.url, "--token", swarm.token)
        outcome.ok = (
            outcome.ok
            and outcome.receipt_verified
            and outcome.log_verified
            and not outcome.missing + outcome.wrong_accepted
        )
        screen.end(rows_of(outcome))
        return outcome


async def submit(client: AsyncClient, chosen: dict[str, bytes]) -> Submitted:
    """One task a file, and one that depends on them all."""
    scripts = {name: (files("quorate.app.demo") / name).read_text() for name in ("analyse.py", "reduce.py")}
    analyse_id = await client.put_blob(scripts["analyse.py"].encode())
    tasks: list[dict[str, Any]] = []
    for name, data in chosen.items():
        blob = await client.put_blob(data)
        inside = "file.py" if name.endswith(".py") else "file"
        program = {"name": "analyse.py", "blob": analyse_id}
        tasks.append(
            {
                "name": name,
                "command": ["python3", "in/analyse.py", f"in/{inside}"],
                "files": [program, {"name": inside, "blob": blob}],
            }
        )
    program = {"name": "reduce.py", "text": scripts["reduce.py"]}
    deps = list(chosen)
    tasks.append({"name": "reduce", "command": ["python3", "in/reduce.py"], "files": [program], "deps": deps})
    isolation = await isolated(client)
    defaults = {"replicas": REPLICAS, "quorum": QUORUM, "timeoutMs": 20_000, "isolation": isolation}
    return await client.submit("demo", tasks, defaults=defaults)


async def isolated(client: AsyncClient) -> bool:
    """Can every node confine what it runs? Where none can, the demo says so and goes on without."""
    offered = [node.capabilities for node in (await client.nodes()).items]
    if all("isolation" in capabilities for capabilities in offered):
        return True
    hint = "Install bubblewrap (Debian package bubblewrap), or run the demo as an ordinary user"
    if not all("executor:command" in capabilities for capabilities in offered):
        raise QuorateError(UNSUPPORTED, "the nodes cannot run commands here", hint)
    print("note: no bubblewrap here, so commands run WITHOUT a sandbox (limits only)", flush=True)
    return False


async def disturb(swarm: Swarm, client: AsyncClient, submitted: Submitted, screen: Screen) -> None:
    """Kill a node in the middle; some seconds later it comes back."""
    victim = swarm.nodes[VICTIM - 1]
    while True:
        job = await client.job(submitted.job_id)
        if job.completed >= KILL_AT * job.total or job.state != "running":
            break
        await asyncio.sleep(LOOK_S)
    await victim.kill()
    screen.note(f"{victim.name} was killed with -9 after {job.completed} tasks")
    await asyncio.sleep(BACK_AFTER_S)
    await victim.start()
    screen.note(f"{victim.name} is back")


async def check(
    client: AsyncClient, chosen: dict[str, bytes], submitted: Submitted, job: JobView, liar: str, work: Path
) -> Outcome:
    """Compare every accepted result with what it should be; fetch the receipt."""
    expected = {name: analyse(data, name.endswith(".py")) for name, data in chosen.items()}
    expected["reduce"] = reduce(expected[name] for name in chosen)
    wrong = 0
    gate = asyncio.Semaphore(16)

    async def differs(name: str, id: str) -> bool:
        async with gate:
            task: TaskView = await client.task(id)
            return task.state == "completed" and await client.blob(task.output) != expected[name]

    wrong = sum(await asyncio.gather(*(differs(name, id) for name, id in submitted.tasks.items())))
    receipt = work / "receipt.json"
    if job.state == "completed":
        receipt.write_bytes(await client.receipt(submitted.tasks["reduce"]))
    status, nodes = await client.status(), (await client.nodes()).items
    honest = [node.reputation for node in nodes if node.id != liar]
    events = await client.events(f"{status['realm']}.{submitted.position - 1}", limit=1)
    missing = 0 if events.items and events.items[0].subject == submitted.job_id else 1
    return Outcome(
        ok=job.state == "completed",
        files=len(chosen),
        tasks=job.total,
        completed=job.completed,
        wrong_accepted=wrong,
        wrong_caught=status["rejected"],
        liar_reputation=next(round(node.reputation, 3) for node in nodes if node.id == liar),
        honest_reputation=round(min(honest), 3),
        leases_lost=await leases_lost(client, status["realm"]),
        reassigned=status["reassigned"],
        p50_ms=status["p50Ms"],
        p95_ms=status["p95Ms"],
        events=status["position"],
        missing=missing,
        seconds=0.0,
        receipt=str(receipt),
        receipt_verified=False,
        log_verified=False,
    )


async def leases_lost(client: AsyncClient, realm: str) -> int:
    """How many leases the killed node took with it, as the log has it."""
    lost, cursor = 0, f"{realm}.0"
    while (page := await client.events(cursor, limit=500)).items:
        cursor = page.next or cursor
        lost += sum(len(event.body["ended"]) for event in page.items if event.kind == "lease.ended")
    return lost


async def told(*arguments: str) -> bool:
    """Run a verification in a fresh process and show what it says."""
    code, output = await run(*arguments)
    print(f"$ quorate {' '.join(a if not a.startswith('admin-') else '…' for a in arguments)}\n{output}", flush=True)
    return code == 0


def rows_of(outcome: Outcome) -> list[tuple[str, str]]:
    """The last table."""
    return [
        ("tasks done", f"{outcome.completed} of {outcome.tasks}"),
        ("wrong results caught", str(outcome.wrong_caught)),
        ("wrong results accepted", str(outcome.wrong_accepted)),
        ("the liar's reputation", f"{outcome.liar_reputation} (lowest honest: {outcome.honest_reputation})"),
        (
            "reassigned after the kill",
            f"{outcome.reassigned} of {outcome.leases_lost} leases lost; the rest had a quorum",
        ),
        ("latency p50 / p95", f"{outcome.p50_ms} / {outcome.p95_ms} ms"),
        ("events in the log", f"{outcome.events}, acknowledged and missing: {outcome.missing}"),
        ("time", f"{outcome.seconds} s"),
        ("receipt", f"{outcome.receipt}: {'verified' if outcome.receipt_verified else 'NOT VERIFIED'}"),
        ("log", "verified" if outcome.log_verified else "NOT VERIFIED"),
    ]
