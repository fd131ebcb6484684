"""Our extension in a real VS Code: what a user does with it, from the first set up on."""

import re

from code_server import CodeServer
from coding_endpoint import COMPLETION, HOLD, NOTHING, QUESTION, WORDS, CodingEndpoint
from editor import Editor
from vscode_house import KEY, OFFERED, SECRET
from waiting import wait_for


def test_the_clusters_models_are_in_the_list(editor: Editor) -> None:
    """Every name that calls tools, an alias with what it stands for, beside others' models: VS Code offers no more."""
    editor.begin_chat()
    # Each extension brings its own in its own time.
    wait_for("as many are offered", lambda: len(editor.offered_models()) >= len(OFFERED))
    assert sorted(OFFERED) == sorted(editor.offered_models())


def test_a_chat_is_answered(editor: Editor, endpoint: CodingEndpoint) -> None:
    """What the model says is shown, and what was asked is sent with VS Code's instructions and tools."""
    editor.begin_chat()
    editor.choose_model("default (coder)")
    editor.ask("Hello there.")
    editor.wait_for_answer(NOTHING)
    [chat] = [chat for chat in endpoint.chats if chat.get("tools")]
    assert "Hello there." in chat["messages"][-1]["content"]
    assert "system" == chat["messages"][0]["role"]


def test_a_real_model_for_small_things(editor: Editor, code_server: CodeServer) -> None:
    """VS Code has the title of a chat made by the model that its settings name."""
    editor.begin_chat()
    editor.choose_model("coder")
    editor.ask("Hello again.")
    editor.wait_for_answer(NOTHING)
    written = re.compile(r"smollm2: \d+ tokens read, (\d+) written")
    [tokens, *_] = wait_for("a title is made", lambda: written.findall(code_server.extension_log()))
    assert 0 < int(tokens) <= 48


def test_an_agents_round_of_tools(editor: Editor, endpoint: CodingEndpoint) -> None:
    """The model calls the editor's own tool, which reads the file; the answer is made of the tool's result."""
    editor.begin_chat()
    editor.choose_model("coder")
    editor.ask(QUESTION)
    editor.wait_for_answer(f"The file says: The secret word is {SECRET}.")
    editor.screenshot("agent")
    assert [True] == [SECRET in result for result in endpoint.results()]
    messages = next(chat["messages"] for chat in reversed(endpoint.chats) if chat["messages"][-1]["role"] == "tool")
    [called] = [message for message in messages if message["role"] == "assistant"]
    assert (WORDS, "read_file") == (called["content"], called["tool_calls"][0]["function"]["name"])


def test_an_answer_that_is_stopped(editor: Editor, endpoint: CodingEndpoint) -> None:
    """Stopping it in the editor ends it at the engine."""
    editor.begin_chat()
    editor.choose_model("coder")
    editor.ask(HOLD)
    editor.wait_for_answer("Holding")
    editor.stop_answer()
    wait_for("the engine's client is gone", lambda: endpoint.num_given_up == 1)


def test_a_failure_is_told(editor: Editor, endpoint: CodingEndpoint) -> None:
    """The chat shows what to do, and no line of the program."""
    endpoint.is_refusing = True
    editor.begin_chat()
    editor.choose_model("coder")
    editor.ask("Hello once more.")
    editor.wait_for_answer("The cluster refused the request (status 400). It says: Not today.")
    assert "faults.js" not in editor.last_answer()


def test_code_is_completed(editor: Editor, endpoint: CodingEndpoint) -> None:
    """The middle comes as ghost text, is asked for with both sides of the cursor, and Tab takes it."""
    editor.open_file("add.py")
    editor.put_cursor(2, 5)
    editor.type(" ")
    editor.press("Backspace")
    # The space may have been completed, too.
    sides = "def add(a, b):\n    ", "\n"
    wait_for(
        "both sides are sent", lambda: sides in [(one["prompt"], one["suffix"]) for one in endpoint.completions]
    )  # fmt: skip
    editor.wait_for_ghost_text(COMPLETION)
    editor.screenshot("completion")
    editor.press("Tab")
    editor.wait_for_line(COMPLETION)
    editor.wait_for_no_ghost_text()


def test_a_busy_cluster_is_left_alone_for_a_while(editor: Editor, endpoint: CodingEndpoint) -> None:
    """The status bar says so, and no dialog does; afterwards the next key is completed as before."""
    endpoint.is_busy = True
    editor.open_file("multiply.py")
    editor.put_cursor(2, 5)
    with editor.passing_status("Completion pauses for"):
        editor.type(" ")
    endpoint.is_busy = False
    editor.wait_for_status("coder completes code.")
    editor.press("Backspace")
    editor.wait_for_ghost_text(COMPLETION)
    editor.press("Escape")


def test_the_log_has_neither_keys_nor_code(editor: Editor, code_server: CodeServer) -> None:
    """After all of the above."""
    log = code_server.extension_log()
    assert "tokens read" in log
    assert [] == [secret for secret in (KEY, "not-a-key", SECRET, "def add") if secret in log]
