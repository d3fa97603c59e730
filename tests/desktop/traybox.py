# SPDX-License-Identifier: GPL-3.0-or-later
"""The tray on a desktop, for tests: started, looked at, used with the keyboard and the mouse."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from desk import RESULTS, SCREEN, Desktop, wait_for

MENU = str(Path(__file__).with_name("menuof.py"))
ICON = (SCREEN[0] - 15, 14)
"""Where the panel shows the only icon in its tray."""
SECONDS = 40


class Tray:
    """`netjail tray` in a session."""

    def __init__(self, desktop: Desktop, *words: str, backend: str | None = None) -> None:
        self.desktop = desktop
        self._words = words
        self._env = {} if backend is None else {"PYSTRAY_BACKEND": backend}
        self._start()

    def _start(self) -> None:
        self._monitor = self.desktop.start(
            "dbus-monitor", "--session", "interface='org.freedesktop.Notifications'",
            "member='Notify'", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.process = self.desktop.start(
            sys.executable, "-m", "netjail", "tray", *self._words, env=self._env,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._notified = b""

    @property
    def pid(self) -> int:
        return self.desktop.pid(self.process)

    def said(self) -> str:
        """What it printed, once it has ended."""
        out, _ = self.process.communicate(timeout=SECONDS)
        return str(out)

    def menu(self) -> Any:
        """{title, lines} as the panel gets it; None where there is no icon."""
        done = self.desktop.run(sys.executable, MENU)
        return json.loads(done.stdout) if done.stdout else None

    def wait_icon(self) -> None:
        """Until the panel shows it. Now and then, on a machine with much to do, a panel takes none;
        then the tray is started once more, and that is said."""
        try:
            wait_for(self.menu, "no icon", SECONDS)
        except AssertionError:
            self.desktop.screenshot("no-icon")
            self.stop()
            print("the panel has not taken the icon; the tray is started once more")
            self._start()
            wait_for(self.menu, "no icon", SECONDS)

    def labels(self, *path: str) -> list[str]:
        """What the lines say, below the lines that begin with the words of `path`."""
        menu = self.menu()
        lines = menu["lines"] if menu else []
        for begin in path:
            found = [each for each in lines if each and each[0].startswith(begin)]
            if not found:
                return []
            lines = found[0][3]
        return [each[0] for each in lines if each]

    def wait_label(self, label: str, *path: str) -> None:
        pattern = re.compile(label)
        wait_for(
            lambda: any(pattern.fullmatch(each) for each in self.labels(*path)),
            f"no line {label!r} below {path}: {self.menu()}",
            SECONDS,
        )

    def open(self) -> None:
        """Click on the icon, and wait for the menu."""
        before = set(self.desktop.windows())
        self.desktop.click(*ICON)
        wait_for(lambda: set(self.desktop.windows()) - before, "no menu opens", SECONDS)
        time.sleep(0.3)  # GTK takes keys only once the menu has been drawn

    def pick(self, *path: str, shot: str | None = None) -> None:
        """Open the menu and go to the line of that path with the keyboard, as a person would."""
        lines = self.menu()["lines"]
        self.open()
        for depth, begin in enumerate(path):
            usable = [each for each in lines if each and each[1]]
            position = next(n for n, each in enumerate(usable) if each[0].startswith(begin))
            for _ in range(position + (depth == 0)):
                self.desktop.xdotool("key", "Down")
            time.sleep(0.1)
            lines = usable[position][3]
            if depth + 1 < len(path):
                self.desktop.xdotool("key", "Right")
                time.sleep(0.4)
        if shot is not None:
            self.desktop.screenshot(shot)
        self.desktop.xdotool("key", "Return")

    def import_file(self, path: str, shot: str) -> None:
        """Pick "Import…", and type the file's name."""
        self.pick("Import")
        self.desktop.wait_window("^Import a VPN file$")
        time.sleep(0.7)
        self.desktop.xdotool("type", "/")  # the dialog makes a line for typing of its list
        time.sleep(0.7)
        self.desktop.xdotool("type", "--delay", "30", path.removeprefix("/"))
        time.sleep(0.7)
        self.desktop.screenshot(shot)
        self.desktop.xdotool("key", "Return")

    def close_menu(self) -> None:
        self.desktop.xdotool("key", "Escape", "Escape", "Escape")
        time.sleep(0.2)

    def icon(self, name: str) -> bytes:
        """A screenshot of the icon, the kept file's content."""
        self.desktop.xdotool("mousemove", "300", "500")  # or it is shown as pointed at
        area = (SCREEN[0] - 30, 0, 30, 28)
        return self.desktop.screenshot(name, area).read_bytes()

    def notified(self) -> list[str]:
        """The titles of all notifications so far."""
        import os
        import select

        stream = self._monitor.stdout
        while select.select([stream], [], [], 0.2)[0]:
            data = os.read(stream.fileno(), 65536)
            if not data:
                break
            self._notified += data
        titles = []
        for call in self._notified.decode().split("member=Notify")[1:]:
            texts = re.findall(r'^   string "(.*)', call, re.MULTILINE)
            if len(texts) > 2:  # application, icon, title, text: all of it has come
                titles.append(texts[2].rstrip('"'))
        return titles

    def wait_notified(self, pattern: str) -> None:
        wait_for(
            lambda: any(re.search(pattern, each) for each in self.notified()),
            f"no notification {pattern!r}",
            SECONDS,
        )

    def stop(self) -> None:
        """End it as a session does; kept: what it said to stderr."""
        import os

        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
        said = self.said()
        assert "Traceback" not in said, said
        os.kill(self.desktop.pid(self._monitor), signal.SIGTERM)
        self._monitor.wait(SECONDS)


def crops(names: list[str], target: str, zoom: int = 4) -> Path:
    """Screenshots side by side in one file, enlarged, for whoever looks at them."""
    from PIL import Image

    pictures = [Image.open(RESULTS / f"{name}.png").convert("RGB") for name in names]
    width = sum(each.width for each in pictures) * zoom
    sheet = Image.new("RGB", (width, pictures[0].height * zoom))
    x = 0
    for each in pictures:
        large = each.resize((each.width * zoom, each.height * zoom), Image.Resampling.NEAREST)
        sheet.paste(large, (x, 0))
        x += large.width
    path = RESULTS / f"{target}.png"
    sheet.save(path)
    return path
