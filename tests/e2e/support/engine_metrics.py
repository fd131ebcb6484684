"""An engine's own account of itself, asked with the secret that only routers are told."""

import urllib.request

from house_processes import EngineProcess


def engine_metric(engine: EngineProcess, name: str) -> float:
    """The sum of a metric's samples on the engine's own `/metrics`."""
    request = urllib.request.Request(f"http://{engine.launch['host']}:{engine.launch['port']}/metrics")
    request.add_header("authorization", f"Bearer {engine.launch['secret']}")
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        lines: list[str] = answer.read().decode().splitlines()
    samples = [line.rpartition(" ") for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
    assert samples, f"the engine has no metric {name}"
    return sum(float(value) for _, _, value in samples)
