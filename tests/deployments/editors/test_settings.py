"""Settings that a person pastes: readable by their clients, with the names and the key that they need."""

import json
import tomllib
from typing import Any

import pytest
import yaml

from deployments.editors.client import YOUR_KEY, Key, Setup
from deployments.editors.clients.copilot import copilot_settings
from deployments.editors.offered import OfferedModel, offered_model
from deployments.editors.registry import CLIENTS
from deployments.editors.step import Step

ORIGIN = "http://127.0.0.1:8000"
SMALL = OfferedModel("smollm2", 2048)
AGENT = OfferedModel("helper", 131_072, capabilities=frozenset({"tools", "vision"}))
MODELS = [
    SMALL,
    AGENT,
    OfferedModel("typist", 8192, capabilities=frozenset({"insert"})),
    OfferedModel("vectors", 512, "embed"),
    OfferedModel("ranks", 64, "rerank"),
]
OPEN = Setup(ORIGIN, MODELS)
KEYED = Setup(ORIGIN, MODELS, Key("ENGINEHOUSE_KEY", YOUR_KEY))


def text_of(name: str, setup: Setup = KEYED, part: int = 0) -> str:
    return CLIENTS[name].settings(setup)[part].text


def copilot_models(setup: Setup) -> dict[str, Any]:
    (group,) = json.loads(copilot_settings(setup))
    assert "apiKey" not in group
    return {model["id"]: model for model in group["models"]}


def test_prompt_and_answer_share_the_context() -> None:
    """What VS Code may send and ask for fits into the model's context together."""
    model = copilot_models(OPEN)["smollm2"]
    assert "http://127.0.0.1:8000/v1/chat/completions" == model["url"]
    assert 2048 == model["maxInputTokens"] + model["maxOutputTokens"]


@pytest.mark.parametrize(
    ("name", "room"),
    [
        ("copilot", '"maxInputTokens": 24576'), ("continue", "contextLength: 32768"), ("roo", '"contextWindow": 32768'),
        ("cline", "Context Window    32768"), ("kilo", '"context": 32768'),
    ],
)  # fmt: skip
def test_a_model_that_never_ran(name: str, room: str) -> None:
    """Says no context: clients are told of one in which there is room, as 0 tokens would be none."""
    asleep = offered_model({"id": "asleep", "max_model_len": None, "task": None, "capabilities": []})
    assert room in text_of(name, Setup(ORIGIN, [asleep]))


def test_a_model_that_never_ran_may_call_tools() -> None:
    """Nobody knows, and a client that was told no would never ask."""
    asleep = offered_model({"id": "asleep", "max_model_len": None, "task": None, "capabilities": []})
    assert copilot_models(Setup(ORIGIN, [asleep]))["asleep"]["toolCalling"]


def test_copilot_gets_the_key_in_a_header() -> None:
    """VS Code drops an apiKey that is written into the file, so the key is a request header."""
    assert {"Authorization": "Bearer YOUR_KEY"} == copilot_models(KEYED)["smollm2"]["requestHeaders"]
    assert "requestHeaders" not in copilot_models(OPEN)["smollm2"]


def test_copilot_is_offered_only_models_that_generate() -> None:
    """Nobody can chat with vectors."""
    assert ["smollm2", "helper", "typist"] == list(copilot_models(OPEN))


def test_copilot_is_told_what_a_model_can() -> None:
    """Agent mode offers a model only if it calls tools."""
    models = copilot_models(OPEN)
    assert [False, True, False] == [models[name]["toolCalling"] for name in ("smollm2", "helper", "typist")]
    assert [False, True] == [models[name]["vision"] for name in ("smollm2", "helper")]


def test_the_hugging_face_extension_gets_the_key_in_its_address() -> None:
    """It sends none by itself."""
    keyed, unkeyed = json.loads(text_of("huggingface")), json.loads(text_of("huggingface", OPEN))
    assert "http://127.0.0.1:8000/k/YOUR_KEY" == keyed["huggingface.customTGIEndpoint"]
    assert ORIGIN == unkeyed["huggingface.localEndpoint"]


def test_a_key_in_an_address_is_written_as_addresses_are() -> None:
    """Keys that are random bytes in base64 have slashes."""
    settings = json.loads(text_of("huggingface", Setup(ORIGIN, MODELS, Key("ENGINEHOUSE_KEY", "ab/c+=="))))
    assert "http://127.0.0.1:8000/k/ab%2Fc%2B%3D%3D" == settings["huggingface.customTGIEndpoint"]


def test_continue_gets_a_model_for_each_role() -> None:
    """Its addresses end with a slash, as its adapters join them without one."""
    models = yaml.safe_load(text_of("continue"))["models"]
    roles = {role: model["model"] for model in models for role in model["roles"]}
    assert {
        "chat": "helper", "edit": "helper", "apply": "helper", "autocomplete": "typist", "embed": "vectors",
        "rerank": "ranks",
    } == roles  # fmt: skip
    assert {"http://127.0.0.1:8000/v1/"} == {model["apiBase"] for model in models}


def test_continue_leaves_the_prompt_to_the_router() -> None:
    """Its other providers write a model's marks themselves, and guess them by the name, which may be an alias."""
    [completing] = [one for one in yaml.safe_load(text_of("continue"))["models"] if one["roles"] == ["autocomplete"]]
    [step] = [one for one in CLIENTS["continue"].first_requests(KEYED) if one.title == "autocomplete"]
    assert isinstance(step, Step)
    assert ("mistral", "/v1/fim/completions", "\n") == (completing["provider"], step.path, (step.body or {})["suffix"])


def test_codex_gets_the_name_of_the_variable() -> None:
    """The key itself never stands in its file."""
    settings = tomllib.loads(text_of("codex"))
    assert "helper" == settings["model"]
    provider = settings["model_providers"]["enginehouse"]
    assert ("responses", "ENGINEHOUSE_KEY") == (provider["wire_api"], provider["env_key"])
    assert YOUR_KEY not in text_of("codex")


def test_codex_without_a_key() -> None:
    """Codex refuses to start when a variable that is named is not set."""
    provider = tomllib.loads(text_of("codex", OPEN))["model_providers"]["enginehouse"]
    assert "env_key" not in provider


def test_claude_code_gets_the_address_without_v1() -> None:
    """It adds the version by itself."""
    environment = json.loads(text_of("claude-code"))["env"]
    assert (ORIGIN, YOUR_KEY, "helper") == (
        environment["ANTHROPIC_BASE_URL"], environment["ANTHROPIC_AUTH_TOKEN"], environment["ANTHROPIC_MODEL"],
    )  # fmt: skip


def test_roo_gets_a_profile_to_import() -> None:
    """With the context that the model has."""
    profiles = json.loads(text_of("roo"))["providerProfiles"]
    profile = profiles["apiConfigs"][profiles["currentApiConfigName"]]
    assert ("openai", "helper", 131_072) == (
        profile["apiProvider"], profile["openAiModelId"], profile["openAiCustomModelInfo"]["contextWindow"],
    )  # fmt: skip


def test_kilo_gets_every_model_that_generates() -> None:
    """Its autocomplete is chosen among them."""
    models = json.loads(text_of("kilo"))["provider"]["enginehouse"]["models"]
    assert ["smollm2", "helper", "typist"] == list(models)


def test_llama_vscode_is_kept_from_installing() -> None:
    """Its first dialog would run a script from the internet."""
    settings = json.loads(text_of("llama-vscode"))
    assert settings["llama-vscode.ask_install_llamacpp"] is False
    assert (ORIGIN, ORIGIN) == (settings["llama-vscode.endpoint"], settings["llama-vscode.endpoint_embeddings"])


def test_twinny_gets_an_address_in_pieces() -> None:
    """Without a port in the address, the one that its scheme has."""
    text = text_of("twinny", Setup("https://house.example", MODELS), part=1)
    assert ["lmstudio", "https", "typist", "house.example", "443", "/v1/completions", "none"] == [
        line[12:] for line in text.splitlines()[2:]
    ]


def test_twinnys_chat_gets_the_path_that_its_library_adds_to() -> None:
    """It adds `/chat/completions` by itself, and would ask for a path that is not there."""
    assert "API Path    /v1" in text_of("twinny").splitlines()


def test_cline_gets_its_fields_and_a_command() -> None:
    """Its extension has no file to write to."""
    assert "Model ID          helper" in text_of("cline")
    assert "cline auth -p openai -b http://127.0.0.1:8000/v1 -k YOUR_KEY -m helper" == text_of("cline", part=1)


def test_providers_for_ollama_get_the_key_in_their_address() -> None:
    """None of them has a field for one."""
    assert "OLLAMA_HOST=http://127.0.0.1:8000/k/YOUR_KEY" == text_of("ollama", part=1)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_cluster_without_models_has_settings_for_nobody(name: str) -> None:
    """No client's settings name a model that is not there, and none fails."""
    empty = Setup(ORIGIN, [])
    texts = "".join(part.text for part in CLIENTS[name].settings(empty))
    assert "None" not in texts
    assert [] == [step for step in CLIENTS[name].first_requests(empty) if getattr(step, "body", None) is not None
                  and "infill" not in step.title]  # fmt: skip


@pytest.mark.parametrize(("capabilities", "is_tried"), [({"tools"}, True), (None, True), ({"chat"}, False)])
def test_tools_are_tried_of_ollamas_api_where_they_may_be(capabilities: set[str] | None, is_tried: bool) -> None:  # noqa: FBT001 - a case
    """As an Ollama does, the router refuses them for a model that calls none."""
    model = OfferedModel("m", 65_536, capabilities=None if capabilities is None else frozenset(capabilities))
    steps = CLIENTS["ollama"].first_requests(Setup(ORIGIN, [model]))
    assert is_tried == any(step.title == "chat with tools" and isinstance(step, Step) for step in steps)
