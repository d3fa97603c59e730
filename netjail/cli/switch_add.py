# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail switch add`: store a switch."""

from __future__ import annotations

from netjail.cli import reading
from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text
from netjail.cli.parser import VerbParser, switch_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `switch add`."""
    parser = VerbParser(
        "switch add",
        "[--name NAME] [--replace] FILE",
        "Stores a switch, written in TOML. The smallest one, on which profiles meet and the\n"
        "host is not:\n"
        "\n"
        "  version = 1\n"
        "\n"
        "A profile joins it by\n"
        "\n"
        "  [[link]]\n"
        '  switch = "lab"\n'
        '  address = "10.20.0.1/24"',
        examples=(
            ("netjail switch add lab.toml", "the switch is called lab"),
            ("netjail switch add - --name lab <x.toml", "from standard input"),
        ),
        exits=(("0", "the switch is stored"), ("1", "refused; nothing was changed")),
    )
    parser.word("file", metavar="FILE", help="the file; - for standard input")
    parser.option(
        "--name", metavar="NAME", type=switch_name, help="the switch's name (default: the file's)"
    )
    parser.option("--replace", action="store_true", help="replace a switch of that name")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{switch, warnings}."""
    text = reading.read(args.file)
    name = args.name or reading.name_from(args.file)
    answer = context.call(
        "switch.add", "storing the switch", name=name, text=text, replace=args.replace
    )
    return Result({"switch": name, "warnings": list(answer.get("warnings", ()))})


def render(data: dict[str, Any], output: Output) -> None:
    """One line, and what to know."""
    output.line("Stored ", Text(data["switch"], "bold"), ".")
    for warning in data["warnings"]:
        output.line(Text("Note: ", "yellow"), warning)
