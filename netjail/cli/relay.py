# SPDX-License-Identifier: GPL-3.0-or-later
"""`run` and `shell` for whoever is not root: the helper starts the program, we wait for its end."""

from __future__ import annotations

import sys
import time

from netjail import names
from netjail.cli.context import Context
from netjail.cli.output import Output
from netjail.cli.up import CLOSED, no_answer, silent
from netjail.errors import NetjailError
from netjail.launch import asking, request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Begin = Callable[[], request.Launch | None]

_ATTEMPTS = 3
"""A profile may be taken down between the helper's answer and the entering."""


def run(
    context: Context,
    profile: str,
    argv: list[str],
    *,
    wait: float | None,
    detach: bool,
    env: list[bytes] | None = None,
) -> NoReturn:
    """Have the helper, which is started if need be, run `argv` in a profile. Does not return.

    Raises NetjailError, SystemExit (126, 127).
    """

    def begin() -> request.Launch | None:
        return request.begin(
            profile,
            argv,
            env=env,
            wait=wait,
            detach=detach,
            interactive=context.output.ask_password,
        )

    _follow(context, begin, profile)


def resume(launch: request.Launch, begin: Begin, profile: str, words: list[str]) -> int:
    """Go on with a launch to which the helper has said something else than that it has begun;
    gives the exit status, if it does not end like the program."""
    output = Output()
    output.verb = "run"
    try:
        _follow(Context(output, words), begin, profile, launch)
    except NetjailError as error:
        output.error(error)
        if error.code == "usage":
            return names.EXIT_USAGE
        return names.EXIT_INTERRUPTED if error.code == "interrupted" else names.EXIT_RUN_FAILED


def _follow(
    context: Context, begin: Begin, profile: str, launch: request.Launch | None = None
) -> NoReturn:
    for attempt in range(_ATTEMPTS):
        try:
            if launch is None:
                launch = _begin(context, begin)
            result = _answer(context, begin, profile, launch)
            if silent(result):
                context.output.warning(f"{profile} is up, but {no_answer(result)}", CLOSED)
            context.output.err.flush()
            launch.finish()
        except asking.FailedError as failed:
            if failed.code == "exec":
                say(failed.message)
                raise SystemExit(failed.status) from None
            if failed.code != "not-up" or attempt == _ATTEMPTS - 1:
                raise error_of(failed) from None
            launch = None
        except NetjailError as error:
            if error.code == "credentials-needed" and attempt < _ATTEMPTS - 1:
                from netjail.cli import credentials

                credentials.supply(context, error)
                launch = None
                continue
            # It has done nothing of it; the next helper is asked.
            if error.code != "ending" or attempt == _ATTEMPTS - 1:
                raise
            launch = None
            context.forget_helper()
            time.sleep(0.05)  # it does not listen any more, or will not in a moment
    raise AssertionError


def _begin(context: Context, begin: Begin) -> request.Launch:
    launch = begin()
    if launch is None:
        context.call("hello")  # which starts one
        launch = begin()
    if launch is None:
        raise NetjailError("no-helper", "the helper takes no requests", "run the command again")
    return launch


def _answer(context: Context, begin: Begin, profile: str, launch: request.Launch) -> dict[str, Any]:
    with context.progress(f"bringing {profile} up") as progress:
        try:
            return launch.answer(progress.show)
        except NetjailError as refused:
            if not refused.prompt or not context.output.ask_password:
                raise
            progress.pause(True)
            from netjail.agent import Agent

            with Agent(refused):
                again = begin()
                if again is None:
                    raise
                result = again.answer(lambda _text: None)
            launch.replace(again)
            progress.pause(False)
            return result


def error_of(failed: asking.FailedError) -> NetjailError:
    """The error that the spawner's child met."""
    return NetjailError.from_dict(
        {"code": failed.code, "message": failed.message, "hint": failed.hint}
    )


def say(message: str) -> None:
    """As the program's shell would: it is not netjail that failed."""
    try:
        sys.stderr.write(f"netjail: {message}\n")
        sys.stderr.flush()
    except OSError:
        pass
    if "--notify" in sys.argv:
        from netjail.cli import notifying

        notifying.failed(message)
