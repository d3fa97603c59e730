# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks polkit, over the system bus, without ever waiting for it."""

from __future__ import annotations

from functools import partial
from typing import Any

from gi.repository import Gio, GLib

from netjail import names
from netjail.daemon import log
from netjail.daemon.authorise import Cancel, Need, Peer, Verdict
from netjail.errors import NetjailError

AUTHORITY = "org.freedesktop.PolicyKit1"
_QUESTION = GLib.VariantType("((sa{sv})sa{ss}us)")
_ANSWER = GLib.VariantType("((bba{ss}))")
_PATH = "/org/freedesktop/PolicyKit1/Authority"
_INTERFACE = "org.freedesktop.PolicyKit1.Authority"
ALLOW_INTERACTION = 1
"""CheckAuthorizationFlags.AllowUserInteraction"""

QUICK_SECONDS = 25
"""For an answer that asks nobody; polkitd may have to be started."""
PROMPT_SECONDS = 300
"""For somebody to find their password."""

_GONE = (
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.Spawn.",
    "org.freedesktop.DBus.Error.NoReply",
    "org.freedesktop.DBus.Error.Disconnected",
    "org.freedesktop.DBus.Error.TimedOut",
    "org.freedesktop.systemd1.",
)
"""Starts of the names of errors that mean: there is no polkit."""


class Polkit:
    """The gate of a helper on a bus."""

    def __init__(
        self,
        connection: Any,
        quick_seconds: float = QUICK_SECONDS,
        prompt_seconds: float = PROMPT_SECONDS,
    ) -> None:
        self._connection = connection
        self._quick = int(quick_seconds * 1000)
        self._prompt = int(prompt_seconds * 1000)
        self._serial = 0

    def refuses(self, peer: Peer) -> NetjailError | None:  # noqa: ARG002 - nobody as such
        return None

    def ask(self, peer: Peer, need: Need, interactive: bool, verdict: Verdict) -> Cancel:
        self._serial += 1
        question = _Question(need, interactive, str(self._serial), verdict)
        self._connection.call(
            AUTHORITY,
            _PATH,
            _INTERFACE,
            "CheckAuthorization",
            _arguments(peer, need, interactive, question.id),
            _ANSWER,
            Gio.DBusCallFlags.NONE,
            self._prompt if interactive else self._quick,
            question.cancellable,
            partial(self._answered, question),
        )
        return partial(self._cancel, question)

    def _cancel(self, question: _Question) -> None:
        if question.over:
            return
        question.over = True
        self._take_back(question)
        question.cancellable.cancel()

    def _take_back(self, question: _Question) -> None:
        """Have polkit close its prompt."""
        self._connection.call(
            AUTHORITY,
            _PATH,
            _INTERFACE,
            "CancelCheckAuthorization",
            GLib.Variant("(s)", (question.id,)),
            None,
            Gio.DBusCallFlags.NO_AUTO_START,
            self._quick,
            None,
            None,
        )

    def _answered(self, question: _Question, connection: Any, result: Any) -> None:
        if question.over:
            return
        question.over = True
        error: NetjailError | None
        try:
            ((granted, challenge, details),) = connection.call_finish(result).unpack()
        except GLib.Error as failure:
            if failure.matches(Gio.io_error_quark(), Gio.IOErrorEnum.TIMED_OUT):
                self._take_back(question)
            error = _failed(question, failure)
        else:
            error = None if granted else _refused(question, challenge, details)
        question.verdict(error)


class _Question:
    def __init__(self, need: Need, interactive: bool, number: str, verdict: Verdict) -> None:
        self.need = need
        self.interactive = interactive
        self.id = number
        self.verdict = verdict
        self.cancellable = Gio.Cancellable()
        self.over = False


def _arguments(peer: Peer, need: Need, interactive: bool, number: str) -> Any:
    """Of CheckAuthorization. Read by GLib from its text form, texts as it prints them itself: seven
    times as quick as putting it together value by value, and a launch waits for it."""
    details = zip(names.ACTION_DETAILS, (need.profile, need.uplink), strict=True)
    words = ", ".join(f"{_text(name)}: {_text(value)}" for name, value in details)
    flags = ALLOW_INTERACTION if interactive else 0
    text = f"({_subject(peer)}, {_text(need.action)}, {{{words}}}, {flags}, {_text(number)})"
    return GLib.Variant.parse(_QUESTION, text, None, None)


def _subject(peer: Peer) -> str:
    if peer.sender is not None:
        return f"('system-bus-name', {{'name': <{_text(peer.sender)}>}})"
    return (
        f"('unix-process', {{'pid': <uint32 {peer.pid}>, 'start-time': <uint64 {peer.start or 0}>,"
        f" 'uid': <int32 {peer.uid}>}})"
    )


def _text(text: str) -> str:
    printed: str = GLib.Variant.new_string(text).print_(False)
    return printed


_WHAT = {
    names.ACTION_RUN: "use profile {}",
    names.ACTION_CONTROL: "stop what other users run in profile {}",
    names.ACTION_MANAGE_OWN: "manage profile {}",
    names.ACTION_MANAGE: "manage profile {}, which is shared or uses devices of this machine",
    names.ACTION_REVEAL: "see the keys of profile {}",
}


def _refused(question: _Question, challenge: bool, details: dict[str, str]) -> NetjailError:
    what = _WHAT.get(question.need.action, "do this with profile {}").format(question.need.profile)
    if details.get("polkit.dismissed"):
        return NetjailError("not-authorised", f"the request to {what} was dismissed")
    if not challenge:
        return NetjailError(
            "not-authorised",
            f"you may not {what} (polkit: {question.need.action})",
            "an administrator can allow it: docs/authorisation.md has examples",
        )
    if not question.interactive:
        return NetjailError(
            "not-authorised",
            f"to {what} takes a password, and none may be asked for (polkit: "
            f"{question.need.action})",
            "try again where one may be asked for, or as root: sudo netjail ...",
        )
    error = NetjailError(
        "not-authorised",
        f"to {what} takes a password, and nothing is there to ask for one: no polkit agent runs "
        "in this session",
        "run it in a terminal, where netjail starts pkttyagent, or as root: sudo netjail ...",
    )
    error.prompt = True
    return error


def _failed(question: _Question, failure: Any) -> NetjailError:
    name = Gio.DBusError.get_remote_error(failure) or ""
    text = failure.message.partition(": ")[2] if name else failure.message
    if failure.matches(Gio.io_error_quark(), Gio.IOErrorEnum.TIMED_OUT):
        if question.interactive:
            return NetjailError("not-authorised", "nobody has answered the request for a password")
        return no_polkit("polkit does not answer")
    if failure.matches(Gio.io_error_quark(), Gio.IOErrorEnum.CLOSED) or name.startswith(_GONE):
        return no_polkit("polkit cannot be reached")
    log.warning(f"polkit: {question.need.action}: {failure.message}")
    if "is not registered" in text:
        return NetjailError(
            "not-authorised",
            f"polkit does not know netjail's action {question.need.action}, so only root may use "
            "netjail",
            "install netjail's polkit policy: sudo netjail setup",
        )
    return NetjailError("not-authorised", f"polkit could not decide: {text}")


def no_polkit(why: str) -> NetjailError:
    """The refusal of everybody but root."""
    return NetjailError(
        "not-authorised",
        f"only root may use netjail here: {why}",
        "install and start polkit (sudo apt install polkitd), or use sudo netjail ...",
    )
