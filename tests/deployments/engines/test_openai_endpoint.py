"""`deployments/engines/openai_endpoint.py`: keys, names, certificates, and what is said when something is wrong."""

import json
import ssl
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from configs.engine import EndpointSettings, EndpointTlsSettings
from deployments.engines.errors import EngineStartError
from deployments.engines.openai_endpoint import within_context
from deployments.engines.runtime import EngineRuntime

StartEngine = Callable[..., Awaitable[EngineRuntime]]
Connect = Callable[[EngineRuntime], Awaitable[aiohttp.ClientSession]]

KEY_ENV = "ENGINEHOUSE_TEST_ENDPOINT_KEY"
MODELS = {"object": "list", "data": [{"id": "a", "context_length": 2048}, {"id": "b"}]}


class Endpoint(BaseHTTPRequestHandler):
    """An endpoint with the models `a` and `b`, which may want a key."""

    key: str | None = None
    models: Any = MODELS
    models_status = 200

    def do_GET(self) -> None:
        if self.path == "/ready":
            self._answer(200, {})
        elif self.key is not None and self.headers["Authorization"] != f"Bearer {self.key}":
            self._answer(401, {"error": "who are you?"})
        else:
            self._answer(self.models_status if self.path == "/v1/models" else 404, self.models)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(200, {"model": body["model"], "choices": []})

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts an endpoint, with TLS where a context is given; returns its base URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(tls: ssl.SSLContext | None = None, **fields: Any) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("ThisEndpoint", (Endpoint,), fields))
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever).start()
        scheme, host = ("http", "127.0.0.1") if tls is None else ("https", "localhost")
        return f"{scheme}://{host}:{server.server_port}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def settings_for(base_url: str, **fields: Any) -> EndpointSettings:
    return EndpointSettings(engine="openai", base_url=base_url, **{"model": "a", "start_timeout_s": 20, **fields})


# names and keys


async def test_the_models_context_is_taken_over(start_engine: StartEngine, serve: Serve) -> None:
    """What the endpoint's list says of the model's context is the replica's."""
    engine = await start_engine(settings_for(serve()))

    assert (2048, None) == (engine.max_model_len, engine.pid)


async def test_the_settings_context_counts_more(start_engine: StartEngine, serve: Serve) -> None:
    """Whoever sets a context knows why."""
    engine = await start_engine(settings_for(serve(), max_model_len=512))

    assert 512 == engine.max_model_len


async def test_an_unknown_model_lists_what_there_is(start_engine: StartEngine, serve: Serve) -> None:
    """The message has the name that was looked for, and those to choose from."""
    with pytest.raises(EngineStartError, match="has no model 'c'; it has: a, b"):
        await start_engine(settings_for(serve(), model="m", model_source="c"))


async def test_a_key_from_the_environment_is_sent(
    start_engine: StartEngine, connect: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint's key is the variable's, whatever key the client had."""
    monkeypatch.setenv(KEY_ENV, " s3same\n")
    engine = await start_engine(settings_for(serve(key="s3same"), api_key_env=KEY_ENV))
    async with (await connect(engine)).post("/v1/completions", json={"model": "a", "prompt": "Hi"}) as response:
        pass

    assert 200 == response.status


async def test_a_key_that_is_not_set_is_named(
    start_engine: StartEngine, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that is missing where the replica runs fails the start at once, by its name."""
    monkeypatch.delenv(KEY_ENV, raising=False)
    with pytest.raises(EngineStartError, match=f"the environment variable {KEY_ENV} is not set"):
        await start_engine(settings_for(serve(), api_key_env=KEY_ENV))


@pytest.mark.parametrize("key_env", [None, KEY_ENV])
async def test_a_refused_key_is_told(
    start_engine: StartEngine, serve: Serve, monkeypatch: pytest.MonkeyPatch, key_env: str | None
) -> None:
    """A wrong key, or none, is an error at the start, and the message names the variable or the setting."""
    monkeypatch.setenv(KEY_ENV, "wrong")
    with pytest.raises(EngineStartError, match=f"refused the key.*{key_env or 'api_key_env'}"):
        await start_engine(settings_for(serve(key="s3same"), api_key_env=key_env))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"models_status": 404}, "status 404 instead of a list of models; is base_url right"),
        ({"models": {"hello": "world"}}, "did not answer with a list of models"),
        ({"models": {"data": []}}, "it has: none"),
    ],
)
async def test_what_is_no_openai_server_is_told(
    start_engine: StartEngine, serve: Serve, fields: dict[str, Any], reason: str
) -> None:
    """A base_url that leads to something else ends with a question for it."""
    with pytest.raises(EngineStartError, match=reason):
        await start_engine(settings_for(serve(**fields)))


async def test_nobody_at_the_address_is_told(start_engine: StartEngine) -> None:
    """The start ends at its limit, with the address and the reason."""
    with pytest.raises(
        EngineStartError, match=r"not ready after 1 s; http://127\.0\.0\.1:1/v1 does not answer: Cannot connect"
    ):
        await start_engine(settings_for("http://127.0.0.1:1/v1", start_timeout_s=1))


# health


async def test_a_health_path_is_asked_instead_of_the_models(start_engine: StartEngine, serve: Serve) -> None:
    """A server without a list of models is judged by the path that the settings name, at its host."""
    engine = await start_engine(settings_for(serve(models_status=404), health_path="/ready"))

    assert engine.max_model_len is None


async def test_a_wrong_health_path_is_told(start_engine: StartEngine, serve: Serve) -> None:
    """A health path that the server does not know is a mistake in the settings."""
    with pytest.raises(EngineStartError, match=r"/nowhere answered with status 404; is health_path right\?"):
        await start_engine(settings_for(serve(), health_path="/nowhere"))


# certificates


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)  # noqa: S607


class Authority:
    """A private authority in a folder, and the certificates that it signs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self.file = folder / "ca.pem"
        openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Private authority", "-days", "2",
            "-keyout", folder / "ca.key", "-out", self.file,
        )  # fmt: skip

    def sign(self, name: str) -> tuple[str, str]:
        """A certificate for `name` and its key, as files."""
        certificate, key, request, names = (self._folder / f"{name}.{end}" for end in ("pem", "key", "csr", "cnf"))
        names.write_text(f"subjectAltName=DNS:{name}\n")
        openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request,
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self._folder / "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", names, "-out", certificate,
        )  # fmt: skip
        return str(certificate), str(key)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "theirs")


@pytest.fixture
def server_tls(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("localhost"))
    return context


async def test_a_private_authority_is_trusted_by_its_file(
    start_engine: StartEngine, connect: Connect, serve: Serve, server_tls: ssl.SSLContext, authority: Authority
) -> None:
    """With `ca_file` an endpoint of a private authority answers."""
    tls = EndpointTlsSettings(ca_file=str(authority.file))
    engine = await start_engine(settings_for(serve(server_tls), tls=tls))
    async with (await connect(engine)).post("/v1/completions", json={"model": "a", "prompt": "Hi"}) as response:
        answer = await response.json()

    assert (200, "a") == (response.status, answer["model"])


async def test_a_certificate_of_strangers_is_refused(
    start_engine: StartEngine, serve: Serve, server_tls: ssl.SSLContext, stranger: Authority
) -> None:
    """An endpoint that another authority vouches for is never asked; the reason is named, and not waited for."""
    tls = EndpointTlsSettings(ca_file=str(stranger.file))
    with pytest.raises(EngineStartError, match=r"did not start: .* certificate verify failed"):
        await start_engine(settings_for(serve(server_tls), tls=tls, start_timeout_s=100))


async def test_certificates_need_not_be_checked(
    start_engine: StartEngine, serve: Serve, server_tls: ssl.SSLContext
) -> None:
    """`is_verified: false` takes any."""
    tls = EndpointTlsSettings(is_verified=False)
    engine = await start_engine(settings_for(serve(server_tls), tls=tls))

    assert 2048 == engine.max_model_len


async def test_a_client_certificate_is_shown(
    start_engine: StartEngine, serve: Serve, server_tls: ssl.SSLContext, authority: Authority
) -> None:
    """An endpoint that asks for a certificate gets the settings' one."""
    server_tls.load_verify_locations(authority.file)
    server_tls.verify_mode = ssl.CERT_REQUIRED
    certificate, key = authority.sign("client")
    tls = EndpointTlsSettings(ca_file=str(authority.file), client_certificate_file=certificate, client_key_file=key)
    engine = await start_engine(settings_for(serve(server_tls), tls=tls))

    assert 2048 == engine.max_model_len


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_file_that_cannot_be_used_is_named(
    start_engine: StartEngine, tmp_path: Path, content: str | None
) -> None:
    """A file of certificates that is missing, or is none, fails the start at once."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(EngineStartError, match=f"the certificates of tls \\({file}\\) cannot be used"):
        await start_engine(settings_for("https://127.0.0.1:1/v1", tls=EndpointTlsSettings(ca_file=str(file))))


# limits


@pytest.mark.parametrize(
    ("limits", "max_model_len", "expected"),
    [
        ({"max_tokens": 32_000}, 1000, {"max_tokens": 892}),
        ({"max_completion_tokens": 32_000}, 1000, {"max_completion_tokens": 889}),
        ({"max_tokens": 500}, 1000, {"max_tokens": 500}),
        ({"max_tokens": 500}, 100, {"max_tokens": 500}),
        ({"max_tokens": 32_000}, None, {"max_tokens": 32_000}),
        ({}, 1000, {}),
    ],
)
def test_a_limit_leaves_room_for_the_prompt(
    limits: dict[str, int], max_model_len: int | None, expected: dict[str, int]
) -> None:
    """Claude Code asks for 32,000 tokens of any model; a prompt without room is the endpoint's to refuse."""
    body = {"model": "a", "messages": [{"role": "user", "content": "x" * 250}], **limits}
    assert {**body, **expected} == within_context(body, max_model_len)
