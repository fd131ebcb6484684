"""Our extension in a real VS Code: what a user does with it, from the first set up on."""

from code_server import CodeServer
from coding_endpoint import COMPLETION, HOLD, WORDS, CodingEndpoint
from editor import Editor
from vscode_house import KEY, SECRET
from waiting import wait_for


def test_the_clusters_models_are_in_the_list(editor: Editor) -> None:
    """Every name that chats, an alias with what it stands for."""
    editor.begin_chat("Ask")
    assert ["coder", "default (coder)", "smollm2"] == sorted(editor.offered_models())


def test_a_chat_with_a_real_model(editor: Editor, code_server: CodeServer) -> None:
    """llama.cpp's answer is shown, and what it cost is in the log."""
    editor.begin_chat("Ask")
    editor.choose_model("smollm2")
    editor.ask("What is the capital of France?")
    wait_for("the answer is logged", lambda: "smollm2: " in code_server.extension_log())
    [line] = [line for line in code_server.extension_log().splitlines() if "smollm2: " in line and "read," in line]
    assert "48 written" in line or "ended by stop" in line
    assert "" != editor.finished_answer()


def test_an_agents_round_of_tools(editor: Editor, endpoint: CodingEndpoint, code_server: CodeServer) -> None:
    """The model calls the editor's own tool, which reads the file; the answer is made of the tool's result."""
    editor.begin_chat("Agent")
    editor.choose_model("coder")
    editor.ask(f"Read «{code_server.workspace / 'notes.txt'}».")
    editor.wait_for_answer(f"The file says: The secret word is {SECRET}.")
    editor.screenshot("agent")
    assert [True] == [SECRET in result for result in endpoint.results()]
    [called] = [m for m in endpoint.chats[-1]["messages"] if m["role"] == "assistant"]
    assert (WORDS, "read_file") == (called["content"], called["tool_calls"][0]["function"]["name"])


def test_an_answer_that_is_stopped(editor: Editor, endpoint: CodingEndpoint) -> None:
    """Stopping it in the editor ends it at the engine."""
    editor.begin_chat("Agent")
    editor.choose_model("coder")
    editor.ask(HOLD)
    editor.wait_for_answer("Holding")
    editor.stop_answer()
    wait_for("the engine's client is gone", lambda: endpoint.num_given_up == 1)


def test_code_is_completed(editor: Editor, endpoint: CodingEndpoint) -> None:
    """The middle comes as ghost text, is asked for with both sides of the cursor, and Tab takes it."""
    editor.open_file("add.py")
    editor.put_cursor(2, 5)
    editor.type(" ")
    editor.press("Backspace")
    editor.wait_for_ghost_text(COMPLETION)
    editor.screenshot("completion")
    asked = endpoint.completions[-1]
    assert ("def add(a, b):\n    ", "\n") == (asked["prompt"], asked["suffix"])
    editor.press("Tab")
    editor.wait_for_line(COMPLETION)
    editor.wait_for_no_ghost_text()


def test_the_log_has_neither_keys_nor_code(editor: Editor, code_server: CodeServer) -> None:
    """After all of the above."""
    log = code_server.extension_log()
    assert "tokens read" in log
    assert [] == [secret for secret in (KEY, "not-a-key", SECRET, "def add") if secret in log]
