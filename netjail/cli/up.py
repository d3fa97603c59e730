# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail up`: bring profiles up."""

from __future__ import annotations

import time

from netjail import names
from netjail.cli.context import Context, Result, collect
from netjail.cli.output import Output, Text
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from netjail.cli.parser import VerbParser

DEFAULT_WAIT = names.UP_WAIT
"""Seconds to wait for the first handshake of a tunnel."""

ONE_LOOK = 0.1
"""Seconds for one whose turn comes when the time is over: it may have its answer by then."""
TUNNELS = (None, "wireguard", "amneziawg", "openvpn", "openconnect")
"""Kinds of uplink whose answer is that of a tunnel's other end."""
CLOSED = "Programs inside have no other way out in the meantime; it goes on trying by itself."


def parser() -> VerbParser:
    """The arguments of `up`."""
    from netjail.cli.parser import VerbParser, profile_name, seconds

    parser = VerbParser(
        "up",
        "[--wait SECONDS] [--dialog] PROFILE... | --all",
        "Brings profiles up: makes each one's network namespace and connects it. What is up\n"
        "already is checked and, where something is missing, repaired. `netjail run` does this\n"
        "by itself; `up` is for doing it ahead of time.",
        examples=(
            ("netjail up vpn", "connect, wait up to 5 s for the tunnel to answer"),
            ("netjail up --wait 0 vpn lab", "two profiles, without waiting"),
            ("netjail up --all", "all that there are"),
        ),
        exits=(("0", "all are up (a tunnel that does not answer yet is up)"), ("1", "failed")),
    )
    parser.word(
        "profiles", nargs="*", metavar="PROFILE", type=profile_name, help="what to bring up"
    )
    parser.option("--all", action="store_true", help="every profile there is")
    parser.option(
        "--wait",
        type=seconds,
        default=DEFAULT_WAIT,
        metavar="SECONDS",
        help="how long to wait for a tunnel's first handshake (default: 5)",
    )
    parser.option(
        "--dialog",
        action="store_true",
        help="without a terminal: ask for a VPN's password in a window (zenity, kdialog)",
    )
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{results: [the helper's answer for each profile that came up]}."""
    if args.all == bool(args.profiles):
        raise parser().wrong(
            "either profiles or --all, not both" if args.all else "name the profiles, or say --all"
        )
    profiles = list(dict.fromkeys(args.profiles))
    if args.all:
        known = context.call("list", "listing the profiles")["profiles"]
        profiles = [profile["name"] for profile in known]
    results: dict[str, dict[str, Any]] = {}
    failures: list[tuple[str, NetjailError]] = []
    for name in profiles:
        try:
            results[name] = bring_up(context, name, args.wait if len(profiles) == 1 else 0)
        except NetjailError as error:
            failures.append((name, error))
    # with several, all are started before any is waited for
    deadline = time.monotonic() + args.wait
    for name, result in results.items():
        if len(profiles) > 1 and args.wait > 0:
            left = deadline - time.monotonic()
            try:
                waited = bring_up(context, name, max(left, ONE_LOOK))
                results[name] = {**waited, "changed": result.get("changed")}
            except NetjailError as error:
                failures.append((name, error))
    failed = {name for name, _ in failures}
    answers = [result for name, result in results.items() if name not in failed]
    return Result(
        {"results": answers, "all": args.all}, error=collect(failures, len(profiles), "brought up")
    )


def bring_up(context: Context, profile: str, wait: float) -> dict[str, Any]:
    """Ask the helper to bring one profile up; its answer."""
    result: dict[str, Any] = context.call(
        "up", f"bringing {profile} up", profile=profile, wait=wait
    )
    return result


def silent(result: dict[str, Any]) -> bool:
    """Whether the tunnel of what was brought up is known not to answer."""
    return result.get("answered") is False or result.get("state") == "degraded"


def no_answer(result: dict[str, Any]) -> str:
    """What is missing of a profile that is silent."""
    if "DHCP" in (result.get("reason") or ""):
        return "no DHCP server has given it an address yet"
    return "its tunnel does not answer yet"


def render(data: dict[str, Any], output: Output) -> None:
    """One line for each; warnings for those that do not answer."""
    if not data["results"] and data.get("all"):
        output.line("No profiles yet. `netjail import` or `netjail profile add` makes one.")
    for result in data["results"]:
        name = result["profile"]
        already = "" if result.get("changed") else " already"
        if silent(result):
            output.line(
                Text(name, "bold"), f" is up{already}, but ", Text(no_answer(result), "yellow"), "."
            )
            output.note("  ", CLOSED)
        else:
            answers = "; its tunnel answers" if result.get("answered") else ""
            if answers and result.get("kind") not in TUNNELS:
                answers = "; it has an address"
            output.line(Text(name, "bold"), f" is up{already}{answers}.")
