"""What tools found that Anthropic's servers ran, themselves or by MCP, in the history of a conversation. Pure."""

from router.http.bodies import encode_object
from router.wire_apis.pieces import Json
from router.wire_apis.readable import readable

_USES = ("server_tool_use", "mcp_tool_use")  # no set: clients send what has no hash


def is_use(block: Json) -> bool:
    return block.get("type") in _USES


def is_found(block: Json) -> bool:
    """Whether it is what such a tool gave back, of whichever kind: each of Anthropic's tools has its own."""
    kind = block.get("type")
    return isinstance(kind, str) and kind.endswith("_tool_result")


class ServerTools:
    """Knows what was asked of them in one conversation."""

    def __init__(self) -> None:
        self._asked: dict[str, str] = {}

    def note_use(self, block: Json) -> None:
        """
        Raises:
            InvalidRequest: its input is nested too deeply.
        """
        name, use_id, given = block.get("name"), block.get("id"), block.get("input")
        if isinstance(name, str) and isinstance(use_id, str):
            said = encode_object(given).decode() if isinstance(given, dict) and given else ""
            self._asked[use_id] = f"{name} {said}".rstrip()

    def found(self, block: Json) -> str:
        """What it found, after what it was asked for. Empty where nobody but Anthropic can read it."""
        words = readable(block.get("content"))
        if not words:
            return ""
        use_id = block.get("tool_use_id")
        asked = self._asked.get(use_id) if isinstance(use_id, str) else None
        head = f"From {asked or block['type'].removesuffix('_tool_result')}:"
        return "\n".join([head, *(["Error:"] if block.get("is_error") is True else []), words])
