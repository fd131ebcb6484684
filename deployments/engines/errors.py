"""What can go wrong with an engine."""


class EngineError(Exception):
    """
    Base of what can go wrong with an engine's process.

    ├─ EngineStartError     it never became ready
    ├─ EngineDied           it was ready and is gone, or silent for too long
    └─ EngineUnresponsive   one question went unanswered; it may still recover
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class EngineStartError(EngineError):
    """The engine never became ready. The message has the exit code or signal and the last lines that it printed."""


class EngineDied(EngineError):
    """A ready engine is gone or silent. The message has the exit code or signal and the last lines that it printed."""


class EngineUnresponsive(EngineError):
    """The engine lives but did not answer one question in time."""
