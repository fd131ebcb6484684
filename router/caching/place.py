"""Where other routers find the answers that this one is making."""

import secrets
from dataclasses import dataclass, field
from typing import Self

import orjson


@dataclass(frozen=True, slots=True)
class Place:
    """A router's door for its peers. `token` is what they must show there."""

    router_id: str
    host: str
    port: int
    token: str = field(repr=False)

    @classmethod
    def open(cls, router_id: str, host: str, port: int) -> Self:
        """A place with a token that nobody knows yet."""
        return cls(router_id, host, port, secrets.token_urlsafe(24))

    def note(self) -> bytes:
        """What a lease says of its holder. No two notes are the same, so that no two leases are."""
        return orjson.dumps([self.router_id, self.host, self.port, self.token, secrets.token_hex(8)])

    @classmethod
    def read(cls, note: bytes) -> Self | None:
        """The place in a note; None where it is not one."""
        try:
            router_id, host, port, token, _ = orjson.loads(note)
        except ValueError:
            return None
        return cls(str(router_id), str(host), int(port), str(token)) if isinstance(port, int) else None


def flight_path(digest: bytes, *, is_stream: bool) -> str:
    """Where a peer's flight is, below its place."""
    return f"/flights/{digest.hex()}/{'stream' if is_stream else 'whole'}"


def read_flight_path(path: str) -> tuple[bytes, bool] | None:
    """The digest of a flight and whether it is a stream; None where `path` is none."""
    match path.split("/"):
        case ["", "flights", digest, "stream" | "whole" as form]:
            try:
                return bytes.fromhex(digest), form == "stream"
            except ValueError:
                return None
    return None
