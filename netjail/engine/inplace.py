# SPDX-License-Identifier: GPL-3.0-or-later
"""A WireGuard interface that gets another peer, other keys and addresses without being made anew:
what a pool does when it changes its place, with programs inside.

In between it has no peer at all, so that what is sent is dropped: nothing goes to one server with
another's address, and nothing anywhere else, as there is no other interface.
"""

from __future__ import annotations

import errno

from netjail.engine import borrowed, ns, process, wg
from netjail.engine.context import Context
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
from netjail.errors import NetjailError
from netjail.uplinks.wanted import WireGuardDevice

_GONE = (errno.EADDRNOTAVAIL, errno.ESRCH, errno.ENOENT, errno.ENODEV)


def update(wanted: WireGuardDevice, context: Context) -> None:
    """Make what stands what is wanted. Idempotent. Raises NetjailError, NetlinkError; nothing can
    leave then."""
    if wanted.config is None:
        raise NetjailError("internal", "a WireGuard device cannot be set from a record alone")
    if not wg.present(wanted, context):
        wg.apply(wanted, context)
        return
    userspace = wg.userspace(context.record, wanted) is not None
    before = [r for r in context.record.resources if isinstance(r, WireGuardDevice)]
    _setconf(wanted, userspace, wanted.config.partition("[Peer]")[0])
    with ns.inside_named(wanted.netns), Socket() as netlink:
        index = index_of(wanted.jail_if)
        if index is None:
            raise NetjailError("system", f"{wanted.jail_if} vanished while it was set anew")
        netlink.send(set_link(index, mtu=wanted.mtu))
        for address in wanted.addresses:  # the kernel takes the routes along with the last one
            netlink.send(new_address(index, address))
        for old in before:
            for address in dict.fromkeys(old.addresses):
                if address not in wanted.addresses:
                    _remove(netlink, del_address(index, address))
            for net in old.routes:
                if net not in wanted.routes:
                    _remove(netlink, route(net, oif=index, delete=True))
        netlink.send(*(route(net, oif=index) for net in wanted.routes))
    _setconf(wanted, userspace, wanted.config)
    borrowed.poke(context.record)


def _remove(netlink: Socket, request: Request) -> None:
    try:
        netlink.send(request)
    except NetlinkError as error:
        if error.errno not in _GONE:
            raise


def _setconf(wanted: WireGuardDevice, userspace: bool, config: str) -> None:
    """By wg(8): in the jail, or at the control socket of wireguard-go, which is the host's."""
    tool = wg.TOOLS[wanted.protocol].tool
    if userspace:
        process.run([tool, "setconf", wanted.born_as, "/dev/stdin"], stdin=config)
        return
    with ns.inside_named(wanted.netns):
        process.run([tool, "setconf", wanted.jail_if, "/dev/stdin"], stdin=config)
