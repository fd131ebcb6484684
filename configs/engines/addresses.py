"""Addresses of servers that run elsewhere."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def _is_http_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is no address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("must be an address that begins with http:// or https:// and names a host")
    if parts.username or parts.password:
        raise ValueError("must not hold a password: Serve logs it. Name an environment variable in api_key_env instead")
    if parts.query or parts.fragment:
        raise ValueError("must end with its path: no `?` and no `#`")
    return value.rstrip("/")


HttpAddress = Annotated[str, AfterValidator(_is_http_address)]
"""`http://` or `https://`, a host, perhaps a port and a path; no secrets in it."""
