"""A process that commits numbered events until it is killed, and says what was acknowledged.

Run as `python committing_child.py DIRECTORY SEED`. Each line is the last position of a group that `commit`
returned for. Every group also counts in a row, in a record and in a kept blob.
"""

import asyncio
import sys
from pathlib import Path

from quorate.adapters.sqlite import SqliteStore
from quorate.base.dice import Dice
from quorate.base.ids import hash_id
from quorate.model import Keep, Project, Row, Save, Sealed
from quorate.ports import Group


def numbered(position: int) -> Sealed:
    """The event that belongs at a position: whoever checks makes it again."""
    return Sealed(b"event %d" % position, b"salt", b"b" * (position % 700), None)


def group_after(position: int, count: int) -> Group:
    last = position + count
    text = b"%d" % last
    return Group(
        tuple(numbered(number) for number in range(position + 1, last + 1)),
        (Save("last", text),),
        (Keep(hash_id(text), text),),
        (Project("counter", b"last", Row(b"", "open", "", last, text)),),
    )


async def commit_for_ever(directory: Path, dice: Dice) -> None:
    store = await SqliteStore.open(directory)
    epoch = await store.open_epoch()
    position = await store.size()
    while True:
        position = await store.commit(group_after(position, dice.randint(1, 30)), epoch, position)
        sys.stdout.write(f"{position}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(commit_for_ever(Path(sys.argv[1]), Dice(int(sys.argv[2]))))
