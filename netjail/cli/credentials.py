# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VPN's server wants to know of the user, asked for on the terminal, or in a window where a
launcher or the tray has started the command.

Answers go to the helper by its socket, and nowhere else: not into a log, an argument, a file.
"""

from __future__ import annotations

import sys

from netjail.cli.output import clean
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from netjail.cli.context import Context

ROUNDS = 4
"""How often a server may ask one thing more."""
WAIT = 30
"""Seconds for a server to say whether it takes the answers."""
_LENGTH = 80


def by_profile(error: NetjailError) -> dict[str, list[dict[str, Any]]]:
    """The questions of an error, by the profile whose server asks."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in error.wanted:
        found.setdefault(str(each.get("profile")), []).append(each)
    return found


def ask(profile: str, questions: Sequence[dict[str, Any]], window: bool = False) -> dict[str, str]:
    """The answers, by the questions' names. Raises "interrupted" where there is none."""
    answers = {}
    for question in questions:
        text = clean(str(question.get("prompt")))[:_LENGTH]
        visible = bool(question.get("echo"))
        answer = (_in_a_window if window else _on_the_terminal)(profile, text, visible)
        if not answer:
            raise NetjailError("interrupted", "nothing was answered")
        answers[str(question.get("name"))] = answer
    return answers


def _in_a_window(profile: str, text: str, visible: bool) -> str | None:
    from netjail.desktop import question

    return question.ask(f"netjail: {profile}", f"{profile}: {text}", visible)


def _on_the_terminal(profile: str, text: str, visible: bool) -> str | None:
    import getpass  # where somebody has to type, time is no matter

    read: Callable[[str], str] = _visible if visible else getpass.getpass
    try:
        return read(f"{profile}: {text}: ")
    except (EOFError, OSError):
        return None


def by_window(context: Context, words: Sequence[str]) -> bool:
    """Whether to ask in a window: nobody is at a terminal, and the command line (`words`) is one
    of the tray's or a launcher's. Scripts are never held up by one."""
    if context.interactive() or context.output.json:
        return False
    own = words[: words.index("--")] if "--" in words else words
    if not {"--dialog", "--notify", "--detach", "-d"} & set(own):
        return False
    from netjail.desktop import question

    return question.possible()


def _visible(prompt: str) -> str:
    """As getpass does, on the terminal itself: stdout may be somebody's file."""
    with open("/dev/tty", "r+b", buffering=0) as terminal:
        terminal.write(prompt.encode())
        line = bytearray()
        while not line.endswith(b"\n"):
            data = terminal.read(1024)
            if not data:
                raise EOFError
            line += data
    return line.decode(errors="replace").rstrip("\r\n")


def supply(context: Context, error: NetjailError) -> None:
    """Ask for all that an error says is wanted, and have the helper go on with it, until it needs
    no more. Raises the error itself where nobody can be asked, or what the helper raises."""
    window = by_window(context, sys.argv[1:])
    for _ in range(ROUNDS):
        nobody = not (window or context.interactive())
        if error.code != "credentials-needed" or not error.wanted or nobody:
            raise error
        try:
            for profile, questions in by_profile(error).items():
                context.call_once(
                    "up",
                    f"bringing {profile} up",
                    profile=profile,
                    wait=WAIT,
                    credentials=ask(profile, questions, window),
                )
            return
        except NetjailError as another:
            error = another
    raise error
