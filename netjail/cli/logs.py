# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail logs`: what has happened to a profile's network, in words."""

from __future__ import annotations

import argparse
import json
import time

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, clean, state_text
from netjail.cli.parser import VerbParser, profile_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_WAIT = 20.0
"""Seconds that the helper is asked to wait for the next line at a time."""


def parser() -> VerbParser:
    """The arguments of `logs`."""
    parser = VerbParser(
        "logs",
        "[OPTIONS] PROFILE",
        "Shows what has happened to a profile's network: when it came up, when its tunnel fell\n"
        "silent or the host's network changed, what was done about it, when it answered again.\n"
        "The last 500 lines are kept until the machine is restarted. With -f and --json each\n"
        "line is an object of its own.",
        examples=(
            ("netjail logs vpn", ""),
            ("netjail logs vpn -f", "go on as more happens, until Ctrl-C"),
            ("netjail logs vpn --since 2h", "the last two hours"),
        ),
    )
    parser.word("profile", metavar="PROFILE", type=profile_name, help="whose")
    parser.option("-f", "--follow", action="store_true", help="go on as more happens")
    parser.option(
        "--since",
        type=_moment,
        default=0.0,
        metavar="TIME",
        help="not what is older: `90s`, `10m`, `2h`, `1d`, or a time as 2026-01-31T18:00",
    )
    return parser


def _moment(text: str) -> float:
    """Unix seconds."""
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = _UNITS.get(text[len(number) :])
    if number.isascii() and number.isdecimal() and unit is not None:
        return time.time() - int(number) * unit
    for form in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"):
        try:
            return time.mktime(time.strptime(text, form))
        except (ValueError, OverflowError):
            continue
    raise argparse.ArgumentTypeError(f"`{text}` is no time: 90s, 10m, 2h, 1d, 2026-01-31T18:00")


def execute(args: Namespace, context: Context) -> Result:
    """{profile, lines: [{n, time, state, text}]}; with -f they are written as they come."""
    wanted = {"profile": args.profile, "since": args.since}
    lines = context.call("logs", "reading", **wanted)["lines"]
    if not lines:  # is there such a profile at all?
        context.call("status", "reading", profile=args.profile)
    if not args.follow:
        return Result({"profile": args.profile, "lines": lines})
    last = 0
    while True:  # until Ctrl-C
        for line in lines:
            last = line["n"]
            _write(line, context.output)
        context.output.out.flush()
        lines = context.quietly("logs", **wanted, after=last, wait=_WAIT)["lines"]


def _write(line: dict[str, Any], output: Output) -> None:
    if output.json:
        output.out.write(json.dumps(line) + "\n")
    else:
        output.line(*_words(line))


def _words(line: dict[str, Any]) -> list[Any]:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line["time"]))
    state = line["state"] or ""
    shown = state_text(state) if state else ""
    return [Text(when, "dim"), "  ", shown, " " * (10 - len(state)), clean(line["text"])]


def render(data: dict[str, Any], output: Output) -> None:
    """A line each."""
    if not data["lines"]:
        output.line(f"Nothing has happened to {data['profile']} since.")
    for line in data["lines"]:
        output.line(*_words(line))
