"""A house of engines behind fronts: an Ollama that it runs, and an endpoint that somebody else runs."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import openai
import pytest
from contract_engines import ENDPOINT_KEY_ENV, ollama, running, simulated
from house import House, open_house
from house_files import free_port, model, router, serve_file
from openai.types.chat import ChatCompletionMessageParam
from waiting import wait_for

from configs.engine import SimulatedSettings

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello."}]
NUM_TOKENS = 8
# Of the engines' answers: what is kept is the caching tests' business.
FROM_THE_ENGINE = {"cache-control": "no-store"}


@dataclass
class OthersEndpoint:
    """A simulated engine on a port of its own, with the model `theirs`, which can be ended and started again."""

    port: int
    settings: SimulatedSettings
    _life: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def start(self) -> None:
        self._life.enter_context(running(self.settings, self.port))

    def end(self) -> None:
        self._life.close()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[OthersEndpoint]:
    with simulated() as settings:
        endpoint = OthersEndpoint(free_port(), settings.model_copy(update={"model": "theirs", "inter_token_ms": 1}))
        endpoint.start()
        yield endpoint
        endpoint.end()


@pytest.fixture(scope="module")
def house(endpoint: OthersEndpoint) -> Iterator[House]:
    """
    The models `local`, on Ollama's stand-in, `remote`, at the endpoint, `hearing`, on a simulated engine, and `far`,
    which is the same one at an endpoint that is this house.
    """
    port = free_port()
    far = {
        "engine": "openai", "task": "transcribe", "model_source": "hearing", "base_url": f"http://127.0.0.1:{port}/v1",
    }  # fmt: skip
    remote = {
        "engine": "openai",
        "model_source": "theirs",
        "base_url": f"http://127.0.0.1:{endpoint.port}/v1",
        "api_key_env": ENDPOINT_KEY_ENV,
        "start_timeout_s": 10,
    }
    with ollama() as settings:
        local = settings.model_dump(mode="json", exclude={"model"}, exclude_defaults=True)
        config = serve_file(
            router(port, {"local": ["laptop"], "remote": ["cloud"], "hearing": [], "far": ["whisper-1"]}),
            [
                model("local", **local),
                model("remote", **remote),
                model("hearing", engine="simulated", task="transcribe"),
                model("far", **far),
            ],
        )
        with open_house(config, {ENDPOINT_KEY_ENV: "key-of-others"}) as house:
            yield house


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=house.base_url, api_key="none", max_retries=0, timeout=60, default_headers=FROM_THE_ENGINE
    ) as sdk:
        yield sdk


every_model = pytest.mark.parametrize("name", ["local", "remote"])


@every_model
def test_a_chat_is_answered(client: openai.OpenAI, name: str) -> None:
    """A chat is answered under the model's own name, with its usage."""
    answer = client.chat.completions.create(model=name, messages=MESSAGES, max_tokens=NUM_TOKENS, temperature=0)
    assert answer.usage is not None
    assert (name, "length", NUM_TOKENS) == (
        answer.model,
        answer.choices[0].finish_reason,
        answer.usage.completion_tokens,
    )


@every_model
def test_a_stream_says_what_the_whole_answer_says(client: openai.OpenAI, name: str) -> None:
    """Token by token, with the usage at the end when it was asked for, and the same id throughout."""
    whole = client.chat.completions.create(model=name, messages=MESSAGES, max_tokens=NUM_TOKENS, temperature=0)
    *chunks, last = client.chat.completions.create(
        model=name, messages=MESSAGES, max_tokens=NUM_TOKENS, temperature=0, stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert last.usage is not None
    assert (whole.choices[0].message.content, 1) == (text, len({chunk.id for chunk in chunks}))
    assert (NUM_TOKENS, []) == (last.usage.completion_tokens, last.choices)


def test_an_alias_leads_there(client: openai.OpenAI) -> None:
    """Clients need not know which engine it is."""
    answers = [client.completions.create(model=alias, prompt="Hi", max_tokens=1) for alias in ("laptop", "cloud")]
    assert ["local", "remote"] == [answer.model for answer in answers]


def test_a_recording_goes_through_two_houses(client: openai.OpenAI) -> None:
    """Under a name of each, and what is said of it comes back."""
    near, far = [
        client.audio.transcriptions.create(model=name, file=("a.wav", b"RIFF\r\n\xff" * 9000))
        for name in ("hearing", "whisper-1")
    ]
    assert near.text.startswith("A recording of 63000 bytes")
    assert near.text == far.text


def test_what_hears_and_nothing_else(client: openai.OpenAI) -> None:
    """Is told by the card, and by the refusal of a chat; what does not hear refuses recordings."""
    cards = [client.models.retrieve(name).to_dict()["capabilities"] for name in ("hearing", "far")]
    assert [["transcription"], ["transcription"]] == cards
    with pytest.raises(openai.BadRequestError, match="ask it at /v1/audio/transcriptions"):
        client.chat.completions.create(model="far", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError, match="generates text: ask it at"):
        client.audio.transcriptions.create(model="local", file=("a.wav", b"RIFF"))


def test_contexts_are_listed(client: openai.OpenAI) -> None:
    """The context of a model comes from its settings, or from the endpoint's own list."""
    contexts = {card.id: card.to_dict()["max_model_len"] for card in client.models.list()}
    assert {"local": 512, "remote": 512} == {name: contexts[name] for name in ("local", "remote")}


def test_what_ollama_cannot_do_is_a_bad_request(client: openai.OpenAI) -> None:
    """A request that would quietly be done otherwise is refused by the field's name."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="local", messages=MESSAGES, n=2)
    assert "n" == refused.value.param


def test_an_endpoint_may_die_and_come_back(client: openai.OpenAI, house: House, endpoint: OthersEndpoint) -> None:
    """Its replica is replaced while it is gone, and requests are answered once it is there again."""

    def answers() -> bool:
        with contextlib.suppress(openai.APIError):
            client.completions.create(model="remote", prompt="Hi", max_tokens=1)
            return True
        return False

    assert answers()
    before = house.num_started("remote")
    endpoint.end()
    assert not answers()
    wait_for("its replica is replaced", lambda: house.num_started("remote") > before)
    endpoint.start()
    wait_for("it answers again", answers)
    assert client.completions.create(model="local", prompt="Hi", max_tokens=1).model == "local"
