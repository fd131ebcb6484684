"""Settings of the engine `openai`."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from configs.engines.addresses import HttpAddress
from configs.engines.base import EngineSettings, Task
from configs.settings import EnvironmentName, Seconds, Settings, error_at


class EndpointTlsSettings(Settings):
    """How the endpoint is known, and how it knows us. Files are on the nodes that run the replicas."""

    ca_file: str | None = None
    """Certificates of the authorities that are trusted, as PEM. Default: the system's."""

    client_certificate_file: str | None = None
    """Our own certificate with its chain, as PEM, for an endpoint that asks for one."""

    client_key_file: str | None = None
    """Its private key, as PEM. Default: it is in `client_certificate_file`."""

    is_verified: bool = True
    """Whether the endpoint's certificate is checked. Without it, anybody on the way can read and change all."""

    @model_validator(mode="after")
    def _a_key_has_a_certificate(self) -> Self:
        if self.client_key_file is not None and self.client_certificate_file is None:
            raise error_at(("client_key_file",), "needs a client_certificate_file")
        return self


class EndpointSettings(EngineSettings):
    """Any server that speaks OpenAI's API: NIM, Triton's OpenAI front end, another cluster, a hosted service."""

    engine: Literal["openai"]
    """Nothing is started: the server runs already."""

    tasks: ClassVar[tuple[Task, ...]] = ("generate", "embed", "rerank", "transcribe", "speak")

    why_no_swap: ClassVar[str] = "the server runs already, and is not ours to stop"

    base_url: HttpAddress
    """The address to which OpenAI's routes are added: `https://nim.example:8000/v1` for `/v1/chat/completions`."""

    start_timeout_s: Seconds = 60.0
    """Longest time, in seconds, that a starting replica waits for the endpoint's first healthy answer. Then the
    replica fails with the reason, and Serve starts another."""

    model_source: str | None = None
    """The model's name at the endpoint. Default: `model`."""

    api_key_env: EnvironmentName | None = None
    """Environment variable with the endpoint's key, sent as a bearer token. Default: no key."""

    tls: EndpointTlsSettings = Field(default_factory=EndpointTlsSettings)
    """For an `https` address."""

    health_path: Annotated[str, Field(pattern=r"^/")] | None = None
    """Path at the endpoint's host that answers 200 while it is well, such as `/v1/health/ready`. Default: the list of
    models under `base_url`, which also proves the key and the model's name."""

    max_model_len: Annotated[int, Field(ge=16, le=10_000_000)] | None = None
    """Context of one request, in tokens: prompt and completion together. Default: what its list of models says."""

    connect_timeout_s: Annotated[float, Field(gt=0, le=300)] = 5.0
    """Longest time to connect to the endpoint, in seconds. Then the request goes to another replica."""

    @model_validator(mode="after")
    def _tls_is_for_https(self) -> Self:
        if self.base_url.startswith("http://") and self.tls != EndpointTlsSettings():
            raise error_at(("tls",), "is for an address that begins with https://")
        return self
