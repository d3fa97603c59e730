# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail shell`: a shell in a profile's network."""

from __future__ import annotations

import os
import pwd

from netjail.cli.context import Context, Result
from netjail.cli.output import Output
from netjail.cli.parser import VerbParser
from netjail.cli.program import (
    EXITS,
    ProgramParser,
    by_helper,
    launch,
    program_options,
    relayed,
    resolve,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping
    from typing import Any

    from netjail.launch.identity import Identity


def parser() -> VerbParser:
    """The arguments of `shell`."""
    parser = ProgramParser(
        "shell",
        "[OPTIONS] PROFILE",
        "Opens your shell in a profile's network, which is brought up if it is down. What is\n"
        "started from it stays in that network. $NETJAIL holds the profile's name, and prompts\n"
        "that show $debian_chroot (Debian's and Ubuntu's do) show it.",
        examples=(
            ("netjail shell vpn", "leave it with `exit` or Ctrl-D"),
            ("sudo netjail shell -u root lab", "as root"),
        ),
        exits=EXITS,
        json=False,
    )
    program_options(parser)
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """Does not return when all goes well."""
    if args.program:
        error = parser().wrong(f"there is one argument too many: {args.program[0]}")
        error.hint = f"For one program: `netjail run {args.profile} PROGRAM ...`."
        raise error
    helped = by_helper(args)
    who = None if helped else resolve(args.user)
    env = dict(os.environb)
    env[b"NETJAIL"] = env[b"debian_chroot"] = args.profile.encode()
    if helped:
        shell = login_shell(None, None, os.environ)
        relayed(context, args, [shell], env=env)
    launch(context, args, [login_shell(args.user, who, os.environ)], who, env)


def login_shell(user: str | None, who: Identity | None, environ: Mapping[str, str]) -> str:
    """The shell of the user it will run as: from the user database, else $SHELL, else sh."""
    if who is not None:
        shells = [who.shell]
    else:
        try:
            shells = [pwd.getpwuid(os.geteuid()).pw_shell]
        except KeyError:
            shells = []
        # root by itself may prefer another one; after `sudo ... -u root` it is the caller's
        if user is None and environ.get("SUDO_UID") is None:
            shells.insert(0, environ.get("SHELL", ""))
    for shell in shells:
        if shell.startswith("/") and os.access(shell, os.X_OK):
            return shell
    return "/bin/sh"


def render(_data: dict[str, Any], _output: Output) -> None:
    """Nothing: stdout is the shell's."""
