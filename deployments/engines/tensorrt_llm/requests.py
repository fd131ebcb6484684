"""
What `trtllm-serve` takes of a request: it refuses every field that it does not know.

Source: TensorRT-LLM 1.3.0rc3, the fields of its request models. Versions up to 1.4.0rc1 forbid others as well.
"""

from collections.abc import Mapping
from typing import Any

from deployments.engines.front.dialect import JsonObject, RequestRefused

_SHARED_FIELDS = frozenset(
    {
        *("model", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "n", "response_format", "seed"),
        *("stop", "stream", "stream_options", "temperature", "top_p", "user", "best_of", "use_beam_search", "top_k"),
        *("top_p_min", "min_p", "repetition_penalty", "length_penalty", "early_stopping", "stop_token_ids"),
        *("include_stop_str_in_output", "ignore_eos", "min_tokens", "skip_special_tokens", "add_special_tokens"),
        *("spaces_between_special_tokens", "truncate_prompt_tokens", "prompt_ignore_length", "echo"),
    }
)
CHAT_FIELDS = _SHARED_FIELDS | {
    *("messages", "prompt_token_ids", "top_logprobs", "max_completion_tokens", "tools", "tool_choice"),
    *("reasoning_effort", "add_generation_prompt", "documents", "chat_template_kwargs", "cache_salt"),
}
COMPLETION_FIELDS = _SHARED_FIELDS | {"prompt", "max_tokens"}

_CANNOT = {
    "suffix": "fill in the middle",
    "audio": "answer with sound",
    "web_search_options": "search the web",
    "functions": "call functions of the form that `tools` replaced",
    "function_call": "call functions of the form that `tools` replaced",
    "guided_json": "take vLLM's own guided decoding; use response_format",
    "guided_regex": "take vLLM's own guided decoding; use response_format",
    "guided_choice": "take vLLM's own guided decoding; use response_format",
    "guided_grammar": "take vLLM's own guided decoding; use response_format",
    "structured_outputs": "take vLLM's own guided decoding; use response_format",
}
"""Fields that ask for what would be missed, were they dropped."""

_EFFORTS = {"none": "low", "minimal": "low", "xhigh": "high"}


def sanitised(body: JsonObject, fields: frozenset[str]) -> JsonObject:
    """
    The request with the fields that the server knows. Fields that change nothing about the answer's text are dropped.

    Raises:
        RequestRefused: a field asks for something that the server cannot do.
    """
    for name, what in _CANNOT.items():
        if body.get(name) not in (None, "", []):
            raise RequestRefused(f"This model's engine, TensorRT-LLM, cannot {what}.", param=name)
    modalities = body.get("modalities")
    if isinstance(modalities, list) and any(each != "text" for each in modalities):
        raise RequestRefused("This model's engine, TensorRT-LLM, answers with text only.", param="modalities")
    # It takes null for a wrong type in fields that have a default.
    kept = {name: value for name, value in body.items() if name in fields and value is not None}
    if not kept.get("stream"):
        kept.pop("stream_options", None)
    if kept.get("n", 1) != 1 and kept.get("temperature") == 0:
        raise RequestRefused(
            "This model's engine, TensorRT-LLM, gives one choice at temperature 0: they would all be the same.",
            param="n",
        )
    if "response_format" in kept:
        kept["response_format"] = _response_format(kept["response_format"])
    if "stream_options" in kept:
        options = kept["stream_options"]
        kept["stream_options"] = {"include_usage": bool(options.get("include_usage"))}
    return kept


def sanitised_chat(body: JsonObject) -> JsonObject:
    """
    The same of a chat.

    Raises:
        RequestRefused: a field asks for something that the server cannot do.
    """
    kept = sanitised(body, CHAT_FIELDS)
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit is not None:  # two names of one field there: both at once are refused
        kept["max_completion_tokens"] = limit
    if not kept.get("logprobs"):
        kept.pop("top_logprobs", None)
    if "reasoning_effort" in kept:
        kept["reasoning_effort"] = _EFFORTS.get(kept["reasoning_effort"], kept["reasoning_effort"])
    if "tools" in kept:
        kept["tools"] = [_tool(tool) for tool in kept["tools"]]
        kept.setdefault("tool_choice", "auto")  # its own default is none
    return kept


def _tool(tool: Any) -> Any:  # noqa: ANN401  a JSON value that the server judges
    if not isinstance(tool, dict) or not isinstance(tool.get("function"), dict):
        return tool
    known = {name: value for name, value in tool["function"].items() if name in ("name", "description", "parameters")}
    return {"type": "function", "function": known}


def _response_format(given: Any) -> Any:  # noqa: ANN401  a JSON value
    """
    OpenAI wraps a schema into `json_schema: {name, strict, schema}`. The server takes the wrapper itself for the
    schema, up to 1.3.0rc3 at least, and so enforces nothing; its own form, `json`, means the same in all versions.
    """
    if not isinstance(given, Mapping) or given.get("type") != "json_schema":
        return given
    wrapper = given.get("json_schema")
    schema = wrapper.get("schema") if isinstance(wrapper, Mapping) else None
    if not isinstance(schema, Mapping):
        raise RequestRefused("response_format.json_schema.schema must be a JSON schema.", param="response_format")
    return {"type": "json", "schema": schema}
