# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what. The one door: every request on either face passes `authorise`.

What a request needs is said by `rights`; who is asked about it is the `Gate`: polkit, or nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from netjail.errors import NetjailError


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asks, as the kernel or the bus says, never as they say themselves.

    `start`: when the process began, in clock ticks since boot (proc(5), stat, field 22): with it,
    `pid` cannot come to mean another process. `sender`: the unique name on the bus, which never
    means another process either. `elsewhere`: why nothing is done for this process (see `origin`).
    `groups`: the supplementary ones, and `label` the SELinux or AppArmor context, as they were
    when it connected; None: not known.
    """

    uid: int
    gid: int
    pid: int
    start: int | None = None
    sender: str | None = None
    elsewhere: NetjailError | None = None
    groups: tuple[int, ...] | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """One question: may the peer do `action` with `profile`? `uplink`: its kind ("" unknown)."""

    action: str
    profile: str
    uplink: str = ""


Verdict = Callable[[NetjailError | None], None]
Cancel = Callable[[], None]


class Gate(Protocol):
    """Whoever decides about callers that are not root."""

    def refuses(self, peer: Peer) -> NetjailError | None:
        """Why nothing at all is done for this peer, if so."""
        ...

    def ask(self, peer: Peer, need: Need, interactive: bool, verdict: Verdict) -> Cancel:
        """Call `verdict` once, later, on the main loop's thread; not any more once cancelled.

        `interactive`: whether a person may be asked for a password meanwhile.
        """
        ...


class RootOnly:
    """The gate where there is no bus, and so no polkit."""

    def refuses(self, peer: Peer) -> NetjailError | None:  # noqa: ARG002 - the same for all
        return NetjailError(
            "not-authorised",
            "only root may use netjail here: without a system bus there is no polkit to ask",
            "run the command as root: sudo netjail ...",
        )

    def ask(
        self,
        peer: Peer,
        need: Need,  # noqa: ARG002
        interactive: bool,  # noqa: ARG002
        verdict: Verdict,
    ) -> Cancel:
        verdict(self.refuses(peer))
        return _nothing


def authorise(
    gate: Gate, peer: Peer, needs: Sequence[Need], interactive: bool, verdict: Verdict
) -> Cancel:
    """Decide whether `peer` may do all of `needs`; call `verdict` with None or the first reason
    why not. Returns what to call when the answer matters no more; `verdict` is not called then.

    The answer comes by a call because whoever is asked may take long (a password prompt); it
    comes on the main loop's thread, maybe before this returns.
    """
    if peer.uid == 0 or not needs:
        verdict(None)
        return _nothing
    # A process that cannot be told from another, or that sees other files than the host's, is
    # not one that a person at the host can be asked about.
    if peer.elsewhere is not None:
        verdict(peer.elsewhere)
        return _nothing
    questions = _Questions(gate, peer, list(needs), interactive, verdict)
    questions.next()
    return questions.cancel


class _Questions:
    """One after the other: two prompts at once would confuse whoever is asked."""

    def __init__(
        self, gate: Gate, peer: Peer, needs: list[Need], interactive: bool, verdict: Verdict
    ) -> None:
        self._gate = gate
        self._peer = peer
        self._needs = needs
        self._interactive = interactive
        self._verdict = verdict
        self._cancelled = False
        self._cancel: Cancel = _nothing

    def next(self) -> None:
        need = self._needs.pop(0)
        self._cancel = self._gate.ask(self._peer, need, self._interactive, self._answered)

    def cancel(self) -> None:
        self._cancelled = True
        self._cancel()

    def _answered(self, error: NetjailError | None) -> None:
        if self._cancelled:
            return
        if error is not None or not self._needs:
            self._verdict(error)
        else:
            self.next()


def _nothing() -> None:
    pass
