# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail demo`: hands over to netjail.demo, which has options of its own."""

from __future__ import annotations

from netjail.cli.context import Context, Result
from netjail.cli.output import Output
from netjail.cli.parser import VerbParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `demo`."""
    parser = VerbParser(
        "demo",
        "[--quick] [--pause] [--json]",
        "Shows netjail at work: builds a little internet with a VPN provider in it, in\n"
        "namespaces that are thrown away afterwards, imports the provider's file, and shows\n"
        "side by side what the outside sees with and without netjail. Touches nothing of\n"
        "yours; Ctrl-C ends it and cleans up.",
        examples=(
            ("sudo netjail demo", "takes some 10 s"),
            ("sudo netjail demo --pause", "stop at the end, to look around"),
        ),
        exits=(("0", "every claim holds"), ("1", "one does not, or the demo cannot run here")),
    )
    parser.option("--quick", action="store_true", help="leave out what repeats")
    parser.option("--pause", action="store_true", help="wait at the end, to look around")
    parser.option("--no-color", action="store_true", help="as with NO_COLOR=1")
    return parser


def execute(args: Namespace, _context: Context) -> Result:
    """Run the demo, which renders by itself, --json included; its exit status is ours."""
    from netjail.demo import demo

    options = ("quick", "pause", "no_color", "json")
    words = [f"--{name.replace('_', '-')}" for name in options if getattr(args, name)]
    return Result({}, exit=demo.main(words))


def render(_data: dict[str, Any], _output: Output) -> None:
    """Nothing: the demo has told its story."""
