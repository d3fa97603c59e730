# SPDX-License-Identifier: GPL-3.0-or-later
"""The line that says what is waited for: late, on a terminal only, and gone afterwards."""

from __future__ import annotations

import io
import os
import pty
import select
import signal
import threading
import time
from collections.abc import Iterator
from typing import TextIO

import pytest

from netjail.cli import progress
from netjail.cli.output import Stream

TERMINAL = {"TERM": "xterm"}


class Pty:
    """A terminal, as one that writes to it has it, and what was written."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        self.file: TextIO = os.fdopen(slave, "w", encoding="utf-8")
        self.stream = Stream(self.file, TERMINAL, needed=False)
        self.stream.width = 40

    def text(self) -> str:
        data = b""
        # the kernel hands it from one end to the other in its own time
        while select.select([self.master], [], [], 0.2)[0]:
            data += os.read(self.master, 65536)
        return data.decode()

    def close(self) -> None:
        self.file.close()
        os.close(self.master)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pty]:
    monkeypatch.setattr(progress, "DELAY", 0.05)
    monkeypatch.setattr(progress, "_INTERVAL", 0.02)
    opened = Pty()
    yield opened
    opened.close()


def test_shown_updated_and_cleaned_up(terminal: Pty) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with progress.Progress(terminal.stream, "starting", TERMINAL) as shown:
        time.sleep(0.1)
        shown.show("waiting for\x1b[2J " + "x" * 100)
        time.sleep(0.1)
    text = terminal.text()
    assert "starting (0 s)" in text
    assert "waiting for\\x1b[2J" in text
    assert "\x1b[2J" not in text
    assert text.endswith("\r\033[K")
    assert all(len(line) < 40 + 4 for line in text.split("\r"))
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_nothing_for_what_is_quick(terminal: Pty) -> None:
    with progress.Progress(terminal.stream, "quick", TERMINAL):
        pass
    assert terminal.text() == ""


def test_cleaned_up_after_an_interrupt(terminal: Pty) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        progress.Progress(terminal.stream, "slow", TERMINAL),
    ):
        time.sleep(0.1)
        raise KeyboardInterrupt
    assert terminal.text().endswith("\r\033[K")
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {}])
def test_not_on_a_dumb_terminal(environ: dict[str, str], terminal: Pty) -> None:
    with progress.Progress(terminal.stream, "slow", environ):
        time.sleep(0.1)
    assert terminal.text() == ""


def test_not_into_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY", 0.01)
    file = io.StringIO()
    with progress.Progress(Stream(file, TERMINAL), "slow", TERMINAL):
        time.sleep(0.05)
    assert file.getvalue() == ""


def test_not_from_another_thread(terminal: Pty) -> None:
    def wait() -> None:
        with progress.Progress(terminal.stream, "slow", TERMINAL):
            time.sleep(0.1)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert terminal.text() == ""
