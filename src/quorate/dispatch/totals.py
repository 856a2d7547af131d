"""Counters since the realm began. Knows numbers only; they are part of a snapshot."""

from msgspec import Struct


class Totals(Struct, array_like=True):
    """`reassigned`: leases of a slot whose last one was lost or expired. `rejected`: results that differed from
    the accepted one, late ones included, each once."""

    submitted: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    leases: int = 0
    reassigned: int = 0
    rejected: int = 0
