"""What the settings of every engine have."""

from pydantic import Field

from configs.settings import ModelName, Seconds, Settings


class EngineSettings(Settings):
    """What every engine has."""

    model: ModelName
    """The model's name inside the engine, in its logs and in metrics. Clients ask for the names in the model table."""

    start_timeout_s: Seconds = 600.0
    """Longest time, in seconds, from the engine's start to its first healthy answer. Then the replica fails with
    the engine's last lines as its reason."""

    drain_timeout_s: Seconds = 600.0
    """Longest time, in seconds, that a stopping replica waits for its running requests. Serve's own
    `graceful_shutdown_timeout_s` bounds it from above."""

    interpreter: str | None = None
    """Path of the Python interpreter that runs the engine, so that each engine may have its own environment.
    Default: the one that runs Ray."""

    environment: dict[str, str] = Field(default_factory=dict)
    """Environment variables added for the engine. No secrets: Serve logs them."""

    @property
    def num_gpus(self) -> int:
        """GPUs that a replica reserves, where its deployment does not say otherwise."""
        return 0
