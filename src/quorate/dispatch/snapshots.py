"""The state as bytes. Equal state, equal bytes; what only follows from the state is built anew.

Knows the layout and its version, nothing of what the state means. Rows that are not fetched yet, and what
nodes reported about beginning to run, are not part of it.
"""

from msgspec import Struct

from quorate.base.codec import pack, unpack
from quorate.base.errors import CANCELLED, LEASE_LOST, UNSUPPORTED, demand
from quorate.dispatch.fold import State
from quorate.dispatch.roster import Node
from quorate.dispatch.runs import RUNNING, Job, Run
from quorate.dispatch.totals import Totals
from quorate.model import TaskState

VERSION = 1


class Layout(Struct, frozen=True, array_like=True):
    """What is kept: nodes in the order they joined, jobs in the order they were submitted."""

    version: int
    totals: Totals
    nodes: tuple[Node, ...]
    jobs: tuple[Job, ...]


def snapshot(state: State) -> bytes:
    """The state of unfinished jobs and of all nodes."""
    return pack(Layout(VERSION, state.totals, tuple(state.roster.nodes.values()), tuple(state.jobs.values())))


def restore(state: State, data: bytes) -> None:
    """Replace the state by a snapshot's. Raises 1002 for other bytes, 1008 for another version."""
    # An array of four, and the version: looked at before a layout that may have changed is read.
    demand(data[:2] == bytes((0x94, VERSION)), "a snapshot of another version", UNSUPPORTED)
    kept = unpack(data, Layout)
    state.clear()
    state.totals = kept.totals
    for node in kept.nodes:
        state.roster.nodes[node.key] = node
        state.roster.held[node.key] = {}
        state.roster.admit(node)
    runs: list[Run] = []
    for job in kept.jobs:
        state.jobs[job.id] = job
        state.runs.update(job.runs)
        for run in job.runs.values():
            state.counts[run.state] += 1
        runs.extend(job.runs.values())
    for run in runs:
        _restore_run(state, run)
    for run in sorted(runs, key=lambda run: (run.ready_at, run.order)):
        state.planner.place(run)
    for run in sorted(runs, key=lambda run: (run.doom.position if run.doom else 0, run.order)):
        if run.doom is not None:
            state.doomed[run.spec.id] = run
    state.roster.dirty = {}


def _restore_run(state: State, run: Run) -> None:
    for dep in run.spec.deps:
        other = state.runs[dep]
        if not other.over:
            state.dependents.setdefault(dep, []).append(run)
    for held in run.held:
        if held.code == RUNNING:
            lease = run.lease(held)
            state.roster.take(lease)
            state.expiries.add(held.expires_ns, (lease.task, lease.slot, lease.epoch))
            if run.state == TaskState.CANCELLED:
                state.void[lease.task, lease.slot, lease.epoch] = CANCELLED
            elif not run.over and (run.slots[held.slot].answered or held.node in run.votes):
                state.void[lease.task, lease.slot, lease.epoch] = LEASE_LOST
    if run.stalled_ns:
        state.watch(run)
