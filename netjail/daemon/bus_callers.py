# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is who on the bus: asked of the bus once for each caller, forgotten when it has gone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gi.repository import Gio, GLib

from netjail.daemon import log, origin
from netjail.daemon.authorise import Peer
from netjail.daemon.call import Call
from netjail.errors import NetjailError

_BUS = "org.freedesktop.DBus"
_BUS_PATH = "/org/freedesktop/DBus"
_ASK_MILLISECONDS = 10_000
CALLERS_MOST = 4096
"""More than any bus lets in. What each is worth here is a few hundred bytes."""


class Caller:
    def __init__(self, name: str) -> None:
        self.name = name
        self.known: Peer | None = None
        self.waiting: list[Callable[[Caller | NetjailError], None]] = []
        self.calls: dict[object, Call] = {}
        self.subscription = 0

    @property
    def peer(self) -> Peer:
        assert self.known is not None
        return self.known


class Callers:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._callers: dict[str, Caller] = {}

    @property
    def busy(self) -> bool:
        """Whether anybody waits for an answer."""
        return any(caller.waiting or caller.calls for caller in self._callers.values())

    def among(self, uids: frozenset[int]) -> list[str]:
        """Those who have called and belong to one of `uids` or to root."""
        return [
            caller.name
            for caller in self._callers.values()
            if caller.known is not None and (caller.known.uid == 0 or caller.known.uid in uids)
        ]

    def know(self, name: str, then: Callable[[Caller | NetjailError], None]) -> None:
        caller = self._callers.get(name)
        if caller is not None and caller.known is not None:
            then(caller)
            return
        if caller is not None:
            caller.waiting.append(then)
            return
        if len(self._callers) >= CALLERS_MOST:
            then(NetjailError("system", "too many talk to the helper already"))
            return
        caller = self._callers[name] = Caller(name)
        caller.waiting.append(then)
        # Before it is asked who it is: whoever goes after that is missed by nobody.
        caller.subscription = self._connection.signal_subscribe(
            _BUS,
            _BUS,
            "NameOwnerChanged",
            _BUS_PATH,
            name,
            Gio.DBusSignalFlags.NONE,
            partial(self._owner_changed, name),
        )
        self._connection.call(
            _BUS,
            _BUS_PATH,
            _BUS,
            "GetConnectionCredentials",
            GLib.Variant("(s)", (name,)),
            GLib.VariantType("(a{sv})"),
            Gio.DBusCallFlags.NONE,
            _ASK_MILLISECONDS,
            None,
            partial(self._told, caller),
        )

    def under_way(self, caller: Caller, token: object, call: Call) -> None:
        if self._callers.get(caller.name) is caller:
            caller.calls[token] = call
        else:
            call.abandon()

    def over(self, caller: Caller, token: object) -> None:
        caller.calls.pop(token, None)

    def _told(self, caller: Caller, connection: Any, result: Any) -> None:
        answer: Caller | NetjailError
        try:
            (credentials,) = connection.call_finish(result).unpack()
            uid = credentials["UnixUserID"]
            pid = credentials.get("ProcessID", 0)
            label = bytes(credentials.get("LinuxSecurityLabel", b"")).rstrip(b"\0")
        except (GLib.Error, KeyError) as error:
            log.debug(f"{caller.name}: cannot tell who it is: {error}")
            self._forget(caller.name)
            answer = NetjailError("not-authorised", "the bus does not say whose request this is")
        else:
            context = label.decode("utf-8", "surrogateescape")
            caller.known = origin.on_bus(uid, pid, caller.name, context)
            answer = caller
        waiting, caller.waiting = caller.waiting, []
        for then in waiting:
            then(answer)

    def _owner_changed(
        self,
        name: str,
        _connection: Any,
        _sender: str,
        _path: str,
        _interface: str,
        _signal: str,
        parameters: Any,
    ) -> None:
        if not parameters.unpack()[2]:
            self._forget(name)

    def _forget(self, name: str) -> None:
        caller = self._callers.pop(name, None)
        if caller is None:
            return
        self._connection.signal_unsubscribe(caller.subscription)
        for call in list(caller.calls.values()):
            call.abandon()
        caller.calls.clear()
