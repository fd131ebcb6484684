"""A server of the Model Context Protocol on standard input and output, with one tool, `read`, that has the secret."""

import json
import sys

TOOL = {
    "name": "read",
    "description": "Reads what is kept.",
    "inputSchema": {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]},
    "annotations": {"readOnlyHint": True},
}


def result_of(method: str, params: dict[str, object]) -> dict[str, object]:
    """What is answered; nothing of what is not needed here."""
    if method == "initialize":
        return {
            "protocolVersion": params.get("protocolVersion"),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "disk", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": "The word is plum."}]}
    return {}


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" in asked:
            result = result_of(asked["method"], asked.get("params", {}))
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
