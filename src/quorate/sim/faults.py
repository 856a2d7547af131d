"""A plan of faults, drawn from a seed and a profile: timed actions that can be printed.

Knows names of machines and times; carries nothing out.
Invariants: F1 a plan is a function of (seed, profile). F2 every fault is over by `calm_ms`: from then on
all machines run, all links work, and a liar is the only thing wrong.
"""

from dataclasses import dataclass

from quorate.base.dice import Dice
from quorate.sim.executors import CLUMSY, LIARS, USELESS, Conduct

PROFILES = (
    "none",
    "crash_node",
    "crash_coordinator",
    "lose_links",
    "delay",
    "partition",
    "duplicate",
    "reorder",
    "corrupt",
    "torn_write",
    "fsync_fail",
    "liar",
    "slow_node",
    "clock_skew",
    "mixed",
)
START_MS = 300  # nodes are joining
CALM_MS = 9_000
COORDINATOR = "coordinator"
WRITES_WITHIN_MS = 500  # what waits for a write to be killed in has had one by then, or is not killed
_MIX = tuple(profile for profile in PROFILES if profile not in ("none", "mixed"))


@dataclass(frozen=True, slots=True, order=True)
class Action:
    """At a virtual time, something is done to a machine (or to the network: target empty)."""

    at_ms: int
    kind: str
    target: str
    amount: int = 0
    extra: str = ""

    def __str__(self) -> str:
        parts = (f"{self.at_ms:6d} ms", self.kind, self.target, str(self.amount or ""), self.extra)
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Plan:
    """`conduct`: how each node answers. `skew`: (ms, ppm) of each machine's clock."""

    seed: int
    profile: str
    nodes: tuple[str, ...]
    conduct: dict[str, Conduct]
    skew: dict[str, tuple[int, int]]
    shuffle: bool
    actions: tuple[Action, ...]
    calm_ms: int

    def lines(self) -> list[str]:
        """The plan as text."""
        head = [f"seed {self.seed}, profile {self.profile}, calm from {self.calm_ms} ms, shuffle {self.shuffle}"]
        head += [
            f"  {name}: {self.conduct.get(name, '')} skew {self.skew[name][0]} ms drift {self.skew[name][1]} ppm"
            for name in (COORDINATOR, *self.nodes)
        ]
        return head + [f"  {action}" for action in self.actions]


class _Draft:
    """A plan being drawn."""

    def __init__(self, dice: Dice, nodes: tuple[str, ...]) -> None:
        self.dice = dice
        self.nodes = nodes
        self.actions: list[Action] = []
        self.conduct = dict.fromkeys(nodes, Conduct.HONEST)
        self.skew = dict.fromkeys((COORDINATOR, *nodes), (0, 0))

    def when(self) -> int:
        return self.dice.randrange(START_MS, CALM_MS - 1_500)

    def until(self, at: int, longest: int) -> int:
        return min(CALM_MS, at + self.dice.randrange(50, longest))

    def add(self, at: int, kind: str, target: str = "", amount: int = 0, extra: str = "") -> None:
        self.actions.append(Action(at, kind, target, amount, extra))

    def misbehave(self, conducts: tuple[Conduct, ...]) -> None:
        """One node does as drawn; but no second one lies or is of no use: four nodes tolerate one (n = 3f + 1)."""
        spoilt = any(conduct in (*LIARS, *USELESS) for conduct in self.conduct.values())
        conduct = self.dice.choice(CLUMSY if spoilt else conducts)
        self.conduct[self.dice.choice([node for node in self.nodes if self.conduct[node] is Conduct.HONEST])] = conduct

    def crash(self, target: str, extra: str = "") -> None:
        """Kill it, now and then without a word to its peers, and start it again later."""
        at = self.when()
        silently = "silently" if self.dice.chance(0.3) else ""
        kind = "kill_in_sync" if target == COORDINATOR and self.dice.chance(0.7) else "kill"
        self.add(at, kind, target, extra=extra or silently)
        self.add(self.until(at + WRITES_WITHIN_MS, 2_500), "start", target)

    def tamper(self, kind: str, low: float, high: float) -> None:
        """An attacker in the middle of every link, for a while."""
        at = self.when()
        self.add(at, "tamper", amount=int(1e6 * self.dice.uniform(low, high)), extra=kind)
        self.add(self.until(at, 4_000), "tamper", amount=0, extra=kind)


def draw(seed: int, profile: str) -> Plan:
    """The plan of a seed (F1)."""
    dice = Dice(f"plan/{seed}/{profile}")
    nodes = tuple(f"node{i}" for i in range(1, dice.randint(4, 6) + 1))
    draft = _Draft(dice, nodes)
    kinds = dice.sample(_MIX, dice.randint(3, 6)) if profile == "mixed" else [profile]
    for kind in kinds:
        _DRAWERS[kind](draft)
    actions = tuple(sorted(draft.actions))
    shuffle = dice.chance(0.5)
    return Plan(seed, profile, nodes, draft.conduct, draft.skew, shuffle, actions, CALM_MS if actions else START_MS)


def _nothing(draft: _Draft) -> None:
    """A quiet day."""


def _crash_node(draft: _Draft) -> None:
    for _ in range(draft.dice.randint(1, 4)):
        node = draft.dice.choice(draft.nodes)
        if draft.dice.chance(0.7):
            draft.crash(node)
        else:
            at = draft.when()
            draft.add(at, "drain", node, amount=draft.dice.choice((50, 500, 5_000)))
            draft.add(draft.until(at, 4_000), "start", node)


def _crash_coordinator(draft: _Draft) -> None:
    for _ in range(draft.dice.randint(1, 3)):
        draft.crash(COORDINATOR)


def _lose_links(draft: _Draft) -> None:
    for _ in range(draft.dice.randint(2, 8)):
        draft.add(draft.when(), "cut", draft.dice.choice(draft.nodes))
    if draft.dice.chance(0.5):
        at = draft.when()
        draft.add(at, "refuse")
        draft.add(draft.until(at, 2_000), "accept")
    draft.tamper("drop", 0.01, 0.2)


def _delay(draft: _Draft) -> None:
    at = draft.when()
    draft.add(at, "latency", amount=draft.dice.randint(5, 400))
    draft.add(draft.until(at, 5_000), "latency", amount=0)


def _partition(draft: _Draft) -> None:
    for _ in range(draft.dice.randint(1, 4)):
        at, node = draft.when(), draft.dice.choice(draft.nodes)
        draft.add(at, "silence", node, extra=draft.dice.choice(("both", "up", "down")))
        draft.add(draft.until(at, 5_000), "heal", node)


def _duplicate(draft: _Draft) -> None:
    draft.tamper(draft.dice.choice(("duplicate", "replay")), 0.01, 0.3)


def _reorder(draft: _Draft) -> None:
    draft.tamper("reorder", 0.05, 0.5)


def _corrupt(draft: _Draft) -> None:
    draft.tamper("corrupt", 0.01, 0.3)


def _torn_write(draft: _Draft) -> None:
    for _ in range(draft.dice.randint(1, 3)):
        draft.crash(COORDINATOR, "torn")


def _fsync_fail(draft: _Draft) -> None:
    for _ in range(draft.dice.randint(1, 3)):
        draft.add(draft.when(), "fsync_fail", draft.dice.choice((COORDINATOR, COORDINATOR, *draft.nodes[:1])))


def _liar(draft: _Draft) -> None:
    draft.misbehave(LIARS)


def _slow_node(draft: _Draft) -> None:
    draft.misbehave((*CLUMSY, *USELESS))
    draft.add(START_MS, "slow_disk", COORDINATOR, amount=draft.dice.randint(2, 60))
    draft.add(draft.until(START_MS, 6_000), "slow_disk", COORDINATOR, amount=0)


def _clock_skew(draft: _Draft) -> None:
    for name in draft.skew:
        draft.skew[name] = (draft.dice.randint(-5_000, 5_000), draft.dice.randint(-200, 200))
    for _ in range(draft.dice.randint(0, 3)):
        target = draft.dice.choice((COORDINATOR, *draft.nodes))
        draft.add(draft.when(), "jump", target, amount=draft.dice.randint(-2_000, 2_000))


_DRAWERS = {
    "none": _nothing,
    "crash_node": _crash_node,
    "crash_coordinator": _crash_coordinator,
    "lose_links": _lose_links,
    "delay": _delay,
    "partition": _partition,
    "duplicate": _duplicate,
    "reorder": _reorder,
    "corrupt": _corrupt,
    "torn_write": _torn_write,
    "fsync_fail": _fsync_fail,
    "liar": _liar,
    "slow_node": _slow_node,
    "clock_skew": _clock_skew,
}
