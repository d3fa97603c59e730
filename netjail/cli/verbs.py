# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of verbs: what `netjail --help` lists without importing any of them."""

from __future__ import annotations

from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

GROUPS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "Programs",
        (
            ("run", "run", "run a program in a profile's network"),
            ("shell", "shell", "open a shell in it"),
            ("ps", "ps", "list the programs that run in it"),
            ("kill", "kill", "send a signal to them"),
            ("apps", "apps", "list the applications of the menu"),
        ),
    ),
    (
        "Networks",
        (
            ("up", "up", "bring profiles up"),
            ("down", "down", "take profiles down"),
            ("use", "use", "choose the place of a pool of servers"),
            ("list", "list", "list the profiles"),
            ("status", "status", "show how a profile's network is doing"),
            ("logs", "logs", "tell what has happened to it, and what was done"),
            ("graph", "graph", "draw all networks, as text or as a picture"),
            ("capture", "capture", "record or show what goes over it (tcpdump)"),
            ("check", "check", "find out whether anything leaks"),
            ("plan", "plan", "show what `up` would do, step by step"),
        ),
    ),
    (
        "Ports",
        (
            ("port list", "port_list", "list a profile's ports, in and out"),
            ("port add", "port_add", "let the host reach a service inside, or the other way round"),
            ("port remove", "port_remove", "close one"),
            ("port watch", "port_watch", "tell of the provider's port, or run a command on it"),
        ),
    ),
    (
        "Profiles",
        (
            ("import", "import_", "make a profile from a VPN provider's file"),
            ("export", "export", "give a profile back as a wg-quick file"),
            ("profile add", "profile_add", "store a profile written by hand"),
            ("profile show", "profile_show", "print a profile, keys hidden"),
            ("profile edit", "profile_edit", "change a profile in your editor"),
            ("profile remove", "profile_remove", "delete profiles"),
            ("profile validate", "profile_validate", "check profile files, no root needed"),
        ),
    ),
    (
        "Switches",
        (
            ("switch add", "switch_add", "store a switch, a network that several profiles join"),
            ("switch list", "switch_list", "list the switches"),
            ("switch status", "switch_status", "show who is on a switch"),
            ("switch show", "switch_show", "print a switch's file"),
            ("switch edit", "switch_edit", "change a switch in your editor"),
            ("switch remove", "switch_remove", "delete switches"),
        ),
    ),
    (
        "Desktop",
        (
            ("tray", "tray", "show an icon in the panel, with a menu"),
            ("open", "open", "open a file or web page with your default application"),
            ("app pin", "app_pin", "make an application always start in a profile"),
            ("app unpin", "app_unpin", "make it start as before"),
            ("app add", "app_add", "add a second launcher that starts in a profile"),
            ("app remove", "app_remove", "take such a launcher away"),
            ("app list", "app_list", "list what is pinned and added, and check it"),
            ("app refresh", "app_refresh", "bring the entries up to date"),
        ),
    ),
    (
        "Labs",
        (
            ("lab validate", "lab_validate", "check a directory of profiles and switches"),
            ("lab up", "lab_up", "bring all of it up, or nothing"),
            ("lab status", "lab_status", "show what of it is up"),
            ("lab down", "lab_down", "take it down and away"),
        ),
    ),
    (
        "Help",
        (
            ("doctor", "doctor", "check that this machine has what netjail needs"),
            ("setup", "setup", "tell polkit, D-Bus, systemd and the shells about netjail"),
            ("demo", "demo", "see it work, in a network of its own"),
            ("help", "help", "explain a verb"),
        ),
    ),
)
"""(title, ((verb, module in netjail.cli, one line), ...)) in the order of the help."""

MODULES = {verb: module for _, verbs in GROUPS for verb, module, _ in verbs}
"""Verb (one or two words) to module."""

FAMILIES = frozenset(verb.split(" ")[0] for verb in MODULES if " " in verb)
"""First words of the verbs of two words."""

_SYNONYMS = {
    "add": "import",
    "attach": "shell",
    "connect": "up",
    "create": "profile add",
    "delete": "profile remove",
    "disconnect": "down",
    "edit": "profile edit",
    "enter": "shell",
    "exec": "run",
    "info": "status",
    "load": "import",
    "log": "logs",
    "ls": "list",
    "profiles": "list",
    "remove": "profile remove",
    "rm": "profile remove",
    "sh": "shell",
    "show": "profile show",
    "start": "up",
    "stop": "down",
    "validate": "profile validate",
    "version": "--version",
}
"""What people who come from other tools type first."""


def suggest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `word` was most likely meant to be."""
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def find(words: list[str]) -> tuple[str, list[str]]:
    """The verb that `words` begin with, and the words after it. Raises `usage`."""
    first = words[0]
    if first in FAMILIES:
        verbs = [verb for verb in MODULES if verb.startswith(first + " ")]
        listed = ", ".join(verb.split(" ")[1] for verb in verbs)
        if len(words) == 1:
            raise NetjailError(
                "usage",
                f"`netjail {first}` wants a second word: {listed}",
                f"Try `netjail {first} --help`.",
            )
        verb = f"{first} {words[1]}"
        if verb in MODULES:
            return verb, words[2:]
        near = suggest(words[1], [known.split(" ")[1] for known in verbs])
        raise NetjailError(
            "usage",
            f"there is no verb `{first} {words[1]}`",
            f"Did you mean `netjail {first} {near}`?" if near else f"There are: {listed}.",
        )
    if first in MODULES:
        return first, words[1:]
    near = _SYNONYMS.get(first.lower()) or suggest(first, [*MODULES, *FAMILIES])
    raise NetjailError(
        "usage",
        f"there is no verb `{first}`",
        f"Did you mean `netjail {near}`?" if near else "`netjail --help` lists all verbs.",
    )


def listing(prefix: str = "") -> str:
    """The verbs that start with `prefix`, grouped, one line each."""
    lines = []
    for title, verbs in GROUPS:
        rows = [(verb, line) for verb, _, line in verbs if verb.startswith(prefix)]
        if rows:
            lines.append(f"{title}:")
            lines += [f"  {verb:<17} {line}" for verb, line in rows]
            lines.append("")
    return "\n".join(lines)
