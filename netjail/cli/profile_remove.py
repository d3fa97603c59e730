# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail profile remove`: delete profiles."""

from __future__ import annotations

from netjail.cli.context import Context, Result, collect
from netjail.cli.output import Output, Text
from netjail.cli.parser import VerbParser, profile_name
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `profile remove`."""
    parser = VerbParser(
        "profile remove",
        "[--down] [--yes] PROFILE...",
        "Deletes profiles, keys included; there is no way back (but see `netjail export`).\n"
        "One that is up is kept unless --down is given. Asks first when there is a terminal.",
        examples=(
            ("netjail export vpn -o vpn.conf", "a copy first"),
            ("netjail profile remove vpn", ""),
        ),
    )
    parser.word("profiles", nargs="+", metavar="PROFILE", type=profile_name, help="what to delete")
    parser.option("--down", action="store_true", help="take it down first if it is up")
    parser.option("-y", "--yes", action="store_true", help="do not ask")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{removed: [name]}."""
    profiles = list(dict.fromkeys(args.profiles))
    if not args.yes and context.interactive():
        known = {p["name"] for p in context.call("list", "listing the profiles")["profiles"]}
        doomed = ", ".join(name for name in profiles if name in known)
        if doomed and not context.confirm(f"Delete {doomed} and the keys in it?"):
            return Result({"removed": [], "declined": True}, exit=1)
    removed: list[str] = []
    failures: list[tuple[str, NetjailError]] = []
    for name in profiles:
        try:
            context.call("profile.remove", f"removing {name}", name=name, down=args.down)
            removed.append(name)
        except NetjailError as error:
            failures.append((name, error))
    return Result({"removed": removed}, error=collect(failures, len(profiles), "deleted"))


def render(data: dict[str, Any], output: Output) -> None:
    """One line for each."""
    if data.get("declined"):
        output.line("Nothing was deleted.")
    for name in data["removed"]:
        output.line("Deleted ", Text(name, "bold"), ".")
