"""A coordinator, its nodes and its clients on a virtual machine room, run by a plan.

Builds the real drivers on virtual ports, kills and restarts them on the same disks, carries the plan's
actions out, waits for the end, and keeps what the checkers need. Knows nothing of what is right.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from quorate.base.codec import unpack
from quorate.base.dice import Dice
from quorate.base.errors import DATABASE, QuorateError
from quorate.base.ids import hash_id
from quorate.base.limits import MS_NS
from quorate.model import Principal, Result, SignedHead, TaskSpec
from quorate.model.link import Answer
from quorate.services.coordinator import Coordinator, CoordinatorSettings, IssueGrant, Observer
from quorate.services.node import WITNESS_KEY, Node, NodeSettings, Witnessed
from quorate.sim.crypto import OracleSigner, oracle_verify
from quorate.sim.disk import SimBlobs, SimDisk, SimStore
from quorate.sim.executors import EXECUTOR, LIARS, Conduct, VirtualExecutor
from quorate.sim.faults import COORDINATOR, Action, Plan
from quorate.sim.follower import Follower
from quorate.sim.loop import EPOCH_NS, VirtualLoop
from quorate.sim.network import SimNetwork, SimWire
from quorate.sim.process import SimClock, SimEntropy, SimProcess
from quorate.sim.trace import Trace
from quorate.sim.workload import Client, Unanswered

ADMIN_TOKEN = "simulated admin"  # noqa: S105
CALL_TIMEOUT_S = 3.0
END_WITHIN_S = 240.0  # every job ends so long after the last fault
POLL_S = 0.1
SETTLE_S = 8.0  # for nodes to come back, and for heads and receipts to travel, once all jobs have ended
STOP_WITHIN_S = 20.0
RELOADS_MAX = 20  # a coordinator that gives its state up again and again will not do better the next time
RESTART_S = 0.3  # a supervisor starts again what ended with an error


class _Listener(Observer):
    """Keeps what made a coordinator give its state up, and what failed beside it."""

    def __init__(self, world: "World") -> None:
        super().__init__(world.coordinator.clock.now, lambda event, **fields: None)
        self._world = world

    def reloading(self, error: BaseException) -> None:
        super().reloading(error)
        self._world.trace.add(COORDINATOR, f"reloads: {error!r}")
        self._world.reloads.append(error)
        if len(self._world.reloads) > RELOADS_MAX:
            self._world.hopeless = True
            self._world.kill(COORDINATOR)

    def failed(self, what: str, error: QuorateError) -> None:
        super().failed(what, error)
        self._world.trace.add(COORDINATOR, f"failed: {what}: {error}")
        if error.code != DATABASE:  # of a disk that is broken on purpose
            self._world.failures.append(f"{what}: {error}")


class Host:
    """A machine: its disk, key and clock stay; its process comes and goes."""

    def __init__(self, name: str, dice: Dice, loop: VirtualLoop, trace: Trace, skew: tuple[int, int]) -> None:
        self.name = name
        self.dice = dice
        self.signer = OracleSigner(name.encode())
        self.disk = SimDisk(name, dice.fork("disk"), trace)
        self.clock = SimClock(loop, *skew)
        self.process: SimProcess | None = None
        self.wire: SimWire | None = None
        self.driver: Any = None
        self.executor: VirtualExecutor | None = None
        self.lives = 0
        self.lies = 0
        self.doom: asyncio.TimerHandle | None = None
        self.stopping = False
        self.start_again = False  # once the process that is stopping has come to its end

    def spare(self) -> None:
        """Call off a kill that waits for a write."""
        self.disk.on_write = _nothing
        if self.doom is not None:
            self.doom.cancel()
            self.doom = None

    @property
    def up(self) -> bool:
        return self.process is not None and self.process.alive


class World:
    """Everything of one run."""

    def __init__(self, plan: Plan, loop: VirtualLoop) -> None:
        dice = Dice(f"world/{plan.seed}/{plan.profile}")
        self.plan = plan
        self.loop = loop
        self.trace = Trace(loop)
        self.network = SimNetwork(loop, dice.fork("network"), self.trace)
        self.hosts = {
            name: Host(name, dice.fork(name), loop, self.trace, plan.skew[name]) for name in (COORDINATOR, *plan.nodes)
        }
        self.coordinator = self.hosts[COORDINATOR]
        self.nodes = [self.hosts[name] for name in plan.nodes]
        self.keys = {host.signer.public: host.name for host in self.nodes}
        self.settings = CoordinatorSettings(snapshot_every=dice.choice((7, 40, 50_000)), executors=(EXECUTOR,))
        self.task_ms = dice.choice((5.0, 50.0, 300.0))
        self.slots = dice.randint(1, 4)
        self.deaths: list[str] = []
        self.reloads: list[BaseException] = []
        self.hopeless = False
        self.failures: list[str] = []
        self.leftovers: list[str] = []
        self.tasks_at_rest: dict[str, int] = {}
        self._founded = asyncio.Event()
        self._serving: dict[str, asyncio.Task[Any]] = {}
        self.injected: dict[str, int] = {}
        self.heads: list[tuple[str, SignedHead]] = []
        self.principal: Principal | None = None
        self.follower = Follower(self.trace)
        self.clients = [
            Client(loop, dice.fork(name), self.trace, name, self.ask) for name in ("alice", "bob")[: dice.randint(1, 2)]
        ]
        for host in self.nodes:
            host.disk.on_save = self._watch(host.name)
        self.coordinator.disk.weather.sync_ms = self.sync_ms = dice.choice((0.3, 0.3, 3.0, 20.0))

    async def run(self) -> None:
        """The whole story. Raises `Hang` through the loop when it does not end."""
        self.start(COORDINATOR)
        await self._founded.wait()
        await self._admit_nodes()
        for host in self.nodes:
            self.start(host.name)
        clients = [self.loop.create_task(client.run(), name=client.name) for client in self.clients]
        for action in self.plan.actions:
            if self.hopeless:
                break
            await asyncio.sleep(max(0.0, action.at_ms / 1000 - self.loop.time()))
            await self._act(action)
        await self._calm()
        for _ in range(int(END_WITHIN_S / POLL_S)):
            if self.hopeless or (all(task.done() for task in clients) and self._ended()):
                break
            await asyncio.sleep(POLL_S)
        self.trace.add("world", "the work is done" if self._ended() else "the work did not end")
        await asyncio.sleep(SETTLE_S)
        for task in clients:
            if task.done():
                task.result()
            task.cancel()

    async def end(self) -> None:
        """Look at what is left, stop everything gracefully, then wait until no process has a task."""
        self.tasks_at_rest = {name: host.process.tasks for name, host in self.hosts.items() if host.process}
        self.leftovers = [what for host in self.hosts.values() if host.up for what in self._left_at(host)]
        await asyncio.gather(*(self._stop(host) for host in self.nodes))
        await self._stop(self.coordinator)
        for host in self.hosts.values():
            if host.process is not None:
                await host.process.buried()

    async def _stop(self, host: Host) -> None:
        if not host.up:
            return
        assert host.process is not None
        stopping = host.process.spawn(host.driver.stop(), "stop")
        _, late = await asyncio.wait([stopping, self._serving[host.name]], timeout=STOP_WITHIN_S)
        if late:
            self.leftovers.append(f"{host.name} did not stop within {STOP_WITHIN_S} s")
        self.kill(host.name)

    def _ended(self) -> bool:
        return self.follower.outstanding() == 0 and not any(client.unfinished() for client in self.clients)

    def start(self, name: str) -> None:
        """A new process on the machine's old disk; nothing if one runs."""
        host = self.hosts[name]
        host.spare()
        if self.hopeless:
            return
        if host.up:
            host.start_again = host.stopping
            return
        host.start_again = host.stopping = False
        host.lives += 1
        host.process = SimProcess(self.loop, name)
        self.trace.add(name, f"starts, life {host.lives}")
        build = self._build_coordinator if host is self.coordinator else self._build_node
        build(host, host.process)
        serving = host.process.spawn(self._serve(host, host.driver), "serve")
        self._serving[name] = serving
        serving.add_done_callback(partial(self._over, host, host.process))

    def kill(self, name: str, how: str = "") -> None:
        """As by a signal 9, or a power cut: `silently` to its peers, `torn` on its disk."""
        host = self.hosts[name]
        if not host.up:
            return
        assert host.process is not None and host.wire is not None
        self.trace.add(name, f"is killed {how}".rstrip())
        host.process.kill()
        self.network.died(host.wire, silently=how == "silently")
        host.disk.recover(torn=how == "torn")

    async def ask(self, right: str, command: Any, idem: str) -> bytes:
        """What a client's request comes to: the reply, `QuorateError`, or `Unanswered`."""
        host = self.coordinator
        if not host.up or self.principal is None:
            raise Unanswered
        assert host.process is not None
        request = hash_id(idem.encode()) if idem else b""
        call = host.process.spawn(host.driver.ask(self.principal, right, command, idem, request), "ask")
        done, _ = await asyncio.wait([call], timeout=CALL_TIMEOUT_S)
        if not done or call.cancelled():
            call.cancel()
            raise Unanswered
        reply: bytes = call.result()
        return reply

    def _build_coordinator(self, host: Host, process: SimProcess) -> None:
        async def open_store() -> SimStore:
            host.disk.recover()
            return SimStore(host.disk, process)

        host.wire = self.network.listen(process)
        host.driver = Coordinator(
            settings=self.settings,
            signer=host.signer,
            verify=oracle_verify,
            open_store=open_store,
            open_blobs=lambda _: SimBlobs(host.disk, process),
            wire=host.wire,
            clock=host.clock,
            entropy=SimEntropy(host.dice),
            admin_token=ADMIN_TOKEN,
            validators=VALIDATORS,
            observer=_Listener(self),
        )

    def _build_node(self, host: Host, process: SimProcess) -> None:
        host.wire = self.network.dial(process)
        host.executor = VirtualExecutor(
            self.plan.conduct[host.name], host.dice.fork("work"), self.task_ms, self._keys, partial(self._lied, host)
        )
        host.driver = Node(
            settings=NodeSettings(host.name, self.slots, join=_join_token(host.name)),
            signer=host.signer,
            verify=oracle_verify,
            wire=host.wire,
            clock=host.clock,
            records=SimStore(host.disk, process),
            executors={host.executor.name: host.executor},
        )

    def _lied(self, host: Host, smuggled: Answer | None) -> None:
        """A node lied; what its own machine would not send is put where it sends from."""
        host.lies += 1
        if smuggled is not None:
            result = smuggled.result
            host.driver.machine._ready[result.task, result.slot, result.epoch] = smuggled

    async def _serve(self, host: Host, driver: Any) -> None:
        if host is self.coordinator:
            await driver.start()
            self._founded.set()
            self.follower.attach(driver, host.process)
        if self.plan.conduct.get(host.name) is Conduct.REFUSING:
            self.loop.call_later(0.001, _refuse_all, driver)
        await driver.run()

    def _over(self, host: Host, process: SimProcess, task: "asyncio.Task[Any]") -> None:
        """A driver came to its end: it was stopped, or its disk failed. Nothing else may end it."""
        if not process.alive or host.process is not process:
            return
        error = None if task.cancelled() else task.exception()
        self.trace.add(host.name, f"ends: {error!r}")
        self.kill(host.name)
        if error is not None or task.cancelled():
            if not (isinstance(error, QuorateError) and error.code == DATABASE):
                self.deaths.append(f"{host.name} ended by itself: {error!r}")
                self.hopeless = self.hopeless or len(self.deaths) > RELOADS_MAX
            host.start_again = True
        if host.start_again:
            self.loop.call_later(RESTART_S, self.start, host.name)

    async def _admit_nodes(self) -> None:
        realm = self.coordinator.driver.machine.realm
        self.principal = realm.grants.for_token(ADMIN_TOKEN, self.coordinator.clock.now())
        for host in self.nodes:
            expires_ms = (EPOCH_NS + 3600 * 1000 * MS_NS) // MS_NS
            command = IssueGrant(hash_id(_join_token(host.name).encode()), "join", expires_ms, host.name, once=True)
            await self.ask("grant:issue", command, "")

    async def _calm(self) -> None:
        """Faults stop: everything is put right that the plan had put wrong."""
        weather = self.network.weather
        weather.tamper.clear()
        weather.refusing = False
        for name, host in self.hosts.items():
            self.network.heal(name)
            host.disk.weather.sync_fails = 0
            self.start(name)
        self.trace.add("world", "faults are over")

    async def _act(self, action: Action) -> None:
        self.trace.add("plan", str(action))
        self._note(action)
        await getattr(self, f"_do_{action.kind}")(action)

    def _note(self, action: Action) -> None:
        self.injected[action.kind] = self.injected.get(action.kind, 0) + 1

    async def _do_kill(self, action: Action) -> None:
        self.kill(action.target, action.extra)

    async def _do_kill_in_sync(self, action: Action) -> None:
        """Wait for events on their way to the disk, and kill then: before, while or after they are durable."""
        host = self.hosts[action.target]

        def now_or_soon() -> None:
            host.disk.on_write = _nothing
            delay_s = host.dice.uniform(0, 2 * host.disk.weather.sync_ms) / 1000
            host.doom = self.loop.call_later(delay_s, self.kill, action.target, action.extra)

        host.disk.on_write = now_or_soon

    async def _do_start(self, action: Action) -> None:
        self.start(action.target)

    async def _do_drain(self, action: Action) -> None:
        host = self.hosts[action.target]
        if host.up:
            assert host.process is not None
            host.stopping = True
            host.process.spawn(host.driver.stop(drain_ms=action.amount), "stop")

    async def _do_cut(self, action: Action) -> None:
        self.network.cut(action.target, "cut")

    async def _do_refuse(self, action: Action) -> None:
        self.network.weather.refusing = True

    async def _do_accept(self, action: Action) -> None:
        self.network.weather.refusing = False

    async def _do_tamper(self, action: Action) -> None:
        tamper = self.network.weather.tamper
        if action.amount:
            tamper[action.extra] = action.amount / 1e6
        else:
            tamper.pop(action.extra, None)

    async def _do_latency(self, action: Action) -> None:
        weather = self.network.weather
        weather.spike_chance = 0.3 if action.amount else 0.0
        weather.spike_ms = float(action.amount)

    async def _do_silence(self, action: Action) -> None:
        self.network.silence(action.target, action.extra in ("both", "up"), action.extra in ("both", "down"))

    async def _do_heal(self, action: Action) -> None:
        self.network.heal(action.target)

    async def _do_fsync_fail(self, action: Action) -> None:
        self.hosts[action.target].disk.weather.sync_fails += 1

    async def _do_slow_disk(self, action: Action) -> None:
        self.hosts[action.target].disk.weather.sync_ms = float(action.amount) or self.sync_ms

    async def _do_jump(self, action: Action) -> None:
        self.hosts[action.target].clock.jump(action.amount)

    def faults(self) -> int:
        """How many faults took effect, of the plan, the network, the disks and the liars."""
        hosts = self.hosts.values()
        disks = sum(times for host in hosts for times in host.disk.injected.values())
        lies = sum(host.lies for host in hosts)
        return sum(self.injected.values()) + sum(self.network.injected.values()) + disks + lies

    def _left_at(self, host: Host) -> list[str]:
        """What a process holds though there is nothing to do. A liar may keep the lies that nobody takes."""
        if host is self.coordinator or self.plan.conduct[host.name] in LIARS:
            return []
        idle = host.driver.machine.idle
        return [] if idle else [f"{host.name} still holds leases or results"]

    def _keys(self) -> list[bytes]:
        return list(self.keys)

    def _watch(self, name: str) -> Callable[[str, bytes], None]:
        """What a node's disk says it has cosigned."""

        def saved(key: str, record: bytes) -> None:
            if key == WITNESS_KEY:
                head = unpack(record, Witnessed).head
                if head is not None:
                    self.heads.append((name, head))

        return saved


def salt_key(signer: OracleSigner) -> bytes:
    """The key that a coordinator derives its salts from."""
    return hash_id(signer.sign(b"quorate salt 1\x00"))


def _nothing() -> None:
    """No fault waits for a write."""


def _refuse_all(driver: Any) -> None:
    """Make an honest node one that takes nothing, and does not say so."""
    driver.machine._draining = True


def _join_token(name: str) -> str:
    return f"join {name}"


def _output_of(spec: TaskSpec, result: Result) -> bytes:
    return result.output


VALIDATORS = {"exact": _output_of}
