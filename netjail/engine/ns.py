# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces: made, named as ip-netns(8) names them, visited by a thread, let go."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from netjail import names
from netjail.engine import mounts, sysctl
from netjail.engine.netlink import Socket, set_link
from netjail.errors import NetjailError
from netjail.launch import syscalls

_MS_BIND, _MS_REC, _MS_SHARED = 0x1000, 0x4000, 0x100000
_MNT_DETACH = 2
_HERE = "/proc/thread-self/ns/net"
_making = threading.Lock()


def path_of(name: str) -> str:
    """Where ip-netns(8) keeps the namespace called `name`."""
    return f"{names.NETNS_DIR}/{name}"


def identity(path: str) -> tuple[int, int] | None:
    """Device and inode of a namespace file, or None where it is not a mounted namespace."""
    try:
        found = os.stat(path)
        parent = os.stat(os.path.dirname(path))
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode) or found.st_dev == parent.st_dev:
        return None
    return found.st_dev, found.st_ino


def identity_of(fd: int) -> tuple[int, int]:
    """Device and inode of an open namespace."""
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def own_mounts() -> tuple[int, int]:
    """Device and inode of our mount namespace: what is in another one is not ours to judge."""
    found = os.stat("/proc/self/ns/mnt")
    return found.st_dev, found.st_ino


@contextmanager
def inside(fd: int) -> Iterator[None]:
    """This thread is in the namespace open as `fd` for the time of the block."""
    home = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(fd, syscalls.CLONE_NEWNET)
        try:
            yield
        finally:
            _return(home)
    finally:
        os.close(home)


def _return(home: int) -> None:
    """Back to the host's namespace. A worker thread must not go on in a jail, mistaking it for the
    host: where the kernel refuses, the whole helper ends, and the next one adopts what stands."""
    try:
        syscalls.setns(home, syscalls.CLONE_NEWNET)
    except OSError as error:
        os.write(2, f"netjaild: cannot leave a jail's namespace: {error}\n".encode())
        os._exit(70)  # EX_SOFTWARE


@contextmanager
def inside_named(name: str | None) -> Iterator[None]:
    """As `inside`, by ip-netns(8) name; None is where the thread already is: the host."""
    if name is None:
        yield
        return
    fd = open_named(name)
    try:
        with inside(fd):
            yield
    finally:
        os.close(fd)


def open_named(name: str) -> int:
    """A descriptor of the namespace. Raises NetjailError("not-up") where there is none."""
    path = path_of(name)
    if identity(path) is None:
        raise NetjailError("not-up", f"there is no network namespace {name}")
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def make_shared_directory() -> None:
    """/run/netns as a shared mount, as ip-netns(8) makes it.

    Programs keep a copy of the host's mounts; only through a shared mount does the end of one
    jail reach the copies that programs of other jails hold.
    """
    os.makedirs(names.NETNS_DIR, mode=0o755, exist_ok=True)
    with _making:
        try:
            # Not recursive: what is mounted there is shared already, and there may be a thousand.
            syscalls.mount(None, names.NETNS_DIR, None, _MS_SHARED, None)
            return
        except OSError as error:
            if error.errno != errno.EINVAL:  # EINVAL: not a mount point yet
                raise
        try:
            mounts.over_itself(names.NETNS_DIR)
        except OSError:
            syscalls.mount(names.NETNS_DIR, names.NETNS_DIR, None, _MS_BIND | _MS_REC, None)
        syscalls.mount(None, names.NETNS_DIR, None, _MS_SHARED | _MS_REC, None)


def create(name: str, made: Callable[[tuple[int, int]], None]) -> None:
    """Make a namespace with loopback up and safe defaults.

    `made` is told its device and inode before it has its name, so that it can be recorded whose
    the name will be. Raises OSError; FileExistsError where the name is taken.
    """
    make_shared_directory()
    path = path_of(name)
    home = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        try:
            with Socket() as netlink:
                netlink.send(set_link(1, up=True, group=names.LINK_GROUP))  # see `marked`
            for key, value in _DEFAULTS:
                _write_sysctl(key, value)
            new = os.stat(_HERE)
            made((new.st_dev, new.st_ino))
            _touch(path)
            syscalls.mount(_HERE, path, None, _MS_BIND, None)
        finally:
            _return(home)
    finally:
        os.close(home)


def marked(name: str) -> bool:
    """Whether `create` made the namespace: its loopback is in our group of interfaces.

    Device and inode alone do not say so for good: the kernel gives the inode of a namespace that
    is gone to one that is made later. Raises as `open_named`.
    """
    with inside_named(name), Socket() as netlink:
        found = netlink.index_and_group("lo")
    return found is not None and found[1] == names.LINK_GROUP


def name_again(name: str, fd: int) -> None:
    """Give the namespace open as `fd` its name back. Raises as `create`."""
    make_shared_directory()
    _touch(path_of(name))
    # by way of a visit: a copy of the mount that `fd` was opened on, which is detached by now,
    # would keep the namespace for ever (Linux 6.18)
    with inside(fd):
        syscalls.mount(_HERE, path_of(name), None, _MS_BIND, None)


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))


_DEFAULTS = (
    ("net/ipv4/ping_group_range", "0 2147483647"),  # ordinary users may ping, as on the host
    ("net/ipv6/conf/default/accept_ra", "0"),  # nobody on a link may add routes
    ("net/ipv6/conf/all/accept_ra", "0"),
    ("net/ipv6/conf/default/autoconf", "0"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
    ("net/ipv6/conf/default/accept_redirects", "0"),
)


def _write_sysctl(key: str, value: str) -> None:
    try:
        fd = sysctl.open_in_jail(key, os.O_WRONLY)
    except FileNotFoundError:  # a kernel without IPv6
        return
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def remove(name: str, ours: tuple[int, int] | None) -> None:
    """Drop the name, and with it the namespace unless something still holds it. Idempotent.

    Only the namespace with the device and inode `ours`, or the file that was to become its name;
    None: it had no name yet.
    """
    path = path_of(name)
    if ours is None or identity(path) not in (ours, None):
        return
    while True:
        try:
            syscalls.umount2(path, _MNT_DETACH)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                break
            raise
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def in_scratch(test: Callable[[], bool]) -> bool:
    """Run a test in a network namespace that nobody else sees."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        try:
            return test()
        finally:
            syscalls.setns(home, syscalls.CLONE_NEWNET)
    finally:
        os.close(home)
