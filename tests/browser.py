"""Open a page in headless Chromium (Qt WebEngine) and run a script in it: python browser.py PAGE SCRIPT WIDTH

Prints JSON: what the script left in `window.result`, and what the page wrote to the console.
"""

import json
import os
import sys

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = "--no-sandbox --autoplay-policy=no-user-gesture-required"

from PySide6.QtCore import QTimer, QUrl  # noqa: E402, it reads the environment
from PySide6.QtWebEngineCore import QWebEnginePage  # noqa: E402
from PySide6.QtWebEngineWidgets import QWebEngineView  # noqa: E402
from PySide6.QtWidgets import QApplication  # noqa: E402

POLL_MS = 100


class Page(QWebEnginePage):
    """A page that keeps what is written to its console."""

    def __init__(self, parent) -> None:
        super().__init__(parent)
        self.messages = []

    def javaScriptConsoleMessage(self, level, message, line, source) -> None:  # noqa: N802, Qt's name
        self.messages.append(f"{message} (line {line})")


def main(path: str, script: str, width: int) -> None:
    application = QApplication(sys.argv[:1])
    view = QWebEngineView()
    page = Page(view)
    view.setPage(page)
    view.resize(width, 900)
    view.show()

    def poll() -> None:
        page.runJavaScript("JSON.stringify(window.result ?? null)", finish)

    def finish(result: str) -> None:
        if result == "null":
            QTimer.singleShot(POLL_MS, poll)
            return
        print(json.dumps({"result": json.loads(result), "console": page.messages}))
        application.quit()

    page.loadFinished.connect(lambda _: page.runJavaScript(script, lambda _: poll()))
    page.load(QUrl.fromLocalFile(path))
    application.exec()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
