# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a jail sees instead of the host's.

The overlay's layer holds resolv.conf as a symbolic link to a directory outside of the overlay:
renaming a new file there reaches running programs at once, which it would not inside a layer.
"""

from __future__ import annotations

import os
import re

from netjail import names
from netjail.engine import doors, files, mounts
from netjail.engine.record import Record
from netjail.errors import NetjailError
from netjail.uplinks.wanted import Files
from netjail.uplinks.wanted_ports import BorrowedPort

_HOSTS_SOURCES = frozenset({"files", "dns", "myhostname"})
"""What may answer for host names inside: the rest asks a daemon of the host over a socket."""


def make(wanted: Files) -> None:
    """Write the view and /etc/netns. Raises NetjailError."""
    base = names.view_dir(wanted.profile)
    netns = f"{names.NETNS_ETC_DIR}/{wanted.netns}"
    for part in ("", "/etc", "/dns", "/resolve", "/empty"):
        files.directory(base + part)
    update(wanted)
    files.symlink(f"{base}/dns/resolv.conf", f"{base}/etc/resolv.conf")
    for name in ("resolv.conf", "stub-resolv.conf"):
        files.symlink(f"{base}/dns/resolv.conf", f"{base}/resolve/{name}")
    nsswitch = _nsswitch()
    if nsswitch is not None:
        files.write(f"{base}/etc/nsswitch.conf", nsswitch)
        if wanted.for_ip_netns:
            files.write(f"{netns}/nsswitch.conf", nsswitch)
    if wanted.hosts:
        files.symlink(f"{base}/dns/hosts", f"{base}/etc/hosts")
    doors.hold()


def update(wanted: Files) -> None:
    """Write the files that may change while programs run, each in one rename."""
    directories = [f"{names.view_dir(wanted.profile)}/dns"]
    if wanted.for_ip_netns:
        directories.append(f"{names.NETNS_ETC_DIR}/{wanted.netns}")
        files.directory(directories[1])
    for directory in directories:
        files.write(f"{directory}/resolv.conf", resolv_conf(wanted))
        if wanted.hosts:
            files.write(f"{directory}/hosts", hosts(wanted))


def present(wanted: Files) -> bool:
    """Whether the view stands and says what is wanted."""
    paths = [f"{names.view_dir(wanted.profile)}/etc/resolv.conf"]
    if wanted.for_ip_netns:
        paths.append(f"{names.NETNS_ETC_DIR}/{wanted.netns}/resolv.conf")
    return all(read(path) == resolv_conf(wanted) for path in paths)


def remove(wanted: Files) -> None:
    """Take the view and /etc/netns/NETNS away. Idempotent."""
    files.remove_tree(names.view_dir(wanted.profile))
    if not wanted.for_ip_netns:
        return
    files.remove_tree(f"{names.NETNS_ETC_DIR}/{wanted.netns}")
    try:
        os.rmdir(names.NETNS_ETC_DIR)
    except OSError:  # others have namespaces configured there, or it is gone
        pass


def resolv_conf(wanted: Files) -> str:
    """The text of resolv.conf(5). Without a server programs ask 127.0.0.1, where nobody answers."""
    lines = [f"# Written by netjail for profile {wanted.profile}; servers from {wanted.origin}."]
    if not wanted.servers:
        lines.append("# No DNS server is known here: names do not resolve.")
    lines += [f"nameserver {server}" for server in wanted.servers]
    if wanted.search:
        lines.append("search " + " ".join(wanted.search))
    return "\n".join(lines) + "\n"


def hosts(wanted: Files) -> str:
    """The host's own lines, then the profile's."""
    own = [f"{address}\t{name}" for name, address in wanted.hosts]
    return (read("/etc/hosts") or "").rstrip("\n") + "\n" + "\n".join(own) + "\n"


def nsswitch(text: str) -> str:
    """nsswitch.conf(5) with `hosts` and `networks` reduced to sources that stay inside the jail.

    An action in brackets belongs to the source before it and goes with it.
    """
    lines = []
    seen = False
    for line in text.splitlines():
        database, colon, rest = line.partition(":")
        if not colon or database.strip() not in ("hosts", "networks"):
            lines.append(line)
            continue
        seen = seen or database.strip() == "hosts"
        lines.append(f"{database.strip()}:\t{' '.join(_inner_sources(rest, database.strip()))}")
    if not seen:
        lines.append("hosts:\tfiles dns")
    return "\n".join(lines) + "\n"


def _inner_sources(rest: str, database: str) -> list[str]:
    kept: list[str] = []
    keeping = False
    for word in re.findall(r"\[[^\]]*\]|[^\s\[\]]+", rest.split("#", maxsplit=1)[0]):
        if not word.startswith("["):
            keeping = word in _HOSTS_SOURCES and word not in kept
        if keeping:
            kept.append(word)
    if "files" not in kept:
        kept.insert(0, "files")
    if database == "hosts" and "dns" not in kept:
        kept.append("dns")
    return kept


def _nsswitch() -> str | None:
    """None where the C library has no nsswitch.conf (musl, or a system without the file)."""
    text = read("/etc/nsswitch.conf")
    return None if text is None else nsswitch(text)


def enter_text(made: Record, identity: tuple[int, int]) -> str:
    """The `enter` file: all that a launch needs to know, without asking anybody. `identity`: device
    and inode of the namespace."""
    base = names.view_dir(made.profile)
    lines = [
        ("netjail-enter", "1"),
        ("profile", made.profile),
        ("stop", made.stop),
        *([("filter", "session-bus")] if made.filtered else []),
        *([("port", names.port_file(made.profile))] if made.find(BorrowedPort) else []),
        ("net", f"{names.NETNS_DIR}/{made.netns}", str(identity[0]), str(identity[1])),
        ("etc", f"{base}/etc"),
        *(("hide", path, f"{base}/{shown}") for path, shown, _ in doors.DOORS),
        *(("keep", path) for path in mounts.below_etc_and_sys()),
    ]
    return "".join("\t".join(line) + "\n" for line in lines)


def read(path: str) -> str | None:
    """Text of a file, or None where there is none. Raises NetjailError where it is unreadable."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NetjailError("system", f"cannot read {path}: {error.strerror}") from error
