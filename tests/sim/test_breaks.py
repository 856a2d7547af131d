"""A simulator is worth what it finds: each deliberate break of the real code is caught within a few seeds.

The breaks are patches at the points where the code keeps a promise. Each names the profile under which it
shows, and which checker must be the one (or among those) that speak.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from quorate.base.errors import CONFLICT
from quorate.dispatch import core, judgement
from quorate.dispatch.pools import Pool
from quorate.dispatch.runs import RUNNING, Run
from quorate.model import Project, Reply, TaskSettled
from quorate.services.coordinator import Coordinator, Machine, driver, nodes
from quorate.services.coordinator.commands import Commands
from quorate.services.coordinator.feed import Feed
from quorate.services.coordinator.realm import Realm
from quorate.services.node.machine import Machine as NodeMachine
from quorate.sim.executors import Conduct
from quorate.sim.faults import draw
from quorate.sim.run import run_seed

SEEDS_MOST = 12
Patch = pytest.MonkeyPatch


def reply_before_the_sync(patch: Patch) -> None:
    carry_out = Coordinator._carry_out

    async def hasty(self: Coordinator, group: Any, effects: list[Any]) -> None:
        for effect in effects:
            if isinstance(effect, Reply):
                await self._release(effect)
        await carry_out(self, group, [effect for effect in effects if not isinstance(effect, Reply)])

    patch.setattr(Coordinator, "_carry_out", hasty)


def show_before_the_sync(patch: Patch) -> None:
    carry_out = Coordinator._carry_out

    async def hasty(self: Coordinator, group: Any, effects: list[Any]) -> None:
        if group.events:
            self.feed.publish(self._committed + 1, group.events)
        await carry_out(self, group, effects)

    patch.setattr(Coordinator, "_carry_out", hasty)
    publish = Feed.publish

    def once(self: Feed, first: int, events: Any) -> Any:
        return publish(self, first, events) if first == self.position + 1 else []

    patch.setattr(Feed, "publish", once)


def skip_the_epoch_fence(patch: Patch) -> None:
    def attempt(self: Run, slot: int, epoch: int) -> Any:
        return next((held for held in reversed(self.held) if held.slot == slot), None)

    patch.setattr(Run, "attempt", attempt)


def count_a_late_result_twice(patch: Patch) -> None:
    judge = judgement.judge

    def forgetful(state: Any, result: Any, words: str) -> Any:
        code, bodies = judge(state, result, words)
        if code == CONFLICT:
            return 0, (judgement.ResultsReceived((result,), (words,)),)
        return code, bodies

    patch.setattr(core.judgement, "judge", forgetful)


def skip_the_signature(patch: Patch) -> None:
    patch.setattr(nodes, "result_holds", lambda *_: True)


def accept_without_a_quorum(patch: Patch) -> None:
    patch.setattr(judgement, "agreement", lambda votes, quorum, last_call=False: (next(iter(votes.values())), 1))


def two_replicas_on_one_node(patch: Patch) -> None:
    pick = Pool.pick

    def careless(self: Pool, run: Run, chosen: list[bytes], taken: dict[bytes, int]) -> Any:
        return chosen[0] if chosen else pick(self, run, chosen, taken)

    patch.setattr(Pool, "pick", careless)


def forget_what_was_answered(patch: Patch) -> None:
    patch.setattr(Commands, "recall", lambda self, key, record: None)


def lose_leases_on_restart(patch: Patch) -> None:
    replay = driver.replay

    async def lossy(machine: Machine, store: Any, size: int) -> None:
        await replay(machine, store, size)
        state = machine.realm.dispatch._state
        for run in state.runs.values():
            for held in run.held:
                if held.code == RUNNING:
                    run.slots[held.slot].live = False

    patch.setattr(driver, "replay", lossy)


def drop_an_event_on_refold(patch: Patch) -> None:
    replay, fold = driver.replay, Realm._fold

    async def lossy(machine: Machine, store: Any, size: int) -> None:
        patch.setattr(Realm, "_fold", skipping)
        try:
            await replay(machine, store, size)
        finally:
            patch.setattr(Realm, "_fold", fold)

    def skipping(self: Realm, id: bytes, event: Any, body: Any) -> None:
        if not isinstance(body, TaskSettled):
            fold(self, id, event, body)

    patch.setattr(driver, "replay", lossy)


def ignore_expiry(patch: Patch) -> None:
    patch.setattr(judgement, "_expired", lambda state, now: ())


def forget_a_result_that_is_not_receipted(patch: Patch) -> None:
    offline = NodeMachine._offline

    def careless(self: NodeMachine, link: bytes) -> None:
        sent = set(self._sent)
        offline(self, link)
        self._sent |= sent

    patch.setattr(NodeMachine, "_offline", careless)


def forget_rows(patch: Patch) -> None:
    fly = Coordinator._fly

    async def lossy(self: Coordinator, effects: list[Any]) -> None:
        await fly(self, [e for e in effects if not isinstance(e, Project) or e.key[-1] % 8])

    patch.setattr(Coordinator, "_fly", lossy)


@dataclass(frozen=True)
class Break:
    make: Callable[[Patch], None]
    profile: str
    caught_by: str  # names of checkers, any of them
    conduct: Conduct | None = None

    def seeds(self) -> Iterator[int]:
        """The first few whose plan has what the break needs to show."""
        found = 0
        for seed in range(500):
            if self.conduct is None or self.conduct in draw(seed, self.profile).conduct.values():
                found += 1
                yield seed
            if found == SEEDS_MOST:
                return


BREAKS = (
    Break(reply_before_the_sync, "torn_write", "nothing_acknowledged_is_lost"),
    Break(show_before_the_sync, "torn_write", "nothing_acknowledged_is_lost"),
    Break(skip_the_epoch_fence, "liar", "one_vote_a_node", Conduct.STALE),
    Break(count_a_late_result_twice, "lose_links", "nothing_surprises"),
    Break(skip_the_signature, "liar", "one_vote_a_node", Conduct.FORGED),
    Break(accept_without_a_quorum, "liar", "results_are_right"),
    Break(two_replicas_on_one_node, "none", "nothing_surprises"),
    Break(forget_what_was_answered, "crash_coordinator", "nothing_is_doubled"),
    Break(lose_leases_on_restart, "crash_coordinator", "nothing_surprises read_model_is_the_fold"),
    Break(drop_an_event_on_refold, "crash_coordinator", "nothing_surprises"),
    Break(ignore_expiry, "slow_node", "hang every_job_ends", Conduct.SILENT),
    Break(forget_a_result_that_is_not_receipted, "lose_links", "memory_is_bounded"),
    Break(forget_rows, "none", "read_model_is_the_fold"),
)


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.make.__name__)
def test_a_break_is_caught(broken: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    broken.make(monkeypatch)
    for seed in broken.seeds():
        outcome = run_seed(seed, broken.profile)
        if any(violation.partition(":")[0] in broken.caught_by.split() for violation in outcome.violations):
            return
    pytest.fail(f"{broken.make.__name__} went unseen for {SEEDS_MOST} seeds")
