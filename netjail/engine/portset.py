# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of a jail: the driver of its forwarder (`ports.forwarder`).

What listens is opened here, as root, on the side where it listens, and handed over; the forwarder
has no right to open anything of the kind. It outlives the helper, and is told of changes, so that
connections by the ports that stay go on.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Collection, Sequence
from typing import Any

import netjail.ports
from netjail import names
from netjail.engine import files, ns, process
from netjail.engine.context import Context
from netjail.engine.process import Process
from netjail.engine.record import Records
from netjail.errors import NetjailError
from netjail.profile import portchecks, ports
from netjail.profile.model import Port
from netjail.uplinks.naming import own_user
from netjail.uplinks.wanted import Resource
from netjail.uplinks.wanted_ports import PortSet

NAME = "ports"
"""What the process is called in records and logs."""
_USERS = 0x70400000
"""First of the numbers of users that forwarders run as, beside those of VPN clients (`vpn`)."""
_NOBODY = 65534
_ANSWER_SECONDS = 20.0
_BACKLOG = 128
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def user_of(profile: str, first: int = _USERS) -> int:
    """Nobody else's number; nobody's, where the user namespace of a container lacks it."""
    user = own_user(profile, first)
    return user if _mapped(user) else _NOBODY


def _mapped(user: int) -> bool:
    try:
        with open("/proc/self/uid_map", encoding="ascii") as file:
            rows = [[int(word) for word in row.split()] for row in file]
    except (OSError, ValueError):
        return False
    return any(first <= user < first + count for first, _, count in rows)


def _argv(wanted: PortSet) -> list[str]:
    program = os.path.join(os.path.dirname(os.path.abspath(netjail.ports.__file__)), "forwarder.py")
    user = str(user_of(wanted.profile))
    return [sys.executable, "-I", "-S", program, wanted.profile, wanted.netns, user]


def control(profile: str) -> str:
    """The socket by which the forwarder is told of ports."""
    return f"{names.jail_dir(profile)}/{NAME}.socket"


# The sockets -----------------------------------------------------------------------------------


def _open(port: Port, netns: str) -> list[socket.socket]:
    """All sockets of a port. Raises NetjailError("conflict") where one of them is taken."""
    found: list[socket.socket] = []
    either = len(portchecks.addresses(port.listen)) > 1
    with ns.inside_named(netns if port.way == "expose" else None):
        try:
            for address in portchecks.addresses(port.listen):
                try:
                    found.append(_bind(port.protocol, address))
                except OSError as error:
                    if not (either and error.errno in _ABSENT):  # no IPv6 here: IPv4 does
                        raise _taken(port, address, error) from error
        except BaseException:
            for sock in found:
                sock.close()
            raise
    if not found:
        raise _taken(port, portchecks.addresses(port.listen)[0], OSError(errno.EADDRNOTAVAIL, ""))
    return found


def _bind(protocol: str, address: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    sock = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            # so that connections which have just ended are no hindrance; never for UDP, where it
            # would share the port with whoever has it
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        if protocol == "tcp":
            sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _taken(port: Port, address: tuple[str, int], error: OSError) -> NetjailError:
    where = "on the host" if port.way == "forward" else "in the jail"
    text = f"{port.protocol} {portchecks.join(*address)}"
    option = "-lntp" if port.protocol == "tcp" else "-lnup"
    if error.errno == errno.EADDRINUSE:
        return NetjailError(
            "conflict",
            f"{text} is taken {where} already: some other program listens there",
            f"which one: sudo ss {option} 'sport = :{address[1]}' "
            "- end it, or take another port (`listen`)",
        )
    if error.errno in _ABSENT:
        return NetjailError(
            "conflict",
            f"nothing can listen on {text} {where}: it has no such address now",
            "take one of those that `ip addr` shows, or 0.0.0.0 for all of them",
        )
    return NetjailError("system", f"nothing can listen on {text} {where}: {error.strerror}")


def check(profile: str, wanted: Collection[Resource], records: Records) -> None:
    """Raise NetjailError("conflict") where somebody listens on what a profile's ports want of the
    host, before anything is changed. What the profile holds already is its own."""
    sets = [resource for resource in wanted if isinstance(resource, PortSet)]
    record = records.get(profile)
    found: PortSet | None = None if record is None else record.find(PortSet)
    alive = record is not None and _alive(record.process(NAME))
    own = {ports.key(Port(*each)) for each in found.ports} if found is not None and alive else set()
    for each in sets:
        for port in [Port(*fields) for fields in each.ports]:
            if port.way == "forward" and ports.key(port) not in own:
                _check_profiles(profile, port, records)
                for sock in _open(port, each.netns):
                    sock.close()


def _check_profiles(profile: str, port: Port, records: Records) -> None:
    for record in records.all():
        found: PortSet | None = record.find(PortSet)
        if record.profile == profile or found is None:
            continue
        if any(ports.clash(Port(*each), port) for each in found.ports):
            raise NetjailError(
                "conflict",
                f"the profile {record.profile}, which is up, forwards {port.protocol} "
                f"{port.listen} already",
                f"netjail port list {record.profile}",
            )


def _alive(running: Process | None) -> bool:
    return running is not None and running.alive()


# The process -----------------------------------------------------------------------------------


def present(wanted: PortSet, context: Context) -> bool:
    """Whether the forwarder runs, and can be told of changes."""
    return _alive(context.record.process(NAME)) and os.path.exists(control(wanted.profile))


def apply(wanted: PortSet, context: Context) -> None:
    """Have exactly these ports; those that stay are not interrupted. Raises NetjailError, and then
    those that were there before are there."""
    if not present(wanted, context):
        undo(wanted, context)
        _start(wanted, context)
    try:
        with _connected(wanted.profile) as channel:
            _change(channel, wanted)
    except OSError as error:
        said = process.log_tail(context.log(NAME))
        raise NetjailError(
            "system", f"the forwarder of ports does not answer: {error.strerror or error}: {said}"
        ) from error


def _start(wanted: PortSet, context: Context) -> None:
    log = context.log(NAME)
    path = control(wanted.profile)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        old = os.umask(0o177)  # its directory is root's alone anyway
        try:
            listening.bind(path)
        except OSError as error:
            raise files.cannot("make", path, error) from error
        finally:
            os.umask(old)
        listening.listen(8)
        started = process.start(NAME, _argv(wanted), log, stdin=listening.fileno())
    context.remember(started)


def undo(wanted: PortSet, context: Context) -> None:
    """End it. Idempotent."""
    argv = _argv(wanted)
    running = context.record.process(NAME) or process.find(
        [os.path.basename(argv[0]), *argv[1:]], NAME, user_of(wanted.profile)
    )
    if running is not None:
        process.stop(running)
        context.forget(NAME)
    try:
        os.unlink(control(wanted.profile))
    except FileNotFoundError:
        pass


# Talking to it ---------------------------------------------------------------------------------


def _connected(profile: str) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        channel.settimeout(_ANSWER_SECONDS)
        channel.connect(control(profile))
    except BaseException:
        channel.close()
        raise
    return channel


def _ask(
    channel: socket.socket, request: dict[str, Any], sockets: Sequence[socket.socket] = ()
) -> dict[str, Any]:
    data = json.dumps(request).encode()
    socket.send_fds(channel, [data], [sock.fileno() for sock in sockets])
    said = channel.recv(1 << 17)
    if not said:
        raise OSError(errno.EPIPE, "the forwarder has ended")
    try:
        answer = json.loads(said)
    except ValueError as error:
        raise OSError(errno.EPROTO, "the forwarder says something strange") from error
    if not isinstance(answer, dict) or "error" in answer:
        raise OSError(errno.EPROTO, f"the forwarder refuses: {str(answer)[:200]}")
    return answer


def _change(channel: socket.socket, wanted: PortSet) -> None:
    standing = {ports.key(port): port for port, _, _ in _list(channel)}
    new = {ports.key(port): port for port in (Port(*fields) for fields in wanted.ports)}
    added: list[Port] = []
    # what goes may listen where something new is to, on all addresses in place of one, say
    going = [port for key, port in standing.items() if key not in new]
    in_the_way = [p for p in going if any(ports.clash(p, n) for n in new.values())]
    try:
        for port in in_the_way:
            _ask(channel, {"do": "remove", "port": port})
        for key, port in new.items():
            if key not in standing:
                sockets = _open(port, wanted.netns)
                try:
                    _ask(channel, _request("add", port), sockets)
                finally:
                    for sock in sockets:
                        sock.close()
                added.append(port)
    except BaseException:
        for port in added:
            _ask(channel, {"do": "remove", "port": port})
        for port in in_the_way:
            _ask(channel, _request("add", port), _open(port, wanted.netns))
        raise
    for key, port in new.items():
        if key in standing and standing[key] != port:
            _ask(channel, _request("change", port))
    for port in going:
        if port not in in_the_way:
            _ask(channel, {"do": "remove", "port": port})


def _request(what: str, port: Port) -> dict[str, Any]:
    if port.to.startswith(portchecks.UNIX):
        targets: list[list[object]] = [[port.to.removeprefix(portchecks.UNIX)]]
    else:
        targets = [list(address) for address in portchecks.addresses(port.to)]
    return {"do": what, "port": port, "targets": targets}


def _list(channel: socket.socket) -> list[tuple[Port, int, int]]:
    return [
        (Port(*row["port"]), int(row["connections"]), int(row["served"]))
        for row in _ask(channel, {"do": "list"})["ports"]
    ]


def counts(profile: str) -> dict[tuple[str, str, str], tuple[int, int]]:
    """By way, protocol and listen: connections that are open, and how many there have been. Empty
    where the forwarder does not answer."""
    try:
        with _connected(profile) as channel:
            return {ports.key(port): (now, ever) for port, now, ever in _list(channel)}
    except (OSError, KeyError, TypeError, ValueError):
        return {}
