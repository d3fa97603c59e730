# SPDX-License-Identifier: GPL-3.0-or-later
"""The helper on the system bus: a manager, and an object per profile. Decides nothing.

Everything here runs on the main loop's thread. What a profile's properties say is read in a worker
thread whenever something has changed, and announced in one signal. A profile that is for certain
users is shown to them and root alone; its signals go to those of them who have ever called.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gi.repository import GLib

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
from netjail.daemon.bus_objects import ManagerObject, ProfileObject
from netjail.daemon.bus_views import View, Views
from netjail.daemon.bus_words import (
    FLEETING,
    MANAGER_XML,
    NO_INTERACTION,
    OBJECT_MANAGER,
    PROFILE_INTERFACES,
    entry,
    managed,
    mapping,
    own_apps,
    path_of,
    variants,
)
from netjail.daemon.call import Result
from netjail.daemon.loop import Loop
from netjail.daemon.manager import Manager
from netjail.daemon.methods import METHODS
from netjail.errors import NetjailError

Options = dict[str, Any]
Then = Callable[[Result], None]
_NONE: tuple[View | None, Any] = (None, None)


class BusFace:
    def __init__(self, loop: Loop, manager: Manager, bus: SystemBus) -> None:
        self._loop = loop
        self._manager = manager
        self._bus = bus
        self._connection = bus.connection
        self._callers = Callers(bus.connection)
        self._objects: dict[str, Exported] = {}
        self._entries: dict[str, tuple[View | None, Any]] = {}
        self._root: Exported | None = None
        self._give_back: Callable[[], None] | None = None
        self._views = Views(loop, manager, self._added, self._changed, self._removed)
        self.used: Callable[[], None] = lambda: None
        """Called at each call."""

    def start(self, ready: Callable[[NetjailError | None], None]) -> None:
        """Show everything, then take the name; `ready` is told whether that went well."""
        answerer = ManagerObject(self)
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
        self._manager.lent_changed(lambda name: self._views.look([name]))

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
        answerer = ProfileObject(self, view.name)
        exported = Exported(self._connection, path, PROFILE_INTERFACES, answerer)
        self._objects[view.name] = exported
        content = {names.BUS_PROFILE: variants(view.values)}
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
        content = variants(values)
        self._emit(
            view.audience,
            path_of(view.name),
            PROPERTIES,
            "PropertiesChanged",
            ("(sa{sv}as)", (names.BUS_PROFILE, content, [])),
        )

    def _removed(self, view: View) -> None:
        path = path_of(view.name)
        self._objects.pop(view.name).remove()
        self._entries.pop(view.name, None)
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
                reply.value(variants(values))
            elif wanted in values:
                one = variants({wanted: values[wanted]})
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
            views = self._views.seen_by(caller.peer.uid)
            missing = [view for view in views if self._entries.get(view.name, _NONE)[0] is not view]

            def make() -> None:
                try:
                    made = [(view, entry(view.name, view.values)) for view in missing]
                    self._loop.call_soon(partial(self._managed, caller, reply, made))
                except Exception:
                    log.crash("in GetManagedObjects")
                    self._loop.call_soon(partial(reply.error, bug("GetManagedObjects")))

            if missing:
                self._manager.workers.run(make)
            else:
                self._managed(caller, reply, [])

        self.known(sender, reply, show)

    def _managed(self, caller: Caller, reply: Reply, made: list[tuple[View, Any]]) -> None:
        """With the entries that take a while. What has changed meanwhile has been announced, so it
        must be in the answer."""
        for view, each in made:
            if self._views.get(view.name) is view:
                self._entries[view.name] = view, each
        uid, entries = caller.peer.uid, []
        for view in self._views.seen_by(uid):
            values = own_apps(view.values, uid)
            known, each = self._entries.get(view.name, _NONE)
            if known is not view or values is not view.values:
                each = entry(view.name, values)
            entries.append(each)
        reply.variant(managed(entries))

    def rows(self, reply: Reply, rows: list[dict[str, Any]]) -> None:
        """Answer with aa{sv}, made in a worker: a thousand rows take PyGObject a second."""

        def make() -> None:
            try:
                made = reply.made([mapping(row) for row in rows])
            except Exception:
                log.crash("in an answer")
                self._loop.call_soon(partial(reply.error, bug("the call")))
            else:
                self._loop.call_soon(partial(reply.variant, made))

        self._manager.workers.run(make)

    def look_then(self, wanted: list[str] | None, done: Callable[[], None]) -> None:
        """See to it that what is shown is what is there, of some profiles or all."""
        if wanted is None:
            self._views.all(done)
        else:
            self._views.look(wanted, done, soon=True)
