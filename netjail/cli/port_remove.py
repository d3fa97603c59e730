# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail port remove`: close a port of a profile that is up."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text
from netjail.cli.parser import VerbParser, profile_name
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `port remove`."""
    parser = VerbParser(
        "port remove",
        "[--forward | --expose] [--udp] PROFILE LISTEN",
        "Closes a port of a profile that is up, and breaks off the connections by it. One that\n"
        "stands in the profile's file comes back when the profile goes up the next time.",
        examples=(("netjail port remove lab 9091", ""),),
    )
    parser.word("profile", metavar="PROFILE", type=profile_name, help="a profile that is up")
    parser.word("listen", metavar="LISTEN", help="where it listens, as `port list` shows it")
    parser.option("--forward", action="store_true", help="from the host to inside")
    parser.option("--expose", action="store_true", help="from inside to the host")
    parser.option("--udp", action="store_true", help="UDP in place of TCP")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{profile, removed: [port]}."""
    if args.forward and args.expose:
        raise NetjailError("usage", "--forward and --expose are the two ways: take one of them")
    way = "forward" if args.forward else "expose" if args.expose else None
    return Result(
        context.call(
            "port.remove",
            f"closing a port of {args.profile}",
            profile=args.profile,
            way=way,
            listen=args.listen,
            protocol="udp" if args.udp else "tcp",
        )
    )


def render(data: dict[str, Any], output: Output) -> None:
    """One line."""
    for port in data["removed"]:
        output.line("Closed ", Text(f"{port['protocol']} {port['listen']}", "bold"), ".")
