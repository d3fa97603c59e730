# SPDX-License-Identifier: GPL-3.0-or-later
"""A desktop session of an ordinary user in a throw-away machine (see tests/bus/world.py).

Xvfb, a session bus, xfwm4 and xfce4-panel, whose tray takes StatusNotifierItem and XEmbed icons;
the system bus, polkit and the helper are the machine's. Nothing is shown on a real display, and all
ends with the world. Screenshots are kept as PNGs in RESULTS.

    desktop = Desktop(world)                 # alice has logged in
    desktop.start("xterm")                   # one of her programs, with the session's environment
    desktop.netjail("run", "lab", "xterm")   # the command line, as she
    desktop.screenshot("a-terminal")
    desktop.log_out(); desktop.log_in()
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bus"))

import world as worlds
from world import REPO, USERS, World, wait_for

RESULTS = Path(os.environ.get("NETJAIL_TEST_RESULTS") or "/var/cache/netjail-tests/results/desktop")
"""Where screenshots go: outside of the checkout."""
SCREEN = (1024, 640)
SECONDS = 40
"""How long anything may take that happens by itself, on a busy machine."""

_PROGRAMS = (
    "Xvfb",
    "xfwm4",
    "xfce4-panel",
    "xfconf-query",
    "xsetroot",
    "xdotool",
    "import",
    "xprop",
)

_CHANNEL = '<?xml version="1.0" encoding="UTF-8"?>\n<channel name="{name}" version="1.0">\n{body}'


def missing(*programs: str) -> str | None:
    """Why there can be no desktop here."""
    reason = worlds.missing()
    if reason is not None:
        return reason
    for program in (*_PROGRAMS, *programs):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None


def missing_module(*modules: str) -> str | None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            return f"the Python module {module} is not installed"
    return None


class Desktop:
    """`panel`: whether the session has a panel with a tray. `dark`: the panel's colour. `icon`: its
    size in pixels. `launchers`: .desktop files that stand in the panel."""

    def __init__(
        self,
        world: World,
        user: str = "alice",
        *,
        panel: bool = True,
        dark: bool = False,
        icon: int = 22,
        launchers: Sequence[str] = (),
        display: int = 7,
    ) -> None:
        self.world = world
        self.user = user
        self.uid = USERS[user]
        self.home = f"/run/home/{user}"
        self.display = f":{display}"
        self.env = {
            "DISPLAY": self.display,
            "XDG_RUNTIME_DIR": f"/run/user/{self.uid}",
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path=/run/user/{self.uid}/bus",
            "XDG_CURRENT_DESKTOP": "XFCE",
            "XDG_SESSION_TYPE": "x11",
            "XDG_DATA_DIRS": "/run/share:/usr/local/share:/usr/share",
            "XDG_CONFIG_DIRS": "/etc/xdg",
            "GDK_BACKEND": "x11",
            "NO_AT_BRIDGE": "1",
            "LIBGL_ALWAYS_SOFTWARE": "1",
        }
        self._panel_wanted = panel
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._programs: list[subprocess.Popen[str]] = []
        self._prepare()
        self._files(dark, icon, launchers)
        self.log_in()

    # The session -------------------------------------------------------------------------------

    def log_in(self) -> None:
        """X, bus, window manager, panel; each is waited for. The files at home are as they were."""
        self._begin("X", "Xvfb", self.display, "-nolock", "-noreset", "-ac", "-nolisten", "tcp",
                    "-screen", "0", f"{SCREEN[0]}x{SCREEN[1]}x24", root=True)  # fmt: skip
        wait_for(lambda: self.run("xprop", "-root").returncode == 0, "no display", SECONDS)
        self._begin("bus", "dbus-daemon", "--session", "--nofork", "--nopidfile",
                    f"--address={self.env['DBUS_SESSION_BUS_ADDRESS']}")  # fmt: skip
        wait_for(lambda: self.owned("org.freedesktop.DBus"), "no session bus", SECONDS)
        self._begin("wm", "xfwm4", "--compositor=off")
        wait_for(lambda: "window id" in self.xprop("_NET_SUPPORTING_WM_CHECK"), "no wm", SECONDS)
        self.run("xsetroot", "-solid", "#5b6b7b")
        if self._panel_wanted:
            self.start_panel()

    def log_out(self) -> None:
        """End the session and all that runs in it, as a logout does."""
        for name in ("panel", "wm"):
            if name in self._running:
                self._end(name)
        for process in self._programs:
            self._kill(process)
        self._programs.clear()
        for name in ("bus", "X"):
            self._end(name)
        self.world.run("find", f"/run/user/{self.uid}", "-mindepth", "1", "-delete")
        self.world.path(f"/tmp/.X11-unix/X{self.display[1:]}").unlink(missing_ok=True)

    def start_panel(self) -> None:
        """The panel with its tray, which is waited for."""
        self._begin("panel", "xfce4-panel", "--disable-wm-check")
        wait_for(self.has_tray, "no tray", SECONDS)

    def stop_panel(self) -> None:
        self._end("panel")
        wait_for(lambda: not self.has_tray(), "the tray stays", SECONDS)

    def has_tray(self) -> bool:
        return self.owned("org.kde.StatusNotifierWatcher") and self.selection("_NET_SYSTEM_TRAY_S0")

    def selection(self, name: str) -> bool:
        """Whether somebody owns an X selection."""
        code = (
            "import sys; from Xlib import display; d = display.Display();"
            f"sys.exit(not d.get_selection_owner(d.intern_atom({name!r})))"
        )
        return self.run(sys.executable, "-c", code).returncode == 0

    # Programs ----------------------------------------------------------------------------------

    def start(self, *words: str, env: dict[str, str] | None = None, **options: Any) -> Any:
        """A program in the session; it ends with it. Popen."""
        process = self._popen(words, env or {}, **options)
        self._programs.append(process)
        return process

    def run(self, *words: str, env: dict[str, str] | None = None) -> Any:
        """A program of the user that ends by itself. CompletedProcess."""
        return self.world.run(*self._with(words, env or {}), user=self.user)

    def netjail(self, *words: str) -> Any:
        return self.run(sys.executable, "-m", "netjail", *words)

    def pid(self, process: subprocess.Popen[str]) -> int:
        """Its number out here."""
        return self.world._child(process)

    def owned(self, name: str) -> bool:
        """Whether somebody owns a name on the session bus."""
        return "boolean true" in self.bus("org.freedesktop.DBus", "/", "org.freedesktop.DBus."
                                          "NameHasOwner", f"string:{name}")  # fmt: skip

    def bus(self, name: str, path: str, member: str, *arguments: str) -> str:
        """Call on the session bus, with dbus-send(1)'s words; what it prints."""
        words = ("dbus-send", "--session", "--print-reply", f"--dest={name}", path, member)
        done = self.run(*words, *arguments)
        return str(done.stdout + done.stderr)

    # What is on the screen ---------------------------------------------------------------------

    def screenshot(self, name: str, area: tuple[int, int, int, int] | None = None) -> Path:
        """Of the screen, or of x, y, width, height of it; kept as RESULTS/NAME.png."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        inside = f"/tmp/{name}.png"
        crop = ["-crop", "{2}x{3}+{0}+{1}".format(*area), "+repage"] if area else []
        done = self.run("import", "-silent", "-window", "root", *crop, inside)
        assert done.returncode == 0, done.stderr
        target = RESULTS / f"{name}.png"
        shutil.copyfile(self.world.path(inside), target)
        return target

    def xdotool(self, *words: str) -> str:
        done = self.run("xdotool", *words)
        assert done.returncode == 0, (words, done.stderr)
        return str(done.stdout).strip()

    def click(self, x: int, y: int, button: int = 1) -> None:
        self.xdotool("mousemove", str(x), str(y), "click", str(button))

    def windows(self, pattern: str = ".") -> list[int]:
        """The visible windows whose title, class or instance matches."""
        done = self.run("xdotool", "search", "--onlyvisible", pattern)
        return [int(each) for each in done.stdout.split()]

    def title(self, window: int) -> str:
        return self.xdotool("getwindowname", str(window))

    def wait_window(self, pattern: str) -> int:
        """The first visible window of that title or class, when it is there."""
        found: list[int] = []

        def there() -> bool:
            found[:] = self.windows(pattern)
            return bool(found)

        wait_for(there, f"no window {pattern}", SECONDS)
        return found[0]

    def geometry(self, window: int) -> tuple[int, int, int, int]:
        """x, y, width, height."""
        said = self.xdotool("getwindowgeometry", "--shell", str(window))
        values = dict(line.split("=") for line in said.splitlines())
        x, y, width, height = (int(values[key]) for key in ("X", "Y", "WIDTH", "HEIGHT"))
        return x, y, width, height

    def xprop(self, name: str, window: int | None = None) -> str:
        where = ["-root"] if window is None else ["-id", str(window)]
        return str(self.run("xprop", *where, name).stdout)

    def wait(self, ready: Callable[[], Any], what: str) -> None:
        wait_for(ready, what, SECONDS)

    # Inside ------------------------------------------------------------------------------------

    def write(self, inside: str, text: str) -> None:
        """A file at the user's home (a relative path), or anywhere."""
        path = inside if inside.startswith("/") else f"{self.home}/{inside}"
        self.world.write(path, text)
        self.world.root("chown", "-R", f"{self.uid}:{self.uid}", self.home)

    def _prepare(self) -> None:
        assert not str(REPO).startswith("/tmp/"), "a checkout in /tmp cannot be seen in there"
        for command in (
            "mount -t tmpfs -o mode=1777 tmpfs /tmp",
            "mkdir -m 1777 /tmp/.X11-unix",
            f"install -d -m 700 -o {self.uid} -g {self.uid} /run/user /run/user/{self.uid}",
            "chmod 755 /run/user",
            "mkdir -p /run/share/applications",
            f"cp -r {REPO}/data/icons /run/share/",
            f"cp {REPO}/netjail.desktop /run/share/applications/",
        ):
            self.world.root(*command.split())

    def _files(self, dark: bool, icon: int, launchers: Sequence[str]) -> None:
        if not self._panel_wanted:
            return
        ids = list(range(10, 10 + len(launchers)))
        panel = _PANEL.format(
            ids="".join(f'<value type="int" value="{n}"/>' for n in (1, *ids, 2, 3, 4)),
            launchers="".join(map(_launcher, ids, launchers)),
            colour=_rgba(0.13 if dark else 0.96),
            dark="true" if dark else "false",
            icon=icon,
            size=max(26, icon + 6),
        )
        self._channel("xfce4-panel", panel)
        self._channel("xsettings", _XSETTINGS)
        self._channel("xfwm4", _XFWM)
        for number, path in zip(ids, launchers, strict=True):
            name = Path(path).name
            self.write(f".config/xfce4/panel/launcher-{number}/{name}", Path(path).read_text())

    def _channel(self, name: str, body: str) -> None:
        text = _CHANNEL.format(name=name, body=body) + "\n</channel>\n"
        self.write(f".config/xfce4/xfconf/xfce-perchannel-xml/{name}.xml", text)

    def _with(self, words: Sequence[str], env: dict[str, str]) -> list[str]:
        every = {**self.env, **env}
        return ["env", f"--chdir={self.home}", *(f"{k}={v}" for k, v in every.items()), *words]

    def _popen(self, words: Sequence[str], env: dict[str, str], **options: Any) -> Any:
        if "stdout" not in options:
            log = self.world.path(f"/run/{Path(words[0]).name}.log").open("a")
            options |= {"stdout": log, "stderr": log}
        user = options.pop("user", self.user)
        return self.world.popen(*self._with(words, env), user=user, **options)

    def _begin(self, name: str, *words: str, root: bool = False) -> None:
        self._running[name] = self._popen(words, {}, **({"user": None} if root else {}))

    def _end(self, name: str) -> None:
        self._kill(self._running.pop(name))

    def _kill(self, process: subprocess.Popen[str]) -> None:
        if process.poll() is None:
            os.kill(self.pid(process), signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.kill(self.pid(process), signal.SIGKILL)
                process.wait(10)

    def log(self, program: str) -> str:
        """What a program that was started said."""
        path = self.world.path(f"/run/{program}.log")
        return path.read_text(errors="replace") if path.exists() else ""


def _rgba(value: float) -> str:
    return "".join(f'<value type="double" value="{each}"/>' for each in (*[value] * 3, 1.0))


def _launcher(number: int, path: str) -> str:
    return (
        f'<property name="plugin-{number}" type="string" value="launcher">'
        f'<property name="items" type="array">'
        f'<value type="string" value="{Path(path).name}"/></property></property>'
    )


_PANEL = """
<property name="configver" type="int" value="2"/>
<property name="panels" type="array"><value type="int" value="1"/>
 <property name="dark-mode" type="bool" value="{dark}"/>
 <property name="panel-1" type="empty">
  <property name="position" type="string" value="p=6;x=0;y=0"/>
  <property name="length" type="uint" value="100"/>
  <property name="position-locked" type="bool" value="true"/>
  <property name="icon-size" type="uint" value="{icon}"/>
  <property name="size" type="uint" value="{size}"/>
  <property name="background-style" type="uint" value="1"/>
  <property name="background-rgba" type="array">{colour}</property>
  <property name="plugin-ids" type="array">{ids}</property>
 </property>
</property>
<property name="plugins" type="empty">
 <property name="plugin-1" type="string" value="applicationsmenu"/>
 {launchers}
 <property name="plugin-2" type="string" value="tasklist">
  <property name="grouping" type="uint" value="0"/>
 </property>
 <property name="plugin-3" type="string" value="separator">
  <property name="expand" type="bool" value="true"/>
  <property name="style" type="uint" value="0"/>
 </property>
 <property name="plugin-4" type="string" value="systray">
  <property name="icon-size" type="int" value="{icon}"/>
  <property name="square-icons" type="bool" value="true"/>
 </property>
</property>"""

_XSETTINGS = """
<property name="Net" type="empty">
 <property name="ThemeName" type="string" value="Adwaita"/>
 <property name="IconThemeName" type="string" value="Adwaita"/>
</property>"""

_XFWM = """
<property name="general" type="empty">
 <property name="use_compositing" type="bool" value="false"/>
 <property name="workspace_count" type="int" value="1"/>
</property>"""


def numbers(text: str) -> list[int]:
    """The decimal numbers in a text."""
    return [int(each) for each in re.findall(r"\d+", text)]
