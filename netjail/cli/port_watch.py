# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail port watch`: tells of the port that the provider lends, or runs a command on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from netjail import names
from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text
from netjail.cli.parser import VerbParser
from netjail.cli.program import ProgramParser
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    Lent = dict[str, Any]

_WAIT = 20.0
"""Seconds that the helper is asked to wait for news at a time."""
_START = "import sys; sys.path.insert(0, {!r}); from netjail.main import main; sys.exit(main())"


def parser() -> VerbParser:
    """The arguments of `port watch`."""
    parser = ProgramParser(
        "port watch",
        "[--once] [--outside] PROFILE [--] [COMMAND [ARGUMENT...]]",
        "Tells which port the VPN's provider lends to a profile (see `natpmp` in\n"
        "netjail.profile(5)), now and whenever it changes, until Ctrl-C. With COMMAND that is run\n"
        "instead each time there is a port or another one: as yourself, inside the profile's\n"
        "network, one after the other, with NETJAIL_PORT, NETJAIL_PORT_INSIDE and\n"
        "NETJAIL_PORT_ADDRESS in its environment. With --json each change is an object of its\n"
        "own.",
        examples=(
            ("netjail port watch vpn", ""),
            ("netjail port watch vpn -- sh -c 'transmission-remote -p $NETJAIL_PORT'", ""),
            ("netjail port watch --once vpn", "the port, as soon as there is one"),
        ),
    )
    parser.option("--once", action="store_true", help="end after the first port")
    parser.option("--outside", action="store_true", help="run COMMAND outside the profile")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{profile, lent, status}, with --once; `status`: of the command, null without one."""
    asked = {"profile": args.profile}
    answer = context.call("port.lent", "asking", **asked)
    _must_ask(answer, context)
    before: Lent | None = None
    while True:
        now: Lent | None = answer["lent"]
        if answer["known"] and now != before:
            status = None
            if args.program:
                if now is not None and now["port"] is not None:
                    status = _run(args, now)
            elif not args.once:
                _write(args.profile, now, context.output)
            if args.once and now is not None and now["port"] is not None:
                return Result({"profile": args.profile, "lent": now, "status": status})
            before = now
        known = answer["known"]
        answer = context.quietly("port.lent", **asked, known=known, wait=_WAIT)


def _must_ask(answer: dict[str, Any], context: Context) -> None:
    """Raise NetjailError for a profile from which nothing can be expected."""
    name = answer["profile"]
    if answer["lent"] is not None:
        return
    status = context.call("status", "asking", profile=name)["profile"]
    if status["state"] in ("up", "degraded"):
        raise NetjailError(
            "usage",
            f"profile {name} asks its provider for no port",
            f"netjail profile edit {name}: natpmp = true under [uplink]; then netjail up {name}",
        )


def _run(args: Namespace, lent: Lent) -> int:
    """The command's exit status; what it says goes where we would say it."""
    env = {
        **os.environ,
        "NETJAIL_PORT": str(lent["port"]),
        "NETJAIL_PORT_INSIDE": str(lent["internal"]),
        "NETJAIL_PORT_ADDRESS": lent["address"] or "",
        "NETJAIL_PORT_FILE": names.port_file(args.profile),
    }
    argv = args.program
    if not args.outside:
        root = os.path.dirname(os.path.dirname(os.path.abspath(names.__file__)))
        start = [sys.executable, "-P", "-c", _START.format(root)]
        argv = [*start, "run", "--no-wait", args.profile, "--", *argv]
    try:
        done = subprocess.run(argv, env=env, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise NetjailError("system", f"cannot run {argv[0]}: {error.strerror}") from None
    return done.returncode


def _write(profile: str, lent: Lent | None, output: Output) -> None:
    if output.json:
        output.out.write(json.dumps({"profile": profile, "lent": lent}) + "\n")
    else:
        output.line(*sentence(profile, lent))
    output.out.flush()


def render(data: dict[str, Any], output: Output) -> None:
    """One sentence, where no command was run."""
    if data["status"] is None:
        output.line(*sentence(data["profile"], data["lent"]))


def sentence(profile: str, lent: Lent | None) -> list[object]:
    """What is lent."""
    if lent is None:
        return [f"{profile} is not up, or asks for no port."]
    if lent["port"] is None:
        return [f"No port for {profile}: {lent['text']}."]
    where = f"{lent['address']} port " if lent["address"] else "port "
    return [where, Text(str(lent["port"]), "bold"), f" leads to {words(lent)} in {profile}."]


def words(lent: Lent) -> str:
    """Where it leads to."""
    return f"{' and '.join(lent['protocols'])} {lent['internal']}"
