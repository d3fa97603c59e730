# SPDX-License-Identifier: GPL-3.0-or-later
"""openconnect: the driver of its client, and the thread that follows it by what its script hook
puts down. The hook, `env -0` into a file, runs with the client's rights, which are none."""

from __future__ import annotations

import json
import os
import signal
import stat
import threading
import time
import traceback
from dataclasses import replace

from netjail import names
from netjail.engine import process, told, tun, vpn
from netjail.engine.context import Context
from netjail.engine.management import sane
from netjail.engine.process import Process
from netjail.engine.tunnels import Condition, Tunnels
from netjail.errors import NetjailError
from netjail.uplinks.login import PASSWORD, USERNAME, Login
from netjail.uplinks.naming import client_user
from netjail.uplinks.wanted import VpnClient

SAID_MAX = 1 << 22
_SOON, _LATER = 0.1, 1.0
"""Seconds between two looks: while it connects, and afterwards."""
_REFUSALS = (
    *("login failed", "authentication failed", "user input required", "permission denied"),
    *("login denied", "invalid username or password", "fgets (stdin)", "auth failed"),
)
_NO_LOGIN = ("failed to complete authentication", "failed to obtain webvpn cookie")
"""Said at the end of a login that was refused, and of one that did not come about at all."""
_UNREACHABLE = ("failed to open https connection", "ssl connection failure")
_MEANINGS = (
    ("certificate from vpn server", "the gateway's certificate is not one that is trusted"),
    ("server ssl certificate didn't match", "the gateway's certificate is not the pinned one"),
    ("getaddrinfo failed", "the gateway's name has no address"),
    ("failed to connect to", "the gateway cannot be reached"),
)


def argv(wanted: VpnClient, server: str = "") -> list[str]:
    """As it is seen in ps(1); there is one of each."""
    directory = names.tunnel_dir(wanted.profile)
    return [wanted.program, "--config", f"{directory}/config", *([server] if server else [])]


def apply(wanted: VpnClient, context: Context) -> None:
    """Start the client and have it connect. Raises NetjailError."""
    if wanted.config is None:
        raise NetjailError("internal", "an openconnect cannot be started from a record alone")
    undo(wanted, context)
    texts: dict[str, str] = json.loads(wanted.config)
    server = texts.pop("server")
    login = context.tunnels.login(wanted)
    user = client_user(wanted.profile)
    asked = {each.name for each in wanted.asks}
    if USERNAME in asked:
        texts["config"] += f"user={login.username}\npasswd-on-stdin\n"
    if login.key_password is not None:
        texts["config"] += f"key-password={login.key_password}\n"
    tun.make(wanted.birth, wanted.born_as, user)
    answers = [login.password if PASSWORD in asked else None, login.response]
    started = vpn.launch(
        wanted,
        argv(wanted, server),
        "".join(f"{each}\n" for each in answers if each is not None),
        context,
        texts,
    )
    context.tunnels.used(wanted.profile)
    context.tunnels.follow(
        wanted.profile, OpenConnectSession(wanted, context.tunnels, started, login)
    )


def adopt(wanted: VpnClient, context: Context) -> None:
    """Follow a client that an earlier helper has started. Raises NetjailError."""
    found = context.record.process(wanted.program)
    if found is None or not found.alive():
        raise NetjailError("not-up", f"{wanted.program} does not run")
    session = OpenConnectSession(wanted, context.tunnels, found, Login())
    context.tunnels.follow(wanted.profile, session)


def undo(wanted: VpnClient, context: Context) -> None:
    """End the client. Idempotent."""
    vpn.remove(wanted, argv(wanted), context)


class OpenConnectSession(threading.Thread):
    """Follows one openconnect. Its condition may be asked for on any thread."""

    def __init__(self, wanted: VpnClient, tunnels: Tunnels, client: Process, login: Login) -> None:
        super().__init__(name=f"openconnect {wanted.profile}", daemon=True)
        self._wanted = wanted
        self._tunnels = tunnels
        self._client = client
        self._login = login
        self._changed = threading.Condition()
        self._condition = Condition("connecting")
        self._stopped = threading.Event()
        self._seen: tuple[int, int] | None = None

    # tunnels.Session ---------------------------------------------------------------------------

    def stop(self) -> None:
        """Follow it no longer."""
        self._stopped.set()

    def condition(self) -> Condition:
        """How it is now."""
        with self._changed:
            return self._condition

    def answer(self, login: Login) -> None:
        """It has ended by then; whoever has answers starts another."""
        del login

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
        """SIGUSR2 of openconnect(8): disconnect and connect again at once, with the same cookie."""
        if self.condition().state != "connected" or not self._client.alive():
            return False
        os.kill(self._client.pid, signal.SIGUSR2)
        return True

    # The thread --------------------------------------------------------------------------------

    def run(self) -> None:
        """Until it ends."""
        while not self._stopped.wait(_LATER if self.condition().state == "connected" else _SOON):
            alive = self._client.alive()
            try:
                self._look()
            except Exception:  # what a gateway can say must not be the end of following it
                traceback.print_exc()  # to the helper's log
            if not alive:
                self._ended()
                return

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
        return self._login.over(self._tunnels.login(self._wanted))

    def _look(self) -> None:
        env = self._said()
        if env is None:
            return
        reason = env.get("reason", "")
        if reason in ("connect", "reconnect"):
            said = told.openconnect(env, self._wanted.routes, self._wanted.take_routes)
            if self.condition().state != "connected" or reason == "connect":
                self._tunnels.heard(self._wanted, said, self)
            self._be(Condition("connected", server=said.server))
        elif reason in ("attempt-reconnect", "disconnect"):
            self._be(Condition("connecting", "the gateway is silent"))

    def _said(self) -> dict[str, str] | None:
        """What the hook has put down, if it is new. The directory is another user's: whatever it
        holds is opened without following or waiting for anything."""
        path = f"{names.tunnel_dir(self._wanted.profile)}/said"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            found = os.fstat(fd)
            seen = (found.st_ino, found.st_mtime_ns)
            if not stat.S_ISREG(found.st_mode) or seen == self._seen:
                return None
            self._seen = seen
            data = os.read(fd, SAID_MAX).decode(errors="replace")
        finally:
            os.close(fd)
        pairs = (each.partition("=") for each in data.split("\0"))
        return {name: value for name, equals, value in pairs if equals}

    def _ended(self) -> None:
        log = f"{names.jail_dir(self._wanted.profile)}/{self._wanted.program}.log"
        words = process.log_tail(log, 600)
        meaning = next((text for start, text in _MEANINGS if start in words.lower()), None)
        said = words.lower()
        refused = any(each in said for each in _REFUSALS) or (
            any(each in said for each in _NO_LOGIN)
            and not any(each in said for each in _UNREACHABLE)
        )
        if self.condition().state == "connecting" and refused and meaning is None:
            self._tunnels.refuse(self._wanted.profile, self._login)
            why = f"the gateway does not take this user name and password ({sane(words[-100:])})"
            self._be(Condition("refused", why, self._wanted.asks))
            return
        self._be(Condition("ended", meaning or sane(words[-160:])))
