"""What the demo runs last: adds up the results of all files, which lie in `in/deps`."""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path


def reduce(results: Iterable[bytes]) -> bytes:
    """The sum of all results."""
    words: Counter[str] = Counter()
    total = {"files": 0, "bytes": 0, "lines": 0, "nodes": 0}
    for data in results:
        found = json.loads(data)
        total["files"] += 1
        for key in ("bytes", "lines", "nodes"):
            total[key] += found[key] or 0
        words.update(found["words"])
    top = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:20]
    return json.dumps({**total, "words": dict(top)}, sort_keys=True).encode()


if __name__ == "__main__":
    parts = sorted(Path("in/deps").iterdir())
    sys.stdout.buffer.write(reduce(part.read_bytes() for part in parts))
