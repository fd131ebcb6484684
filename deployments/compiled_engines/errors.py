"""What keeps a compiled engine from being built or used."""


class CompiledEngineError(Exception):
    """The message says what is wrong, with what, and what to do."""


class StepFailedError(CompiledEngineError):
    """A tool of TensorRT-LLM ended with an error; what was finished before it is kept."""
