import json

from hypothesis import given
from hypothesis import strategies as st

from configs.engine import LlamaCppSettings, ModelArgs, SimulatedSettings
from configs.router import ApiKeySettings, ListenerSettings, ModelRoute, RequestSettings, RouterArgs, RouterUserConfig

_names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,20}\Z")
_seconds = st.floats(min_value=0, max_value=86_400, exclude_min=True)
_texts = st.text(max_size=20)
_of_every_engine = {
    "model": _names,
    "start_timeout_s": _seconds,
    "drain_timeout_s": _seconds,
    "interpreter": st.none() | _texts,
    "environment": st.dictionaries(_texts, _texts, max_size=3),
    "max_num_seqs": st.integers(1, 256),
}
_llama_cpp = st.builds(
    LlamaCppSettings,
    engine=st.just("llama_cpp"),
    model_source=_texts,
    max_model_len=st.integers(64, 10_000_000),
    num_threads=st.none() | st.integers(1, 512),
    num_gpu_layers=st.integers(0, 10_000),
    **_of_every_engine,
)
_simulated = st.builds(
    SimulatedSettings,
    engine=st.just("simulated"),
    max_model_len=st.integers(16, 10_000_000),
    prefill_base_ms=st.floats(0, 600_000),
    prefill_tokens_per_s=st.floats(0, 1e12, exclude_min=True),
    inter_token_ms=st.floats(0, 600_000),
    kv_cache_tokens=st.integers(16, 10_000_000_000),
    kv_block_tokens=st.integers(1, 4096),
    start_delay_s=st.floats(0, 3600),
    **_of_every_engine,
)
_listeners = st.builds(
    ListenerSettings,
    host=_texts,
    port=st.integers(1, 65_535),
    max_connections=st.integers(1, 1_000_000),
    max_header_bytes=st.integers(1024, 1_048_576),
    max_body_bytes=st.integers(1024, 1_073_741_824),
    max_recording_bytes=st.integers(1024, 1_073_741_824),
    request_timeout_s=_seconds,
    keep_alive_s=_seconds,
    allowed_origins=st.lists(st.sampled_from(["https://a.example", "vscode-webview://b"]), max_size=2).map(tuple),
)
_api_keys = st.builds(
    ApiKeySettings,
    env=st.none() | st.from_regex(r"\A[A-Z_][A-Z0-9_]{0,20}[A-Z]\Z"),
    file=st.none() | _texts,
    in_path=st.booleans(),
    allow_anonymous=st.booleans(),
    dummy_keys=st.lists(st.text(min_size=1, max_size=20), max_size=2).map(tuple),
    allow_anonymous_on_public_address=st.booleans(),
)
_requests = st.builds(
    RequestSettings,
    **dict.fromkeys(
        ("replica_wait_s", "connect_timeout_s", "first_byte_timeout_s", "stall_timeout_s", "early_headers_s"), _seconds
    ),
    max_attempts=st.integers(1, 16),
)


@given(st.builds(ModelArgs, _llama_cpp | _simulated))
def test_model_args_survive_a_dump(args: ModelArgs) -> None:
    """What is dumped as JSON, as Serve does with args, is read back as the same settings of the same engine."""
    assert args == ModelArgs.model_validate(json.loads(args.model_dump_json()))


@given(st.builds(RouterArgs, listener=_listeners, api_keys=_api_keys))
def test_router_args_survive_a_dump(args: RouterArgs) -> None:
    """What is dumped as JSON is read back as the same settings."""
    assert args == RouterArgs.model_validate(json.loads(args.model_dump_json()))


@given(st.lists(_names, unique=True, min_size=2, max_size=8), _requests)
def test_a_router_user_config_survives_a_dump(names: list[str], requests: RequestSettings) -> None:
    """A model table with aliases and time limits is read back as the same."""
    models = {names[0]: ModelRoute(application="a", aliases=tuple(names[2:])), names[1]: ModelRoute(application="b")}
    config = RouterUserConfig(models=models, requests=requests)
    assert config == RouterUserConfig.model_validate(json.loads(config.model_dump_json()))
