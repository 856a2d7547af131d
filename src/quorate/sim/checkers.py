"""What must hold when a run is over, judged from outside: by acknowledgements, the disk's log, results and counters.

Each checker yields sentences, one for each violation. Chains, the log's tree and the agreement of results
are worked out here anew, by other code than the code under test. Only the re-fold runs that code: it must
come to what the live process came to.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from quorate.base.errors import InvariantBroken, QuorateError
from quorate.base.ids import hash_id
from quorate.base.limits import LINK_INBOX_MESSAGES
from quorate.model import Id, Noted, Result, TaskSettled, TaskState, WorkCreated
from quorate.security import head_holds, result_holds
from quorate.services.coordinator import SNAPSHOT_KEY, Machine
from quorate.sim.crypto import oracle_verify
from quorate.sim.executors import expected
from quorate.sim.ledger import Ledger, read_ledger
from quorate.sim.workload import QUORUM, Call
from quorate.sim.world import VALIDATORS, World, salt_key

TASKS_AT_REST = 16  # of a process that has nothing to do


def check(world: World) -> list[str]:
    """Every violation that a finished run shows."""
    ledger = read_ledger(world.coordinator.disk.tables.events)
    violations: list[str] = []
    for name, checker in CHECKERS.items():
        try:
            violations += [f"{name}: {what}" for what in checker(world, ledger)]
        except (QuorateError, InvariantBroken) as error:
            violations.append(f"{name}: what is there cannot even be judged: {error}")
    return violations


def log_is_sound(world: World, ledger: Ledger) -> Iterator[str]:
    """Chains, bodies, clocks and signatures hold; the disk's bytes add up to what it shows."""
    yield from ledger.faults
    disk = world.coordinator.disk
    if disk.replay() != disk.tables:
        yield "what the disk shows is not what its bytes add up to"


def nothing_acknowledged_is_lost(world: World, ledger: Ledger) -> Iterator[str]:
    """What a client was told, and what a follower was shown, is in the log where they were told it is."""
    for client in world.clients:
        yield from client.contradictions
        for call in client.calls:
            for receipt in call.receipts or ():
                at = receipt.position
                if not 0 < at <= len(ledger.ids) or ledger.ids[at - 1] != receipt.event:
                    yield f"{call.what} {call.idem}: the event acknowledged at position {at} is not there"
    yield from world.follower.gaps
    shown = world.follower.seen
    for position, (id, there) in enumerate(zip(shown, ledger.ids, strict=False), 1):
        if id != there:
            yield f"position {position} was shown, and is another event now"
    if len(shown) != len(ledger.ids):
        yield f"{len(shown)} events were shown, the log has {len(ledger.ids)}"


def nothing_is_doubled(world: World, ledger: Ledger) -> Iterator[str]:
    """One key, one effect: a job, note or work node once if acknowledged, at most once if not, never if refused."""
    written = Counter(job.name for job in ledger.submitted if job.first == 0)
    written.update(body.data.decode() for body in ledger.bodies if isinstance(body, Noted))
    written.update(body.title for body in ledger.bodies if isinstance(body, WorkCreated))
    for client in world.clients:
        for call in client.calls:
            if call.what == "cancel":
                continue
            name = _name_of(call)
            times = written[name]
            least, most = (1, 1) if call.receipts else (0, 0 if call.refused else 1)
            if not least <= times <= most:
                yield f"{call.what} {name!r} is in the log {times} times, it should be {least} to {most}"


def _name_of(call: Call) -> str:
    match call.what:
        case "job":
            return str(call.command.name)
        case "note":
            return str(call.command.body.data.decode())
        case "work":
            return str(call.command.wishes[0].args[1])
    return ""


def results_are_right(world: World, ledger: Ledger) -> Iterator[str]:
    """No task ends twice; what was accepted is what honest work gives, signed by a quorum of leaseholders."""
    specs = ledger.specs()
    outputs = {settled.task: settled.output for settled in ledger.settled if settled.state == TaskState.COMPLETED}
    inputs = {id: data for client in world.clients for call in client.calls for id, data in _inputs(call)}
    for task, times in Counter(settled.task for settled in ledger.settled).items():
        if times > 1:
            yield f"task {task.hex()} was settled {times} times"
    for settled in ledger.settled:
        spec = specs.get(settled.task)
        if spec is None:
            yield f"task {settled.task.hex()} was settled and never submitted"
        elif settled.state == TaskState.COMPLETED:
            deps = tuple(outputs.get(dep, b"") for dep in spec.deps)
            if settled.output != hash_id(expected(inputs[spec.input], deps)):
                yield f"task {settled.task.hex()} was settled with a wrong result"
            yield from _agreement(world, ledger, settled)
            if settled.output not in world.coordinator.disk.tables.keeps | world.coordinator.disk.blobs:
                yield f"task {settled.task.hex()}: its output is not there"


def _inputs(call: Call) -> tuple[tuple[Id, bytes], ...]:
    return tuple(call.command.inputs) if call.what == "job" else ()


def _agreement(world: World, ledger: Ledger, settled: TaskSettled) -> Iterator[str]:
    nodes = {result.node for result in settled.agreed}
    if len(nodes) < QUORUM or len(nodes) != len(settled.agreed):
        yield f"task {settled.task.hex()}: {len(nodes)} nodes made a quorum of {len(settled.agreed)} results"
    if any(result.code or result.output != settled.output for result in settled.agreed):
        yield f"task {settled.task.hex()}: the results that agreed do not"


def one_vote_a_node(world: World, ledger: Ledger) -> Iterator[str]:
    """Each result is signed, answers a lease that its node had, and is the only one of its slot and of its node."""
    realm = ledger.events[0].realm
    results = [(result.task, result) for result in ledger.answered]
    for settled in ledger.settled:
        results += [(settled.task, result) for result in (*settled.agreed, *settled.dissent)]
    by_lease: dict[tuple[bytes, int, int], Result] = {}
    for task, result in results:
        lease = ledger.leases.get((result.task, result.slot, result.epoch))
        if lease is None or lease.node != result.node or task != result.task:
            yield f"task {task.hex()}: a result counted of a node without its lease"
        if not result_holds(realm, result, oracle_verify):
            yield f"task {task.hex()}: a result counted without a signature that holds"
        if by_lease.setdefault((task, result.slot, result.epoch), result) != result:
            yield f"task {task.hex()}: two results counted of one lease"
    for settled in ledger.settled:
        counted = (*settled.agreed, *settled.dissent)
        for what, keys in (("slot", [r.slot for r in counted]), ("node", [r.node for r in counted])):
            if len(set(keys)) != len(keys):
                yield f"task {settled.task.hex()}: two results counted of one {what}"


def every_job_ends(world: World, ledger: Ledger) -> Iterator[str]:
    """Once faults stop: every call is answered, every task done, unless it or what it needs was cancelled."""
    for client in world.clients:
        yield from (f"never answered: {call}" for call in client.unfinished())
    states = {settled.task: settled.state for settled in ledger.settled}
    for job in ledger.submitted:
        for cancelled in ledger.cancelled:
            if cancelled.job == job.job:
                for spec in job.tasks:
                    if cancelled.task in (b"", spec.id):
                        states.setdefault(spec.id, TaskState.CANCELLED)
    for task, spec in ledger.specs().items():
        state = states.get(task)
        if state is None:
            yield f"task {task.hex()} never ended"
        elif state == TaskState.FAILED and all(states.get(dep) == TaskState.COMPLETED for dep in spec.deps):
            reason = next(settled.reason for settled in ledger.settled if settled.task == task)
            yield f"task {task.hex()} failed, though most nodes are honest: {reason}"


def heads_are_one_log(world: World, ledger: Ledger) -> Iterator[str]:
    """Every head that a node cosigned is signed, and is the root of this very log at its size."""
    authority = world.coordinator.signer.public
    roots = ledger.roots()
    for node, head in world.heads:
        if not head_holds(head, authority, oracle_verify):
            yield f"{node} took a head that the authority did not sign"
        for one in head.heads:
            if one.size >= len(roots) or roots[one.size] != one.root:
                yield f"{node} cosigned a head of {one.size} events that is not of this log"
    if not world.heads:
        yield "no node ever saw a head"


def read_model_is_the_fold(world: World, ledger: Ledger) -> Iterator[str]:
    """Rows and state equal a fold of the log from its first event; the last snapshot equals it too."""
    host = world.coordinator
    machine = Machine(world.settings, host.signer, oracle_verify, salt_key(host.signer), VALIDATORS, ())
    for position, sealed in enumerate(host.disk.tables.events, 1):
        machine.realm.replay(position, sealed)
    _, projects = machine.realm.close()
    rows: dict[str, dict[bytes, object]] = {}
    for project in projects:
        if project.row is not None:
            rows.setdefault(project.table, {})[project.key] = project.row
        else:
            rows.get(project.table, {}).pop(project.key, None)
    for table in sorted(host.disk.tables.rows.keys() | rows.keys()):
        there = host.disk.tables.rows.get(table, {})
        folded = rows.get(table, {})
        if table != "idem":
            for key in sorted(there.keys() | folded.keys()):
                if there.get(key) != folded.get(key):
                    yield f"row {table} {key.hex()}: {there.get(key)} is not the fold {folded.get(key)}"
    snapshot = host.disk.tables.saves.get(SNAPSHOT_KEY, b"")
    if snapshot != machine.realm.snapshot():
        yield "the snapshot of the process that stopped is not the fold of the log"
    again = Machine(world.settings, host.signer, oracle_verify, salt_key(host.signer), VALIDATORS, ())
    again.realm.restore(snapshot)
    if again.realm.snapshot() != snapshot:
        yield "a snapshot, restored, gives another snapshot"


def memory_is_bounded(world: World, ledger: Ledger) -> Iterator[str]:
    """Queues kept their limits, and what has nothing to do holds nothing."""
    for host in world.hosts.values():
        if host.wire is not None and host.wire.inbox_peak > LINK_INBOX_MESSAGES + 2:
            yield f"{host.name}: {host.wire.inbox_peak} messages waited"
    yield from world.leftovers
    for name, tasks in world.tasks_at_rest.items():
        if tasks > TASKS_AT_REST:
            yield f"{name}: {tasks} tasks though there is nothing to do"


def nothing_surprises(world: World, ledger: Ledger) -> Iterator[str]:
    """No process ended by itself, no invariant broke, no error went unseen."""
    yield from world.deaths
    yield from world.loop.errors
    yield from (f"an invariant broke: {error!r}" for error in world.reloads if isinstance(error, InvariantBroken))
    if len(world.reloads) > world.coordinator.disk.injected.get("fsync_fail", 0):
        yield f"the coordinator reloaded without need: {world.reloads}"
    yield from (f"failed in the background: {what}" for what in world.failures)


Checker = Callable[[World, Ledger], Iterator[str]]
CHECKERS: dict[str, Checker] = {
    checker.__name__: checker
    for checker in (
        log_is_sound,
        nothing_acknowledged_is_lost,
        nothing_is_doubled,
        results_are_right,
        one_vote_a_node,
        every_job_ends,
        heads_are_one_log,
        read_model_is_the_fold,
        memory_is_bounded,
        nothing_surprises,
    )
}
