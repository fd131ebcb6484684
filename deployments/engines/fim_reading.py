"""By which marks an engine's model fills in the middle: what its tokeniser knows, as the engine or its files say."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from configs.engine import EngineSettings, LlamaCppSettings, OllamaSettings, TensorRtLlmSettings
from deployments.engines.interview import Interview
from deployments.engines.llama_cpp.llama_cpp_server import BadWeightsError, find_weights, read_header
from router.fim.template import FAMILIES, NATIVE, NONE, TOLD_BY, FimTemplate, detect

_GGUF_NAMES = {"prefix": ("pre", "prefix"), "suffix": ("suf", "suffix"), "middle": ("mid", "middle")}
"""How a GGUF file calls the tokens: `tokenizer.ggml.fim_pre_token_id`, and in older ones `prefix_token_id`."""
_OLLAMA_SUFFIX = ".Suffix"
"""What is in an Ollama template that takes a text behind the cursor."""


async def read_fim(settings: EngineSettings, profile: str, interview: Interview) -> FimTemplate | None:
    """None where neither the engine nor its files say: then the engine judges a `suffix` by itself."""
    if settings.task != "generate":
        return None
    if isinstance(settings, OllamaSettings):
        shown = await interview.ask_behind_front("/api/show", {"model": settings.model_source})
        template = shown.get("template")
        return None if not isinstance(template, str) else NATIVE if _OLLAMA_SUFFIX in template else NONE
    if isinstance(settings, TensorRtLlmSettings):
        folder = Path(settings.tokenizer_source or settings.model_source)
        found = await asyncio.to_thread(tokens_of_folder, folder)
        return NONE if found is None else detect(found)  # its server takes no suffix of itself
    if isinstance(settings, LlamaCppSettings):
        named = await _named_in_gguf(settings, interview)
        if named is not None:
            return named
    return await _told_by_tokeniser(profile, interview)


def tokens_of_folder(folder: Path) -> dict[str, int] | None:
    """
    Of `TOLD_BY` the tokens that a model folder's tokeniser has as special ones, with their ids.

    None where the folder has no tokeniser that can be read.
    """
    found: dict[str, int] = {}
    is_read = False
    for name, tokens_in in (("tokenizer.json", _of_tokenizer), ("tokenizer_config.json", _of_config)):
        try:
            document = orjson.loads((folder / name).read_bytes())
            found |= {text: number for text, number in tokens_in(document) if text in TOLD_BY}
        except (OSError, orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
            continue
        is_read = True
    return found if is_read else None


def _of_tokenizer(document: Any) -> Iterable[tuple[str, int]]:  # noqa: ANN401  a JSON value
    return [(token["content"], int(token["id"])) for token in document.get("added_tokens", ())]


def _of_config(document: Any) -> Iterable[tuple[str, int]]:  # noqa: ANN401  a JSON value
    return [(token["content"], int(number)) for number, token in document.get("added_tokens_decoder", {}).items()]


async def _told_by_tokeniser(profile: str, interview: Interview) -> FimTemplate | None:
    """By asking of each mark whether it is one token; where the engine tokenises at all."""
    if profile not in ("llama_cpp", "vllm"):
        return None
    found: dict[str, int] = {}
    for text in TOLD_BY:
        tokens = await _tokens(text, interview)
        if tokens is None:
            return None
        if len(tokens) == 1:
            found[text] = tokens[0]
    return detect(found)


async def _tokens(text: str, interview: Interview) -> list[int] | None:
    question = {
        "model": interview.model,
        "prompt": text, "add_special_tokens": False,  # vLLM's names
        "content": text, "add_special": False, "parse_special": True,  # llama.cpp's
    }  # fmt: skip
    tokens = (await interview.ask("/tokenize", question)).get("tokens")
    return tokens if isinstance(tokens, list) else None


async def _named_in_gguf(settings: LlamaCppSettings, interview: Interview) -> FimTemplate | None:
    """What the weights themselves name. None where they name nothing, or are not to be read from here."""
    try:
        header = await asyncio.to_thread(lambda: read_header(find_weights(settings.model_source)))
    except BadWeightsError:  # the engine's own environment may have what this one has not
        return None
    marks: dict[str, str] = {}
    ids: list[int] = []
    for field, names in _GGUF_NAMES.items():
        number = _first(header.fim_token_ids, names)
        text = None if number is None else (await interview.ask("/detokenize", {"tokens": [number]})).get("content")
        if number is not None and isinstance(text, str) and text:
            marks[field] = text
            ids.append(number)
    if "prefix" not in marks or "suffix" not in marks:
        return None
    for family in FAMILIES.values():
        if (marks["prefix"], marks["suffix"]) == (family.prefix, family.suffix):
            return await _told_by_tokeniser("llama_cpp", interview)  # knows more of it than the header
    own = FimTemplate("own", marks["prefix"], marks["suffix"], marks.get("middle", ""))
    return replace(own, stop_token_ids=tuple(ids))


def _first(ids: Mapping[str, int], names: Iterable[str]) -> int | None:
    return next((ids[name] for name in names if name in ids), None)
