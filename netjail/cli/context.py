# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verb works with: the helper, the output, the person at the terminal."""

from __future__ import annotations

import os
import sys

from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from netjail.cli.output import Output
    from netjail.cli.progress import Progress

    class Caller(Protocol):
        """The part of client.Client that verbs use."""

        descriptors: list[int] | None

        def call(
            self,
            method: str,
            params: dict[str, Any] | None = None,
            progress: Callable[[str], None] | None = None,
        ) -> dict[str, Any]: ...


class Result:
    """What a verb found or did. `exit`: the exit status; `error`: what went wrong beside it."""

    __slots__ = ("data", "error", "exit")

    def __init__(
        self, data: dict[str, Any], exit: int = 0, error: NetjailError | None = None
    ) -> None:
        self.data = data
        self.exit = exit or (1 if error is not None else 0)
        self.error = error


class Context:
    """Handed to every verb. `connect` is client.connect unless a test says otherwise."""

    def __init__(
        self,
        output: Output,
        argv: list[str] | None = None,
        connect: Callable[[], Caller] | None = None,
    ) -> None:
        self.output = output
        self.argv = argv or []
        self._connect = connect
        self._client: Caller | None = None
        self._progress: Progress | None = None

    def call(self, method: str, waiting: str = "waiting for the helper", **params: Any) -> Any:
        """Ask the helper; says what it waits for when that takes a while.

        The result is the dict of the helper's method (Any: its shape is checked by the helper's
        tests, not here). Raises what the helper raised. Where it lacks what only the user knows,
        as a VPN's password, that is asked for.
        """
        try:
            return self.call_once(method, waiting, **params)
        except NetjailError as error:
            if error.code != "credentials-needed":
                raise
            from netjail.cli import credentials

            credentials.supply(self, error)
        return self.call_once(method, waiting, **params)

    def call_once(self, method: str, waiting: str = "waiting for the helper", **params: Any) -> Any:
        """As `call`, without a question to the user."""
        with self.progress(waiting) as progress:
            self._progress = progress
            if self._client is None:
                progress.show("starting the helper")
                self._client = self.connect()
                progress.show(waiting)
            return self._client.call(method, params, progress=progress.show)

    def quietly(self, method: str, **params: Any) -> Any:
        """As `call`, for what is meant to take long: nothing is said of waiting."""
        client = self._client = self._client or self.connect()
        return client.call(method, params)

    def call_for_descriptors(
        self, method: str, waiting: str, **params: Any
    ) -> tuple[Any, list[int]]:
        """The same for a method whose result comes with descriptors, which are ours then."""
        client = self._client = self._client or self.connect()
        found: list[int] = []
        client.descriptors = found
        try:
            return self.call(method, waiting, **params), found
        finally:
            client.descriptors = None

    def forget_helper(self) -> None:
        """The next call is to another helper."""
        self._client = None

    def connect(self) -> Caller:
        """A connection to the helper, which is started if need be."""
        if self._connect is not None:
            return self._connect()
        from netjail import client

        connected = client.connect(start=True)
        connected.ask_password = self.output.ask_password
        connected.prompting = self._prompting
        return connected

    def _prompting(self, begins: bool) -> None:
        """The terminal belongs to whoever asks for a password, and then is ours again."""
        if self._progress is not None:
            self._progress.pause(begins)

    def require_root(self) -> None:
        """Raise not-authorised with what to type instead; a later version asks polkit."""
        if os.geteuid() != 0:
            command = " ".join(["sudo netjail", *self.argv[:2]])
            runs = self.argv[:1] in (["run"], ["shell"])
            raise NetjailError(
                "not-authorised",
                "this version of netjail works as root only",
                f"Try `{command}{' ...' if len(self.argv) > 2 else ''}`"
                + (": it starts the program as you, not as root." if runs else "."),
            )

    def progress(self, message: str) -> Progress:
        """A context that shows `message` on stderr once a second has passed."""
        from netjail.cli.progress import Progress

        return Progress(self.output.err, message)

    def interactive(self) -> bool:
        """Whether there is someone to ask."""
        return not self.output.json and sys.stdin is not None and sys.stdin.isatty()

    def confirm(self, question: str, default: bool = False) -> bool:
        """Ask on the terminal. End of input counts as no."""
        err = self.output.err
        while True:
            err.write(err.paint(question) + (" [Y/n] " if default else " [y/N] "))
            err.flush()
            answer = sys.stdin.readline()
            word = answer.strip().lower()
            if not answer:
                err.line()
                return False
            if not word:
                return default
            if word in ("y", "yes", "n", "no"):
                return word[0] == "y"


def _named(name: str, message: str) -> str:
    return message if name in message.split() else f"{name}: {message}"


def collect(
    failures: list[tuple[str, NetjailError]], total: int, what: str, nouns: str = "profiles"
) -> NetjailError | None:
    """One error for several profiles, or other things. A single one stands for itself where it
    was the only."""
    if not failures:
        return None
    if total == 1:
        return failures[0][1]
    codes = {error.code for _, error in failures}
    hints = list(dict.fromkeys(error.hint for _, error in failures if error.hint))
    if len(codes) == 1:
        del hints[1:]  # they say the same with other names
    return NetjailError(
        codes.pop() if len(codes) == 1 else "system",
        f"{len(failures)} of {total} {nouns} could not be {what}",
        "\n".join(hints) or None,
        tuple(
            line
            for name, error in failures
            for line in (_named(name, error.message), *error.problems)
        ),
    )
