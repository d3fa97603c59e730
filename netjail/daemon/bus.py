# SPDX-License-Identifier: GPL-3.0-or-later
"""The helper on the system bus: a manager, and an object per profile. Decides nothing.

Everything here runs on the main loop's thread. What a profile's properties say is read in a worker
thread whenever something has changed, and announced in one signal. A profile that is for certain
users is shown to them and root alone; its signals go to those of them who have ever called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gi.repository import GLib

import netjail
from netjail import names
from netjail.daemon import log
from netjail.daemon.bus_adapter import (
    PROPERTIES,
    Exported,
    Reply,
    SystemBus,
    bug,
    interfaces,
    plain,
)
from netjail.daemon.bus_callers import Caller, Callers
from netjail.daemon.bus_views import View, Views
from netjail.daemon.bus_words import (
    FLEETING,
    MANAGER_XML,
    NO_INTERACTION,
    OBJECT_MANAGER,
    PROFILE_XML,
    mapping,
    own_apps,
    path_of,
    variant,
)
from netjail.daemon.call import Result
from netjail.daemon.loop import Loop
from netjail.daemon.manager import Manager
from netjail.daemon.methods import METHODS
from netjail.errors import NetjailError

Options = dict[str, Any]
Then = Callable[[Result], None]


class BusFace:
    def __init__(self, loop: Loop, manager: Manager, bus: SystemBus) -> None:
        self._loop = loop
        self._manager = manager
        self._bus = bus
        self._connection = bus.connection
        self._callers = Callers(bus.connection)
        self._interface = interfaces(PROFILE_XML)
        self._objects: dict[str, Exported] = {}
        self._root: Exported | None = None
        self._give_back: Callable[[], None] | None = None
        self._views = Views(loop, manager, self._added, self._changed, self._removed)
        self.used: Callable[[], None] = lambda: None
        """Called at each call."""

    def start(self, ready: Callable[[NetjailError | None], None]) -> None:
        """Show everything, then take the name; `ready` is told whether that went well."""
        answerer = _ManagerObject(self)
        self._root = Exported(self._connection, names.BUS_PATH, interfaces(MANAGER_XML), answerer)

        def shown() -> None:
            try:
                self._give_back = self._bus.own(names.BUS_NAME)
            except NetjailError as error:
                ready(error)
            else:
                ready(None)

        self._manager.adopted = lambda: self._views.all(shown)
        self._manager.listen(lambda entry: self._views.look([entry.name]))
        self._manager.files_changed = lambda name: self._views.look([name])

    def stop_listening(self) -> None:
        """Give the name back; calls that have arrived are answered."""
        if self._give_back is not None:
            self._give_back()
            self._give_back = None

    def close(self) -> None:
        """Have everything sent that was said."""
        self.stop_listening()
        try:
            self._connection.flush_sync(None)
        except GLib.Error as error:  # the bus has gone
            log.debug(f"the bus: {error}")

    @property
    def busy(self) -> bool:
        return self._callers.busy

    # Objects and signals -----------------------------------------------------------------------

    def _added(self, view: View) -> None:
        path = path_of(view.name)
        answerer = _ProfileObject(self, view.name)
        exported = Exported(self._connection, path, self._interface, answerer)
        self._objects[view.name] = exported
        content = {names.BUS_PROFILE: exported.variants(names.BUS_PROFILE, view.values)}
        if view.values.get("Apps"):  # whose they are depends on who looks
            content[names.BUS_PROFILE].pop("Apps")
        self._emit(
            view.audience,
            names.BUS_PATH,
            OBJECT_MANAGER,
            "InterfacesAdded",
            ("(oa{sa{sv}})", (path, content)),
        )

    def _changed(self, view: View, changed: frozenset[str]) -> None:
        values = {name: view.values[name] for name in sorted(changed)}
        variants = self._objects[view.name].variants(names.BUS_PROFILE, values)
        self._emit(
            view.audience,
            path_of(view.name),
            PROPERTIES,
            "PropertiesChanged",
            ("(sa{sv}as)", (names.BUS_PROFILE, variants, [])),
        )

    def _removed(self, view: View) -> None:
        path = path_of(view.name)
        self._objects.pop(view.name).remove()
        self._emit(
            view.audience,
            names.BUS_PATH,
            OBJECT_MANAGER,
            "InterfacesRemoved",
            ("(oas)", (path, [names.BUS_PROFILE])),
        )

    def _emit(
        self,
        audience: frozenset[int] | None,
        path: str,
        interface: str,
        signal: str,
        content: tuple[str, Any],
    ) -> None:
        for receiver in [None] if audience is None else self._callers.among(audience):
            self._send(receiver, path, interface, signal, content)

    def _send(
        self,
        receiver: str | None,
        path: str,
        interface: str,
        signal: str,
        content: tuple[str, Any],
    ) -> None:
        try:
            self._connection.emit_signal(receiver, path, interface, signal, GLib.Variant(*content))
        except GLib.Error as error:  # the bus has gone
            log.debug(f"the bus: {error}")

    # Calls -------------------------------------------------------------------------------------

    def known(self, sender: str, reply: Reply, then: Callable[[Caller], None]) -> None:
        """Go on when it is known who calls."""
        self.used()

        def go_on(caller: Caller | NetjailError) -> None:
            try:
                if isinstance(caller, NetjailError):
                    raise caller
                then(caller)
            except NetjailError as error:
                reply.error(error)
            except Exception:
                log.crash("in a call on the bus")
                if not reply.given:
                    reply.error(bug("the call"))

        self._callers.know(sender, go_on)

    def ask(  # noqa: PLR0917
        self,
        sender: str,
        method: str,
        params: Options,
        options: Options,
        reply: Reply,
        then: Then,
        path: str | None = None,
    ) -> None:
        """Have a method of the manager done: `params` are the call's own, the options may give
        further ones. `then` is given the result and answers. Progress is told if there is a path.
        """
        options = dict(options)
        quiet = options.pop(NO_INTERACTION, False)
        if not isinstance(quiet, bool):
            raise NetjailError("bad-request", f"Option {NO_INTERACTION!r} must be true or false.")
        allowed = METHODS[method].params.keys() - params.keys()
        for name in options:
            if name not in allowed:
                raise NetjailError("bad-request", f"There is no option {name[:60]!a} here.")

        def begin(caller: Caller) -> None:
            def answered(outcome: Result | NetjailError) -> None:
                self._callers.over(caller, token)
                try:
                    if isinstance(outcome, NetjailError):
                        raise outcome
                    then(outcome)
                except NetjailError as error:
                    reply.error(error)
                except Exception:
                    log.crash(f"in the answer of {method}")
                    if not reply.given:
                        reply.error(bug(method))

            def progress(text: str) -> None:
                if path is not None:
                    content = ("(s)", (plain(text),))
                    self._send(sender, path, names.BUS_PROFILE, "Progress", content)

            token = object()
            call = self._manager.call(
                caller.peer,
                method,
                {**params, **options},
                progress,
                answered,
                interactive=not quiet,
            )
            if not call.done:
                self._callers.under_way(caller, token, call)

        self.known(sender, reply, begin)

    def get(self, sender: str, name: str, wanted: str | None, reply: Reply) -> None:
        """One property of a profile, or all."""

        def shown(caller: Caller) -> None:
            view = self._views.get(name)
            if view is None or not view.shown_to(caller.peer.uid):
                raise NetjailError("not-authorised", f"profile {name} is for other users only")
            values = own_apps(view.values, caller.peer.uid)
            if wanted is None:
                reply.value(self._objects[name].variants(names.BUS_PROFILE, values))
            elif wanted in values:
                one = self._objects[name].variants(names.BUS_PROFILE, {wanted: values[wanted]})
                reply.value(one[wanted])
            else:
                raise NetjailError("bad-request", f"There is no property {wanted[:60]!a}.")

        def look(caller: Caller) -> None:
            # Only for those who may see it: looking takes a while.
            view = self._views.get(name)
            fleeting = wanted is None or wanted in FLEETING
            if view is None or not fleeting or not view.shown_to(caller.peer.uid):
                shown(caller)
            else:
                self._views.look([name], lambda: self.known(sender, reply, shown), soon=True)

        self.known(sender, reply, look)

    def managed(self, sender: str, reply: Reply) -> None:
        def show(caller: Caller) -> None:
            objects = {}
            for view in self._views.seen_by(caller.peer.uid):
                values = own_apps(view.values, caller.peer.uid)
                content = self._objects[view.name].variants(names.BUS_PROFILE, values)
                objects[path_of(view.name)] = {names.BUS_PROFILE: content}
            reply.value(objects)

        self.known(sender, reply, show)

    def look_then(self, wanted: list[str] | None, done: Callable[[], None]) -> None:
        """See to it that what is shown is what is there, of some profiles or all."""
        if wanted is None:
            self._views.all(done)
        else:
            self._views.look(wanted, done, soon=True)


class _ManagerObject:
    def __init__(self, face: BusFace) -> None:
        self._face = face

    def answer(
        self, sender: str, interface: str, member: str, arguments: tuple[Any, ...], reply: Reply
    ) -> None:
        if interface == PROPERTIES:
            self._property(member, arguments, reply)
        elif interface == OBJECT_MANAGER:
            self._face.managed(sender, reply)
        else:
            *own, options = arguments
            getattr(self, "_" + member)(sender, reply, options, *own)

    def _property(self, member: str, arguments: tuple[Any, ...], reply: Reply) -> None:
        values = {
            "Version": variant(netjail.__version__),
            "Protocol": GLib.Variant("u", names.PROTOCOL),
        }
        here = values if arguments[0] == names.BUS_MANAGER else {}
        if member == "GetAll":
            reply.value(here)
        elif member == "Get" and arguments[1] in here:
            reply.value(here[arguments[1]])
        else:
            raise NetjailError("bad-request", "There is no such property, or it is read-only.")

    def _List(self, sender: str, reply: Reply, options: Options) -> None:
        self._rows(sender, reply, options, "list", "profiles")

    def _Programs(self, sender: str, reply: Reply, options: Options) -> None:
        self._rows(sender, reply, options, "ps", "programs")

    def _Doctor(self, sender: str, reply: Reply, options: Options) -> None:
        self._rows(sender, reply, options, "doctor", "checks")

    def _rows(self, sender: str, reply: Reply, options: Options, method: str, key: str) -> None:
        def then(result: Result) -> None:
            reply.value([mapping(row) for row in result[key]])

        self._face.ask(sender, method, {}, options, reply, then)

    def _GetProfile(self, sender: str, reply: Reply, options: Options, name: str) -> None:
        def then(_result: Result) -> None:
            self._face.look_then([name], lambda: reply.value(path_of(name)))

        self._face.ask(sender, "status", {"profile": name}, options, reply, then)

    def _Add(self, sender: str, reply: Reply, options: Options, name: str, text: str) -> None:
        def then(result: Result) -> None:
            warnings = [plain(each) for each in result["warnings"]]
            self._face.look_then([name], lambda: reply.value(path_of(name), warnings))

        params = {"name": name, "text": text}
        self._face.ask(sender, "profile.add", params, options, reply, then)

    def _Validate(self, sender: str, reply: Reply, options: Options, name: str, text: str) -> None:
        def then(result: Result) -> None:
            reply.value([plain(each) for each in result["warnings"]])

        params = {"name": name, "text": text}
        self._face.ask(sender, "profile.check", params, options, reply, then)

    def _Remove(self, sender: str, reply: Reply, options: Options, name: str) -> None:
        def then(_result: Result) -> None:
            self._face.look_then([name], reply.value)

        self._face.ask(sender, "profile.remove", {"name": name}, options, reply, then)

    def _Reload(self, sender: str, reply: Reply, options: Options) -> None:
        # A request like any other, so that limits and options hold; `list` reads all there is.
        def then(_result: Result) -> None:
            self._face.look_then(None, reply.value)

        self._face.ask(sender, "list", {}, options, reply, then)

    def _Down(self, sender: str, reply: Reply, options: Options, wanted: list[str]) -> None:
        def then(result: Result) -> None:
            rows = result["results"]
            changed = [row["profile"] for row in rows if row["changed"]]
            self._face.look_then(changed, lambda: reply.value([mapping(row) for row in rows]))

        self._face.ask(sender, "down", {"profiles": wanted or None}, options, reply, then)


class _ProfileObject:
    def __init__(self, face: BusFace, name: str) -> None:
        self._face = face
        self._name = name

    def answer(
        self, sender: str, interface: str, member: str, arguments: tuple[Any, ...], reply: Reply
    ) -> None:
        if interface != PROPERTIES:
            *own, options = arguments
            getattr(self, "_" + member)(sender, reply, options, *own)
        elif member == "Set":
            raise NetjailError("bad-request", "The properties are read-only.")
        elif arguments[0] == names.BUS_PROFILE:
            wanted = arguments[1] if member == "Get" else None
            self._face.get(sender, self._name, wanted, reply)
        else:
            raise NetjailError("bad-request", "There is no such interface.")

    def _ask(
        self, sender: str, reply: Reply, options: Options, method: str, then: Then, **params: Any
    ) -> None:
        path = path_of(self._name)
        self._face.ask(sender, method, params, options, reply, then, path)

    def _Up(self, sender: str, reply: Reply, options: Options) -> None:
        def then(result: Result) -> None:
            # The properties have changed before the caller goes on.
            self._face.look_then([self._name], lambda: reply.value(mapping(result)))

        self._ask(sender, reply, options, "up", then, profile=self._name)

    def _Down(self, sender: str, reply: Reply, options: Options) -> None:
        def then(result: Result) -> None:
            row = result["results"][0]
            if row["errors"]:
                raise NetjailError.from_dict(row["errors"][0])
            self._face.look_then([self._name], lambda: reply.value(mapping(row)))

        self._ask(sender, reply, options, "down", then, profiles=[self._name])

    def _Launch(self, sender: str, reply: Reply, options: Options, argv: list[str]) -> None:
        """Without a terminal. Of what the options do not say (env, umask, directory), the calling
        process's own is taken, but for the directory, which is / then."""

        def then(result: Result) -> None:
            reply.value(result["pid"])

        self._ask(sender, reply, options, "launch", then, profile=self._name, argv=argv)

    def _Check(self, _sender: str, _reply: Reply, _options: Options) -> None:
        raise NetjailError("not-yet", "profiles cannot be checked for leaks yet")

    def _Status(self, sender: str, reply: Reply, options: Options) -> None:
        def then(result: Result) -> None:
            reply.value(mapping(result["profile"]))

        self._ask(sender, reply, options, "status", then, profile=self._name)

    def _Plan(self, sender: str, reply: Reply, options: Options) -> None:
        self._rows(sender, reply, options, "plan", "steps")

    def _Programs(self, sender: str, reply: Reply, options: Options) -> None:
        self._rows(sender, reply, options, "ps", "programs")

    def _rows(self, sender: str, reply: Reply, options: Options, method: str, key: str) -> None:
        def then(result: Result) -> None:
            reply.value([mapping(row) for row in result[key]])

        self._ask(sender, reply, options, method, then, profile=self._name)

    def _Kill(
        self, sender: str, reply: Reply, options: Options, pids: list[int], signal: int
    ) -> None:
        def then(result: Result) -> None:
            reply.value(result["signalled"])

        params = {"profile": self._name, "pids": pids or None, "signal": signal}
        self._ask(sender, reply, options, "kill", then, **params)

    def _Export(self, sender: str, reply: Reply, options: Options) -> None:
        def then(result: Result) -> None:
            reply.value(plain(result["text"]))

        self._ask(sender, reply, options, "profile.get", then, name=self._name)
