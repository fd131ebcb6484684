"""Fixtures: a door that does not let everybody in."""

import pytest
from door import KEY, Door, OpenDoor
from scripted_engine import ScriptedEngine
from wire import WHOLE


@pytest.fixture
async def locked(open_door: OpenDoor, engine: ScriptedEngine) -> Door:
    """A router that wants a key."""
    door = await open_door(keys=[KEY])
    door.serve_with(engine.replica("r1"))
    engine.otherwise = [WHOLE]
    return door
