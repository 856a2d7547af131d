"""Virtual links between node wires and the coordinator's wire, with the faults of real networks.

Knows links, frames and time; nothing of what frames mean. A link is an ordered stream both ways.
Invariants: N1 without tampering a link neither loses, doubles, reorders nor alters a frame before it
closes. N2 each wire sees LINK_OPENED first and LINK_CLOSED last of each link, once. N3 every queue is
bounded: a sender waits for room, a full inbox holds back what flies towards it. N4 nothing sent by a
killed process leaves it; what had left before may still arrive.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from quorate.base.dice import Dice
from quorate.base.limits import LINK_INBOX_MESSAGES, LINK_QUEUE_MESSAGES, RECONNECT_BASE_MS, RECONNECT_CAP_MS
from quorate.model import Envelope, MessageType
from quorate.sim.loop import VirtualLoop
from quorate.sim.process import SimProcess
from quorate.sim.trace import Trace

LINK_ID_BYTES = 16
OPENED_ENTROPY_BYTES = 64
HISTORY_FRAMES = 16  # of a node's traffic, for an attacker to replay
DIAL_TIMEOUT_S = 2.0
TAMPER_KINDS = ("duplicate", "replay", "reorder", "corrupt", "drop")


def local_envelope(msg_type: MessageType, payload: bytes) -> Envelope:
    """What a wire says by itself about one of its links."""
    return Envelope(0, 0, 0, 0, int(msg_type), 0, b"", 0, payload)


def frame_envelope(frame: bytes) -> Envelope:
    """A frame as it came, unchecked."""
    return Envelope(0, 0, 0, 0, 0, 0, b"", 0, frame)


@dataclass(slots=True)
class Weather:
    """The state of the network: what a fault plan turns."""

    latency_ms: float = 0.5  # the median of a long-tailed distribution
    spike_chance: float = 0.0
    spike_ms: float = 0.0
    refusing: bool = False
    silent_up: set[str] = field(default_factory=set)  # nodes whose frames do not reach the coordinator now
    silent_down: set[str] = field(default_factory=set)
    tamper: dict[str, float] = field(default_factory=dict)  # kind -> chance a frame


class SimWire:
    """`ports.Wire` of one process."""

    def __init__(self, network: "SimNetwork", process: SimProcess, name: str) -> None:
        self.name = name
        self.process = process
        self._network = network
        self._links: dict[bytes, _Link] = {}
        self._inbox: deque[tuple[bytes, Envelope]] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._held_back: dict[_Pipe, None] = {}
        self.inbox_peak = 0

    async def send(self, peer: bytes, message: Envelope) -> None:
        self.process.check()
        link = self._links.get(peer)
        if link is not None:
            await link.away_from(self).send(bytes(message.payload), self.process)

    async def receive(self) -> AsyncIterator[tuple[bytes, Envelope]]:
        while True:
            while not self._inbox:
                self._reader = self._network.loop.create_future()
                await self._reader
            self.process.check()
            item = self._inbox.popleft()
            if self._held_back:
                held, self._held_back = self._held_back, {}
                for pipe in held:
                    pipe.arm()
            yield item

    async def close(self, peer: bytes, reason: str) -> None:
        self.process.check()
        link = self._links.get(peer)
        if link is not None:
            self._network.trace.add(self.name, f"closes {link.name}: {reason}")
            link.close_from(self, reason)

    def has_room(self) -> bool:
        return len(self._inbox) < LINK_INBOX_MESSAGES

    def hold_back(self, pipe: "_Pipe") -> None:
        self._held_back[pipe] = None

    def deliver(self, link: "_Link", frame: bytes) -> None:
        """A frame of a link that this side has not given up (N2)."""
        if link.id in self._links:
            self._network.trace.note(frame)
            self._accept(link.id, frame_envelope(frame))

    def _accept(self, peer: bytes, message: Envelope) -> None:
        if not self.process.alive:
            return
        self._inbox.append((peer, message))
        self.inbox_peak = max(self.inbox_peak, len(self._inbox))
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def opened(self, link: "_Link", entropy: bytes) -> None:
        self._links[link.id] = link
        self._accept(link.id, local_envelope(MessageType.LINK_OPENED, entropy))

    def closed(self, link: "_Link", reason: str) -> None:
        if self._links.pop(link.id, None) is not None:
            self._accept(link.id, local_envelope(MessageType.LINK_CLOSED, reason.encode()))

    def links(self) -> list["_Link"]:
        return list(self._links.values())


class _Pipe:
    """One direction of a link."""

    def __init__(self, link: "_Link", target: SimWire, up: bool) -> None:
        self._link = link
        self._network = link.network
        self.target = target
        self.up = up
        self._flying: deque[tuple[float, bytes | None]] = deque()  # None: the end of the stream
        self._senders: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._open = True
        self._reason = ""

    async def send(self, frame: bytes, process: SimProcess) -> None:
        while self._open and len(self._flying) >= LINK_QUEUE_MESSAGES:
            waiter = self._network.loop.create_future()
            self._senders.append(waiter)
            await waiter
        process.check()
        if self._open:
            for copy in self._network.tampered(self, frame):
                self._fly(copy)
            if "reorder" in self._network.weather.tamper:
                self._swap_last()

    def end(self, reason: str) -> None:
        """No more frames; the far side hears of the end behind those that fly."""
        if self._open:
            self._open = False
            self._reason = reason
            self._fly(None)
            self._release_senders()

    def cut(self, reason: str) -> None:
        """Lose what flies; the far side hears of the end after a while."""
        self._flying.clear()
        self._disarm()
        self._open = True
        self.end(reason)

    def arm(self) -> None:
        """See to it that the next frame is delivered, unless something holds it back."""
        if self._timer is None and self._flying and not self._stalled():
            self._timer = self._network.loop.call_at(self._flying[0][0], self._deliver)

    def thaw(self) -> None:
        """A partition ended: what waited needs its travelling time again."""
        due = self._network.loop.time() + self._network.latency_s()
        self._flying = deque((max(at, due), frame) for at, frame in self._flying)
        self.arm()

    def _stalled(self) -> bool:
        weather = self._network.weather
        return self._link.node.name in (weather.silent_up if self.up else weather.silent_down)

    def _fly(self, frame: bytes | None) -> None:
        due = self._network.loop.time() + self._network.latency_s()
        if self._flying:
            due = max(due, self._flying[-1][0])
        self._flying.append((due, frame))
        self.arm()

    def _swap_last(self) -> None:
        network = self._network
        if len(self._flying) >= 2 and network.dice.chance(network.weather.tamper["reorder"]):
            (early, first), (late, second) = self._flying[-2], self._flying[-1]
            self._flying[-2], self._flying[-1] = (early, second), (late, first)
            network.count("reorder", self._link.name)

    def _deliver(self) -> None:
        self._timer = None
        now = self._network.loop.time()
        while self._flying and self._flying[0][0] <= now and not self._stalled():
            if not self.target.has_room():
                self.target.hold_back(self)
                return
            _, frame = self._flying.popleft()
            if frame is None:
                self._flying.clear()
                self._link.finished(self, self._reason)
                return
            self.target.deliver(self._link, frame)
            if not self.target.process.alive:
                self._link.met_a_dead_end(self.target)
            if self._senders:
                self._release_senders(1)
        self.arm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _release_senders(self, count: int = LINK_QUEUE_MESSAGES) -> None:
        while self._senders and count:
            waiter = self._senders.popleft()
            if not waiter.done():
                waiter.set_result(None)
                count -= 1
        if not self._open and self._senders:
            self._release_senders()


class _Link:
    """A stream between one node and the coordinator. It is over when both ends know."""

    def __init__(self, network: "SimNetwork", id: bytes, name: str, node: SimWire, coordinator: SimWire) -> None:
        self.network = network
        self.id = id
        self.name = name
        self.node = node
        self.coordinator = coordinator
        self._up = _Pipe(self, coordinator, up=True)
        self._down = _Pipe(self, node, up=False)
        self.node_done: asyncio.Future[None] = network.loop.create_future()
        self._open_at = [node, coordinator]

    def away_from(self, wire: SimWire) -> _Pipe:
        return self._up if wire is self.node else self._down

    def pipes(self) -> tuple[_Pipe, _Pipe]:
        return self._up, self._down

    def close_from(self, wire: SimWire, reason: str) -> None:
        """One side hangs up: it is done at once, the other after all that was sent before."""
        self.away_from(wire).end(reason)
        self.finished(self._down if wire is self.node else self._up, "closed here: " + reason)

    def cut(self, reason: str) -> None:
        """The network breaks it: both sides hear of it, each in its own time."""
        for pipe in self.pipes():
            pipe.cut(reason)

    def finished(self, pipe: _Pipe, reason: str) -> None:
        """The end of the stream reached `pipe.target`: hang up there too."""
        pipe.target.closed(self, reason)
        self.given_up_by(pipe.target)
        self.away_from(pipe.target).end("the other side hung up")

    def given_up_by(self, wire: SimWire) -> None:
        if wire is self.node and not self.node_done.done():
            self.node_done.set_result(None)
        self._open_at = [other for other in self._open_at if other is not wire]
        if not self._open_at:
            self.network.forget(self)

    def met_a_dead_end(self, wire: SimWire) -> None:
        """A frame came to a host that lost its power and is back: it knows no such stream, and says so."""
        if self.network.is_up(wire.name):
            self.away_from(wire).cut("connection reset")


class SimNetwork:
    """All wires of a world. One coordinator address; nodes dial it again and again."""

    def __init__(self, loop: VirtualLoop, dice: Dice, trace: Trace) -> None:
        self.loop = loop
        self.dice = dice
        self.trace = trace
        self.weather = Weather()
        self.injected: dict[str, int] = {}
        self._listener: SimWire | None = None
        self._wires: dict[str, SimWire] = {}
        self._links: dict[bytes, _Link] = {}
        self._history: dict[str, deque[bytes]] = {}
        self._serial = itertools.count(1)

    def listen(self, process: SimProcess) -> SimWire:
        """The coordinator's wire; it takes the address over from an earlier incarnation."""
        self._listener = self._wires[process.name] = SimWire(self, process, process.name)
        return self._listener

    def dial(self, process: SimProcess) -> SimWire:
        """A node's wire: it connects by itself, and again whenever its link is gone."""
        wire = self._wires[process.name] = SimWire(self, process, process.name)
        process.spawn(self._keep_dialling(wire), "dial")
        return wire

    def died(self, wire: SimWire, silently: bool) -> None:
        """Its process was killed. Silently (power loss): the peers hear nothing, their streams just stay quiet."""
        if self._listener is wire:
            self._listener = None
        for link in wire.links():
            link.given_up_by(wire)
            if not silently:
                link.away_from(wire).end("connection reset")

    def is_up(self, name: str) -> bool:
        return name in self._wires and self._wires[name].process.alive

    def forget(self, link: _Link) -> None:
        self._links.pop(link.id, None)

    def links_of(self, node: str) -> list[_Link]:
        return [link for link in self._links.values() if link.node.name == node]

    def cut(self, node: str, reason: str) -> int:
        """Break a node's links; how many there were."""
        links = self.links_of(node)
        for link in links:
            link.cut(reason)
        return len(links)

    def silence(self, node: str, up: bool, down: bool) -> None:
        """A partition, whole or one-way: frames wait, nothing is lost until someone gives the link up."""
        for there, names in ((up, self.weather.silent_up), (down, self.weather.silent_down)):
            if there:
                names.add(node)

    def heal(self, node: str) -> None:
        self.weather.silent_up.discard(node)
        self.weather.silent_down.discard(node)
        for link in self.links_of(node):
            for pipe in link.pipes():
                pipe.thaw()

    def latency_s(self) -> float:
        weather = self.weather
        ms = weather.latency_ms * self.dice.lognormvariate(0.0, 0.5)
        if weather.spike_chance and self.dice.chance(weather.spike_chance):
            ms += weather.spike_ms * self.dice.random()
        return ms / 1000

    def tampered(self, pipe: _Pipe, frame: bytes) -> list[bytes]:
        """What an attacker in the middle lets through in place of `frame`."""
        tamper = self.weather.tamper
        if not tamper:
            return [frame]
        node = pipe._link.node.name
        frames = [frame]
        history = self._history.setdefault(f"{node}/{pipe.up}", deque(maxlen=HISTORY_FRAMES))
        for kind in TAMPER_KINDS:
            if kind == "reorder" or not self.dice.chance(tamper.get(kind, 0.0)) or (kind == "replay" and not history):
                continue
            self.count(kind, node)
            if kind == "duplicate":
                frames.append(frame)
            elif kind == "replay":
                frames.append(self.dice.choice(list(history)))
            elif kind == "corrupt":
                frames[0] = self._flipped(frame)
            elif kind == "drop":
                del frames[0]
        history.append(frame)
        return frames

    def count(self, kind: str, where: str) -> None:
        """Note a fault that took effect."""
        self.injected[kind] = self.injected.get(kind, 0) + 1
        self.trace.add("network", f"{kind} on {where}")

    def _flipped(self, frame: bytes) -> bytes:
        bit = self.dice.randrange(len(frame) * 8) if frame else 0
        damaged = bytearray(frame or b"\0")
        damaged[bit // 8] ^= 1 << (bit % 8)
        return bytes(damaged)

    async def _keep_dialling(self, wire: SimWire) -> None:
        attempt = 0
        while True:
            backoff_ms = min(RECONNECT_CAP_MS, RECONNECT_BASE_MS << min(attempt, 16))
            await asyncio.sleep(backoff_ms * (0.5 + self.dice.random() / 2) / 1000 if attempt else 0)
            attempt += 1
            if wire.name in self.weather.silent_up | self.weather.silent_down:
                await asyncio.sleep(DIAL_TIMEOUT_S)
                continue
            await asyncio.sleep(3 * self.latency_s())
            listener = self._listener
            if listener is None or self.weather.refusing or not listener.process.alive:
                continue
            link = self._connect(wire, listener)
            connected = self.loop.time()
            await link.node_done
            if self.loop.time() - connected > RECONNECT_CAP_MS / 1000:
                attempt = 1  # it was a good link: come back soon

    def _connect(self, node: SimWire, listener: SimWire) -> _Link:
        name = f"{node.name}#{next(self._serial)}"
        link = _Link(self, self.dice.randbytes(LINK_ID_BYTES), name, node, listener)
        self.trace.add("network", f"link {name} up")
        self._links[link.id] = link
        listener.opened(link, self.dice.randbytes(OPENED_ENTROPY_BYTES))
        node.opened(link, self.dice.randbytes(OPENED_ENTROPY_BYTES))
        return link
