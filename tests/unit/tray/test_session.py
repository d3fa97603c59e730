# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backend is chosen, what the helper's properties mean, the autostart entry, the pictures."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from netjail.errors import NetjailError
from netjail.tray import autostart
from netjail.tray.state import Profile

gi = pytest.importorskip("gi")
pytest.importorskip("pydbus")

from netjail.tray import helper, session  # noqa: E402
from netjail.tray.session import Found  # noqa: E402

ALL = {"notifier": True, "xembed": True, "appindicator": True, "gtk": True, "xlib": True}


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        ((), "appindicator"),
        (("xembed",), "appindicator"),
        (("notifier",), "gtk"),
        (("appindicator",), "gtk"),
        (("gtk",), "xorg"),
        (("gtk", "xlib"), None),
        (("appindicator", "xembed"), None),
        (("notifier", "xembed"), None),
    ],
)
def test_the_best_backend_that_would_be_seen(without: tuple[str, ...], expected: Any) -> None:
    found = Found(**{**ALL, **dict.fromkeys(without, False)})
    assert session.choose(found) == expected
    if expected is None:
        error = session.no_tray(found)
        assert error.code == ("missing-program" if found.notifier or found.xembed else "system")
        assert error.hint


def test_a_backend_can_be_demanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYSTRAY_BACKEND", raising=False)
    assert session.forced() is None
    monkeypatch.setenv("PYSTRAY_BACKEND", "gtk")
    assert session.forced() == "gtk"
    monkeypatch.setenv("PYSTRAY_BACKEND", "win32")
    with pytest.raises(NetjailError, match="win32"):
        session.forced()


def test_properties_become_a_profile() -> None:
    values = {"Name": "vpn", "State": "up", "Since": 5, "Received": 7, "Endpoint": "a:1"}
    profile = helper.profile_of(Profile(""), values)
    assert profile == Profile("vpn", "up", since=5, received=7, endpoint="a:1")
    # A few of them change the rest not; what goes down forgets what it had.
    seen = helper.profile_of(profile, {"Sent": 9})
    assert (seen.name, seen.received, seen.sent) == ("vpn", 7, 9)
    down = helper.profile_of(seen, {"State": "down", "Since": 0})
    assert (down.received, down.sent, down.since) == (0, 0, None)


@pytest.mark.parametrize("name", ["vpn", "my_vpn", "a-b_c"])
def test_paths_are_those_of_the_helper(name: str) -> None:
    from netjail.daemon.bus_words import path_of

    assert helper.path_of(name) == path_of(name)


def test_an_error_over_the_bus_keeps_its_code_and_its_hint() -> None:
    from gi.repository import Gio, GLib

    raised = Gio.DBusError.new_for_dbus_error("org.netjail.Error.NoSuchProfile", "none\ntry x")
    error = helper.error_of(raised)
    assert (error.code, error.message, error.hint) == ("no-such-profile", "none", "try x")
    raised = Gio.DBusError.new_for_dbus_error("org.freedesktop.DBus.Error.ServiceUnknown", "x")
    assert helper.error_of(raised).code == "no-helper"
    assert isinstance(raised, GLib.Error)


def test_autostart_is_written_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    entry = tmp_path / "autostart" / "netjail.desktop"
    assert not autostart.is_on() and not autostart.turn(False)
    assert autostart.turn(True) and autostart.is_on() and not autostart.turn(True)
    assert entry.stat().st_mode & 0o777 == 0o644
    if shutil.which("desktop-file-validate"):
        done = subprocess.run(["desktop-file-validate", entry], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "")
    assert autostart.turn(False) and not entry.exists()
    # One that a desktop's settings have switched off is on again afterwards.
    entry.write_text(autostart.ENTRY + "Hidden=true\n")
    assert not autostart.is_on() and autostart.turn(True) and autostart.is_on()
    assert [each.name for each in entry.parent.iterdir()] == ["netjail.desktop"]


def test_autostart_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "autostart").write_text("a file")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(NetjailError, match="cannot change"):
        autostart.turn(True)


def looks(size: int) -> dict[str, Any]:
    pytest.importorskip("PIL")
    from netjail.tray import draw

    return {look: draw.image(look, size) for look in ("down", "up", "degraded", "failed")}


@pytest.mark.parametrize("size", [16, 22, 24, 48])
@pytest.mark.parametrize("panel", [(255, 255, 255), (30, 32, 36)])
def test_looks_differ_at_any_size_also_without_colour(
    size: int, panel: tuple[int, int, int]
) -> None:
    from PIL import Image

    greys = {}
    for look, picture in looks(size).items():
        assert picture.size == (size, size)
        shown = Image.new("RGB", picture.size, panel)
        shown.paste(picture, (0, 0), picture)
        greys[look] = shown.convert("L").tobytes()
    for one, other in itertools.combinations(greys, 2):
        different = sum(abs(a - b) > 48 for a, b in zip(greys[one], greys[other], strict=True))
        assert different >= size * size * 0.05, (one, other, different)
    level = Image.new("RGB", (1, 1), panel).convert("L").getpixel((0, 0))
    for look, grey in greys.items():
        seen = sum(abs(each - level) > 64 for each in grey)
        assert seen >= size * size * 0.2, (look, seen)


class Names:
    """A session bus that says nothing by itself."""

    def watch_name(self, *_: Any, **__: Any) -> None: ...

    def subscribe(self, **_: Any) -> None: ...


def test_of_a_panel_that_comes_bit_by_bit_the_better_way_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is around comes and goes here by hand, and so does the time that passes."""
    around = ALL | {"notifier": False, "xembed": False}
    timers: list[Any] = []
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(session, "look_around", lambda _: Found(**around))
    monkeypatch.setattr(
        session.GLib, "timeout_add_seconds", lambda _, call: timers.append(call) or 1
    )
    came: list[str] = []
    waiting = session.Waiting(Names(), came.append)
    waiting._look()
    around["xembed"] = True
    waiting._look()
    waiting._look()
    assert came == [] and len(timers) == 1
    around["notifier"] = True
    waiting._look()
    assert came == ["appindicator"]
    timers[0]()
    assert came == ["appindicator"]


@pytest.mark.parametrize("stays", [True, False])
def test_the_lesser_way_is_taken_where_it_stays_the_only_one(
    monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    around = ALL | {"notifier": False}
    timers: list[Any] = []
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(session, "look_around", lambda _: Found(**around))
    monkeypatch.setattr(
        session.GLib, "timeout_add_seconds", lambda _, call: timers.append(call) or 1
    )
    came: list[str] = []
    waiting = session.Waiting(Names(), came.append)
    waiting._look()
    around["xembed"] = stays
    timers.pop()()
    assert came == (["gtk"] if stays else [])
    around["xembed"] = True
    waiting._look()
    assert len(timers) == (not stays)  # a tray that came again is waited for again
