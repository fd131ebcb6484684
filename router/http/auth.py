"""Who may ask: API keys in the three headers that clients use, and who is served without one."""

import hashlib
from collections.abc import Collection, Iterable

from router.errors import InvalidApiKey
from router.http.asgi import Scope


def parse_keys(text: str) -> frozenset[str]:
    """The keys in a variable or file: separated by commas or whitespace; a line that begins with # does not count."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return frozenset(" ".join(lines).replace(",", " ").split())


def presented_key(scope: Scope, dummies: Collection[str] = ()) -> str | None:
    """
    The key that came with a request: `Authorization: Bearer`, `x-api-key` or `api-key`, in this order.

    An empty header counts as none: editors send one when their user has set no key. One of `dummies` is found only
    where there is no other: some clients must send a Bearer, and have the key itself in a header of their user's.
    """
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in (b"authorization", b"x-api-key", b"api-key"):
            found.setdefault(name, value)
    scheme, _, token = found.get(b"authorization", b"").partition(b" ")
    bearer = token.strip() if scheme.lower() == b"bearer" else b""
    sent = (bearer, found.get(b"x-api-key", b"").strip(), found.get(b"api-key", b"").strip())
    keys = [key.decode(errors="surrogateescape") for key in sent if key]
    return next((key for key in keys if key not in dummies), keys[0] if keys else None)


class KeyRing:
    """
    The accepted API keys, kept as digests.

    Digests are looked up, not keys, so the time that a look-up takes says nothing about a key.
    """

    def __init__(
        self,
        keys: Iterable[str],
        *,
        serves_anonymous: bool = False,
        dummies: Iterable[str] = (),
        are_in_paths: bool = True,
    ) -> None:
        """
        Args:
            keys: those that are accepted; none at all accepts everybody.
            serves_anonymous: whether requests without a key are served as a tenant of their own.
            dummies: what clients send where their users have set no key; they count as none.
            are_in_paths: whether a key may be in the path.
        """
        accepted = frozenset(keys)
        self._digests = frozenset(map(_digest, accepted))
        self._serves_anonymous = serves_anonymous
        self._dummies = frozenset(dummies) - accepted
        self.are_in_paths = are_in_paths

    @property
    def is_open(self) -> bool:
        """Whether everybody is accepted, because there is no key."""
        return not self._digests

    def check(self, scope: Scope) -> str:
        """
        The tenant: a digest of the key; ANONYMOUS_TENANT for who has none, and empty where there are no keys at all.

        Raises:
            InvalidApiKey: the request has no accepted key. The key itself is never repeated.
        """
        if not self._digests:
            return ""
        key = presented_key(scope, self._dummies)
        digest = None if key is None else _digest(key)
        if digest is not None and digest in self._digests:
            return digest.hex()
        if key is not None and key not in self._dummies:
            raise InvalidApiKey("The API key is not accepted here.")
        if not self._serves_anonymous:
            raise InvalidApiKey("No API key was given. Send it as `Authorization: Bearer KEY`.")
        return ANONYMOUS_TENANT

    def check_tenant(self, tenant: str) -> str:
        """
        `tenant`, which `check` gave out once, if its key is still accepted.

        Raises:
            InvalidApiKey: it is not.
        """
        if tenant == ANONYMOUS_TENANT and self._serves_anonymous:
            return tenant
        if self._digests and bytes.fromhex(tenant) not in self._digests:
            raise InvalidApiKey("The API key of this batch is no longer accepted here.")
        return tenant


def tenant_of(key: str) -> str:
    """
    What stands for a key where keys must not be, and what `KeyRing.check` returns for an accepted one: its SHA-256 in
    64 hexadecimal digits.
    """
    return _digest(key).hex()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


ANONYMOUS_TENANT = tenant_of("")
"""Whose requests those without a key are: the id of the empty key, which begins with e3b0c44298fc1c14."""
