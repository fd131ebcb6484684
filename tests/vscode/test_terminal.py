"""Clients in VS Code's terminal, as their users see them. Collected where `make screenshots` has installed them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from code_server import running_code_server
from coding_endpoint import CodingEndpoint
from editor import Editor, open_editor
from house import House
from terminal_clients import COMMANDS, cline_arguments, search_path, set_up, terminal_settings
from vscode_house import FILES, SECRET, SETTINGS


@pytest.fixture(scope="module")
def terminal_editor(
    house: House, screenshots: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Editor, Path]]:
    """A window whose terminal finds the clients, and its folder."""
    home = tmp_path_factory.mktemp("home")
    workspace = home / "project"
    workspace.mkdir()
    (workspace / "notes.txt").write_text(FILES["notes.txt"], encoding="utf-8")
    set_up(home, workspace, house.port)
    environment = {"HOME": str(home), "PATH": search_path(home)}
    subprocess.run([home / "bin/cline", *cline_arguments(house.port)], env=environment, check=True, timeout=60)
    profile = {"settings.json": {**SETTINGS, **terminal_settings(home)}}
    with (
        running_code_server(home, workspace, profile) as server,
        open_editor(server.url, screenshots) as editor,
    ):
        yield editor, workspace


@pytest.mark.parametrize("program", COMMANDS)
def test_a_client_reads_a_file(program: str, terminal_editor: tuple[Editor, Path], endpoint: CodingEndpoint) -> None:
    """A tool is called, its result is sent, and the answer is seen."""
    editor, workspace = terminal_editor
    endpoint.forget()
    endpoint.file = workspace / "notes.txt"
    editor.open_terminal()
    editor.type(COMMANDS[program])
    editor.press("Enter")
    editor.wait_in_terminal(f"The file says: The secret word is {SECRET}.")
    assert [True] == [SECRET in result for result in endpoint.results()]
    editor.say_in_terminal_instead_of(str(workspace), "~/project")
    editor.screenshot(program)
