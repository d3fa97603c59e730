# SPDX-License-Identifier: GPL-3.0-or-later
"""The desktop that the tests here run on is one: what is asked of it happens."""

from __future__ import annotations

from desk import Desktop


def test_a_session_with_a_tray(desktop: Desktop) -> None:
    assert desktop.has_tray()
    panel = desktop.wait_window("xfce4-panel")
    assert desktop.geometry(panel)[2] >= 1000
    assert desktop.screenshot("desk").stat().st_size > 1000
    desktop.stop_panel()
    assert not desktop.owned("org.kde.StatusNotifierWatcher")
    desktop.start_panel()
    assert desktop.has_tray()


def test_another_session_after_a_logout(desktop: Desktop) -> None:
    desktop.start("xterm", "-title", "mine")
    desktop.wait_window("mine")
    desktop.log_out()
    desktop.log_in()
    assert desktop.has_tray()
    assert not desktop.windows("mine")
