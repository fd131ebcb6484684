"""
Write a Serve file into rayservice.yaml, whose `serveConfigV2` is a text.

    python deploy/kubernetes/embed.py [FILE]

FILE is configs/prod.yaml by default; its comments come along.
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
RAYSERVICE = HERE / "rayservice.yaml"
PROD = HERE.parents[1] / "configs" / "prod.yaml"
_FIELD = re.compile(r"^  serveConfigV2: \|\n(?: {4}.*\n|\n)*", re.MULTILINE)


def embedded(rayservice: str, serve_file: str) -> str:
    """The text of the RayService with the Serve file's text in it."""
    lines = ["    " + line if line else "" for line in serve_file.rstrip("\n").splitlines()]
    field = "\n".join(["  serveConfigV2: |", *lines, ""])
    return _FIELD.sub(lambda _: field, rayservice, count=1)


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else PROD
    try:
        serve_file = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"{source} cannot be read: {error.strerror if isinstance(error, OSError) else error}")
    RAYSERVICE.write_text(embedded(RAYSERVICE.read_text(encoding="utf-8"), serve_file), encoding="utf-8")
