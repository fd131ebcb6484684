"""What a client of the router is made of: its settings for a cluster, and its first requests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from deployments.editors.offered import OfferedModel
from deployments.editors.picks import Picks, Role, pick
from deployments.editors.step import Skip, Step

YOUR_KEY = "YOUR_KEY"
"""Stands where a key goes in settings that are shown."""


@dataclass(slots=True, frozen=True)
class Key:
    """`env` is the variable that holds it. `text` is what is written where a client cannot be told of a variable."""

    env: str
    text: str


@dataclass(slots=True, frozen=True)
class Setup:
    """A cluster as clients are told of it. `origin` is its address without `/v1`. `key` is None where it has none."""

    origin: str
    models: Sequence[OfferedModel]
    key: Key | None = None

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def keyed_origin(self) -> str:
        """With the key in the path, for clients that cannot send one."""
        return f"{self.origin}/k/{quote(self.key.text, safe='')}" if self.key else self.origin

    @property
    def picks(self) -> Picks:
        return pick(self.models)

    @property
    def key_text(self) -> str:
        """For fields that must not be empty: anything will do where the router has no keys."""
        return self.key.text if self.key else "none"

    def bearer(self) -> dict[str, str]:
        """The header that most clients send."""
        return {"Authorization": f"Bearer {self.key.text}"} if self.key else {}


@dataclass(slots=True, frozen=True)
class Part:
    """One piece of a client's settings. `home_file` is the file that is this piece and nothing else, below the home."""

    where: str
    text: str
    home_file: str | None = None


@dataclass(slots=True, frozen=True)
class Client:
    """
    One client. `name` is what is typed, `title` what is read.

    `settings` and `first_requests` are pure. `meanings` says what a user of the client sees of a status.
    """

    name: str
    title: str
    roles: Sequence[Role]
    settings: Callable[[Setup], Sequence[Part]]
    first_requests: Callable[[Setup], Sequence[Step | Skip]]
    meanings: Mapping[int, str] = field(default_factory=dict)
