# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody to ask for a password on the terminal: polkit's own text agent, for as long as needed.

Started only after polkit has said that it would ask if there were anybody to ask, so that a session
with an agent of its own (every desktop has one) never pays for it.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import termios
from types import TracebackType
from typing import Any

from netjail.errors import NetjailError

PROGRAM = "pkttyagent"
START_SECONDS = 5.0
END_SECONDS = 2.0


class Agent:
    """A context in which polkit can ask for a password on this terminal, about this process.

    Entering raises `refused`, the error that led here, with a hint that says what is missing.
    """

    def __init__(self, refused: NetjailError) -> None:
        self._refused = refused
        self._process: subprocess.Popen[bytes] | None = None
        self._settings: list[Any] | None = None

    def __enter__(self) -> Agent:
        if not os.isatty(0):
            raise self._refused
        if os.tcgetpgrp(0) != os.getpgrp():
            raise self._hinted("bring the command to the foreground (fg), and run it again")
        program = shutil.which(PROGRAM)
        if program is None:
            raise self._hinted(
                f"install {PROGRAM} (package polkitd or polkit), which asks for passwords on a "
                "terminal, or run the command as root: sudo netjail ..."
            )
        self._settings = termios.tcgetattr(0)
        ready, child = os.pipe()
        try:
            self._process = subprocess.Popen(
                # Without --fallback: polkit (to 126) overlooks fallback agents of processes that
                # have no logind session. We come here only where there is no other agent anyway.
                [program, "--process", str(os.getpid()), "--notify-fd", str(child)],
                pass_fds=[child],
            )
        except OSError as error:
            raise self._hinted(f"{program} cannot be started: {error.strerror}") from None
        finally:
            os.close(child)
            if self._process is None:
                os.close(ready)
        # It closes the descriptor when it is registered, and when it ends.
        select.select([ready], [], [], START_SECONDS)
        os.close(ready)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._settings is not None:
            # Ended in the middle of a password it leaves the terminal without echo.
            termios.tcsetattr(0, termios.TCSADRAIN, self._settings)

    def _hinted(self, hint: str) -> NetjailError:
        return NetjailError(self._refused.code, self._refused.message, hint)
