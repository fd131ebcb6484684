"""Serve files for the tests: as short as they get, with ports of their own."""

import contextlib
import random
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

KEYS_ENV = "ENGINEHOUSE_E2E_KEYS"
KEYS = ("key-of-a-test", "key-of-another")


_given: set[int] = set()
"""Ports that `free_port` has given: a file asks for several before anybody listens on one."""


def free_port() -> int:
    """
    A port that nobody listens on at this moment, and that was not given before.

    Not one that the kernel would give away by itself: Ray takes dozens of those before the router listens.
    """
    while True:
        port = random.randrange(20_000, 30_000)  # noqa: S311 - a port is no secret
        if port in _given:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port


def laptop_file(port: int) -> Json:
    """llama.cpp twice: `smollm2` with one replica, `twins` with two. Slow clients have 2 s."""
    small: Json = {"engine": "llama_cpp", "max_num_seqs": 4, "num_threads": 1}
    return serve_file(
        router(port, {"smollm2": ["default"], "twins": []}, listener={"request_timeout_s": 2}),
        [
            model("smollm2", max_model_len=512, **small),
            model("twins", num_replicas=2, max_model_len=256, **small),
        ],
    )


def library_file(port: int, reranker: str) -> Json:
    """
    llama.cpp three times: `words` generates, `vectors` embeds, and `ranks` reranks with the weights `reranker`.

    `broken` has weights that are not there, so `words` stands in for it.
    """
    small: Json = {"engine": "llama_cpp", "max_num_seqs": 2, "num_threads": 1}
    table = router(port, {"words": [], "vectors": ["text-embedding-3-small"], "ranks": [], "broken": []})
    return serve_file(
        with_fallbacks(table, broken=["words"]),
        [
            model("broken", model_source="/nowhere/weights.gguf", **small),
            model("words", max_model_len=256, **small),
            model("vectors", task="embed", max_model_len=512, **small),
            model("ranks", task="rerank", model_source=reranker, max_model_len=64, **small),
        ],
    )


def pair_file(port: int, batches: Path) -> Json:
    """Two routers, two replicas of the simulated engine, two keys, and a folder for batches."""
    table = router(port, {"simulated": ["default"]}, num_replicas=2, api_keys={"env": KEYS_ENV})
    table["args"]["batches"] = {"store": {"type": "folder", "path": str(batches)}}
    return serve_file(table, [model("simulated", num_replicas=2)])


def router_of(file: Json) -> Json:
    """The router's application in a Serve file."""
    return next(app for app in file["applications"] if app["import_path"].endswith(":router"))


def models_of(file: Json) -> list[Json]:
    """The models' applications in a Serve file."""
    return [app for app in file["applications"] if app["import_path"].endswith(":model")]


def serve_file(router: Json, models: Sequence[Json], **top: object) -> Json:
    return {"proxy_location": "Disabled", **top, "applications": [router, *models]}


def router(
    port: int,
    models: Mapping[str, Sequence[str]],
    *,
    num_replicas: int = 1,
    listener: Mapping[str, object] | None = None,
    api_keys: Mapping[str, object] | None = None,
) -> Json:
    """The router's application. `models` maps each model, which is also its application's name, to its aliases."""
    args = {"listener": {"host": "127.0.0.1", "port": port, **(listener or {})}}
    return {
        "name": "router",
        "import_path": "deployments.app:router",
        "route_prefix": "/",
        "args": args | ({"api_keys": dict(api_keys)} if api_keys else {}),
        "deployments": [
            {
                "name": "Router",
                "num_replicas": num_replicas,
                "max_ongoing_requests": 1000,
                "ray_actor_options": {"num_cpus": 0.1},
                "user_config": {
                    "models": {
                        name: {"application": name, "aliases": list(aliases)} for name, aliases in models.items()
                    }
                },
            }
        ],
    }


def with_fallbacks(application: Json, **fallbacks: Sequence[str]) -> Json:
    """The router's application, with fallbacks for some of its models."""
    models = application["deployments"][0]["user_config"]["models"]
    for name, applications in fallbacks.items():
        models[name]["fallbacks"] = list(applications)
    return application


def scaled(application: Json, **autoscaling_config: object) -> Json:
    """A model's application whose number of replicas follows its engines' load."""
    deployment = application["deployments"][0]
    del deployment["num_replicas"]
    deployment["autoscaling_config"] = {
        "policy": {"policy_function": "deployments.autoscaling:by_engine_load"},
        **autoscaling_config,
    }
    return application


def model(name: str, *, num_replicas: int = 1, **args: Any) -> Json:
    """A model's application; of the simulated engine unless `engine` says otherwise."""
    return {
        "name": name,
        "import_path": "deployments.app:model",
        "route_prefix": None,
        "args": {"engine": "simulated", "model": name, "drain_timeout_s": 30, **args},
        "deployments": [
            {
                "name": "Engine",
                "num_replicas": num_replicas,
                "graceful_shutdown_timeout_s": 40,
                "ray_actor_options": {"num_cpus": 0.1},
            }
        ],
    }
