"""Plans, traces, oracle signatures and virtual executors: functions of their seed, nothing else."""

import pytest

from quorate.base.dice import Dice
from quorate.sim.crypto import OracleSigner, oracle_verify
from quorate.sim.executors import LIARS, Conduct, expected
from quorate.sim.faults import CALM_MS, COORDINATOR, PROFILES, START_MS, draw
from quorate.sim.loop import VirtualLoop
from quorate.sim.process import SimEntropy
from quorate.sim.trace import Trace


@pytest.mark.parametrize("profile", PROFILES)
def test_a_plan_is_a_function_of_its_seed_and_every_fault_ends(profile: str) -> None:
    plans = [draw(seed, profile) for seed in range(40)]
    assert plans == [draw(seed, profile) for seed in range(40)]
    assert len({tuple(plan.lines()[1:]) for plan in plans}) > (2 if profile == "none" else 10)
    for plan in plans:
        assert 4 <= len(plan.nodes) <= 6
        assert sum(conduct in LIARS for conduct in plan.conduct.values()) <= 1
        assert all(START_MS <= action.at_ms <= CALM_MS for action in plan.actions)
        assert list(plan.actions) == sorted(plan.actions)
        assert bool(plan.actions) is (plan.calm_ms == CALM_MS)
        ends = {"kill": "start", "kill_in_sync": "start", "refuse": "accept", "silence": "heal"}
        for begin, end in ends.items():
            for action in plan.actions:
                if action.kind == begin:
                    assert any(
                        other.kind == end and other.target == action.target and other.at_ms >= action.at_ms
                        for other in plan.actions
                    )
        for kind in ("tamper", "latency", "slow_disk"):
            last = {action.extra: action.amount for action in plan.actions if action.kind == kind}
            assert set(last.values()) <= {0}


def test_profiles_inject_what_they_are_called() -> None:
    kinds = {profile: {a.kind for seed in range(40) for a in draw(seed, profile).actions} for profile in PROFILES}
    assert kinds["none"] == kinds["liar"] == set()
    assert kinds["crash_node"] == {"kill", "drain", "start"}
    assert {a.target for seed in range(40) for a in draw(seed, "crash_coordinator").actions} == {COORDINATOR}
    assert {"cut", "refuse", "accept", "tamper"} == kinds["lose_links"]
    assert {a.extra for seed in range(40) for a in draw(seed, "torn_write").actions if a.kind.startswith("kill")} == {
        "torn"
    }
    assert {c for seed in range(80) for c in draw(seed, "liar").conduct.values()} == {Conduct.HONEST, *LIARS}
    assert len(kinds["mixed"]) > 10


def test_a_trace_is_bounded_and_its_digest_covers_what_was_dropped() -> None:
    def trace(first: str) -> Trace:
        trace = Trace(VirtualLoop(), keep=10)
        for i in range(100):
            trace.add("someone", first if i == 0 else f"line {i}")
        return trace

    assert trace("a").lines() == trace("b").lines()
    assert len(trace("a").lines()) == 10
    assert trace("a").digest() == trace("a").digest() != trace("b").digest()


def test_oracle_signatures_hold_for_one_key_and_one_message() -> None:
    alice, bob = OracleSigner(b"alice"), OracleSigner(b"bob")
    signature = alice.sign(b"yes")
    assert oracle_verify(alice.public, b"yes", signature)
    assert OracleSigner(b"alice").sign(b"yes") == signature
    for public, message, sig in (
        (bob.public, b"yes", signature),
        (alice.public, b"no", signature),
        (alice.public, b"yes", signature[:-1]),
        (alice.public, b"yes", bytes([signature[0] ^ 1]) + signature[1:]),
        (b"short", b"yes", signature),
    ):
        assert not oracle_verify(public, message, sig)


def test_the_expected_output_depends_on_input_and_dependencies() -> None:
    dep = bytes(32)
    outputs = [expected(b"\x02in", ()), expected(b"\x02in", (dep,)), expected(b"\x02im", ()), expected(b"", ())]
    assert len(set(outputs)) == 4
    assert [len(output) for output in outputs] == [24, 24, 24, 8]
    assert SimEntropy(Dice(1)).bytes(40) == SimEntropy(Dice(1)).bytes(40)
