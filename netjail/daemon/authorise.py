# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what. The one door: every request on either face passes `authorise`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netjail.errors import NetjailError


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asks, as the kernel says (SO_PEERCRED), never as they say themselves."""

    uid: int
    gid: int
    pid: int


Verdict = Callable[[NetjailError | None], None]


def authorise(peer: Peer, action: str, profile: str | None, verdict: Verdict) -> None:
    """Decide whether `peer` may do `action` with `profile`; call `verdict` with None or the reason.

    The answer comes by a call because whoever is asked may take long (a password prompt); it
    comes on the main loop's thread. `action`: the last word of an org.netjail.* action; "read"
    (look at states) belongs to none of them.
    """
    if peer.uid == 0:
        verdict(None)
        return
    what = f"{action} {profile}" if profile else action
    verdict(
        NetjailError(
            "not-authorised",
            f"only root may do this ({what}): without a system bus there is no polkit to ask",
            "run the command as root: sudo netjail ...",
        )
    )
