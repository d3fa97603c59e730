# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail run` for what has habits or a desktop entry; everything else never comes here."""

from __future__ import annotations

import os
import sys

from netjail import names
from netjail.cli.context import Context
from netjail.cli.parser import VerbParser
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from netjail.desktop.apart import Prepared, Way
    from netjail.desktop.entries import Entry

SUFFIX = ".desktop"


def options(parser: VerbParser) -> None:
    """The options of `run` that only such programs have."""
    parser.option(
        "--apart",
        action="store_const",
        const="apart",
        dest="way",
        help="a copy of the program with data of its own for this profile (remembered)",
    )
    parser.option(
        "--share",
        action="store_const",
        const="share",
        dest="way",
        help="a copy with data of its own that all profiles share (remembered)",
    )
    parser.option(
        "--as-is",
        action="store_const",
        const="as-is",
        dest="way",
        help="the program as it stands, even if it would open outside",
    )
    parser.option("--action", metavar="ACTION", help="an action of a .desktop entry")


def prepare(context: Context, args: Namespace) -> list[str]:
    """What to start for the words in `args`. Changes our directory where an entry wants that.

    Raises NetjailError.
    """
    argv: list[str] = args.program
    entry = None
    if argv[0].endswith(SUFFIX):
        entry, argv = _of_entry(args)
    elif args.action is not None:
        raise NetjailError("usage", "--action is for .desktop entries", "Leave it out.")
    from netjail.desktop import apart, commands

    prepared = apart.prepare(argv, args.profile, args.way, _asker(context, args.profile), entry)
    for message, hint in prepared.notes:
        context.output.warning(message, hint)
    _root(prepared, argv, args)
    if prepared.app is not None:
        from netjail.desktop import verify

        context.output.err.flush()
        verify.watch(prepared.app, args.profile, prepared.argv, prepared.flatpak, args.detach)
    if commands.recognise(argv).kind == "flatpak":
        from netjail.desktop import flatpakview

        return flatpakview.command(prepared.argv)
    return prepared.argv


def concerns(args: Namespace) -> bool:
    """Whether anything here has a say in what is started."""
    return args.way is not None or args.action is not None or names.has_habits(args.program[0])


def _of_entry(args: Namespace) -> tuple[Entry, list[str]]:
    from netjail.desktop import entries, execline

    entry = entries.find(args.program[0])
    argv = execline.expand(entry, args.program[1:], args.action)
    if entry.terminal and not sys.stdin.isatty():
        from netjail.desktop import terminals

        argv = terminals.around(argv)
    if entry.directory:
        try:
            os.chdir(entry.directory)
        except OSError as error:
            raise NetjailError(
                "system",
                f"{entry.name} wants to be started in {entry.directory}: {error.strerror}",
                f"Path= in {entry.path} says so.",
            ) from None
    return entry, argv


def _root(prepared: Prepared, argv: list[str], args: Namespace) -> None:
    """Root makes no directories in somebody's home, and has not their session bus."""
    if os.geteuid() == 0 and os.environ.get("SUDO_UID") and prepared.argv != argv:
        raise NetjailError(
            "in-use",
            f"{prepared.app.name if prepared.app else argv[0]} needs a copy of its own here, "
            "which is yours to make, not root's",
            f"Without sudo: `netjail run {args.profile} ...`.",
        )


def _asker(context: Context, profile: str) -> apart_ask | None:
    if not context.interactive():
        return None

    def ask(text: str) -> Way | None:
        err = context.output.err
        err.line(text)
        err.line(f"  a  start a second one, with data of its own for {profile}")
        err.line("  s  start a second one, with data that all profiles of netjail share")
        err.line("  n  do not start it")
        while True:
            err.write("Which? [A/s/n] ")
            err.flush()
            answer = sys.stdin.readline()
            word = answer.strip().lower()[:1]
            if not answer or word == "n":
                return None
            if word in ("", "a"):
                return "apart"
            if word == "s":
                return "share"

    return ask


if TYPE_CHECKING:
    from netjail.desktop.apart import Ask as apart_ask
