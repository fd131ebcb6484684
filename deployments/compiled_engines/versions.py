"""Which versions of TensorRT-LLM build engines."""

import re

LAST_THAT_BUILDS = "1.3.0rc20"
"""Its release notes: the last one with the TensorRT backend. `trtllm-build` is gone from 1.3.0rc21 on."""

_VERSION = re.compile(
    r"v?(?P<release>\d+(?:\.\d+)*)(?:[-_.]?(?P<kind>a|b|rc)[-_.]?(?P<number>\d+))?"
    r"(?:\.post(?P<post>\d+))?(?:\.dev(?P<dev>\d+))?(?:\+[a-z0-9.]+)?",
    re.IGNORECASE,
)
_FINAL = 3
_KINDS = {"a": 0, "b": 1, "rc": 2}

Order = tuple[tuple[int, ...], int, int, int, float]


def order(version: str) -> Order:
    """
    What sorts as PEP 440 does, without epochs; what follows a `+` does not count.

    Raises:
        ValueError: it is no version.
    """
    found = _VERSION.fullmatch(version.strip())
    if found is None:
        raise ValueError(f"{version!r} is not a version")
    numbers = [int(part) for part in found["release"].split(".")]
    while numbers and numbers[-1] == 0:  # 1.2 and 1.2.0 are one version
        numbers.pop()
    dev = float("inf") if found["dev"] is None else float(found["dev"])
    kind, number = _FINAL, 0
    if found["kind"] is not None:
        kind, number = _KINDS[found["kind"].lower()], int(found["number"])
    elif found["dev"] is not None and found["post"] is None:
        kind = -1  # 1.3.0.dev1 comes before 1.3.0a0
    post = -1 if found["post"] is None else int(found["post"])
    return tuple(numbers), kind, number, post, dev


def builds_engines(version: str) -> bool:
    """
    Raises:
        ValueError: it is no version.
    """
    return order(version) <= order(LAST_THAT_BUILDS)
