# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail down`: take profiles down."""

from __future__ import annotations

from netjail.cli.context import Context, Result, collect
from netjail.cli.output import Output, Text
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from netjail.cli.parser import VerbParser


def parser() -> VerbParser:
    """The arguments of `down`."""
    from netjail.cli.parser import VerbParser, profile_name

    parser = VerbParser(
        "down",
        "[--kill] PROFILE... | --all",
        "Takes profiles down: their network namespaces go, and everything netjail made for\n"
        "them. While programs run in one it stays up, unless --kill ends them (SIGTERM, and\n"
        "SIGKILL 5 s later).",
        examples=(
            ("netjail down vpn", "refused while programs run in it"),
            ("netjail down --all --kill", "everything, now"),
        ),
        exits=(("0", "all are down (also when they were before)"), ("1", "something is not")),
    )
    parser.word(
        "profiles", nargs="*", metavar="PROFILE", type=profile_name, help="what to take down"
    )
    parser.option("--all", action="store_true", help="every profile that is up")
    parser.option("--kill", action="store_true", help="end the programs that run inside")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{results: [the helper's answer for each profile]}; errors of any in `error`."""
    if args.all == bool(args.profiles):
        raise parser().wrong(
            "name the profiles, or say --all"
            if not args.all
            else "either profiles or --all, not both"
        )
    profiles = None if args.all else list(dict.fromkeys(args.profiles))
    waiting = "taking everything down" if profiles is None else f"taking {', '.join(profiles)} down"
    answer = context.call("down", waiting, profiles=profiles, kill=args.kill)
    results: list[dict[str, Any]] = answer["results"]
    failures = [
        (result["profile"], NetjailError.from_dict(error))
        for result in results
        for error in result.get("errors", ())
    ]
    error = collect(failures, len(results), "taken down")
    if len(results) == 1 and len(failures) > 1:
        first = failures[0][1]
        error = NetjailError(
            first.code, first.message, first.hint, tuple(e.message for _, e in failures[1:])
        )
    return Result({"results": results}, error=error)


def render(data: dict[str, Any], output: Output) -> None:
    """One line for each profile that is down now."""
    if not data["results"]:
        output.line("Nothing is up.")
    for result in data["results"]:
        if result.get("errors"):
            continue
        already = "" if result.get("changed") else " already"
        output.line(Text(result["profile"], "bold"), f" is down{already}.")
