# SPDX-License-Identifier: GPL-3.0-or-later
"""pydbus, mended, and our main loop inside GLib's.

pydbus 0.6 answers each call before it takes the next, gives errors the names of Python classes, and
takes bus names so that others may take them away. Here calls are answered whenever there is an
answer, errors have stable names, and a name is ours or we fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import pydbus
from gi.repository import Gio, GLib
from pydbus.registration import ObjectWrapper

from netjail.daemon import log
from netjail.daemon.loop import Loop
from netjail.errors import NetjailError

ERROR_PREFIX = "org.netjail.Error."
PROPERTIES = "org.freedesktop.DBus.Properties"


class Reply:
    """The answer to one call, given once, whenever it is ready."""

    def __init__(self, invocation: Any, signature: str) -> None:
        self._invocation = invocation
        self._signature = signature

    def value(self, *values: Any) -> None:
        self.variant(self.made(*values))

    def made(self, *values: Any) -> Any:
        """What `variant` is to be given; on any thread."""
        return GLib.Variant(f"({self._signature})", values)

    def variant(self, made: Any) -> None:
        invocation, self._invocation = self._invocation, None
        invocation.return_value(made)

    def error(self, error: NetjailError) -> None:
        invocation, self._invocation = self._invocation, None
        invocation.return_dbus_error(error_name(error), error_text(error))

    @property
    def given(self) -> bool:
        return self._invocation is None


class Answerer(Protocol):
    """What is behind an object on the bus."""

    def answer(
        self, sender: str, interface: str, member: str, arguments: tuple[Any, ...], reply: Reply
    ) -> None: ...


class Exported(ObjectWrapper):  # type: ignore[misc]
    """One object on the bus: pydbus's tables of its members, our way of answering.

    GLib itself refuses members that there are not and arguments of other types, and answers
    Introspect. Properties come as calls of org.freedesktop.DBus.Properties.
    """

    __slots__ = ("_answerer", "_connection", "_ids")

    def __init__(
        self, connection: Any, path: str, interfaces: Iterable[Any], answerer: Answerer
    ) -> None:
        interfaces = list(interfaces)
        # Signals are sent by `emit`, since not all of them are for everybody.
        super().__init__(None, [_Signalless(each) for each in interfaces])
        self._answerer = answerer
        self._connection = connection
        self._ids: list[int] = []
        register = getattr(connection, "register_object_with_closures2", None)
        for each in interfaces:
            if register is not None:  # GLib 2.84: the older one leaks 1.8 kB a call
                number = register(path, each, self.call_method, None, None)
            else:
                number = connection.register_object(path, each, self.call_method, None, None)
            self._ids.append(number)

    def remove(self) -> None:
        for number in self._ids:
            self._connection.unregister_object(number)
        self._ids.clear()

    def call_method(
        self,
        _connection: Any,
        sender: str,
        _path: str,
        interface: str,
        member: str,
        parameters: Any,
        invocation: Any,
    ) -> None:
        reply = Reply(invocation, self._signature(interface, member))
        try:
            self._answerer.answer(sender, interface, member, parameters.unpack(), reply)
        except NetjailError as error:
            reply.error(error)
        except Exception:
            log.crash(f"in {interface}.{member}")
            if not reply.given:
                reply.error(bug(member))

    def _signature(self, interface: str, member: str) -> str:
        if interface == PROPERTIES:
            return {"Get": "v", "GetAll": "a{sv}"}.get(member, "")
        return "".join(self.outargs[f"{interface}.{member}"])


class _Signalless:
    """An interface as ObjectWrapper looks at it, without the signals that it would connect."""

    def __init__(self, interface: Any) -> None:
        self.name = interface.name
        self.methods = interface.methods
        self.properties = interface.properties
        self.signals = ()


class GLibLoop:
    """GLib's main loop, which carries ours as one source."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._context = GLib.MainContext.default()
        self._source = _Source(loop)
        self._source.attach(self._context)

    def run(self) -> None:
        """Until our loop is stopped."""
        self._loop.run(lambda: self._context.iteration(True))

    def drain(self) -> None:
        """Deal with all that has arrived, without waiting."""
        while self._context.iteration(False):
            pass

    def close(self) -> None:
        self._source.destroy()


class _Source(GLib.Source):  # type: ignore[misc]
    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop
        self._tag = self.add_unix_fd(loop.fileno(), GLib.IOCondition.IN)

    def prepare(self) -> tuple[bool, int]:
        timeout = self._loop.timeout()
        return timeout == 0, timeout

    def check(self) -> bool:
        return bool(self.query_unix_fd(self._tag)) or self._loop.timeout() == 0

    def dispatch(self, _callback: Any, _arguments: Any) -> bool:
        self._loop.dispatch(0)
        return True


class SystemBus:
    """The connection. Raises NetjailError where there is none."""

    def __init__(self, closed: Callable[[], None]) -> None:
        """`closed`: called when the bus has gone."""
        try:
            self._bus = pydbus.SystemBus()
        except GLib.Error as error:
            raise NetjailError(
                "no-helper",
                f"the system bus cannot be reached: {error.message}",
                "start it (package dbus), or serve root alone: netjaild --no-bus",
            ) from None
        self.connection = self._bus.con
        self.connection.set_exit_on_close(False)  # which would end us in the middle of anything
        self.connection.connect("closed", lambda *_: closed())

    def on_sleep(self, changed: Callable[[bool], None]) -> None:
        """Have it told when logind (org.freedesktop.login1(5)) says that the computer is about to
        sleep (True), or has woken (False). Only logind may own that name."""

        def told(*args: Any) -> None:
            changed(bool(args[5].unpack()[0]))

        logind, path = "org.freedesktop.login1", "/org/freedesktop/login1"
        self.connection.signal_subscribe(
            logind,
            f"{logind}.Manager",
            "PrepareForSleep",
            path,
            None,
            Gio.DBusSignalFlags.NONE,
            told,
        )

    def own(self, name: str) -> Callable[[], None]:
        """Take a name, which nobody can take away. Returns what gives it back."""
        try:
            owner = self._bus.request_name(name, allow_replacement=False)
        except (RuntimeError, GLib.Error) as error:
            raise NetjailError(
                "no-helper",
                f"cannot take the name {name} on the system bus: {error}",
                "either another helper has it, or netjail's D-Bus configuration is not installed: "
                "sudo netjail setup",
            ) from None

        def give_back() -> None:
            try:
                owner.unown()
            except GLib.Error:
                pass  # the bus is gone, and the name with it

        return give_back


def error_name(error: NetjailError) -> str:
    """`no-such-profile` is org.netjail.Error.NoSuchProfile."""
    return ERROR_PREFIX + "".join(word.capitalize() for word in error.code.split("-"))


def error_text(error: NetjailError) -> str:
    """Message, problems and hint, a line each."""
    return plain("\n".join([error.message, *error.problems, *([error.hint] if error.hint else [])]))


def plain(text: str) -> str:
    """A text as D-Bus allows it: UTF-8 without NUL."""
    return text.replace("\0", "").encode(errors="backslashreplace").decode()


def interfaces(xml: str) -> list[Any]:
    """What an introspection document declares."""
    return list(Gio.DBusNodeInfo.new_for_xml(xml).interfaces)


def bug(member: str) -> NetjailError:
    return NetjailError(
        "internal",
        f"a bug in netjail: {member} failed in a way that was not foreseen",
        "please report it with the end of the helper's log",
    )
