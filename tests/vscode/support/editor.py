"""VS Code's window as its user has it: keys, clicks and what can be read. Tests know nothing of its markup."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Locator, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as TooLate
from waiting import wait_for

DEADLINE_MS = 120_000
"""Only a broken window, or a machine without time, reaches it."""
SIZE = {"width": 1280, "height": 760}
_BOX = ".quick-input-widget:not(.hidden)"
_CHAT = ".part.auxiliarybar"
_MODELS = f"{_CHAT} .model-picker-name"
_MENU_ROW = ".action-widget .monaco-list-row.action"
_NO_MODELS = ("Other Models", "Manage Models...")
_SPOKEN = ".monaco-aria-container"
_WATCH = """([place, text]) => {
    const part = document.querySelector(place);
    window.wasThere = false;
    const watcher = new MutationObserver(() => {
        if (part.innerHTML.includes(text)) { window.wasThere = true; watcher.disconnect(); }
    });
    watcher.observe(part, { subtree: true, childList: true, characterData: true, attributes: true });
}"""
_MAX_TRIES, _TRY_MS = 10, 5_000


class Editor:
    """One window of VS Code. What it is told to do it has done on return, or it fails the test."""

    def __init__(self, page: Page, screenshots: Path | None) -> None:
        self._page = page
        self._screenshots = screenshots

    def screenshot(self, name: str) -> None:
        """Keep what is seen, where screenshots are wanted."""
        if self._screenshots is not None:
            self._page.screenshot(path=self._screenshots / f"vscode-{name}.png")

    # commands and boxes

    def run_command(self, title: str) -> None:
        """From the palette."""
        self._page.keyboard.press("F1")
        box = self._page.locator(f"{_BOX} input[type=text]").first
        expect(box).to_be_focused()
        box.fill(f">{title}")
        row = self._page.locator(f"{_BOX} .monaco-list-row").filter(has_text=re.compile(f"^{re.escape(title)}"))
        row.first.click()

    def type_into_box(self, title: str, text: str) -> None:
        """Into a box whose title has those words, which is then accepted."""
        widget = self._page.locator(_BOX).filter(has_text=title)
        expect(widget).to_be_visible()
        field = widget.locator("input:visible").first
        field.fill(text)
        field.press("Enter")

    def close_dialogs(self) -> None:
        """Never by Enter, which would accept what it asks: some dialogs of other extensions install programs."""
        for _ in range(3):
            for cancel in self._page.locator(".monaco-dialog-box").get_by_role("button", name="Cancel").all():
                cancel.click()
            self._page.keyboard.press("Escape")

    # what is seen

    def wait_for_text(self, text: str) -> None:
        expect(self._page.get_by_text(text).first).to_be_visible(timeout=DEADLINE_MS)

    def status(self) -> Locator:
        """The extension's item in the status bar; its label has the tooltip's words."""
        return self._page.locator(".statusbar-item").filter(has_text="Enginehouse")

    def wait_for_status(self, text: str) -> None:
        """In the tooltip of the extension's item."""
        expect(self.status().filter(has=self._page.get_by_label(text))).to_be_visible()

    def passing_status(self, text: str) -> contextlib.AbstractContextManager[None]:
        """What is done in the block makes the status bar say this, however briefly; it has at the block's end."""
        return self._passing(".part.statusbar", text)

    @contextlib.contextmanager
    def _passing(self, place: str, html: str) -> Iterator[None]:
        """Whoever looks now and then misses what is there for a second, so the page itself is told to look."""
        self._page.evaluate(_WATCH, [place, html])
        yield
        wait_for(f"{html} in {place}", lambda: self._page.evaluate("() => window.wasThere"))

    # the terminal

    def open_terminal(self) -> None:
        """In place of the files, with its shell ready."""
        self.run_command("Terminal: Create New Terminal in Editor Area")
        expect(self._terminal()).to_contain_text("$")

    def wait_in_terminal(self, text: str) -> None:
        expect(self._terminal()).to_contain_text(text)

    def say_in_terminal_instead_of(self, path: str, shown: str) -> None:
        """For pictures, in which no path of the machine is to be seen."""
        replace = "(row, [path, shown]) => { row.textContent = row.textContent.replace(path, shown); }"
        for row in self._terminal().locator("span").filter(has_text=path).all():
            row.evaluate(replace, [path, shown])

    # the chat

    def begin_chat(self) -> None:
        """
        An empty one, in Agent mode.

        The window asks its server first, and shows the chat before it until then: a question asked there goes with it.
        That the new one is there is told to screen readers alone.
        """
        said = self._page.locator(f"{_SPOKEN} .monaco-alert")
        said.evaluate_all("parts => parts.forEach(part => { part.textContent = ''; })")
        with self._passing(_SPOKEN, ">New chat<"):  # whatever is told next takes its place
            self._page.locator(_CHAT).get_by_role("button", name=re.compile("^New Chat")).first.click()
        expect(self._page.locator(f"{_CHAT} .interactive-request")).to_have_count(0)

    def offered_models(self) -> list[str]:
        """The names in the chat's list of models."""
        self._open_models()
        names = self._page.locator(f"{_MENU_ROW} .title").all_inner_texts()
        self.screenshot("models")
        self._page.keyboard.press("Escape")
        return [name for name in names if name and name not in _NO_MODELS]

    def choose_model(self, name: str) -> None:
        row = self._page.locator(_MENU_ROW).filter(has=self._page.get_by_text(name, exact=True)).first
        for _ in range(_MAX_TRIES):
            self._open_models()
            with contextlib.suppress(TooLate):
                row.click(timeout=_TRY_MS)
                break
            self._page.keyboard.press("Escape")
        expect(self._page.locator(_MODELS)).to_have_text(name)

    def ask(self, text: str) -> None:
        """Send it, and do not wait for the answer."""
        self._page.locator(f"{_CHAT} .interactive-input-part .monaco-editor").first.click()
        self._page.keyboard.type(text)
        self._page.keyboard.press("Enter")
        expect(self._page.locator(f"{_CHAT} .interactive-request").last).to_contain_text(text[:20])

    def wait_for_answer(self, text: str) -> None:
        """In the last one, which may go on."""
        expect(self._last_answer()).to_contain_text(text)

    def last_answer(self) -> str:
        return self._last_answer().inner_text()

    def stop_answer(self) -> None:
        self._page.locator(f"{_CHAT} .chat-input-toolbars").get_by_role("button", name=re.compile("^Cancel")).click()

    # files

    def open_file(self, name: str) -> None:
        self._page.locator(".explorer-folders-view .monaco-list-row").filter(has_text=name).dblclick()
        # The tab is there before its text. Keys go to whatever has the focus.
        expect(self._page.locator(f'.editor-instance .monaco-editor.focused[data-uri$="/{name}"]')).to_be_visible()

    def put_cursor(self, line: int, column: int) -> None:
        self._page.keyboard.press("Control+g")
        box = self._page.locator(f"{_BOX} input[type=text]").first
        box.fill(f":{line}:{column}")
        box.press("Enter")
        expect(self._page.locator(".statusbar-item").filter(has_text=f"Ln {line}, Col {column}")).to_be_visible()
        expect(self._page.locator(".editor-instance .monaco-editor.focused")).to_be_visible()

    def type(self, text: str) -> None:
        self._page.keyboard.type(text)

    def press(self, key: str) -> None:
        self._page.keyboard.press(key)

    def wait_for_ghost_text(self, text: str) -> None:
        """Offered at the cursor, and not in the file."""
        expect(self._ghost().filter(has_text=text)).to_be_visible()

    def wait_for_no_ghost_text(self) -> None:
        expect(self._ghost()).to_have_count(0)

    def wait_for_line(self, text: str) -> None:
        line = self._page.locator(".editor-instance .view-line").filter(has_text=text)
        expect(line.first).to_be_visible(timeout=DEADLINE_MS)

    def _terminal(self) -> Locator:
        return self._page.locator(".xterm-rows:visible").last

    def _last_answer(self) -> Locator:
        return self._page.locator(f"{_CHAT} .interactive-response").last

    def _ghost(self) -> Locator:
        return self._page.locator(".editor-instance .view-line").filter(
            has=self._page.locator(".ghost-text-decoration")
        )

    def _open_models(self) -> None:
        """A menu closes by itself where the window moves the focus in the same moment: then it is opened again."""
        for _ in range(_MAX_TRIES):
            self._page.locator(_MODELS).click()
            with contextlib.suppress(TooLate, AssertionError):
                self._unfold_models()
                return
            self._page.keyboard.press("Escape")
        self._unfold_models()

    def _unfold_models(self) -> None:
        """Models that were not chosen before are behind a row of their own."""
        self._page.locator(_MENU_ROW).first.wait_for(timeout=_TRY_MS)
        others = self._page.locator(".action-widget .chat-model-picker-section-toggle")
        if others.count() > 0 and others.get_attribute("aria-expanded", timeout=_TRY_MS) == "false":
            others.click(timeout=_TRY_MS)
            expect(others).to_have_attribute("aria-expanded", "true", timeout=_TRY_MS)


@contextlib.contextmanager
def open_editor(url: str, screenshots: Path | None) -> Iterator[Editor]:
    """A window on the system's own Chromium, open until the workbench is there."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program is not None, "neither chromium nor google-chrome is installed"
    # The sandbox needs rights that containers and root do not have; everything it shows is on this machine.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, reduced_motion="reduce")
        page.set_default_timeout(DEADLINE_MS)
        expect.set_options(timeout=DEADLINE_MS)
        page.goto(url)
        editor = Editor(page, screenshots)
        try:
            expect(editor.status()).to_be_visible()
            yield editor
        finally:
            browser.close()
