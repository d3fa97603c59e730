# SPDX-License-Identifier: GPL-3.0-or-later
"""VPN clients of their own (openvpn, openconnect): started without any right, their tun moved into
the jail, what their server says applied there.

The client runs as a user that nobody else is, with no capability and no way to get one. It can
open its tun, because that was made for it, and its sockets, which lie in a directory of its own.
All that concerns the network of the jail is done here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from netjail import names
from netjail.engine import files, ns, process, toldfile, tun, view
from netjail.engine.context import Context
from netjail.engine.netlink import NetlinkError, Request, Socket, new_address, route, set_link
from netjail.engine.process import Process
from netjail.engine.record import Record
from netjail.errors import NetjailError
from netjail.uplinks.facts import Told
from netjail.uplinks.naming import client_user
from netjail.uplinks.wanted import Files, VpnClient

_BATCH = 100
_NO_ROOM = (22, 28)
"""EINVAL and ENOSPC: what setuid says of a number that a container's user namespace lacks."""


# Processes ---------------------------------------------------------------------------------------


def launch(
    wanted: VpnClient,
    argv: list[str],
    stdin: str,
    context: Context,
    texts: Mapping[str, str] | None = None,
) -> Process:
    """Start a client in the namespace where its packets are to leave. Raises NetjailError.

    `texts`: files of its own, by name.
    """
    user = client_user(wanted.profile)
    log = context.log(wanted.program)
    files.remove(log)  # what it says of its end is not to be taken for that of one before it
    bare = [
        *("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"),
        *("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"),
        process.program(argv[0]),
    ]
    process.end_user(user)  # what one before has left would meet this one
    directory(wanted.profile, user, texts or {})
    with ns.inside_named(wanted.birth):
        started = process.start(wanted.program, [*bare, *argv[1:]], log, stdin=stdin)
    context.remember(started)
    return started


def directory(profile: str, user: int, texts: Mapping[str, str]) -> None:
    """A place for the client's sockets that is its user's alone, with these files in it. It becomes
    theirs last: until then nobody else can put anything there, or in the place of it."""
    files.directory(names.TUNNELS_DIR, 0o711)
    path = names.tunnel_dir(profile)
    files.remove_foreign(path)
    files.directory(path, 0o700)
    for name, text in texts.items():
        files.write(f"{path}/{name}", text, 0o600)
    try:
        for each in (*(f"{path}/{name}" for name in texts), path):
            os.chown(each, user, user, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise NetjailError(
                "missing-kernel",
                f"this system has no user number {user}, as which the VPN's client would run",
                "in a container, map more numbers of users into it (subuid(5))",
            ) from None
        raise files.cannot("give away", path, error) from error


def running(wanted: VpnClient, argv: list[str], context: Context) -> Process | None:
    """The client of a profile, also where a helper was killed before it could write it down."""
    return context.record.process(wanted.program) or process.find(
        argv, wanted.program, client_user(wanted.profile)
    )


def remove(wanted: VpnClient, argv: list[str], context: Context) -> None:
    """End the client and take its interface away, wherever it is. Idempotent."""
    context.tunnels.drop(wanted.profile)
    found = running(wanted, argv, context)
    if found is not None:
        process.stop(found)
        context.forget(wanted.program)
    process.end_user(client_user(wanted.profile))
    tun.delete(wanted.birth, wanted.born_as)
    if not context.whole:  # else the kernel does it, with the namespace
        tun.delete(wanted.netns, wanted.jail_if)
    files.remove_foreign(names.tunnel_dir(wanted.profile))
    toldfile.remove(wanted.profile)


def present(wanted: VpnClient, context: Context) -> bool:
    """Whether the client runs, and its interface is in the jail once the server has spoken."""
    found = context.record.process(wanted.program)
    if found is None or not found.alive():
        return False
    inside = toldfile.exists(wanted.profile)
    return tun.exists(
        *((wanted.netns, wanted.jail_if) if inside else (wanted.birth, wanted.born_as))
    )


# The network of the jail -------------------------------------------------------------------------


def apply_told(wanted: VpnClient, told: Told, moved: bool = False) -> None:
    """Make the jail's network what the server says. `moved`: the tun is there already.

    Raises NetjailError, NetlinkError; then nothing leads out of the jail.
    """
    toldfile.write(wanted.profile, told)
    if not moved:
        tun.move(wanted.birth, wanted.born_as, wanted.netns, wanted.jail_if)
        tun.make(wanted.birth, wanted.born_as, client_user(wanted.profile))
    target = ns.open_named(wanted.netns)
    try:
        with ns.inside(target), Socket() as netlink:
            found = netlink.index_and_group(wanted.jail_if)
            if found is None:
                raise NetjailError("system", f"the tun device {wanted.jail_if} is gone")
            _configure(netlink, found[0], wanted, told)
    finally:
        os.close(target)


def _configure(netlink: Socket, index: int, wanted: VpnClient, told: Told) -> None:
    mtu = wanted.mtu or told.mtu or 1500
    netlink.send(set_link(index, mtu=mtu), set_link(index, up=True))
    _send_some(netlink, [new_address(index, address) for address in told.addresses])
    _send_some(netlink, [route(net, oif=index) for net in told.routes])


def _send_some(netlink: Socket, requests: list[Request]) -> None:
    """All, going on past what the kernel does not take: a server's wish for one route more must
    not cost the others."""
    for start in range(0, len(requests), _BATCH):
        try:
            netlink.send(*requests[start : start + _BATCH])
        except NetlinkError:
            continue  # of a batch, what follows the one that failed is done all the same


def resolvers(record: Record, wanted: VpnClient, said: Told) -> Record:
    """Have the jail's programs ask whom the server names; the record with it."""
    found: Files | None = record.find(Files)
    if found is None or not wanted.take_dns:
        return record
    new = replace(
        found,
        servers=said.servers or wanted.dns,
        search=tuple(dict.fromkeys((*said.search, *wanted.search))),
        origin="the VPN's server" if said.servers else "the profile",
    )
    if new == found:
        return record
    view.update(new)
    return replace(record, resources=tuple(new if r is found else r for r in record.resources))
