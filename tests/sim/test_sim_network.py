"""Virtual links keep their promises: order, opened first, closed last, bounded queues, faults only when asked for."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from quorate.base.dice import Dice
from quorate.base.limits import LINK_INBOX_MESSAGES, LINK_QUEUE_MESSAGES
from quorate.model import MessageType
from quorate.sim.loop import VirtualLoop
from quorate.sim.network import SimNetwork, SimWire, frame_envelope
from quorate.sim.process import SimProcess
from quorate.sim.trace import Trace

Heard = list[tuple[bytes, int, bytes]]


class _Stage:
    """A listener and one dialler, each heard into a list."""

    def __init__(self, seed: int) -> None:
        self.loop = VirtualLoop(Dice(seed))
        self.trace = Trace(self.loop)
        self.network = SimNetwork(self.loop, Dice(seed), self.trace)
        self.heard: dict[str, Heard] = {}

    def process(self, name: str) -> SimProcess:
        return SimProcess(self.loop, name)

    def up(self, process: SimProcess, listens: bool = False, reads: bool = True) -> SimWire:
        wire = self.network.listen(process) if listens else self.network.dial(process)
        self.heard[process.name] = []
        if reads:
            process.spawn(self._hear(wire), "hear")
        return wire

    async def _hear(self, wire: SimWire) -> None:
        async for peer, message in wire.receive():
            self.heard[wire.name].append((peer, message.msg_type, message.payload))

    def run(self, main: Callable[[], Awaitable[None]]) -> None:
        async def body() -> None:
            await main()

        self.loop.run(body(), virtual_s=100, steps=500_000)
        assert not self.loop.errors

    def frames(self, name: str) -> list[bytes]:
        return [payload for _, kind, payload in self.heard[name] if kind == 0]


@pytest.mark.parametrize("seed", range(5))
def test_a_link_is_an_ordered_stream_opened_first_and_closed_last(seed: int) -> None:
    stage = _Stage(seed)
    stage.network.weather.spike_chance, stage.network.weather.spike_ms = 0.3, 50

    async def main() -> None:
        server, node = stage.process("server"), stage.process("node")
        listener, wire = stage.up(server, listens=True), stage.up(node)
        await asyncio.sleep(1)
        link = stage.heard["node"][0][0]
        for i in range(500):
            await wire.send(link, frame_envelope(b"up%d" % i))
            await listener.send(link, frame_envelope(b"down%d" % i))
        await wire.close(link, "enough")
        await wire.send(link, frame_envelope(b"too late"))
        await asyncio.sleep(1)

    stage.run(main)
    assert stage.frames("server") == [b"up%d" % i for i in range(500)]
    for name in ("server", "node"):
        by_link: dict[bytes, list[int]] = {}
        for peer, kind, _ in stage.heard[name]:
            by_link.setdefault(peer, []).append(kind)
        first, *later = by_link.values()
        assert first[0] == MessageType.LINK_OPENED
        assert first[-1] == MessageType.LINK_CLOSED
        assert MessageType.LINK_CLOSED not in first[:-1]
        assert later, "the node dials again"
    received = stage.frames("node")
    assert received == [b"down%d" % i for i in range(len(received))]


def test_a_sender_waits_for_a_reader_who_does_not_read() -> None:
    stage = _Stage(1)

    async def main() -> None:
        server, node = stage.process("server"), stage.process("node")
        listener, wire = stage.up(server, listens=True, reads=False), stage.up(node)
        await asyncio.sleep(1)
        link = stage.heard["node"][0][0]
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while sent < 10_000:
                await wire.send(link, frame_envelope(b"%d" % sent))
                sent += 1

        task = node.spawn(flood(), "flood")
        await asyncio.sleep(10)
        assert LINK_INBOX_MESSAGES <= sent <= LINK_INBOX_MESSAGES + LINK_QUEUE_MESSAGES
        server.spawn(stage._hear(listener), "hear")
        await task
        await asyncio.sleep(1)
        assert listener.inbox_peak <= LINK_INBOX_MESSAGES + 2

    stage.run(main)
    assert stage.frames("server") == [b"%d" % i for i in range(10_000)]


def test_a_cut_loses_what_flies_and_the_node_comes_back() -> None:
    stage = _Stage(2)

    async def main() -> None:
        server, node = stage.process("server"), stage.process("node")
        stage.up(server, listens=True)
        wire = stage.up(node)
        await asyncio.sleep(1)
        link = stage.heard["node"][0][0]
        await wire.send(link, frame_envelope(b"lost"))
        assert stage.network.cut("node", "a digger") == 1
        await asyncio.sleep(2)
        again = stage.heard["node"][-1][0]
        assert again != link
        await wire.send(again, frame_envelope(b"arrives"))
        await asyncio.sleep(1)

    stage.run(main)
    assert stage.frames("server") == [b"arrives"]


@pytest.mark.parametrize(("up", "down"), [(True, True), (True, False), (False, True)])
def test_a_partition_holds_frames_back_until_it_heals(up: bool, down: bool) -> None:
    stage = _Stage(3)

    async def main() -> None:
        server, node = stage.process("server"), stage.process("node")
        listener, wire = stage.up(server, listens=True), stage.up(node)
        await asyncio.sleep(1)
        link = stage.heard["node"][0][0]
        stage.network.silence("node", up, down)
        await wire.send(link, frame_envelope(b"u"))
        await listener.send(link, frame_envelope(b"d"))
        await asyncio.sleep(1)
        assert (stage.frames("server") == []) is up
        assert (stage.frames("node") == []) is down
        await listener.close(link, "given up")
        stage.network.heal("node")
        await asyncio.sleep(1)

    stage.run(main)
    assert (stage.frames("server"), stage.frames("node")) == (([], [b"d"]) if up else ([b"u"], [b"d"]))
    assert [kind for _, kind, _ in stage.heard["node"]].count(MessageType.LINK_CLOSED) == 1


@pytest.mark.parametrize("silently", [False, True])
def test_a_killed_listener_sends_nothing_more_and_its_successor_gets_a_new_link(silently: bool) -> None:
    stage = _Stage(4)

    async def main() -> None:
        server, node = stage.process("server"), stage.process("node")
        listener, wire = stage.up(server, listens=True), stage.up(node)
        await asyncio.sleep(1)
        link = stage.heard["node"][0][0]
        await listener.send(link, frame_envelope(b"left before"))
        server.kill()
        stage.network.died(listener, silently)
        with pytest.raises(asyncio.CancelledError):
            await listener.send(link, frame_envelope(b"never"))
        await asyncio.sleep(1)
        closed = [kind for _, kind, _ in stage.heard["node"]].count(MessageType.LINK_CLOSED)
        assert closed == (0 if silently else 1)
        stage.up(stage.process("server"), listens=True)
        await asyncio.sleep(6)
        if silently:
            await wire.send(link, frame_envelope(b"anyone?"))
        await asyncio.sleep(6)
        await wire.send(stage.heard["node"][-1][0], frame_envelope(b"hello"))
        await asyncio.sleep(1)

    stage.run(main)
    assert stage.frames("node") == [b"left before"]
    assert stage.frames("server") == [b"hello"]


@pytest.mark.parametrize("kind", ["duplicate", "replay", "reorder", "corrupt", "drop"])
def test_an_attacker_in_the_middle_does_what_the_plan_says(kind: str) -> None:
    stage = _Stage(5)
    sent = [b"frame%03d" % i for i in range(300)]

    async def main() -> None:
        server, node = stage.process("server"), stage.process("node")
        stage.up(server, listens=True)
        wire = stage.up(node)
        await asyncio.sleep(1)
        stage.network.weather.tamper[kind] = 0.3
        link = stage.heard["node"][0][0]
        for frame in sent:
            await wire.send(link, frame_envelope(frame))
        await asyncio.sleep(1)

    stage.run(main)
    got = stage.frames("server")
    times = stage.network.injected[kind]
    assert times > 50
    if kind in ("duplicate", "replay"):
        assert len(got) == 300 + times
        assert set(got) == set(sent)
    elif kind == "reorder":
        assert got != sent
        assert sorted(got) == sent
    elif kind == "drop":
        assert len(got) == 300 - times
    else:
        assert len(got) == 300
        assert sum(a != b for a, b in zip(got, sent, strict=True)) == times
