# SPDX-License-Identifier: GPL-3.0-or-later
"""What `run` and `shell` share: the profile up, a word on its state, and into the jail."""

from __future__ import annotations

import argparse
import os

from netjail.cli.context import Context
from netjail.cli.parser import VerbParser, profile_name, seconds
from netjail.cli.up import CLOSED, DEFAULT_WAIT, bring_up, no_answer, silent
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import NoReturn

    from netjail.launch.identity import Identity

EXITS = (
    ("the program's", "when it ran (128+N: ended by signal N)"),
    ("125", "netjail failed before the program started"),
    ("126, 127", "the program cannot be executed, is not there"),
)


class ProgramParser(VerbParser):
    """Options up to the profile's name are ours, all that follows is the program's."""

    def parse(self, words: list[str]) -> Namespace:
        own, profile, program = split(words)
        args = super().parse(own)
        if profile is None:
            raise self.wrong("name the profile")
        args.profile = profile_name(profile)
        args.program = program
        return args


def split(words: list[str]) -> tuple[list[str], str | None, list[str]]:
    """Our options, the profile, and the program with its arguments.

    By hand, since argparse would take the program's options for ours.
    """
    position = 0
    while position < len(words):
        word = words[position]
        if word == "--":
            return words[:position], *_profile(words[position + 1 :])
        if len(word) < 2 or word[0] != "-":
            break
        position += 2 if word in ("-u", "--user", "--wait", "--action") else 1
    return words[:position], *_profile(words[position:])


def _profile(words: list[str]) -> tuple[str | None, list[str]]:
    if not words:
        return None, []
    rest = words[1:]
    return words[0], rest[1:] if rest[:1] == ["--"] else rest


def program_options(parser: VerbParser) -> None:
    """The options that `run` and `shell` have in common."""
    parser.option(
        "-u",
        "--user",
        metavar="USER",
        help="run as this user (default: the one who called sudo, else root)",
    )
    parser.option(
        "--wait",
        type=seconds,
        default=None,
        metavar="SECONDS",
        help="how long to wait for the tunnel to answer (default: 5 where it was down, else 0)",
    )
    parser.option("--no-wait", action="store_true", help="the same as --wait 0")
    parser.option("--via-helper", action="store_true", help=argparse.SUPPRESS)


def by_helper(args: Namespace) -> bool:
    """Whether the helper is to start the program, as whoever we are. Raises NetjailError."""
    root = os.geteuid() == 0
    if root and not args.via_helper:
        return False
    if args.user is not None:
        raise NetjailError(
            "not-authorised" if not root else "usage",
            "only root may run programs as another user",
            "Without -u it runs as you; as another user: sudo netjail ... -u USER.",
        )
    return True


def relayed(
    context: Context,
    args: Namespace,
    argv: list[str],
    *,
    env: dict[bytes, bytes] | None = None,
    detach: bool = False,
) -> NoReturn:
    """Have the helper bring the profile up and start `argv` inside, and end like it."""
    from netjail.cli import relay

    entries = None if env is None else [name + b"=" + value for name, value in env.items()]
    wait = 0.0 if args.no_wait else args.wait
    relay.run(context, args.profile, argv, wait=wait, detach=detach, env=entries)


def resolve(user: str | None) -> Identity | None:
    """Who the program is to run as; see launch.identity. For root, who alone may choose."""
    from netjail.launch import identity

    return identity.resolve(user, dict(os.environb))


def prepare(context: Context, profile: str, args: Namespace) -> None:
    """Bring the profile up; a warning when its tunnel does not answer."""
    wait = 0.0 if args.no_wait else args.wait
    result = bring_up(context, profile, 0)
    # A tunnel that stood before is not waited for, unless one asks for it: whatever there was
    # to wait for has had its time.
    if wait is None:
        wait = DEFAULT_WAIT if result.get("changed") else 0
    if wait > 0:
        result = bring_up(context, profile, wait)
    if silent(result):
        context.output.warning(f"{profile} is up, but {no_answer(result)}", CLOSED)


def launch(
    context: Context,
    args: Namespace,
    argv: list[str],
    who: Identity | None,
    env: dict[bytes, bytes] | None = None,
) -> NoReturn:
    """Bring the profile up and become `argv` inside, as `who` (None: as we are).

    Raises NetjailError, or SystemExit (126, 127) when the program cannot be executed.
    """
    from netjail.launch import enter

    profile = args.profile
    prepare(context, profile, args)
    try:
        plan = enter.read_enter(profile)
    except NetjailError as error:
        if error.code != "not-up":
            raise
        bring_up(context, profile, 0)  # somebody took it down this moment
        plan = enter.read_enter(profile)

    def tell() -> None:
        # inside, so that the helper can see that it is true; locked, so that it does not go down
        context.call("enter", profile=profile, pid=os.getpid())

    context.output.out.flush()
    context.output.err.flush()
    inside = tell if plan.stop == "when-idle" else None
    enter.start(plan, argv, who, dict(os.environb) if env is None else env, inside)
