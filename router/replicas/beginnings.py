"""The beginnings of prompts that are being answered, and how many requests each of them has."""


class Beginnings:
    """Of one event loop, by the key that `prefix_key` makes."""

    def __init__(self) -> None:
        self._num_running: dict[int, int] = {}

    def __len__(self) -> int:
        """Beginnings with a request under way."""
        return len(self._num_running)

    def enter(self, key: int) -> int:
        """A request with this beginning is under way, until it leaves. Returns how many there were before it."""
        num_before = self._num_running.get(key, 0)
        self._num_running[key] = num_before + 1
        return num_before

    def leave(self, key: int) -> None:
        num_left = self._num_running.pop(key) - 1
        if num_left:
            self._num_running[key] = num_left
