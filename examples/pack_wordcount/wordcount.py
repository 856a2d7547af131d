"""A pack from outside: counts words on nodes, keeps what a quorum agreed on, and shows it on the dashboard.

It adds an executor and a validator (both on nodes' results), an event kind with its fold, a service that writes such
an event whenever a count was agreed on, an operation that reads them, and a panel that shows the operation.
"""

import json
import re
from collections import Counter
from typing import Any

import msgspec
from msgspec import Struct

from quorate.base.errors import EXECUTION, INVALID, OK, QuorateError, require
from quorate.base.ids import hash_id
from quorate.model import Context, Lease, Operation, Result, TaskSpec
from quorate.ports import Box, Kind, Pack, Panel, ServiceContext, Validator
from quorate.ports.packs import Service

COUNTED = "wordcount.counted"
WORD = re.compile(r"\w+")
TOP = 10
COUNT_MAX_BYTES = 1024 * 1024
KEPT_MAX = 1_000
NOTHING = hash_id(b"")


def count_words(text: str) -> dict[str, Any]:
    """How many words, how many different ones, and the most frequent: equal texts give equal bytes everywhere."""
    counts = Counter(WORD.findall(text.casefold()))
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    return {"words": counts.total(), "distinct": len(counts), "top": top}


class WordCount:
    """The executor. Input: JSON `{"text": "…"}`; output: JSON of `count_words`."""

    name = "wordcount"
    deterministic = True

    def capabilities(self) -> tuple[str, ...]:
        return ()

    async def run(self, spec: TaskSpec, lease: Lease, box: Box) -> Result:
        try:
            given = json.loads(await box.input())
            require(isinstance(given, dict) and isinstance(given.get("text"), str), 'the input is {"text": "…"}')
            return box.result(OK, json.dumps(count_words(given["text"]), ensure_ascii=False).encode())
        except QuorateError as error:
            return box.result(error.code, b"", words=str(error))
        except ValueError as error:
            return box.result(INVALID, b"", words=f"the input is no JSON: {error}")


class SameCount:
    """The validator: results agree when they are the same bytes, and an answer without any is no answer."""

    name = "wordcount"

    def key(self, spec: TaskSpec, result: Result) -> bytes:
        require(result.output != NOTHING, "an empty answer is no count", EXECUTION)
        return result.output


class Counted(Struct, frozen=True, array_like=True):
    """The event's body: an agreed count. `position`: where in the log its task was settled."""

    task: bytes
    position: int
    words: int
    distinct: int
    top: tuple[tuple[str, int], ...]


class Counts(Struct, frozen=True):
    """All counts so far, the newest last; `position`: up to where the log has been read."""

    position: int = 0
    items: tuple[Counted, ...] = ()


def fold(state: Counts, body: Counted) -> Counts:
    """One more count. A task that was counted before (the service was stopped in between) counts once."""
    if body.position <= state.position:
        return state
    return Counts(body.position, (*state.items, body)[-KEPT_MAX:])


class Keeper:
    """The service: follows the log and writes down every agreed count. It resumes where its own events end."""

    name = "wordcount"

    async def run(self, context: ServiceContext) -> None:
        state: Counts = await context.state(COUNTED)
        async for event in context.follow(state.position):
            if event.kind == "task.settled" and event.body["state"] == "completed":
                task = context.task(event.body["task"])
                if task.executor == WordCount.name:
                    data = await context.blob(bytes.fromhex(task.output), COUNT_MAX_BYTES)
                    count = msgspec.json.decode(data)
                    top = tuple((str(word), int(many)) for word, many in count["top"])
                    key = bytes.fromhex(task.id)
                    await context.append(
                        COUNTED, key, Counted(key, event.position, count["words"], count["distinct"], top)
                    )


class CountsQuery(Struct, forbid_unknown_fields=True):
    """`least`: only texts with at least so many words."""

    least: int = 0


class CountView(Struct, rename="camel"):
    task: str
    words: int
    distinct: int
    top: str


class CountPage(Struct, rename="camel"):
    items: list[CountView]


async def list_counts(context: Context, given: CountsQuery) -> CountPage:
    """Counts that a quorum of nodes agreed on, newest first."""
    require(given.least >= 0, "least is not negative")
    state: Counts = await context.state(COUNTED)
    items = [
        CountView(one.task.hex(), one.words, one.distinct, ", ".join(f"{word} {many}" for word, many in one.top))
        for one in reversed(state.items)
        if one.words >= given.least
    ]
    return CountPage(items)


def pack() -> Pack:
    """The pack, as `--pack wordcount:pack` finds it."""
    validator: Validator = SameCount()
    keeper: Service = Keeper()
    return Pack(
        "wordcount",
        kinds=(Kind(COUNTED, Counted, fold, Counts, authority_only=True),),
        operations=(
            Operation(
                "wordcount_list",
                CountsQuery,
                CountPage,
                "task:read",
                True,
                list_counts,
                ("GET", "/wordcounts"),
                ("wordcount_list",),
            ),
        ),
        executors=(WordCount(),),
        validators=(validator,),
        services=(keeper,),
        panels=(Panel("wordcounts", "Word counts", "wordcount_list"),),
    )
