# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail help`: the help of a verb."""

from __future__ import annotations

from netjail.cli import app, verbs
from netjail.cli.context import Context, Result
from netjail.cli.output import Output
from netjail.cli.parser import VerbParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `help`."""
    parser = VerbParser(
        "help",
        "[VERB]",
        "Explains a verb, with examples; without one, lists them all.",
        examples=(("netjail help run", ""), ("netjail help profile edit", "")),
        json=False,
    )
    parser.word("verb", nargs="*", metavar="VERB", help="one of those that `netjail --help` lists")
    return parser


def execute(args: Namespace, _context: Context) -> Result:
    """{text}: the same as VERB --help."""
    words = args.verb
    if not words or (len(words) == 1 and words[0] in verbs.FAMILIES):
        return Result({"text": app.all_verbs(words[0] + " " if words else "")})
    verb, rest = verbs.find(words)
    if rest:
        raise parser().unknown(rest[0])
    return Result({"text": app.load(verb).parser().format_help()})


def render(data: dict[str, Any], output: Output) -> None:
    """The text."""
    output.help(data["text"])
