#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The helper as it is, but with a gate that asks nobody: a stand-in for polkit, for tests alone.

    open_helper.py UID... [thinks=SECONDS] [-- OPTIONS OF netjaild]

Those may do whatever root may; the answer comes a moment later, as polkit's does. Serves everybody
on the socket, as a helper with a bus does.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from netjail.daemon import __main__ as main
from netjail.daemon import manager, socket_face
from netjail.daemon.authorise import Need, Peer, Verdict
from netjail.daemon.loop import Loop
from netjail.errors import NetjailError


class TestGate:
    """Lets the uids pass that it was made with."""

    loop: Loop

    def __init__(self, uids: frozenset[int], seconds: float) -> None:
        self._uids = uids
        self._seconds = seconds

    def refuses(self, peer: Peer) -> NetjailError | None:
        return None

    def ask(self, peer: Peer, need: Need, interactive: bool, verdict: Verdict) -> object:
        ok = peer.uid in self._uids
        error = None if ok else NetjailError("not-authorised", f"the test gate refuses {need}")
        return self.loop.call_later(self._seconds, partial(verdict, error)).cancel


def open_to(uids: frozenset[int], seconds: float) -> None:
    """Have every helper of this process serve these uids, and think for so long about each call."""
    manager.RootOnly = lambda: TestGate(uids, seconds)  # type: ignore[assignment,misc]

    class Face(socket_face.SocketFace):
        def __init__(self, loop: Loop, *args: object, **options: object) -> None:
            TestGate.loop = loop
            super().__init__(loop, *args, **options | {"uids": None})  # type: ignore[arg-type]

    main.SocketFace = Face  # type: ignore[misc]


if __name__ == "__main__":
    words = sys.argv[1:]
    at = words.index("--") if "--" in words else len(words)
    seconds = [float(word[7:]) for word in words[:at] if word.startswith("thinks=")]
    open_to(frozenset(int(word) for word in words[:at] if word.isdigit()), *seconds or [0.001])
    sys.exit(main.main(["--no-bus", *words[at + 1 :]]))
