"""Pages of the web that may ask the router from within a browser, where the settings name any."""

from collections.abc import Collection
from typing import Final, cast

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from router.http.asgi import AsgiApp

_METHODS: Final = ("GET", "HEAD", "POST", "DELETE")
_SHOWN: Final = (
    "x-request-id", "request-id", "retry-after", "retry-after-ms", "x-should-retry", "x-enginehouse-cache",
    "x-enginehouse-error-source", "x-enginehouse-ignored", "x-enginehouse-route",
)  # fmt: skip
"""Headers of answers that SDKs and people look at, which a browser else hides from its pages."""


def with_pages(app: AsgiApp, origins: Collection[str]) -> AsgiApp:
    """
    The same app, which tells browsers whose pages may ask; `app` itself where no page may, which costs nothing.

    A page sends its key itself: browsers are not asked to send what they keep for the router's address.
    """
    if not origins:
        return app
    return CORSMiddleware(
        cast("ASGIApp", app),
        allow_origins=origins,
        allow_methods=_METHODS,
        allow_headers=("*",),
        allow_private_network=True,
        expose_headers=_SHOWN,
    )
