# SPDX-License-Identifier: GPL-3.0-or-later
"""What the words of a menu's action do. Each is begun and told of later; none blocks the menu."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from netjail.errors import NetjailError
from netjail.tray import autostart, checked, commands, notices, sources
from netjail.tray.helper import Helper
from netjail.tray.menu import Action
from netjail.tray.notices import Notice
from netjail.tray.state import App, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from netjail.desktop.watch import Outside

    class Host(Protocol):
        """The part of app.Tray that is needed here."""

        helper: Helper
        busy: set[str]
        asked: set[str]
        checking: set[str]

        def changed(self) -> None: ...
        def tell(self, notice: Notice) -> None: ...
        def look_outside(self) -> None: ...
        def outside(self, pid: int) -> Outside | None: ...
        def ignore(self, pid: int) -> None: ...
        def quit(self) -> None: ...


class Actions:
    """`windows`: whether GTK is there to show some."""

    def __init__(self, host: Host, windows: bool) -> None:
        self._host = host
        self._windows = windows
        self._left_out: dict[str, list[dict[str, Any]]] = {}
        self._checks: dict[str, dict[str, Any]] = {}

    def press(self, action: Action) -> None:
        """Do it. Words that mean nothing here are a bug."""
        word, *rest = action
        handler: Callable[..., None] = getattr(self, "_" + word.replace("-", "_"))
        handler(*rest)

    # Profiles ----------------------------------------------------------------------------------

    def _up(self, name: str) -> None:
        self._busy(name, f"{name} could not be started", self._host.helper.up)

    def _down(self, name: str) -> None:
        self._busy(name, f"{name} could not be stopped", self._down_call)

    def _down_call(self, name: str, done: Callable[[Any, NetjailError | None], None]) -> None:
        self._host.helper.down(name, False, done)

    def _down_all(self) -> None:
        for profile in self._host.helper.profiles:
            if profile.live and profile.name not in self._host.busy:
                self._down(profile.name)

    def _stop_with_programs(self, name: str) -> None:
        def call(name: str, done: Callable[[Any, NetjailError | None], None]) -> None:
            self._host.helper.down(name, True, done)

        self._busy(name, f"{name} could not be stopped", call)

    def _busy(self, name: str, what: str, call: Callable[..., None]) -> None:
        self._host.busy.add(name)
        self._host.changed()

        def done(_result: Any, error: NetjailError | None) -> None:
            if error is not None and error.code == "credentials-needed":
                # the command asks, in a window: one way for the tray and for launchers
                commands.starting(["up", "--dialog", name], lambda e, _: done(None, e))
                return
            self._host.busy.discard(name)
            self._host.changed()
            if error is not None:
                self._failed(name, what, error)

        call(name, done)

    def _failed(self, name: str, what: str, error: NetjailError) -> None:
        notice = notices.failed(what, error.message, error.hint)
        if error.code == "in-use" and "stopped" in what:
            action = ("stop-with-programs", name)
            notice = Notice(
                notice.topic,
                what,
                notices.failed(what, error.message).text,
                actions=(("Stop them too", action),),
            )
        self._host.tell(notice)

    def _refresh(self, name: str) -> None:
        self._host.helper.refresh(name)
        if any(each.name == name and each.place for each in self._host.helper.profiles):
            commands.reporting(["use", name], partial(self._listed, name))

    def _listed(self, name: str, result: dict[str, Any], error: NetjailError | None) -> None:
        """The places of a pool; without them there is still the way to any other."""
        if error is None:
            found = (
                Place(each["name"], each["country"] or "", each["country_name"] or "")
                for each in result["places"]
            )
            self._host.helper.note_places(name, tuple(found))

    def _use(self, name: str, how: str) -> None:
        def call(name: str, done: Callable[[Any, NetjailError | None], None]) -> None:
            def finished(result: dict[str, Any], error: NetjailError | None) -> None:
                if error is None:
                    self._host.helper.note_place(name, str(result["place"]))
                    self._host.helper.refresh(name)
                done(result, error)

            commands.reporting(["use", name, how], finished)

        self._busy(name, f"{name} stays where it is", call)

    def _again(self) -> None:
        self._host.helper.wake()

    # Applications ------------------------------------------------------------------------------

    def _run(self, name: str, entry_id: str) -> None:
        app = sources.app(entry_id)
        label = app.name if app is not None else entry_id

        def finished(error: NetjailError | None, warning: str) -> None:
            if error is not None:
                what = f"{label} could not be started in {name}"
                self._host.tell(notices.failed(what, error.message, error.hint))
            elif warning:
                lines = warning.removeprefix("netjail: warning: ").splitlines()
                text = ". ".join(line.strip(" .") for line in lines)
                self._host.tell(notices.failed(f"{label} in {name}", text))
            self._host.asked.discard(name)
            self._host.helper.refresh(name)

        sources.note(entry_id, name)
        self._host.asked.add(name)
        commands.starting(["run", "--detach", name, entry_id], finished)

    def _choose(self, name: str) -> None:
        from netjail.tray import dialogs

        choices = [
            dialogs.Choice(
                App(entry.id, entry.name), entry.generic_name or entry.comment, entry.icon
            )
            for entry in sources.applications()
        ]
        dialogs.choose_app(name, choices, lambda app: self._run(name, app.id))

    def _kill(self, name: str, *pids: str) -> None:
        def done(_result: Any, error: NetjailError | None) -> None:
            if error is not None:
                self._host.tell(
                    notices.failed("It could not be stopped", error.message, error.hint)
                )
            self._host.helper.refresh(name)

        self._host.helper.kill(name, [int(pid) for pid in pids], signal.SIGTERM, done)

    def _restart(self, entry_id: str, name: str, pid: str) -> None:
        """End what runs outside, then start it inside."""

        def ended(has: bool) -> None:
            self._host.look_outside()
            if has:
                self._run(name, entry_id)
            else:
                self._host.tell(notices.failed("It has not ended yet", "close it, then try again"))

        found = self._host.outside(int(pid))
        if found is None:
            ended(True)
        else:
            sources.end(found, ended)

    def _ignore(self, pid: str) -> None:
        self._host.ignore(int(pid))

    # Import ------------------------------------------------------------------------------------

    def _import(self) -> None:
        if not self._windows:
            text = (
                "There is no GTK 3 here to choose a file with. In a terminal: netjail import FILE"
            )
            self._host.tell(Notice("import", "Import a file", text))
            return
        from netjail.tray import dialogs

        dialogs.choose_file("Import a VPN file", self.take)

    def take(self, path: str, name: str | None = None) -> None:
        """Import the file of that path."""
        words = ["import", path] if name is None else ["import", path, "--name", name]

        def finished(result: dict[str, Any], error: NetjailError | None) -> None:
            file = os.path.basename(path)
            if error is not None and self._windows and error.code in ("exists", "invalid-name"):
                self._other_name(path, error)
            elif error is not None:
                what = f"{file} was not imported"
                text = "\n".join([error.message, *error.problems[:3]])
                self._host.tell(notices.failed(what, text, error.hint))
            else:
                made = str(result.get("profile"))
                self._left_out[made] = result.get("left_out") or []
                warnings = [str(each) for each in result.get("warnings") or ()]
                notice = notices.imported(made, len(self._left_out[made]), warnings)
                if notice is not None:
                    self._host.tell(notice if self._windows else replace(notice, actions=()))

        commands.reporting(words, finished)

    def _other_name(self, path: str, error: NetjailError) -> None:
        from netjail.tray import dialogs

        message = error.message[:1].upper() + error.message[1:]
        text = f"{message.rstrip('.')}. Give it another name:"
        dialogs.ask_name("Import a VPN file", text, "", partial(self.take, path))

    def _show_import(self, name: str) -> None:
        from netjail.tray import dialogs

        sections = [
            dialogs.Section(f"Line {item['line']}: {item['text']}", str(item["why"]))
            for item in self._left_out.get(name, ())
        ]
        dialogs.report(f"Imported {name}", "Left out of the file:", sections)

    # The leak check ----------------------------------------------------------------------------

    def _check(self, name: str) -> None:
        self._host.checking.add(name)
        self._host.changed()

        def finished(result: dict[str, Any], error: NetjailError | None) -> None:
            self._host.checking.discard(name)
            self._host.changed()
            if error is not None and not result:
                self._host.tell(
                    notices.failed(f"{name} could not be checked", error.message, error.hint)
                )
                return
            self._checked(name, result)

        commands.reporting(["check", name], finished)

    def _checked(self, name: str, result: dict[str, Any]) -> None:
        self._checks[name] = result
        address = checked.exit_address(result)
        if address:
            self._host.helper.note_exit(name, address)
        notice = checked.notice(result)
        self._host.tell(notice if self._windows else replace(notice, actions=()))

    def _show_check(self, name: str) -> None:
        from netjail.tray import dialogs

        result = self._checks[name]
        found = [dialogs.Section(*each) for each in checked.sections(result)]
        dialogs.report(f"Leaks of {name}", checked.verdict(result) + ".", found)

    # Itself ------------------------------------------------------------------------------------

    def _autostart(self) -> None:
        try:
            autostart.turn(not autostart.is_on())
        except NetjailError as error:
            self._host.tell(notices.failed("Start at login", error.message, error.hint))
        self._host.changed()

    def _quit(self) -> None:
        self._host.quit()
