# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail setup`: what a distribution's package would bring, from pip's installation.

polkit, D-Bus, systemd, man and the shells each look for files of their own in the system's
directories, where pip puts nothing. netjail.cli.layout says what goes where.
"""

from __future__ import annotations

import os
import sys

from netjail import names
from netjail.cli import layout, placing
from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, plural
from netjail.cli.parser import VerbParser
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from typing import Any

_WORDS = {
    placing.WRITE: ("write", "written"),
    placing.SAME: ("same", "unchanged"),
    placing.KEEP: ("keep", "kept"),
    placing.FOREIGN: ("keep", "kept"),
    placing.REMOVE: ("remove", "removed"),
}
"""What becomes of a file: in --print, and afterwards."""


def parser() -> VerbParser:
    """The arguments of `setup`."""
    parser = VerbParser(
        "setup",
        "[--print | --remove] [--prefix DIRECTORY] [--destdir DIRECTORY]",
        "Installs what the system must know of netjail, for a netjail that came from pip: the\n"
        "polkit policy, D-Bus and systemd files, the commands, manual pages, completions,\n"
        "icons. A distribution's package brings all that itself. May be run again at any\n"
        "time; files that others put there or changed are never touched.",
        examples=(
            ("netjail setup --print", "what it would write, and where"),
            ("sudo netjail setup", ""),
            ("sudo netjail setup --remove", "take exactly that away again"),
        ),
        exits=(("0", "everything is in place"), ("1", "refused; nothing was changed")),
    )
    parser.option("--print", action="store_true", help="show what would be done, and do nothing")
    parser.option("--remove", action="store_true", help="remove what setup has written")
    parser.option(
        "--prefix",
        default="/usr/local",
        metavar="DIRECTORY",
        type=_directory,
        help="where commands, manual pages and the like go (default: /usr/local)",
    )
    parser.option(
        "--destdir",
        metavar="DIRECTORY",
        type=_directory,
        help="write the data files, without the commands, below this directory, for those who "
        "make packages",
    )
    return parser


def _directory(text: str) -> str:
    if not text.startswith("/"):
        raise NetjailError("usage", f"`{text}` is no absolute path")
    return os.path.normpath(text)


def execute(args: Namespace, _context: Context) -> Result:
    """{prefix, print, files: [{path, what, change}], warnings: [...]}."""
    if args.destdir and args.remove:
        raise parser().wrong("--remove and --destdir do not go together")
    if args.destdir:
        return _stage(args)
    if not args.print and os.geteuid() != 0:
        raise NetjailError(
            "not-authorised",
            "setup writes to the system's directories, which only root may",
            "sudo netjail setup" + (" --remove" if args.remove else ""),
        )
    manifest = placing.Manifest.read(placing.manifest_path(args.prefix))
    return _remove(args, manifest) if args.remove else _install(args, manifest)


def _items(prefix: str) -> list[layout.Item]:
    directory = layout.data_directory()
    found = layout.sources(directory)
    if not found:
        raise NetjailError(
            "system",
            f"this netjail was installed without its data files ({directory})",
            "Install it again: pip install --force-reinstall netjail",
        )
    return layout.items(directory, found, prefix)


def _stage(args: Namespace) -> Result:
    """For a package: the data files below DESTDIR, without asking what is there."""
    items = _items(args.prefix)
    for item in items if not args.print else ():
        path = args.destdir + item.target
        placing.make_directories(os.path.dirname(path))
        placing.write_file(path, item.text, item.mode)
    files = [(args.destdir + item.target, item.what, placing.WRITE) for item in items]
    return _result(args, files, [])


def _install(args: Namespace, manifest: placing.Manifest) -> Result:
    items = _items(args.prefix)
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    items += layout.launchers(sys.executable, package, args.prefix)
    changes = placing.compare(items, manifest)
    command = f"{args.prefix}/bin/netjail"  # pip's own one will do
    in_the_way = [
        item.target
        for item, change in changes
        if change in (placing.KEEP, placing.FOREIGN) and item.target != command
    ]
    files = [(item.target, item.what, change) for item, change in changes]
    if args.print:
        return _result(args, files, [f"{path} is in the way: not ours" for path in in_the_way])
    if in_the_way:
        raise NetjailError(
            "conflict",
            f"{plural(len(in_the_way), 'file')} that setup did not write, or that was changed "
            "since, would be replaced; nothing was changed",
            "Where they belong to a package of netjail, setup is not needed: remove one of the "
            "two. Otherwise move them away and run setup again.",
            tuple(in_the_way),
        )
    _check_trust(items)
    gone = placing.install(changes, manifest)
    files += [(path, "an earlier version's", placing.REMOVE) for path in gone]
    return _result(args, files, _reload(args.prefix, items))


def _check_trust(items: Sequence[layout.Item]) -> None:
    """Root's programs neither come from, nor go to, where others than root may write."""
    from netjail.launch import trust

    trust.check_code()
    directories = {os.path.dirname(item.target) for item in items}
    flaws = trust.flaws((), sorted(directories))
    if flaws:
        raise NetjailError(
            "system",
            "others than root can change directories that setup would write to",
            "Give them back to root (chown root:, chmod go-w), or choose another --prefix.",
            tuple(flaws),
        )


def _remove(args: Namespace, manifest: placing.Manifest) -> Result:
    files = [(path, "", change) for path, change in placing.would_remove(manifest)]
    if args.print or not manifest.files:
        return _result(args, files, [])
    try:
        up = os.listdir(names.JAILS_DIR)
    except OSError:
        up = []
    if up:
        raise NetjailError(
            "in-use",
            f"{plural(len(up), 'profile is', 'profiles are')} up",
            "sudo netjail down --all",
        )
    warnings = _run_where("/run/systemd/system", ["systemctl", "disable", "--now", "netjaild"])
    placing.remove(manifest)
    return _result(args, files, warnings + _reload(args.prefix, ()))


def _reload(prefix: str, items: Sequence[layout.Item]) -> list[str]:
    """Tell who runs and does not look by itself; gives warnings. polkit watches its directory."""
    systemd = "/run/systemd/system"
    warnings = _run_where(systemd, ["systemctl", "daemon-reload"])
    for item in items:
        if item.target.endswith("/tmpfiles.d/netjail.conf"):  # noqa: S108
            warnings += _run_where(systemd, ["systemd-tmpfiles", "--create", item.target])
    to = ["--dest=org.freedesktop.DBus", "/org/freedesktop/DBus"]
    reload = ["dbus-send", "--system", "--print-reply", *to, "org.freedesktop.DBus.ReloadConfig"]
    warnings += _run_where("/run/dbus/system_bus_socket", reload)
    try:
        os.utime(f"{prefix}/share/icons/hicolor")  # how desktops see that there are new icons
    except OSError:
        pass
    return warnings


def _run_where(exists: str, command: list[str]) -> list[str]:
    """Run a command if there is `exists`; a warning if it fails."""
    if not os.path.exists(exists):
        return []
    import subprocess

    from netjail.client import HELPER_PATH

    environ = {**os.environ, "PATH": HELPER_PATH, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command,
            check=False,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"`{' '.join(command)}` failed: {error}"]
    if done.returncode == 0:
        return []
    reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return [f"`{' '.join(command)}` failed: {reason}"]


def _result(args: Namespace, files: list[tuple[str, str, str]], warnings: list[str]) -> Result:
    listed = [
        {"path": path, "what": what, "change": _WORDS[change][0 if args.print else 1]}
        for path, what, change in files
    ]
    return Result(
        {
            "prefix": args.prefix,
            "print": bool(args.print),
            "remove": bool(args.remove),
            "files": listed,
            "warnings": warnings,
        }
    )


def render(data: dict[str, Any], output: Output) -> None:
    """The files when asked for, else how many; what to do next."""
    files = data["files"]
    if data["print"]:
        rows = [(file["change"], file["path"], file["what"]) for file in files]
        if rows:
            output.table(("CHANGE", "FILE", "FOR"), rows)
        else:
            output.line("There is nothing that setup has written.")
    elif not files:
        output.line("There is nothing that setup has written.")
    else:
        for file in files:
            if file["change"] == "kept":
                output.line("Kept: ", file["path"], Text(" (not written by setup)", "dim"))
        counts = [(word, sum(f["change"] == word for f in files)) for _, word in _WORDS.values()]
        parts = [f"{plural(n, 'file')} {word}" for word, n in dict(counts).items() if n]
        output.line(", ".join(parts) + ".")
        if not data["remove"]:
            output.line("The manual: `man netjail`. A new shell completes profiles with TAB.")
    for warning in data["warnings"]:
        output.warning(warning)
