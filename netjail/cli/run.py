# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail run`: a program in a profile's network.

The way taken when the profile is not up yet; when it is, netjail.main enters by itself.
"""

from __future__ import annotations

from netjail.cli import copies
from netjail.cli.context import Context, Result
from netjail.cli.output import Output
from netjail.cli.parser import VerbParser
from netjail.cli.program import (
    EXITS,
    ProgramParser,
    by_helper,
    launch,
    program_options,
    relayed,
    resolve,
)
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `run`."""
    parser = ProgramParser(
        "run",
        "[OPTIONS] PROFILE [--] PROGRAM [ARGUMENT...]",
        "Runs a program in a profile's network, which is brought up if it is down. The program\n"
        "keeps your directory, environment and terminal; called through sudo it runs as you.\n"
        "All that follows PROFILE is the program's, so our own options come before it.\n"
        "A program that would hand its job to a copy of itself outside gets a copy of its own.",
        examples=(
            ("netjail run vpn firefox", ""),
            ("netjail run vpn org.gnome.Maps.desktop", "an application of the menu"),
            ("netjail run vpn -- curl -s https://example.net", "`--` may be left out"),
            ("sudo netjail run -u root lab tcpdump -ni any", "as root"),
        ),
        exits=EXITS,
        json=False,
    )
    program_options(parser)
    parser.option(
        "-d",
        "--detach",
        action="store_true",
        help="return as soon as the program runs, in a session of its own without terminal",
    )
    parser.option(
        "--notify",
        action="store_true",
        help="show errors as notifications too, for launchers that have no terminal",
    )
    copies.options(parser)
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """Does not return when all goes well."""
    if not args.program:
        error = parser().wrong("name the program")
        error.hint = f"For a shell: `netjail shell {args.profile}`.\n{error.hint}"
        raise error
    if args.program[0].startswith("-"):
        error = parser().wrong(f"{args.program[0]} stands where the program's name should")
        error.hint = f"Options of netjail come before the profile.\n{error.hint}"
        raise error
    argv = args.program
    if copies.concerns(args):
        argv = copies.prepare(context, args)
    if by_helper(args):
        relayed(context, args, argv, detach=args.detach)
    if args.detach:
        raise NetjailError(
            "usage",
            "--detach is for users: root's programs are started by this very process",
            "`setsid --fork netjail run ...` does the same.",
        )
    who = resolve(args.user)
    launch(context, args, argv, who)


def render(_data: dict[str, Any], _output: Output) -> None:
    """Nothing: stdout is the program's."""
