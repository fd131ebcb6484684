"""Who makes an answer, where several could: one of them holds its lease, and the others learn who that is."""

from typing import NamedTuple, Protocol

from cache.keys import Key


class Lease(NamedTuple):
    """Ours, for as long as it is held."""

    name: str
    value: bytes
    has_entry: bool
    """Whether there is an entry by now, of whatever age: its last maker may have released the lease a moment ago."""


class Holder(NamedTuple):
    """Somebody else's lease. `note` is what its holder says of himself."""

    note: bytes
    value: bytes


class Leases(Protocol):
    """
    Leases by key, for everybody who shares a store. Belongs to one event loop.

    A lease is advice, never a lock: two can believe that they hold the same one after an outage, and then an answer
    is made twice.
    """

    async def claim(
        self, key: Key, variant: str, note: bytes, instead_of: Holder | None = None
    ) -> Lease | Holder | None:
        """
        Take the lease, or learn who has it. None: nobody can say, for the store is away.

        It ends after some seconds unless it is held.

        Args:
            variant: tells several leases of one key apart.
            note: what others learn. It is signed, not secret.
            instead_of: a holder that is known to be gone; where he still has it, it is taken from him.
        """

    def hold(self, lease: Lease) -> None:
        """Keep it until it is released."""

    def release(self, lease: Lease) -> None:
        """Give it up, soon: not before what was put into the store until now is there."""
