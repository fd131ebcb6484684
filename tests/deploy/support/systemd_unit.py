"""The unit of systemd, as far as the tests need to read it."""

import shlex
from dataclasses import dataclass
from pathlib import Path

UNIT = Path(__file__).parents[3] / "deploy" / "systemd" / "enginehouse.service"


@dataclass(frozen=True)
class Unit:
    """Its settings in their order, as (section, name, value): a name may come several times."""

    settings: tuple[tuple[str, str, str], ...]

    @classmethod
    def read(cls) -> "Unit":
        section, settings = "", []
        for line in UNIT.read_text(encoding="utf-8").splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif line and not line.startswith("#"):
                name, _, value = line.partition("=")
                settings.append((section, name, value))
        return cls(tuple(settings))

    def all_of(self, name: str) -> list[str]:
        """Each value that the section Service has under a name."""
        return [value for section, found, value in self.settings if (section, found) == ("Service", name)]

    def service(self, name: str) -> str:
        """The one value."""
        (value,) = self.all_of(name)
        return value

    def commands(self, name: str) -> list[list[str]]:
        """The command lines under a name, in words."""
        return [shlex.split(value) for value in self.all_of(name)]

    def environment(self) -> dict[str, str]:
        words = [word for value in self.all_of("Environment") for word in shlex.split(value)]
        return dict(word.split("=", 1) for word in words)
