# SPDX-License-Identifier: GPL-3.0-or-later
"""Pinned applications and second launchers, started as a desktop starts them.

By gtk-launch, gio and xdg-open, by the session bus, as an ordinary user with the real helper; what
is started writes down where it is.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys

import desk
import pytest
from desk import Desktop
from world import REPO, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("gtk-launch") and shutil.which("gio") and shutil.which("gdbus")),
        reason="gtk-launch (libgtk-3-bin) or gio (libglib2.0-bin) is not installed",
    ),
]

SECONDS = 40
OUT, SERVICE_OUT = "/run/home/alice/out", "/run/home/alice/service"

PROBE = """\
#!/bin/sh
out=out
[ "$1" = --gapplication-service ] && out=service
{ readlink /proc/self/ns/net; echo "$DESKTOP_STARTUP_ID $XDG_ACTIVATION_TOKEN"
  for word; do echo "$word"; done; } > "$HOME/out.$$"
mv "$HOME/out.$$" "$HOME/$out"
# it takes no name on the bus: without a failure the bus would wait for that, and start it no more
[ "$1" != --gapplication-service ]
"""

ENTRY = """\
# as its author has it
[Desktop Entry]
Type=Application
Name=Probe
Name[de]=Sonde
Exec=/run/share/bin/probe "two words" %u
MimeType=x-scheme-handler/probe;
StartupNotify=true
DBusActivatable=true
Actions=more;

[Desktop Action more]
Name=More
Exec=/run/share/bin/probe --more
"""

SERVICE = (
    "[D-BUS Service]\nName=org.example.Probe\nExec=/run/share/bin/probe --gapplication-service\n"
)

NOTIFICATIONS = """\
import sys
from gi.repository import GLib
from pydbus import SessionBus

class Server:
    '''<node><interface name="org.freedesktop.Notifications">
    <method name="Notify"><arg type="s" direction="in"/><arg type="u" direction="in"/>
    <arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="s" direction="in"/>
    <arg type="as" direction="in"/><arg type="a{sv}" direction="in"/><arg type="i" direction="in"/>
    <arg type="u" direction="out"/></method>
    <method name="GetServerInformation"><arg type="s" direction="out"/>
    <arg type="s" direction="out"/><arg type="s" direction="out"/><arg type="s" direction="out"/>
    </method><method name="GetCapabilities"><arg type="as" direction="out"/></method>
    </interface></node>'''
    def Notify(self, app, replaces, icon, title, body, actions, hints, timeout):
        with open("/run/home/alice/told", "a") as file:
            file.write(f"{app}|{title}|{body}\\n--\\n")
        return 1
    def GetServerInformation(self):
        return ("test", "netjail", "1", "1.2")
    def GetCapabilities(self):
        return ["body", "body-markup"]

published = SessionBus().publish("org.freedesktop.Notifications",
                                 ("/org/freedesktop/Notifications", Server()))
GLib.MainLoop().run()
"""


@pytest.fixture(scope="module")
def session(desktop: Desktop) -> Desktop:
    """With `netjail` on the PATH, a profile of alice's, and an application."""
    world = desktop.world
    own = shlex.join([sys.executable, "-m", "netjail"])
    world.write("/run/bin/netjail", f'#!/bin/sh\nPYTHONPATH={REPO} exec {own} "$@"\n', 0o755)
    world.write("/run/share/bin/probe", PROBE, 0o755)
    world.write("/run/share/applications/org.example.Probe.desktop", ENTRY)
    plain = ENTRY.replace("DBusActivatable=true\n", "").replace("/probe;", "/plain;")
    world.write("/run/share/applications/plain.desktop", plain.replace("Probe", "Plain"))
    world.write("/run/share/dbus-1/services/org.example.Probe.service", SERVICE)
    desktop.env["PATH"] = "/run/bin:/usr/local/bin:/usr/bin:/bin"
    desktop.env["PYTHONPATH"] = str(REPO)
    world.write("/tmp/lab.toml", 'version = 1\nusers = ["alice"]\n[uplink]\nkind = "none"\n')
    added = world.netjail("profile", "add", "/tmp/lab.toml", "--name", "lab")
    assert added.returncode == 0, added.stderr
    wait_for(lambda: desktop.netjail("up", "lab").returncode == 0, "lab is not up", SECONDS)
    desktop.log_out()
    desktop.log_in()  # with these in the environment of its bus
    desktop.write("server.py", NOTIFICATIONS)
    desktop.start("/usr/bin/python3", f"{desktop.home}/server.py")
    wait_for(lambda: desktop.owned("org.freedesktop.Notifications"), "no server", SECONDS)
    return desktop


def app(session: Desktop, *words: str) -> dict:
    done = session.netjail("app", *words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["result"]


@pytest.fixture
def pinned(session: Desktop):
    app(session, "pin", "probe", "lab")
    yield session
    app(session, "unpin", "--all")


def started(
    session: Desktop, *words: str, file: str = OUT, **environment: str
) -> tuple[str, str, list[str]]:
    """Where the application was when it was started so ("lab", "host"), its start-up id, and what
    it was given. The session bus's own starts write to another file: gtk-launch asks for one too,
    by a ping to the name of what it has launched."""
    out = session.world.path(file)
    out.unlink(missing_ok=True)
    done = session.run(*words, env=environment)
    wait_for(out.exists, f"{words}: {done.stdout}{done.stderr}", SECONDS)
    netns, token, *arguments = out.read_text().splitlines()
    inside = session.world.root("stat", "-Lc", "net:[%i]", "/run/netns/netjail-lab").strip()
    host = session.world.root("readlink", "/proc/1/ns/net").strip()
    return {inside: "lab", host: "host"}[netns], token, arguments


LAUNCH = ("gtk-launch", "org.example.Probe", "probe:it")
ENTRY_OF_USER = ".local/share/applications/org.example.Probe.desktop"


def test_after_unpinning_it_starts_on_the_host(session: Desktop) -> None:
    app(session, "pin", "plain", "lab")
    assert started(session, "gtk-launch", "plain")[0] == "lab"
    app(session, "unpin", "plain")
    file = f"{session.home}/.local/share/applications/plain.desktop"
    assert not session.world.path(file).exists()
    assert started(session, "gtk-launch", "plain")[0] == "host"


def test_every_way_that_a_desktop_starts_it_leads_inside(pinned: Desktop) -> None:
    where, token, words = started(pinned, *LAUNCH)
    assert (where, words) == ("lab", ["two words", "probe:it"])
    assert "gtk-launch" in token  # the id of its start-up notification came through
    path = f"{pinned.home}/{ENTRY_OF_USER}"
    assert started(pinned, "gio", "launch", path)[0::2] == ("lab", ["two words"])
    assert started(pinned, "gio", "open", "probe:a")[0::2] == ("lab", ["two words", "probe:a"])
    generic = {"XDG_CURRENT_DESKTOP": "X-Generic", "XDG_ACTIVATION_TOKEN": "of-wayland"}
    where, _, words = started(pinned, "xdg-open", "probe:b", **generic)
    assert (where, words[-1]) == ("lab", "probe:b")  # xdg-open knows no quotes


def test_the_session_bus_starts_it_inside_too(pinned: Desktop) -> None:
    ask = ("gdbus", "call", "--session", "--dest", "org.freedesktop.DBus", "--object-path", "/",
           "--method", "org.freedesktop.DBus.StartServiceByName", "org.example.Probe", "0",
           "--timeout", "3")  # fmt: skip
    assert started(pinned, *ask, file=SERVICE_OUT)[0::2] == ("lab", ["--gapplication-service"])
    app(pinned, "unpin", "probe")
    assert started(pinned, *ask, file=SERVICE_OUT)[0] == "host"
    app(pinned, "pin", "probe", "lab")


def test_the_token_of_wayland_comes_through(pinned: Desktop) -> None:
    path = f"{pinned.home}/{ENTRY_OF_USER}"
    done = started(pinned, "gio", "launch", path, XDG_ACTIVATION_TOKEN="of-wayland")
    assert done[1].endswith("of-wayland")


def test_a_second_launcher_starts_beside_the_first(session: Desktop) -> None:
    made = app(session, "add", "probe", "lab")
    assert made["name"] == "Probe (lab)"
    assert started(session, "gtk-launch", made["entry"])[0] == "lab"
    assert session.run("desktop-file-validate", made["file"]).stdout == ""
    assert "org.example.Probe.desktop" in session.run(
        "gio", "mime", "x-scheme-handler/probe").stdout.partition("\n")[0]  # fmt: skip
    app(session, "remove", "probe", "lab")
    assert not session.world.path(made["file"]).exists()


def test_open_goes_where_it_is_told_and_else_where_it_is_pinned(pinned: Desktop) -> None:
    netjail = "/run/bin/netjail"
    assert started(pinned, netjail, "open", "probe:x")[0::2] == ("lab", ["two words", "probe:x"])
    app(pinned, "unpin", "probe")
    assert started(pinned, netjail, "open", "probe:y", "--in", "lab")[0] == "lab"
    nowhere = pinned.netjail("open", "probe:z")
    assert nowhere.returncode == 2
    assert "not pinned" in nowhere.stderr
    app(pinned, "pin", "probe", "lab")


@pytest.mark.skipif(
    desk.missing_module("gi", "pydbus", "pystray") is not None, reason="the tray cannot run here"
)
def test_the_tray_takes_updates_over_when_it_starts(pinned: Desktop) -> None:
    file = "/run/share/applications/org.example.Probe.desktop"
    ours = pinned.world.path(f"{pinned.home}/{ENTRY_OF_USER}")
    pinned.world.write(file, ENTRY.replace("Name=Probe", "Name=Newer"))
    assert "Newer" not in ours.read_text()
    tray = pinned.start("/run/bin/netjail", "tray", "--wait")
    wait_for(lambda: "Name=Newer" in ours.read_text(), "not taken over", SECONDS)
    pinned._kill(tray)
    pinned.world.write(file, ENTRY)


def test_what_we_write_is_valid(pinned: Desktop) -> None:
    done = pinned.run("desktop-file-validate", f"{pinned.home}/{ENTRY_OF_USER}")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_failure_is_shown_where_nobody_reads_stderr(session: Desktop) -> None:
    told = session.world.path("/run/home/alice/told")
    session.world.root("mkdir", "-p", "/run/only")
    session.world.root("ln", "-sf", "/usr/bin/gdbus", "/run/only/gdbus")
    run = (sys.executable, "-m", "netjail", "run", "--notify")
    for path in (session.env["PATH"], "/run/only"):  # the second has no notify-send
        for words, title, text in (
            (("gone", "--", "<b>"), "&lt;b&gt;", "gone"),
            (("lab", "--", "no-such-program"), "no-such-program", "no-such-program"),
        ):
            told.unlink(missing_ok=True)
            done = session.run(*run, *words, env={"PATH": path})
            assert done.returncode in (125, 127), done.stderr
            said = told.read_text()
            assert said.count("--\n") == 1, said
            assert f"was not started in {words[0]}" in said
            assert text in said
            assert title in said or "<b> was" in said  # titles have no markup
    told.unlink()
    assert session.run(*run, "lab", "--", "sh", "-c", "exit 3").returncode == 3
    assert session.run(*run[:-1], "gone", "--", "x").returncode == 125
    assert not told.exists()


def test_it_is_seen_to_run_outside(session: Desktop) -> None:
    session.world.root("cp", "/bin/sleep", "/run/share/bin/sleeper")
    session.world.write(
        "/run/share/applications/sleeper.desktop",
        "[Desktop Entry]\nType=Application\nName=Sleeper\nExec=/run/share/bin/sleeper 300\n",
    )
    outside = session.start("/run/share/bin/sleeper", "300")
    app(session, "pin", "sleeper", "lab")
    [one] = app(session, "list")["applications"]
    assert one["in_order"]
    assert len(one["outside"]) == 1
    assert one["outside"][0]["where"] is None
    session._kill(outside)
    inside = session.start("gtk-launch", "sleeper")

    def is_inside() -> bool:
        return "sleeper" in session.netjail("ps", "lab").stdout

    wait_for(is_inside, "it does not start", SECONDS)
    assert app(session, "list")["applications"][0]["outside"] == []
    assert session.netjail("kill", "lab").returncode == 0
    inside.wait(SECONDS)
    app(session, "unpin", "--all")
