"""Small inputs and outputs of live tasks, so that an assignment carries them and no node asks for them."""

from collections import OrderedDict

from quorate.base.limits import MIB
from quorate.model import Id

CACHE_BYTES = 32 * MIB
CACHE_ITEM_BYTES = 8 * 1024


class SmallBlobs:
    """The most recently used small blobs, at most `CACHE_BYTES` together. A miss is a fetch, never an error."""

    def __init__(self) -> None:
        self._held: OrderedDict[Id, bytes] = OrderedDict()
        self._bytes = 0

    def put(self, id: Id, data: bytes) -> None:
        if len(data) > CACHE_ITEM_BYTES or id in self._held:
            return
        self._held[id] = data
        self._bytes += len(data)
        while self._bytes > CACHE_BYTES:
            _, dropped = self._held.popitem(last=False)
            self._bytes -= len(dropped)

    def get(self, id: Id) -> bytes | None:
        data = self._held.get(id)
        if data is not None:
            self._held.move_to_end(id)
        return data
