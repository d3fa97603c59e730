# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail kill`: send a signal to programs in a jail."""

from __future__ import annotations

import signal

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, plural
from netjail.cli.parser import VerbParser, profile_name
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


class _KillParser(VerbParser):
    def parse(self, words: list[str]) -> Namespace:
        """As kill(1) has it, `-9` and `-KILL` stand for `-s 9` and `-s KILL`."""
        return super().parse([f"--signal={w[1:]}" if _short(w) else w for w in words])


def _short(word: str) -> bool:
    return word.startswith("-") and len(word) > 1 and (word[1].isdigit() or word[1].isupper())


def parser() -> VerbParser:
    """The arguments of `kill`."""
    parser = _KillParser(
        "kill",
        "[-s SIGNAL] PROFILE [PID...]",
        "Sends a signal to the programs that run in a profile's network: to all of them, or\n"
        "to those named by PID (which must run inside). Signals have names and numbers, as\n"
        "for kill(1): -s HUP, -s SIGHUP, -s 1, -HUP and -1 are the same.",
        examples=(
            ("netjail kill vpn", "ask all programs in vpn to end"),
            ("netjail kill -9 vpn 4711", "end one at once"),
        ),
    )
    parser.word("profile", metavar="PROFILE", type=profile_name, help="the profile they run in")
    parser.word("pids", nargs="*", metavar="PID", type=int, help="process ids (default: all)")
    parser.option(
        "-s", "--signal", default="TERM", metavar="SIGNAL", help="name or number (default: TERM)"
    )
    return parser


def signal_number(text: str) -> int:
    """The number of a signal given by name (with or without SIG) or number; raises `usage`."""
    if text.isascii() and text.isdigit():
        number = int(text)
        if 1 <= number < signal.NSIG:
            return number
    else:
        name = text.upper().removeprefix("SIG")
        found = signal.Signals.__members__.get("SIG" + name)
        if found is not None:
            return int(found)
    raise NetjailError(
        "usage", f"there is no signal {text}", "`kill -l` lists the signals of this system."
    )


def execute(args: Namespace, context: Context) -> Result:
    """{profile, signal: number, signalled: [pid]}."""
    number = signal_number(args.signal)
    answer = context.call(
        "kill",
        "sending the signal",
        profile=args.profile,
        pids=args.pids or None,
        signal=number,
    )
    return Result({"profile": args.profile, "signal": number, "signalled": answer["signalled"]})


def render(data: dict[str, Any], output: Output) -> None:
    """One sentence."""
    pids = data["signalled"]
    if not pids:
        output.line(f"No programs run in {data['profile']}.")
        return
    try:
        name = signal.Signals(data["signal"]).name
    except ValueError:
        name = f"signal {data['signal']}"
    listed = ", ".join(map(str, pids))
    output.line(f"Sent {name} to {plural(len(pids), 'process', 'processes')}: {listed}.")
