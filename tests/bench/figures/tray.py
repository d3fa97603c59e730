# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail tray`, from its start until the panel has its icon: on a desktop of tests/desktop."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from harness import Report, Series

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "desktop"))

PIDS = False
ROUNDS = 7


def measure(_options: argparse.Namespace) -> list[Report]:
    import desk

    report = Report("tray: from its start to the icon in the panel", "ms")
    reason = desk.missing() or desk.missing_module("pystray", "PIL", "Xlib")
    if reason is not None:
        report.skipped.append(f"tray: {reason}")
        return [report]
    world = desk.World()
    try:
        world.install_service()
        desktop = desk.Desktop(world)
        for backend in ("appindicator", "gtk"):
            taken = tuple(_start(desktop, backend) for _ in range(ROUNDS))
            report.series.append(Series(backend, taken))
    finally:
        world.close()
    report.notes.append("Python, GTK 3 and the look for a tray; the helper is not waited for")
    return [report]


def _start(desktop: desk.Desktop, backend: str) -> float:  # type: ignore[name-defined] # noqa: F821
    """Milliseconds until the icon's place in the panel looks different."""
    import desk

    code = (
        "import subprocess, sys, time; from Xlib import X, display;"
        f"root = display.Display().screen().root; place = ({desk.SCREEN[0] - 27}, 2, 24, 24);"
        "look = lambda: root.get_image(*place, X.ZPixmap, 0xFFFFFFFF).data;"
        "empty = look(); start = time.monotonic();"
        "tray = subprocess.Popen([sys.executable, '-m', 'netjail', 'tray']);"
        "late = lambda: time.monotonic() - start > 30;"
        "wait = lambda: look() == empty and not late() and not time.sleep(0.005);"
        "[None for _ in iter(wait, False)];"
        "print((time.monotonic() - start) * 1000); tray.terminate(); tray.wait();"
        "[None for _ in iter(lambda: look() != empty and not time.sleep(0.02), False)]"
    )
    done = desktop.run(sys.executable, "-c", code, env={"PYSTRAY_BACKEND": backend})
    assert done.returncode == 0, done.stderr
    time.sleep(0.2)
    return float(done.stdout)
