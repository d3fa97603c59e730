# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail ps`: the programs that run in jails."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, ago
from netjail.cli.parser import VerbParser, profile_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `ps`."""
    parser = VerbParser(
        "ps",
        "[PROFILE]",
        "Lists the programs that run in a profile's network, or in any profile's.",
        examples=(("netjail ps", "all of them"), ("netjail ps vpn", "those in vpn")),
    )
    parser.word("profile", nargs="?", metavar="PROFILE", type=profile_name, help="only this one's")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{profile, programs: [...]}."""
    answer = context.call("ps", "listing the programs", profile=args.profile)
    return Result({"profile": args.profile, "programs": answer["programs"]})


def render(data: dict[str, Any], output: Output) -> None:
    """A table, or a sentence when it would be empty."""
    programs = data["programs"]
    if not programs:
        where = data.get("profile")
        output.line(f"No programs run in {where}." if where else "No programs run in any profile.")
        return
    headers = ["PROFILE", "PID", "USER", "STARTED", "COMMAND"]
    rows = [[Text(p["profile"], "bold"), *program_row(p, output.now)] for p in programs]
    output.table(headers, rows, right=(1,))


def program_row(program: dict[str, Any], now: float) -> list[object]:
    """PID, user, start and command line of one program."""
    user = program.get("user")
    return [
        program["pid"],
        program.get("uid", "-") if user is None else user,
        ago(program.get("started"), now),
        command_line(program.get("argv") or (), program.get("command") or "?"),
    ]


def command_line(argv: Sequence[str], command: str) -> str:
    """A command line as one would type it; `[name]` for a program that hides its own."""
    if not argv or not any(argv):
        return f"[{command}]"
    plain = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-")
    words = [
        word
        if word and (plain.issuperset(word) or not word.isascii())
        else "'" + word.replace("'", "'\"'\"'") + "'"
        for word in argv
    ]
    return " ".join(words)
