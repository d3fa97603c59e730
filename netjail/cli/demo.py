# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail demo`: hands over to netjail.demo, which has options of its own."""

from __future__ import annotations

import argparse

from netjail.cli.context import Context, Result
from netjail.cli.output import Output
from netjail.cli.parser import HelpAskedError, VerbParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _DemoParser(VerbParser):
    def parse(self, words: list[str]) -> argparse.Namespace:
        """Everything but -h goes on to the demo."""
        if any(word in ("-h", "--help") for word in words):
            raise HelpAskedError(self.format_help())
        return argparse.Namespace(words=words)


def parser() -> VerbParser:
    """The arguments of `demo`."""
    return _DemoParser(
        "demo",
        "",
        "Shows netjail at work: builds a little internet with a VPN provider in it, in\n"
        "namespaces that are thrown away afterwards, imports the provider's file, and shows\n"
        "side by side what the outside sees with and without netjail. Touches nothing of\n"
        "yours; Ctrl-C ends it and cleans up.",
        examples=(("sudo netjail demo", ""),),
        json=False,
    )


def execute(args: argparse.Namespace, _context: Context) -> Result:
    """Run the demo; its exit status is ours."""
    from netjail.demo import demo

    return Result({}, exit=int(demo.main(args.words) or 0))


def render(_data: dict[str, Any], _output: Output) -> None:
    """Nothing: the demo has told its story."""
