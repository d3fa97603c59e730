# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail port list`: the ports of a profile, one line each."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text
from netjail.cli.parser import VerbParser, profile_name
from netjail.cli.port_watch import sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `port list`."""
    parser = VerbParser(
        "port list",
        "[--json] PROFILE",
        "Lists the ports of a profile: where the host's programs reach a service inside (in), and\n"
        "where programs inside reach one of the host's (out), with how many connections there are\n"
        "now and have been; and the port that the VPN's provider lends, where one is asked for.",
        examples=(("netjail port list lab", ""),),
    )
    parser.word("profile", metavar="PROFILE", type=profile_name, help="whose ports")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{profile, state, ports: [...], lent} as the helper has it."""
    return Result(context.call("port.list", "listing the ports", profile=args.profile))


def render(data: dict[str, Any], output: Output) -> None:
    """A table, or what to do first."""
    if data.get("lent"):
        output.line(*sentence(data["profile"], data["lent"]))
    elif not data["ports"]:
        output.line(
            f"{data['profile']} has no ports. `netjail port add --help` shows how to open one."
        )
    if not data["ports"]:
        return
    output.table(
        ("WAY", "PROTOCOL", "LISTEN", "TO", "OPEN", "EVER", "NOTE"),
        [_row(port, data["state"]) for port in data["ports"]],
        right=(4, 5),
    )


def _row(port: dict[str, Any], state: str) -> list[object]:
    notes = [port["name"]] if port["name"] else []
    if port["added"]:
        notes.append("until it goes down")
    closed = Text("closed", "dim" if state == "down" else "yellow")
    return [
        "in" if port["way"] == "forward" else "out",
        port["protocol"],
        Text(port["listen"], "bold"),
        port["to"],
        port["connections"] if port["open"] else closed,
        port["served"] if port["open"] else "-",
        ", ".join(notes),
    ]
