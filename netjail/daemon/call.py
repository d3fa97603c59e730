# SPDX-License-Identifier: GPL-3.0-or-later
"""One request on its way through the helper, whichever face it came by."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from netjail.daemon.authorise import Peer
from netjail.daemon.rights import Grant
from netjail.daemon.soon import Asked
from netjail.daemon.spawning import Child
from netjail.errors import NetjailError

Result = dict[str, Any]
Reply = Callable[[Result | NetjailError], None]


class Call:
    def __init__(
        self,
        peer: Peer,
        method: str,
        progress: Callable[[str], None],
        reply: Reply,
        *,
        interactive: bool,
    ) -> None:
        self.peer = peer
        self.method = method
        self.params: dict[str, Any] = {}
        self.progress = progress
        self.reply = reply
        self.interactive = interactive
        self.began = time.monotonic()
        self.abandoned = False
        self.done = False
        self.begun = False
        """Authorised, and on its way."""
        self.grant: Grant | None = None
        """What was granted to a caller that is not root."""
        self.child: Child | None = None
        """The process that is kept ready for a `launch`."""
        self.asked: Asked | None = None
        """What polkit was asked before the call was there."""
        self.ended: Callable[[int], None] | None = None
        """Told the wait status of the program that a `launch` has started."""
        self.offered: Callable[[Sequence[int]], None] | None = None
        """Given the descriptors of the child, before the call is authorised."""
        self.asking: Callable[[], None] | None = None
        """Takes back the question whether the caller may."""

    def abandon(self) -> None:
        """The caller has gone: what was begun is finished, but nothing is waited for or told. A
        question that is still open (a password prompt) is taken back."""
        self.abandoned = True
        if self.asking is not None:
            self.asking()


def ending() -> NetjailError:
    return NetjailError("ending", "the helper is ending", "run the command again")


def abandoned() -> NetjailError:
    return NetjailError("interrupted", "the caller has gone")
