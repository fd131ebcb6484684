"""What keeps an artifact from being built or used."""


class ArtifactError(Exception):
    """The message says what is wrong, with what, and what to do."""


class StepFailedError(ArtifactError):
    """A tool of TensorRT-LLM ended with an error; what was finished before it is kept."""
