"""Settings of what a model can do, where its engine does not say so."""

from configs.settings import Settings


class CapabilitySettings(Settings):
    """
    What a model can do, as `/v1/models` and Ollama's `/api/show` tell it. Default of each: what its engine says.

    Whether it fills in the middle is told by `fim`, beside this.

    Engines say it from the model's own files. Say it here where they cannot know, as of an endpoint of others, or where
    they are wrong. What a model cannot do is not asked of it.
    """

    tools: bool | None = None
    """It calls tools. `false`: a request that demands a call is answered 400, and where a call is only allowed the
    tools are left out."""

    vision: bool | None = None
    """It sees images. `false`: a request with an image is answered 400."""

    reasoning: bool | None = None
    """It thinks before it answers, and the engine tells the one from the other."""

    structured_output: bool | None = None
    """The engine makes an answer follow `response_format`. `false`: a request for JSON is
    answered 400."""

    audio: bool | None = None
    """It hears sound in the messages of a chat. `false`: a request with an `input_audio` is answered 400."""

    transcription: bool | None = None
    """It answers `/v1/audio/transcriptions`, beside what it writes. `false`: it is not asked there."""

    speech: bool | None = None
    """It answers `/v1/audio/speech`, beside what it writes. `false`: it is not asked there."""
