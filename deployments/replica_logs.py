"""Our loggers inside a Serve replica: into the replica's own log, which the dashboard shows."""

import logging

from ray.serve._private.constants import SERVE_LOGGER_NAME


def join_serve_logs() -> None:
    """Hand what `enginehouse.*` logs to the handlers that Serve gave its own logger in this process."""
    ours = logging.getLogger("enginehouse")
    ours.setLevel(logging.INFO)
    ours.parent = logging.getLogger(SERVE_LOGGER_NAME)
    uvicorns = logging.getLogger("uvicorn.error")
    uvicorns.setLevel(logging.WARNING)
    uvicorns.parent = ours.parent
