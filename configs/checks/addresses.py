"""Who can reach what: ports, public addresses and API keys.

Environment variables and ports of Ray Serve are those of 2.60 (`ray/serve/_private/constants.py`).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from configs.batches import store_secret_names
from configs.cache import MIN_SIGNING_KEY_BYTES, secret_names
from configs.finding import KeyPath, Problem
from configs.router import LOOPBACK_HOSTS, ApiKeySettings
from configs.serve_file import RouterApplication, ServeFile

Environment = Mapping[str, str]

_RAY_PORTS = {6379: "Ray's control store", 8265: "Ray's dashboard", 10001: "Ray's client server"}
_HAPROXY_PORTS = {
    "RAY_SERVE_HAPROXY_METRICS_PORT": (9101, "HAProxy's metrics"),
    "RAY_SERVE_HAPROXY_STATS_PORT": (8404, "HAProxy's statistics page"),
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": (8500, "Serve's fallback proxy"),
    "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": (9500, "Serve's fallback gRPC proxy"),
}


def is_haproxy_mode(environment: Environment) -> bool:
    return environment.get("RAY_SERVE_ENABLE_HA_PROXY") == "1"


def throughput_mode_has_haproxy(_: ServeFile, environment: Environment) -> Iterator[Problem]:
    if environment.get("RAY_SERVE_THROUGHPUT_OPTIMIZED") == "1" and not is_haproxy_mode(environment):
        message = (
            "RAY_SERVE_THROUGHPUT_OPTIMIZED=1 without RAY_SERVE_ENABLE_HA_PROXY=1: Serve would run one proxy, "
            "on the head node, and leave load balancing to you. Set both or neither"
        )
        yield Problem((), message)


def haproxy_waits_for_streams(file: ServeFile, environment: Environment) -> Iterator[Problem]:
    """As long as a router that stops does: else only the streams of the router's own door have that time."""
    if file.proxy_location == "Disabled" or not is_haproxy_mode(environment):
        return
    cut_s = environment.get("RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S", "120")
    for index, router in file.routers():
        drain_s = router.args.drain_timeout_s
        if cut_s.isdecimal() and int(cut_s) < drain_s:
            message = (
                f"gives running requests {drain_s:g} s, but HAProxy cuts those behind Serve's door after {cut_s} s "
                f"(RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S)"
            )
            yield Problem(("applications", index, "args", "drain_timeout_s"), message, "warning")


def ports_are_free(file: ServeFile, environment: Environment) -> Iterator[Problem]:
    taken = dict(_RAY_PORTS)
    if is_haproxy_mode(environment):
        taken |= _haproxy_ports(environment)
    for path, port, what in _ports(file):
        if port in taken:
            yield Problem(path, f"port {port} is already {taken[port]}")
        taken.setdefault(port, what)


def _ports(file: ServeFile) -> Iterator[tuple[KeyPath, int, str]]:
    """Ports that the file asks for, Serve's doors first: their clash is reported at the router's listener."""
    if file.proxy_location != "Disabled":
        yield ("http_options", "port"), file.http_options.port, "Serve's HTTP door (http_options.port)"
    if file.proxy_location != "Disabled" and file.grpc_options.grpc_servicer_functions:
        yield ("grpc_options", "port"), file.grpc_options.port, "Serve's gRPC door (grpc_options.port)"
    for index, router in file.routers():
        yield ("applications", index, "args", "listener", "port"), router.args.listener.port, "the router's listener"


def _haproxy_ports(environment: Environment) -> dict[int, str]:
    ports = {}
    for variable, (default, what) in _HAPROXY_PORTS.items():
        text = environment.get(variable, "")
        ports[int(text) if text.isdecimal() else default] = f"{what} ({variable})"
    return ports


def keys_are_there(file: ServeFile, environment: Environment) -> Iterator[Problem]:
    for index, router in file.routers():
        keys = router.args.api_keys
        place: KeyPath = ("applications", index, "args", "api_keys")
        if keys.env is not None:
            available = {**router.runtime_env.env_vars, **environment}
            if keys.env not in available:
                yield Problem((*place, "env"), f"the environment variable {keys.env!r} is not set")
            elif not available[keys.env].replace(",", " ").split():
                yield Problem((*place, "env"), f"the environment variable {keys.env!r} holds no key")
        if keys.file is not None:
            yield from (Problem((*place, "file"), message) for message in _key_file_faults(keys.file))


def cache_secrets_are_there(file: ServeFile, environment: Environment) -> Iterator[Problem]:
    for index, router in file.routers():
        store = router.args.cache.store
        available = {**router.runtime_env.env_vars, **environment}
        for path, name in secret_names(store):
            place: KeyPath = ("applications", index, "args", "cache", "store", *path)
            if name not in available:
                yield Problem(place, f"the environment variable {name!r} is not set")
            elif path == ("signing_key_env",) and len(available[name].encode()) < MIN_SIGNING_KEY_BYTES:
                yield Problem(place, f"the environment variable {name!r} holds less than {MIN_SIGNING_KEY_BYTES} bytes")


def batch_secrets_are_there(file: ServeFile, environment: Environment) -> Iterator[Problem]:
    for index, router in file.routers():
        available = {**router.runtime_env.env_vars, **environment}
        for setting, name in store_secret_names(router.args.batches.store):
            if name not in available:
                place: KeyPath = ("applications", index, "args", "batches", "store", setting)
                yield Problem(place, f"the environment variable {name!r} is not set")


def _key_file_faults(file: str) -> Iterator[str]:
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        yield f"the file {file!r} cannot be read: {reason}"
        return
    if not any(line.strip() and not line.strip().startswith("#") for line in lines):
        yield f"the file {file!r} holds no key"


def public_addresses_have_keys(file: ServeFile, environment: Environment) -> Iterator[Problem]:
    for index, router in file.routers():
        if router.args.api_keys.admits_everybody:
            for place, where in _public_addresses(file, index, router, environment):
                message = (
                    f"{where} and would serve everybody, without an API key. {_remedy(router.args.api_keys)}, or "
                    "say that it is meant with api_keys.allow_anonymous_on_public_address: true"
                )
                yield Problem(place, message)


def _remedy(keys: ApiKeySettings) -> str:
    if keys.allow_anonymous:
        return "Leave out api_keys.allow_anonymous"
    return "Set api_keys.env or api_keys.file"


def _public_addresses(
    file: ServeFile, index: int, router: RouterApplication, environment: Environment
) -> Iterator[tuple[KeyPath, str]]:
    path: KeyPath = ("applications", index)
    host = router.args.listener.host
    if host not in LOOPBACK_HOSTS:
        yield (*path, "args", "listener", "host"), f"the router listens on the public address {host!r}"
    if router.route_prefix is None:
        return
    if is_haproxy_mode(environment):
        yield (*path, "route_prefix"), "in HAProxy mode the router is reachable on every address of its node"
    elif file.proxy_location != "Disabled" and file.http_options.host not in LOOPBACK_HOSTS:
        where = f"the router is behind Serve's HTTP door on the public address {file.http_options.host!r}"
        yield ("http_options", "host"), where
