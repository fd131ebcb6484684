"""Copilot Chat's custom endpoint in a real VS Code, signed in nowhere: the way without our extension."""

from coding_endpoint import QUESTION, CodingEndpoint
from editor import Editor
from vscode_house import CUSTOM_NAME, SECRET


def test_an_agents_round_of_tools(editor: Editor, endpoint: CodingEndpoint) -> None:
    """With the key in a header, which is where VS Code does not drop it."""
    editor.begin_chat()
    editor.choose_model(CUSTOM_NAME)
    editor.ask(QUESTION)
    editor.wait_for_answer(f"The file says: The secret word is {SECRET}.")
    editor.screenshot("copilot")
    assert [True] == [SECRET in result for result in endpoint.results()]
