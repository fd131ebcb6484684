"""Where files and batches are asked for: what a router's state holds of them, whoever works on them."""

from typing import Protocol

from configs.batches import BatchSettings
from router.batches.files import FileShelf
from router.batches.ledger import Ledger
from router.batches.records import Batch, Order


class BatchDesk(Protocol):
    """Its one kind is `router.batches.service.Batches`, which needs the state that holds it."""

    settings: BatchSettings
    files: FileShelf
    ledger: Ledger

    def run_lines(self) -> None:
        """Begin to work on batches, until `close`."""

    async def create(self, owner: str, order: Order) -> Batch: ...

    async def cancel(self, batch: Batch) -> None: ...

    async def close(self) -> None:
        """Leave the work to other routers, at once."""
