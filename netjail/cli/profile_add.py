# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail profile add`: store a profile written by hand."""

from __future__ import annotations

from netjail.cli import reading
from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text
from netjail.cli.parser import VerbParser, profile_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `profile add`."""
    parser = VerbParser(
        "profile add",
        "[--name NAME] [--replace] FILE",
        "Stores a profile written by hand, in TOML. For a VPN provider's file, see\n"
        "`netjail import`. The smallest profiles:\n"
        "\n"
        "  version = 1                version = 1\n"
        "  [uplink]                   [uplink]\n"
        '  kind = "veth"              kind = "none"\n'
        "\n"
        "veth is the host's own network through NAT, none is loopback only.",
        examples=(
            ("netjail profile add lab.toml", "the profile is called lab"),
            ("netjail profile add - --name lab <x.toml", "from standard input"),
        ),
        exits=(("0", "the profile is stored"), ("1", "refused; nothing was changed")),
    )
    parser.word("file", metavar="FILE", help="the file; - for standard input")
    parser.option(
        "--name", metavar="NAME", type=profile_name, help="the profile's name (default: the file's)"
    )
    parser.option("--replace", action="store_true", help="replace a profile of that name")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{profile, warnings}."""
    text = reading.read(args.file)
    name = args.name or reading.name_from(args.file)
    answer = context.call(
        "profile.add", "storing the profile", name=name, text=text, replace=args.replace
    )
    return Result({"profile": name, "warnings": list(answer.get("warnings", ()))})


def render(data: dict[str, Any], output: Output) -> None:
    """One line, and what to know."""
    output.line("Stored ", Text(data["profile"], "bold"), ".")
    for warning in data["warnings"]:
        output.line(Text("Note: ", "yellow"), warning)
