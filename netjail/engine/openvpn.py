# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenVPN: the driver of its client, and the thread that follows it by its management interface."""

from __future__ import annotations

import os
import threading
import time
import traceback
from dataclasses import replace

from netjail import names
from netjail.engine import management, process, told, tun, vpn
from netjail.engine.context import Context
from netjail.engine.management import (
    Channel,
    Fatal,
    Hold,
    Log,
    Need,
    Reader,
    Refused,
    State,
    UpDown,
    sane,
)
from netjail.engine.process import Process
from netjail.engine.tunnels import Condition, Tunnels
from netjail.errors import NetjailError
from netjail.uplinks.login import KEY_PASSWORD, PASSWORD, RESPONSE, USERNAME, Ask, Login
from netjail.uplinks.naming import client_user
from netjail.uplinks.wanted import VpnClient

LISTEN_SECONDS = 15.0
LOG_MAX = 1 << 18
_PUSHED_MAX = 100_000


def argv(wanted: VpnClient) -> list[str]:
    """As it is seen in ps(1); there is one of each. The configuration comes by standard input."""
    return [wanted.program, "--management", _socket(wanted), "unix", "--config", "stdin"]


def _socket(wanted: VpnClient) -> str:
    return f"{names.tunnel_dir(wanted.profile)}/management"


def apply(wanted: VpnClient, context: Context) -> None:
    """Start the client and have it connect. Raises NetjailError."""
    if wanted.config is None:
        raise NetjailError("internal", "an OpenVPN client cannot be started from a record alone")
    undo(wanted, context)
    tun.make(wanted.birth, wanted.born_as, client_user(wanted.profile))
    log = context.log(wanted.program)
    started = vpn.launch(wanted, argv(wanted), wanted.config, context)
    try:
        channel = management.connect(_socket(wanted), started, LISTEN_SECONDS)
    except NetjailError as error:
        process.reap(started.pid)
        raise NetjailError(error.code, f"{error}: {sane(process.log_tail(log), 300)}") from None
    follow(wanted, context.tunnels, started, channel)


def adopt(wanted: VpnClient, context: Context) -> None:
    """Follow a client that an earlier helper has started. Raises NetjailError."""
    found = context.record.process(wanted.program)
    if found is None or not found.alive():
        raise NetjailError("not-up", f"{wanted.program} does not run")
    channel = management.connect(_socket(wanted), found, 5)
    follow(wanted, context.tunnels, found, channel)


def follow(wanted: VpnClient, tunnels: Tunnels, client: Process, channel: Channel) -> None:
    """A session for a client that is connected to."""
    tunnels.follow(wanted.profile, OpenVpnSession(wanted, tunnels, client, channel))


def undo(wanted: VpnClient, context: Context) -> None:
    """End the client. Idempotent."""
    vpn.remove(wanted, argv(wanted), context)


_SILENCE = {
    "ping-restart": "the server is silent",
    "ping-exit": "the server is silent",
    "connection-reset": "the server has closed the connection",
    "tls-error": "the server does not answer, or not as expected",
    "server_poll": "the server does not answer",
    "server-pushed-connection-reset": "the server has closed the connection",
    "auth-failure": "the server refused the login",
}
_KEY_FAILURE = "private-key-password-failure"
_LOGIN_FAILURES = ("auth-failure", _KEY_FAILURE)
_WAITING = {
    "RESOLVE": "looking up the server's name",
    "TCP_CONNECT": "connecting to the server",
    "WAIT": "waiting for the server's first answer",
    "AUTH": "logging in",
    "GET_CONFIG": "waiting for the server's settings",
}
_CONNECTING = ("RESOLVE", "TCP_CONNECT", "WAIT", "AUTH", "GET_CONFIG", "ASSIGN_IP", "ADD_ROUTES")


class OpenVpnSession(threading.Thread):
    """Follows one openvpn. Its condition may be asked for on any thread."""

    def __init__(
        self,
        wanted: VpnClient,
        tunnels: Tunnels,
        client: Process,
        channel: Channel,
    ) -> None:
        super().__init__(name=f"openvpn {wanted.profile}", daemon=True)
        self._wanted = wanted
        self._tunnels = tunnels
        self._client = client
        self._channel = channel
        self._changed = threading.Condition()
        self._condition = Condition("connecting")
        self._trouble: str | None = None
        self._pushed: list[str] = []
        self._need: Need | None = None
        self._refused: Refused | None = None
        self._worked = False
        self._connected_once = False
        self._at_login = True
        self._stopped = False

    # vpn.Session -------------------------------------------------------------------------------

    def stop(self) -> None:
        """Follow it no longer."""
        self._stopped = True
        self._channel.close()

    def condition(self) -> Condition:
        """How it is now."""
        with self._changed:
            return self._condition

    def answer(self, login: Login) -> None:
        """Go on with these."""
        with self._changed:
            need, self._need = self._need, None
        if need is not None:
            self._say(need, login)
            self._be(Condition("connecting"))

    def wait(self, seconds: float) -> Condition:
        """Until it is connected, or needs somebody, or time is up."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._condition.state == "connecting":
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            return self._condition

    def kick(self) -> bool:
        """SIGUSR1: connect anew, keep the tun. Not around a login that was refused: it is about to
        ask for another, and ends when a signal comes in place of the answer."""
        if self._at_login or self.condition().state not in ("connecting", "connected"):
            return False
        self._channel.send("signal SIGUSR1")
        return True

    # The thread --------------------------------------------------------------------------------

    def run(self) -> None:
        """Until the connection to it ends."""
        # `hold off`: from here on it connects again by itself, whether a helper runs or not
        self._channel.send("log on", "state on", "state", "hold off", "hold release")
        reader = Reader()
        for line in self._channel.lines():
            if self._stopped:
                return
            event = reader.read(line) or management.state_line(line)
            try:
                self._take(event)
            except Exception:  # what a server can say must not be the end of following it
                traceback.print_exc()  # to the helper's log
        if not self._stopped:
            self._be(Condition("ended", self._trouble))

    def _take(self, event: management.Event | None) -> None:
        match event:
            case State():
                self._on_state(event)
            case Log():
                self._on_log(event)
            case UpDown(direction="UP"):
                self._on_up(event)
            case Need():
                self._on_need(event)
            case Refused():
                self._refused, self._at_login = event, True
            case Hold():
                self._channel.send("hold off", "hold release")
            case Fatal():
                self._trouble = sane(event.text)

    def _be(self, condition: Condition) -> None:
        if condition.reason is not None:
            condition = replace(condition, reason=self._secrets().hide(condition.reason))
        with self._changed:
            if condition == self._condition:
                return
            self._condition = condition
            self._changed.notify_all()
        self._tunnels.changed(self._wanted.profile)

    def _secrets(self) -> Login:
        return self._tunnels.login(self._wanted)

    def _on_state(self, event: State) -> None:
        self._at_login = event.detail in _LOGIN_FAILURES or (
            self._at_login and event.name not in (*_CONNECTING, "CONNECTED", "RECONNECTING")
        )
        if event.name == "CONNECTED" and event.detail == "SUCCESS":
            self._trouble, self._refused = None, None
            self._worked = self._connected_once = True
            self._be(Condition("connected", server=event.server))
            self._shorten_log()
        elif (
            event.name == "CONNECTED"
        ):  # "ERROR": a route or an address, which are not its business
            self._be(Condition("connected", server=event.server))
        elif event.name == "RECONNECTING":
            self._pushed.clear()
            if event.detail == _KEY_FAILURE and self._refused is None:
                self._refused = Refused("Private Key", "")  # which it does not say of a PKCS #12
            if event.detail in _SILENCE and self._trouble is None:
                self._trouble = _SILENCE[event.detail]
            self._be(Condition("connecting", self._trouble))
        elif event.name in _CONNECTING:
            if event.name in ("WAIT", "TCP_CONNECT"):
                self._pushed.clear()
            # the first time there is no trouble, only a beginning
            waits = _WAITING.get(event.name) if self._connected_once else None
            self._be(Condition("connecting", self._trouble or waits))
        elif event.name == "EXITING":
            self._be(Condition("connecting", self._trouble or "it ends"))

    def _on_log(self, event: Log) -> None:
        options = management.pushed(event.text)
        if options is not None:
            if len(self._pushed) < _PUSHED_MAX:
                self._pushed += options
        elif _tells(event):
            words = _in_words(event.text)
            if words.startswith(_CERTIFICATE) or not (self._trouble or "").startswith(_CERTIFICATE):
                self._trouble = words  # what follows from a wrong certificate says less

    def _on_up(self, event: UpDown) -> None:
        said = told.openvpn(event.environment, self._pushed, self._wanted.routes)
        self._tunnels.heard(self._wanted, said, self)

    def _on_need(self, need: Need) -> None:
        self._at_login = True
        refused, self._refused = self._refused, None
        login = self._tunnels.login(self._wanted)
        asks = self._asks(need, refused)
        if refused is not None and refused.token is not None:
            self._dynamic(need, refused, asks)
            return
        if refused is not None and self._worked and RESPONSE not in {each.name for each in asks}:
            refused = None  # what the server gave us in place of the password has had its time
        self._worked = False
        if refused is None and not login.lacks(asks):
            self._say(need, login)
            self._tunnels.used(self._wanted.profile)
            return
        with self._changed:
            self._need = need
        if refused is None:
            self._be(Condition("asking", "the server wants to know who you are", asks))
        else:
            self._be(Condition("refused", _refusal(refused), asks))

    @staticmethod
    def _asks(need: Need, refused: Refused | None) -> tuple[Ask, ...]:
        if need.what != "Auth":
            return (Ask(KEY_PASSWORD, "Password of the private key"),)
        if refused is not None and refused.challenge is not None:
            return (Ask(RESPONSE, refused.challenge, refused.echo),)
        asks = [Ask(USERNAME, "User name", echo=True), Ask(PASSWORD, "Password")]
        if need.challenge is not None:
            asks.append(Ask(RESPONSE, need.challenge, need.echo))
        return tuple(asks)

    def _dynamic(self, need: Need, refused: Refused, asks: tuple[Ask, ...]) -> None:
        """The server took the password and wants to know one thing more."""
        with self._changed:
            self._need = replace(need, token=refused.token, username=refused.username)
        self._be(Condition("asking", "the server has a question", asks))

    def _say(self, need: Need, login: Login) -> None:
        what = management.quote(need.what)
        if need.what != "Auth":
            self._channel.send(f"password {what} {management.quote(login.key_password or '')}")
            return
        username, password = login.username or "", login.password or ""
        if need.token is not None:
            username = need.username or self._tunnels.login(self._wanted).username or ""
            password = f"CRV1::{need.token}::{login.response or ''}"
        elif need.challenge is not None:
            password = management.static_response(password, login.response or "")
        self._channel.send(
            f"username {what} {management.quote(username)}",
            f"password {what} {management.quote(password)}",
        )

    def _shorten_log(self) -> None:
        """What it writes is of use when something goes wrong, and not for ever."""
        path = f"{names.jail_dir(self._wanted.profile)}/{self._wanted.program}.log"
        try:
            if os.stat(path, follow_symlinks=False).st_size > LOG_MAX:
                os.truncate(path, 0)  # it appends
        except OSError:
            pass


def _refusal(refused: Refused) -> str:
    if refused.what != "Auth":
        return "the password does not open the private key"
    said = f": {refused.reason}" if refused.reason else ""
    return f"the server does not take this user name and password{said}"


_CERTIFICATE = "the server's certificate"
_WORDS = (
    ("VERIFY ERROR", "the server's certificate is not one that the profile vouches for"),
    ("VERIFY KU ERROR", "the server's certificate does not say that it is a server's"),
    ("VERIFY EKU ERROR", "the server's certificate does not say that it is a server's"),
    ("VERIFY X509NAME ERROR", "the server's certificate has another name than the profile says"),
    ("Cannot resolve host address", "the server's name has no address"),
    ("Connection refused", "nobody listens at the server's port"),
    ("Network is unreachable", "the host's network is down"),
    ("No route to host", "the server cannot be reached"),
    ("Connection reset", "the server has closed the connection"),
    ("TLS key negotiation failed", "the server does not answer"),
    ("TLS handshake failed", "the server does not answer, or not as expected"),
    ("Compression", "the server wants to compress, which netjail does not do"),
)


def _in_words(text: str) -> str:
    """What a line of the log means, with the line itself."""
    meaning = next((words for start, words in _WORDS if start in text), None)
    return sane(text) if meaning is None else f"{meaning} ({sane(text, 100)})"


def _tells(event: Log) -> bool:
    """Whether a line of the log tells why it is not connected."""
    if event.text.startswith("VERIFY") and "ERROR" in event.text:
        return True  # which openvpn does not flag
    if "N" not in event.flags and "F" not in event.flags:
        return False
    return not event.text.startswith(("Options error: option", "MANAGEMENT:", "NOTE:"))
