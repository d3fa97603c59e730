# SPDX-License-Identifier: GPL-3.0-or-later
"""DHCP clients: udhcpc(8), with two capabilities, and its leases taken up by us.

udhcpc keeps the lease (asks, renews, rebinds, begins anew) and does nothing else: it runs as
nobody with CAP_NET_RAW and CAP_NET_BIND_SERVICE, configures nothing, and calls a hook. The hook
writes its environment into a file that root has opened for it, and ends; no word of the server
is looked at by any shell. The helper sees the file grow, judges what it says (`lease`), and does
what root has to do. Whatever was said while no helper ran stands there still.

The kernel is told how long an address lasts: where nobody renews it any more, it goes by itself.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import time
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from netjail import names
from netjail.engine import files, ns, process
from netjail.engine.lease import Lease, RefusedError, events, from_dict, judge
from netjail.engine.netlink import (
    NetlinkError,
    Request,
    Socket,
    del_address,
    index_of,
    new_address,
    route,
    set_link,
)
from netjail.engine.process import Process
from netjail.errors import NetjailError
from netjail.uplinks.wanted import Files
from netjail.uplinks.wanted_lan import DhcpClient

if TYPE_CHECKING:  # it imports the facts, which import this
    from netjail.engine.context import Context

PROGRAM = "udhcpc"
HOOKS = f"{names.RUN_DIR}/dhcp"
"""What the client calls, by the name of the event. Run by the shell from there, as /run may be
mounted noexec."""
_HOOK = "printf 'netjail-event=%s\\0'\nenv -0\nprintf 'netjail-end\\0'\n"
_CALLS = ("deconfig", "bound", "renew", "nak", "leasefail")
_OPTIONS = ("subnet", "router", "dns", "domain", "search", "mtu", "lease")
_LINK_OPTIONS = ("subnet", "mtu", "lease")
_CAPABILITIES = "-all,+net_raw,+net_bind_service"
_FILE_MAX = 4 << 20
"""Bytes that the client may write at most into the hook's file, or its log."""
_TRIM = 1 << 18
"""Bytes from which these files are emptied."""
_RA_MTU = 1280
_DEFAULT = "0.0.0.0/0"


@dataclass(frozen=True, slots=True)
class State:
    """Of one client, kept in a file. `read`: bytes of the hook's file that have been followed;
    `begun`: the client has said its first word, which is that it has no address yet; `index`: the
    interface's number when the client was started; `refused`: why the last offer was not taken."""

    lease: Lease | None = None
    read: int = 0
    begun: bool = False
    index: int = 0
    refused: str | None = None


def name_of(wanted: DhcpClient) -> str:
    """What the process is called in records and logs."""
    return f"{PROGRAM}-{wanted.jail_if}"


def events_file(wanted: DhcpClient) -> str:
    """What the hook writes to."""
    return f"{names.jail_dir(wanted.profile)}/dhcp-{wanted.jail_if}.events"


def _state_file(profile: str, jail_if: str) -> str:
    return f"{names.jail_dir(profile)}/dhcp-{jail_if}.json"


def state(profile: str, jail_if: str) -> State:
    """As it was last followed; without a lease where that has run out."""
    try:
        with open(_state_file(profile, jail_if), encoding="utf-8") as file:
            data = json.load(file)
        lease = None if data["lease"] is None else from_dict(data["lease"])
        return State(
            lease, int(data["read"]), bool(data["begun"]), int(data["index"]), data["refused"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return State()


def lease(profile: str, jail_if: str) -> Lease | None:
    """The lease that an interface has now."""
    found = state(profile, jail_if).lease
    return None if found is None or found.left(time.time()) == 0 else found


def _save(wanted: DhcpClient, new: State) -> None:
    data: dict[str, Any] = {
        "lease": None if new.lease is None else new.lease.as_dict(),
        "read": new.read,
        "begun": new.begun,
        "index": new.index,
        "refused": new.refused,
    }
    files.write(_state_file(wanted.profile, wanted.jail_if), json.dumps(data), 0o600)


# The process -----------------------------------------------------------------------------------


def argv(wanted: DhcpClient, again: str | None = None) -> list[str]:
    """udhcpc's own command line. `again`: an address to ask for."""
    words = [PROGRAM, "-f", "-i", wanted.jail_if, "-s", "/bin/sh", "-R", "-V", ""]
    words += ["-t", "4", "-T", "2", "-A", "8", "-o"]
    for option in _OPTIONS if wanted.uplink else _LINK_OPTIONS:
        words += ["-O", option]
    if wanted.client_id is not None:
        # as many share one MAC address, answers must come as broadcasts
        words += ["-C", "-x", f"0x3d:{wanted.client_id}", "-B"]
    return [*words, "-r", again] if again is not None else words


def _confined(words: list[str]) -> list[str]:
    """With next to no rights: nobody can be hurt by what it is made to do."""
    return [
        "prlimit",
        f"--fsize={_FILE_MAX}",
        "--nofile=64",
        "--core=0",
        process.program("setpriv"),
        f"--reuid={_user().pw_uid}",
        f"--regid={_user().pw_gid}",
        "--clear-groups",
        "--no-new-privs",
        f"--bounding-set={_CAPABILITIES}",
        f"--inh-caps={_CAPABILITIES}",
        f"--ambient-caps={_CAPABILITIES}",
        process.program(words[0]),
        *words[1:],
    ]


def _user() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def apply(wanted: DhcpClient, context: Context) -> None:
    """Start the client. It has no lease yet, unless one that still lasts from before."""
    _stop(wanted, context)
    files.directory(HOOKS)
    for call in _CALLS:
        files.write(f"{HOOKS}/{call}", _HOOK % call)
    held = lease(wanted.profile, wanted.jail_if)
    with ns.inside_named(wanted.netns):
        _save(wanted, State(held, index=index_of(wanted.jail_if) or 0))
    path = events_file(wanted)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    again = None if held is None else held.address.partition("/")[0]
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    with ns.inside_named(wanted.netns), os.fdopen(os.open(path, flags, 0o600), "wb") as events_:
        started = process.start(
            name_of(wanted),
            _confined(argv(wanted, again)),
            context.log(name_of(wanted)),
            cwd=HOOKS,
            stdout=events_.fileno(),
        )
    context.remember(started)


def present(wanted: DhcpClient, context: Context) -> bool:
    """Whether the client runs, and its hook and the file for it are those that we know."""
    running = context.record.process(name_of(wanted))
    if running is None or not running.alive():
        return False
    try:
        with ns.inside_named(wanted.netns):
            if index_of(wanted.jail_if) != state(wanted.profile, wanted.jail_if).index:
                return False  # it was made anew
    except NetjailError:
        return False
    here = f"/proc/{running.pid}"
    try:
        return os.path.samestat(os.stat(f"{here}/fd/1"), os.stat(events_file(wanted))) and (
            os.path.samestat(os.stat(f"{here}/cwd"), os.stat(HOOKS))
        )
    except OSError:
        return False


def undo(wanted: DhcpClient, context: Context) -> None:
    """Give the lease back and end the client. Idempotent. Where another one is about to be started,
    because this one has ended, the address stays meanwhile."""
    if context.again and not present(wanted, context):
        return
    _stop(wanted, context)
    held = state(wanted.profile, wanted.jail_if).lease
    if held is not None and not context.whole:
        _configure(wanted, held, None)
    for path in (events_file(wanted), _state_file(wanted.profile, wanted.jail_if)):
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass


def _stop(wanted: DhcpClient, context: Context) -> None:
    """The one that is recorded, or one that was started and not recorded any more."""
    running = context.record.process(name_of(wanted)) or _unrecorded(wanted, context)
    if running is not None:
        process.stop(running)  # SIGTERM: it releases its lease
        context.forget(name_of(wanted))


def _unrecorded(wanted: DhcpClient, context: Context) -> Process | None:
    namespace = context.record.namespace
    if namespace is None:
        return None
    held = state(wanted.profile, wanted.jail_if).lease
    again = None if held is None else held.address.partition("/")[0]
    for address in {again, None}:
        found = process.find(argv(wanted, address), name_of(wanted), _user().pw_uid, namespace)
        if found is not None:
            return found
    return None


# What it says ----------------------------------------------------------------------------------


def follow(wanted: DhcpClient, log: str) -> State:
    """Do what the client has said since the last time. Raises NetjailError, NetlinkError."""
    old = state(wanted.profile, wanted.jail_if)
    said, at, when = _read(wanted, old.read)
    new = replace(old, read=old.read + at)
    for event in said:
        first, new = not new.begun, replace(new, begun=True)
        if event.name in ("bound", "renew"):
            try:
                taken = judge(event.values, when, uplink=wanted.uplink, avoid=wanted.avoid)
                new = replace(new, lease=taken, refused=None)
            except RefusedError as error:
                new = replace(new, lease=None, refused=str(error))
        elif event.name == "nak" or (event.name == "deconfig" and not first):
            new = replace(new, lease=None)
    if said:
        _configure(wanted, old.lease, new.lease)
        _save(wanted, new)
    _trim(log)
    return _trimmed(wanted, new)


def _read(wanted: DhcpClient, offset: int) -> tuple[list[Any], int, float]:
    """Events after `offset`, how many bytes they are, and when the last of them was written."""
    try:
        with open(events_file(wanted), "rb") as file:
            file.seek(offset)
            data = file.read(_FILE_MAX)
            when = os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return [], 0, 0.0
    return *events(data), when


def _trimmed(wanted: DhcpClient, new: State) -> State:
    """Empty the hook's file once it is long and all of it was followed, when nothing is just being
    written: the client speaks once in a minute at most."""
    path = events_file(wanted)
    if new.read < _TRIM:
        return new
    status = os.stat(path)
    if status.st_size != new.read or time.time() - status.st_mtime < 1:
        return new
    os.truncate(path, 0)
    new = replace(new, read=0)
    _save(wanted, new)
    return new


def _trim(log: str) -> None:
    try:
        if os.stat(log).st_size > _TRIM:
            os.truncate(log, 0)
    except OSError:
        pass


def _configure(wanted: DhcpClient, old: Lease | None, new: Lease | None) -> None:
    """Address, default route and MTU from one lease to the next."""
    with ns.inside_named(wanted.netns), Socket() as netlink:
        index = index_of(wanted.jail_if)
        if index is None:
            if new is None:
                return
            raise NetjailError("system", f"{wanted.jail_if} is gone from the jail")
        if new is not None:
            netlink.send(new_address(index, new.address, left=new.left(time.time())))
        before, after = _gateway(wanted, old), _gateway(wanted, new)
        if before is not None and after is None:
            _try(netlink, route(_DEFAULT, gateway=before, oif=index, delete=True))
        if old is not None and (new is None or new.address != old.address):
            _try(netlink, del_address(index, old.address))
        if new is not None and after is not None:
            onlink = IPv4Address(after) not in new.network
            netlink.send(route(_DEFAULT, gateway=after, oif=index, onlink=onlink))
        if wanted.mtu is not None:
            _mtu(netlink, index, wanted.mtu, new)


def _mtu(netlink: Socket, index: int, most: int, new: Lease | None) -> None:
    """Never below what IPv6 needs, as it would be switched off by it."""
    told = most if new is None or new.mtu is None else min(most, max(new.mtu, _RA_MTU))
    if netlink.mtu(index) != told:
        netlink.send(set_link(index, mtu=told))


def _gateway(wanted: DhcpClient, lease_: Lease | None) -> str | None:
    if lease_ is None or not wanted.uplink:
        return None
    return wanted.gateways[0] if wanted.gateways else lease_.router


def _try(netlink: Socket, request: Request) -> None:
    """It may be gone already: the kernel lets go of an address when its time is over."""
    try:
        netlink.send(request)
    except NetlinkError as error:
        if error.errno not in (errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENODEV, errno.ENETUNREACH):
            raise


def with_dns(jail_files: Files, wanted: DhcpClient, held: Lease | None) -> Files:
    """The jail's files as a lease wants them."""
    servers, search = (held.servers, held.search) if held is not None else ((), ())
    return replace(
        jail_files,
        servers=servers,
        search=tuple(dict.fromkeys((*search, *wanted.search))),
        origin=origin(held),
    )


def origin(held: Lease | None) -> str:
    """Whose word the jail's resolvers are."""
    return "DHCP" if held is None or held.server is None else f"the DHCP server {held.server}"
