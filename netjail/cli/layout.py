# SPDX-License-Identifier: GPL-3.0-or-later
"""What `netjail setup` puts where. Pure: nothing here writes.

The files are those of data/, which every package of netjail carries (as netjail/data). Each has
one place, the first of those that its reader looks into which fits the prefix; where a reader
looks into one place only, that place is taken whatever the prefix.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

PREFIXES = ("/usr", "/usr/local")
"""Below these, systemd finds its files; for any other prefix they go to /etc."""

_HELPER = "/usr/sbin/netjaild"
"""Where the files in data/ say that the helper is."""

PACKAGE_ONLY = frozenset({"apps.toml"})
"""Files of data/ that are read from the package and installed nowhere."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file. `target`: absolute path; `what`: who reads it, in a few words."""

    target: str
    text: bytes
    what: str
    mode: int = 0o644


def data_directory() -> str:
    """Where this netjail has its data files."""
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")


def sources(directory: str) -> list[str]:
    """The files of a data directory, relative to it, sorted."""
    found = []
    for where, directories, files in os.walk(directory):
        directories.sort()
        relative = os.path.relpath(where, directory)
        found += [os.path.normpath(os.path.join(relative, name)) for name in files]
    return sorted(name for name in found if name not in PACKAGE_ONLY)


def place(source: str, prefix: str) -> tuple[str, str]:
    """Target and purpose of one file of data/. ValueError for one that has no place."""
    room, _, rest = source.partition("/")
    name = os.path.basename(source)
    share = f"{prefix}/share"
    system = prefix == "/usr"
    units = f"{prefix}/lib/systemd/system" if prefix in PREFIXES else "/etc/systemd/system"
    tmpfiles = f"{prefix}/lib/tmpfiles.d" if prefix in PREFIXES else "/etc/tmpfiles.d"
    # polkit reads its actions in /usr/share only (until 124), dbus-daemon its policy in two places
    bus = "/usr/share/dbus-1/system.d" if system else "/etc/dbus-1/system.d"
    activation = (share if prefix in PREFIXES else "/usr/local/share") + "/dbus-1/system-services"
    if room == "polkit":
        return f"/usr/share/polkit-1/actions/{name}", "polkit: who may do what"
    if room == "dbus" and name.endswith(".conf"):
        return f"{bus}/{name}", "D-Bus: who may talk to the helper"
    if room == "dbus" and name.endswith(".service"):
        return f"{activation}/{name}", "D-Bus: how the helper is started"
    if room == "systemd":
        return f"{units}/{name}", "systemd: the helper's unit"
    if room == "tmpfiles":
        return f"{tmpfiles}/{name}", "systemd-tmpfiles: the helper's directory"
    if room == "man":
        return f"{share}/man/man{name[-1]}/{name}", "manual"
    if room == "completions":
        return _completion(name, share), "completion of the command line"
    if room == "icons":
        return f"{share}/icons/{rest}", "icon"
    if source.endswith(".metainfo.xml"):
        return f"{share}/metainfo/{name}", "software centres: what netjail is"
    if room == "applications":
        return f"{share}/applications/{name}", "desktop: the tray"
    raise ValueError(f"data/{source} has no place in netjail.cli.layout")


def _completion(name: str, share: str) -> str:
    if name.endswith(".bash"):
        return f"{share}/bash-completion/completions/{name.removesuffix('.bash')}"
    if name.endswith(".fish"):
        return f"{share}/fish/vendor_completions.d/{name}"
    return f"{share}/zsh/site-functions/{name}"


def items(directory: str, names: Iterable[str], prefix: str) -> list[Item]:
    """The files `names` of the data directory, with their texts as they are to be written."""
    found = []
    for name in names:
        target, what = place(name, prefix)
        with open(os.path.join(directory, name), "rb") as file:
            text = file.read()
        if name.startswith(("systemd/", "dbus/")):
            text = text.replace(_HELPER.encode(), f"{prefix}/sbin/netjaild".encode())
        found.append(Item(target, text, what))
    return found


def launchers(python: str, package: str, prefix: str) -> list[Item]:
    """The two programs, for an installation whose own ones are elsewhere (a virtual environment).

    `python`: absolute path of the interpreter; `package`: the directory netjail itself.
    """
    from netjail.launch import stub

    helper = shlex.join([python, "-I", f"{package}/daemon/__main__.py"])
    script = (
        "#!/bin/sh\n# SPDX-License-Identifier: GPL-3.0-or-later\n"
        f'# made by `netjail setup`\nexec {helper} "$@"\n'
    )
    return [
        Item(
            f"{prefix}/bin/netjail",
            stub.render(python, os.path.dirname(package)).encode(),
            "the command",
            0o755,
        ),
        Item(f"{prefix}/sbin/netjaild", script.encode(), "the helper", 0o755),
    ]
