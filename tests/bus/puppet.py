# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's program that does on the bus and the socket what it is told, line by line of JSON.

[id, "call", path, interface.member, signature, values], [id, "ask", method, params, interactive],
[id, "agent", behaviour, pid], [id, "hang up", what]: each is answered by {"id", "result"} or {"id",
"error": [name, message]}, in any order. Signals and what the agent is asked are told as they come.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from functools import partial
from typing import Any

import gi

gi.require_version("Polkit", "1.0")
gi.require_version("PolkitAgent", "1.0")
from gi.repository import Gio, GLib, Polkit, PolkitAgent  # noqa: E402

BUS_NAME = "org.netjail.Netjail1"
SOCKET = "/run/netjail/socket"
PASSWORD = "horse staple"
AGENT_XML = """<node><interface name="org.freedesktop.PolicyKit1.AuthenticationAgent">
<method name="BeginAuthentication">
<arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="s" direction="in"/>
<arg type="a{ss}" direction="in"/><arg type="s" direction="in"/>
<arg type="a(sa{sv})" direction="in"/>
</method>
<method name="CancelAuthentication"><arg type="s" direction="in"/></method>
</interface></node>"""

loop = GLib.MainLoop()
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM, None)
bus.set_exit_on_close(False)
sessions: dict[str, Any] = {}
kept: list[Any] = []


def say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def call(number: int, path: str, member: str, signature: str, values: list[Any]) -> None:
    interface, _, name = member.rpartition(".")
    arguments = GLib.Variant(f"({signature})", [wrap(each) for each in values])
    destination = interface if interface == "org.freedesktop.DBus" else BUS_NAME
    no_limit = GLib.MAXINT32
    bus.call(
        destination, path, interface, name, arguments, None, Gio.DBusCallFlags.NONE, no_limit,
        None, partial(called, number),
    )  # fmt: skip


def wrap(value: Any) -> Any:
    """JSON has no variants: {"v": [signature, value]} is one."""
    if isinstance(value, dict):
        if set(value) == {"v"}:
            return GLib.Variant(*value["v"])
        return {key: wrap(each) for key, each in value.items()}
    return value


def called(number: int, connection: Any, result: Any) -> None:
    try:
        values = connection.call_finish(result).unpack()
    except GLib.Error as error:
        name = Gio.DBusError.get_remote_error(error) or "local"
        Gio.DBusError.strip_remote_error(error)
        say(id=number, error=[name, error.message])
    else:
        say(id=number, result=values[0] if len(values) == 1 else list(values))


def ask(number: int, method: str, params: dict[str, Any], interactive: bool) -> None:
    """Each over a connection of its own."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(SOCKET)
    except OSError as error:
        say(id=number, error=["connect", str(error)])
        return
    request = {"v": 1, "id": 1, "method": method, "params": params, "interactive": interactive}
    try:
        sock.sendall(json.dumps(request).encode() + b"\n")
    except BrokenPipeError:
        pass  # refused before it was heard; the reason can be read
    kept.append(sock)
    GLib.io_add_watch(sock.fileno(), GLib.IOCondition.IN, partial(heard, number, sock, bytearray()))


def heard(number: int, sock: socket.socket, said: bytearray, *_: Any) -> bool:
    data = sock.recv(65536)
    said += data
    while b"\n" in said:
        line, _, rest = bytes(said).partition(b"\n")
        said[:] = rest
        answer = json.loads(line)
        if "error" in answer:
            prompt = " (prompt)" if answer.get("prompt") else ""
            error = answer["error"]
            say(id=number, error=[error["code"], error["message"] + prompt])
        elif "result" in answer:
            say(id=number, result=answer["result"])
        else:
            continue
        sock.close()
        return False
    if not data:
        say(id=number, error=["closed", "closed"])
        sock.close()
    return bool(data)


def agent(number: int, behaviour: str, pid: int) -> None:
    """For a process of the same user."""
    node = Gio.DBusNodeInfo.new_for_xml(AGENT_XML)
    bus.register_object("/agent", node.interfaces[0], partial(agent_called, behaviour), None, None)
    subject = ("unix-process", {
        "pid": GLib.Variant("u", pid),
        "start-time": GLib.Variant("t", 0),
        "uid": GLib.Variant("i", os.getuid()),
    })  # fmt: skip
    bus.call(
        "org.freedesktop.PolicyKit1",
        "/org/freedesktop/PolicyKit1/Authority",
        "org.freedesktop.PolicyKit1.Authority",
        "RegisterAuthenticationAgent",
        GLib.Variant("((sa{sv})ss)", (subject, "C", "/agent")),
        None,
        Gio.DBusCallFlags.NONE,
        -1,
        None,
        partial(called, number),
    )


def agent_called(behaviour: str, *arguments: Any) -> None:
    member, parameters, invocation = arguments[4], arguments[5].unpack(), arguments[6]
    if member == "CancelAuthentication":
        say(prompt={"cancelled": parameters[0]})
        pending = sessions.pop(parameters[0], None)
        if pending is not None:
            pending.return_dbus_error("org.freedesktop.PolicyKit1.Error.Cancelled", "cancelled")
        invocation.return_value(None)
        return
    action, message, _icon, details, cookie, _identities = parameters
    say(prompt={"action": action, "message": message, "details": details, "cookie": cookie})
    if behaviour == "wait":
        sessions[cookie] = invocation
    elif behaviour == "dismiss":
        invocation.return_dbus_error("org.freedesktop.PolicyKit1.Error.Cancelled", "dismissed")
    elif behaviour == "slow":
        GLib.timeout_add(1500, authenticate, cookie, PASSWORD, invocation)
    else:
        authenticate(cookie, PASSWORD if behaviour == "right" else "not " + PASSWORD, invocation)


def authenticate(cookie: str, password: str, invocation: Any) -> bool:
    session = PolkitAgent.Session.new(Polkit.UnixUser.new_for_name("boss"), cookie)
    session.connect("request", lambda it, _text, _echo: it.response(password))
    session.connect("completed", lambda _it, _well: invocation.return_value(None))
    kept.append(session)
    session.initiate()
    return False


unread = bytearray()


def told(_source: Any, _condition: Any) -> bool:
    data = os.read(0, 1 << 20)
    if not data:
        loop.quit()
        return False
    unread.extend(data)
    while b"\n" in unread:
        line, _, rest = bytes(unread).partition(b"\n")
        unread[:] = rest
        do(*json.loads(line))
    return True


def do(number: int, what: str, *words: Any) -> None:
    try:
        if what == "call":
            call(number, *words)
        elif what == "ask":
            ask(number, *words)
        elif what == "agent":
            agent(number, *words)
        elif what == "who":
            say(id=number, result=[bus.get_unique_name(), os.getpid()])
        elif what == "hang up":
            for each in kept:
                if isinstance(each, socket.socket):
                    each.close()
            say(id=number, result=None)
    except Exception as error:
        say(id=number, error=["puppet", repr(error)])


def signalled(_c: Any, sender: str, path: str, interface: str, member: str, values: Any) -> None:
    if sender != "org.freedesktop.DBus":
        say(signal=[path, interface, member, list(values.unpack())])


bus.signal_subscribe(None, None, None, None, None, Gio.DBusSignalFlags.NONE, signalled)
GLib.io_add_watch(sys.stdin.fileno(), GLib.IOCondition.IN | GLib.IOCondition.HUP, told)
loop.run()
