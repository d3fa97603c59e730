# SPDX-License-Identifier: GPL-3.0-or-later
"""tun devices for VPN clients that have no right to make one: made here, persistent, and given to
the client's user, who may open them by name in the namespace in which the client lives.

A client that closes its tun and opens it again (OpenVPN does when the server pushes something
else) finds no interface of that name any more, since it is in the jail. So there is always a
spare: as soon as one is moved inside, the next is made.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from netjail import names
from netjail.engine import ns
from netjail.engine.netlink import NetlinkError, Socket, del_link, index_of, set_link
from netjail.errors import NetjailError

# linux/if_tun.h
_TUNSETIFF, _TUNSETPERSIST, _TUNSETOWNER = 0x400454CA, 0x400454CB, 0x400454CC
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_DEVICE = "/dev/net/tun"


def make(netns: str | None, name: str, user: int) -> None:
    """A persistent tun that `user` may open, down, without addresses. Raises NetjailError."""
    with ns.inside_named(netns):
        try:
            fd = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
            try:
                request = struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI)
                fcntl.ioctl(fd, _TUNSETIFF, request)
                fcntl.ioctl(fd, _TUNSETOWNER, user)
                fcntl.ioctl(fd, _TUNSETPERSIST, 1)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
                raise NetjailError(
                    "missing-kernel",
                    "this kernel has no tun devices, which VPN clients need",
                    "sudo modprobe tun; in a container, let it have /dev/net/tun",
                ) from None
            raise NetjailError(
                "system", f"cannot make the tun device {name}: {error.strerror}"
            ) from None
        with Socket() as netlink:
            netlink.send(set_link(index_of(name) or 0, group=names.LINK_GROUP))


def move(birth: str | None, name: str, netns: str, inside: str) -> int:
    """Move a tun into a jail, in place of one that is there; its index there. Raises NetjailError,
    NetlinkError."""
    target = ns.open_named(netns)
    try:
        delete(netns, inside)
        with ns.inside_named(birth), Socket() as netlink:
            index = index_of(name)
            if index is None:
                raise NetjailError("system", f"the tun device {name} is gone")
            netlink.send(set_link(index, net_ns_fd=target, ifname=inside))
        with ns.inside(target), Socket() as netlink:
            found = index_of(inside)
            if found is None:
                raise NetjailError("system", f"the tun device {inside} is gone")
            netlink.send(set_link(found, group=names.LINK_GROUP))
            return found
    finally:
        os.close(target)


def exists(netns: str | None, name: str) -> bool:
    """Whether there is an interface of that name."""
    try:
        with ns.inside_named(netns):
            return index_of(name) is not None
    except NetjailError:
        return False


def delete(netns: str | None, name: str) -> None:
    """Delete an interface that bears our mark. Idempotent."""
    try:
        with ns.inside_named(netns):
            if index_of(name) is None:
                return
            with Socket() as netlink:
                found = netlink.index_and_group(name)
                if found is not None and found[1] == names.LINK_GROUP:
                    netlink.send(del_link(found[0]))
    except NetjailError:  # the namespace is gone, and the interface with it
        return
    except NetlinkError as error:
        if error.errno != errno.ENODEV:
            raise
