"""What the command prints: tables for people, JSON for programs, errors with a code and what to do."""

import sys
from typing import Any

import msgspec

from quorate.base.errors import QuorateError


def emit(as_json: bool, value: Any) -> None:
    """Print `value`: as one JSON line, or as `key  value` lines."""
    if as_json:
        sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    else:
        plain = msgspec.to_builtins(value)
        width = max((len(str(key)) for key in plain), default=0)
        for key, item in plain.items():
            sys.stdout.write(f"{key!s:<{width}}  {item}\n")
    sys.stdout.flush()


def fail(as_json: bool, error: QuorateError) -> int:
    """Print an error on standard error; the exit status."""
    if as_json:
        view = {"code": error.code, "name": error.fault.name, "message": error.message, "whatToDo": error.hint}
        sys.stderr.write(msgspec.json.encode({"error": view}).decode() + "\n")
    else:
        sys.stderr.write(f"error {error.code} ({error.fault.name}): {error.message}\n  -> {error.hint}\n")
    return 1
