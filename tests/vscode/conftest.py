"""
A real VS Code in a real browser, before a real house. Nothing is collected but by `make test-vscode` and, with clients
in VS Code's terminal, by `make screenshots`.

They are opened once: each test leaves the editor as it found it, with no dialog open and no chat running.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "engine_support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e" / "support"))
sys.path.insert(0, str(Path(__file__).parent / "support"))

collect_ignore_glob = ["test_*.py"]

if "ENGINEHOUSE_TEST_VSCODE" in os.environ:
    collect_ignore_glob = [] if "ENGINEHOUSE_TEST_CLIENTS" in os.environ else ["test_terminal.py"]

    from code_server import CodeServer, running_code_server
    from coding_endpoint import CodingEndpoint
    from editor import Editor, open_editor
    from house import House, open_house
    from vscode_house import FILES, KEY, SETTINGS, custom_endpoint, vscode_house

    SCREENSHOTS = os.environ.get("ENGINEHOUSE_TEST_SCREENSHOTS")

    def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
        """Everything here starts a cluster, which counts as part of the first test, as the editor's start does."""
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.ray)
                item.add_marker(pytest.mark.timeout(600))

    @pytest.fixture(scope="session")
    def endpoint() -> Iterator[CodingEndpoint]:
        with CodingEndpoint.running() as endpoint:
            yield endpoint

    @pytest.fixture(scope="session")
    def house(endpoint: CodingEndpoint) -> Iterator[House]:
        with vscode_house(endpoint.port) as (config, environment), open_house(config, environment) as house:
            yield house

    @pytest.fixture(scope="session")
    def code_server(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeServer]:
        """VS Code with our extension, and a folder with two files."""
        folder = tmp_path_factory.mktemp("vscode")
        workspace = folder / "project"
        workspace.mkdir()
        for name, text in FILES.items():
            (workspace / name).write_text(text, encoding="utf-8")
        profile = {"settings.json": SETTINGS, "chatLanguageModels.json": custom_endpoint(house.base_url)}
        with running_code_server(folder, workspace, profile) as server:
            yield server

    @pytest.fixture(scope="session")
    def screenshots() -> Path | None:
        """Where pictures go, if any are wanted."""
        return Path(SCREENSHOTS) if SCREENSHOTS else None

    @pytest.fixture(scope="session")
    def fresh_editor(code_server: CodeServer, screenshots: Path | None) -> Iterator[Editor]:
        """A window in which nothing was set up, at first."""
        with open_editor(code_server.url, screenshots) as editor:
            yield editor

    @pytest.fixture(scope="session")
    def set_up_editor(fresh_editor: Editor, house: House) -> Editor:
        """Set up as a user does it: first with a wrong key, then with the right one."""
        fresh_editor.run_command("Enginehouse: Set Up")
        fresh_editor.type_into_box("the cluster's address", f"127.0.0.1:{house.port}")
        fresh_editor.type_into_box("your key", "not-a-key")
        fresh_editor.wait_for_text("does not accept this key")
        fresh_editor.screenshot("wrong-key")
        fresh_editor.type_into_box("your key", KEY)
        fresh_editor.wait_for_text("Enginehouse is set up")
        fresh_editor.close_dialogs()
        return fresh_editor

    @pytest.fixture
    def editor(set_up_editor: Editor, endpoint: CodingEndpoint, code_server: CodeServer) -> Iterator[Editor]:
        """Set up, before an endpoint that has not been asked anything."""
        set_up_editor.close_dialogs()
        endpoint.forget()
        endpoint.file = code_server.workspace / "notes.txt"
        yield set_up_editor
        endpoint.release()
        set_up_editor.close_dialogs()
