"""One fault during a load, and the question that is asked after each: who was answered, and who was told what."""

import asyncio
from time import monotonic

from chaos_house import Chaos
from clients import Clients
from faults import Fault
from ledger import FORBIDDEN, Counts, Ending, Entry, count
from waiting import eventually


async def strike(chaos: Chaos, load: Clients, fault: Fault) -> list[Entry]:
    """
    Let a fault happen, and wait until the house is whole again and answers.

    Returns:
        Every request that met it, each with its end.
    """
    entries = load.ledger.entries
    first = next((entry.number for entry in entries if entry.ended_at is None), len(entries))
    await fault.strike(chaos)
    await asyncio.to_thread(chaos.house.wait_whole)
    whole_at = monotonic()
    num_clients = sum(load.asking.num_clients.values())
    await eventually(
        "requests are answered again",
        lambda: sum(one.asked_at > whole_at and one.ending is Ending.COMPLETE for one in entries) > num_clients // 4,
    )
    met = [entry for entry in entries[first:] if entry.asked_at <= whole_at]
    await eventually("all that met it have ended", lambda: all(entry.ended_at is not None for entry in met), 200)
    return met


def judge(fault: Fault, met: list[Entry], counts: Counts, engine: str = "simulated") -> None:
    """Enter the counts. Nothing may be cut short in silence, or hang, and only what the fault took away may fail."""
    counts.update(count(f"{engine}: {fault.name}", met))
    assert [] == [entry for entry in met if entry.ending in FORBIDDEN]
    assert [] == [entry for entry in met if not fault.allows(entry)]
