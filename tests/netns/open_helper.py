#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The helper as it is, but with a gate that asks nobody: a stand-in for polkit, for tests alone.

    open_helper.py UID... [-- OPTIONS OF netjaild]      those may do whatever root may

Serves everybody on the socket, as a helper with a bus does.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from netjail.daemon import __main__ as main
from netjail.daemon import manager, socket_face
from netjail.daemon.authorise import Need, Peer, Verdict
from netjail.errors import NetjailError


class TestGate:
    """Lets the uids pass that it was made with."""

    def __init__(self, uids: frozenset[int]) -> None:
        self._uids = uids

    def refuses(self, peer: Peer) -> NetjailError | None:
        return None

    def ask(self, peer: Peer, need: Need, interactive: bool, verdict: Verdict) -> object:
        ok = peer.uid in self._uids
        verdict(None if ok else NetjailError("not-authorised", f"the test gate refuses {need}"))
        return lambda: None


def open_to(uids: frozenset[int]) -> None:
    """Have every helper of this process serve these uids."""
    manager.RootOnly = lambda: TestGate(uids)  # type: ignore[assignment,misc]

    class Face(socket_face.SocketFace):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options | {"uids": None})  # type: ignore[arg-type]

    main.SocketFace = Face  # type: ignore[misc]


if __name__ == "__main__":
    words = sys.argv[1:]
    at = words.index("--") if "--" in words else len(words)
    open_to(frozenset(int(word) for word in words[:at]))
    sys.exit(main.main(["--no-bus", *words[at + 1 :]]))
