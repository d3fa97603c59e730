# SPDX-License-Identifier: GPL-3.0-or-later
"""The leak check: a probe started inside as whoever asks, by the spawner like any program; then
root's facts, and the judgement.

The helper takes the probe's answer through a pipe, with limits on size and time, as words that its
user may have forged. It looks at nothing outside in a user's name and asks nobody: what is to be
compared with outside, the caller's own probe has seen there.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from netjail.daemon import log
from netjail.daemon.call import Call, Result
from netjail.daemon.launching import Launched, Launcher
from netjail.daemon.loop import READ, Loop
from netjail.daemon.operations import internal
from netjail.daemon.rooms import Rooms, Say
from netjail.daemon.workers import Workers
from netjail.errors import NetjailError
from netjail.launch import wire
from netjail.leaks import judge, outside, settings
from netjail.leaks.model import TEXT_MAX, Facts, Seen, accepted, clean, verdict

PROBE_SECONDS = 25.0
"""More than the probe takes where nobody answers."""
_FENCED_MAX = 4

Finish = Callable[[Result | NetjailError], None]


class Checking:
    """One check under way. On the main loop's thread, but for what says otherwise."""

    def __init__(
        self, loop: Loop, workers: Workers, launcher: Launcher, rooms: Rooms, call: Call
    ) -> None:
        self._loop = loop
        self._workers = workers
        self._launcher = launcher
        self._rooms = rooms
        self._call = call
        self._said = bytearray()
        self._pidfd = self._channel = self._pipe = -1
        self._over = False
        self._check: Callable[[], None] = lambda: None
        self._say: Say = lambda _text: None
        self._finish: Finish = lambda _outcome: None
        self._settings = settings.Settings()
        self._outside: Seen | None = None
        self._state = ""

    def begin(self, check: Callable[[], None], say: Say, finish: Finish) -> None:
        """`check` (in a worker) raises where the caller may not; `finish` is called once."""
        self._check, self._say, self._finish = check, say, finish
        params = self._call.params
        try:
            self._settings = settings.checked(
                params["echo"], params["echo_dns"], params["resolver"], tuple(params["accept"])
            )
            if params["outside"] is not None:
                self._outside = Seen.parse(params["outside"])
        except NetjailError as error:
            finish(error)
            return
        self._work(self._options, self._launch)

    def _work(self, do: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Something that takes a while, in a worker; then go on here."""

        def work() -> None:
            try:
                outcome = do()
            except NetjailError as error:
                outcome = error
            except Exception:
                log.crash("in a leak check")
                outcome = internal("check")
            self._loop.call_soon(partial(self._worked, outcome, then))

        self._workers.run(work)

    def _worked(self, outcome: Any, then: Callable[[Any], None]) -> None:
        if isinstance(outcome, NetjailError):
            self._finish(outcome)
        elif self._call.abandoned:
            self._finish(NetjailError("interrupted", "the caller has gone"))
        else:
            then(outcome)

    # The probe ---------------------------------------------------------------------------------

    def _options(self) -> dict[str, Any]:
        """What the probe is to do. In a worker."""
        self._check()
        return self._settings.options() | probing(self._facts())

    def _facts(self) -> Facts:
        name = self._call.params["profile"]
        return self._rooms.engine.leak_facts(name, self._rooms.store.load(name))

    def _launch(self, options: dict[str, Any]) -> None:
        """As `launch` does it, with descriptors of ours."""
        self._say("looking from inside")
        call = self._call
        # A caller on the bus gets no channel; here we are the one who has it.
        peer = replace(call.peer, sender=None)
        inner = Call(peer, "launch", call.progress, lambda _: None, interactive=False)
        inner.grant = call.grant
        inner.params = {
            "profile": call.params["profile"],
            "argv": outside.argv(options),
            "env": call.params["env"],
            "umask": 0o077,
            "ignored": 0,
            "stdio": "plain",
            "directory": None,
            "wait": None,
        }
        self._launcher.begin(inner, self._check, self._say, self._launched)

    def _launched(self, outcome: dict[str, Any] | NetjailError) -> None:
        if not isinstance(outcome, Launched):
            self._finish(outcome if isinstance(outcome, NetjailError) else internal("check"))
            return
        self._pidfd, status, self._channel = outcome.fds
        os.close(status)
        self._state = outcome["state"]
        self._pipe, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(writer, True)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with socket.socket(fileno=os.dup(self._channel)) as channel:
                fds = (root, null, writer, null)
                socket.send_fds(channel, [wire.DESCRIPTORS], fds, socket.MSG_NOSIGNAL)
        except OSError:
            pass  # it has ended, and may have said why
        finally:
            for fd in (writer, null, root):
                os.close(fd)
        self._loop.add(self._pipe, READ, self._read)
        self._loop.call_later(PROBE_SECONDS, self._late)

    def _read(self, _events: int) -> None:
        try:
            data = os.read(self._pipe, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._said += data
        if not data or len(self._said) > TEXT_MAX:
            self._end(None)

    def _late(self) -> None:
        if not self._over:
            self._end(NetjailError("timeout", f"the probe took more than {PROBE_SECONDS:.0f} s"))

    def _end(self, error: NetjailError | None) -> None:
        """The probe is done, or done with."""
        self._over = True
        self._loop.remove(self._pipe)
        with socket.socket(fileno=self._channel) as channel:
            channel.setblocking(False)
            packet = wire.receive(channel)
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except OSError:
            pass  # it has ended
        os.close(self._pidfd)
        os.close(self._pipe)
        if packet[:1] == wire.FAILED:
            _, code, text, hint = wire.parse_failed(packet)
            code = "system" if code == "exec" else code
            error = NetjailError.from_dict({"code": code, "message": text, "hint": hint})
        if error is not None:
            self._finish(error)
            return
        said = self._said.decode("utf-8", "replace")
        self._work(partial(self._judged, said), self._finish)

    # The judgement -----------------------------------------------------------------------------

    def _judged(self, said: str) -> Result:
        """In a worker."""
        try:
            inside = Seen.parse(said)
        except NetjailError:
            raise NetjailError(
                "system",
                "the probe inside ended without an answer",
                "can you read netjail's own files, and does Python start inside? "
                f"netjail run {self._call.params['profile']} -- python3 -c 1",
            ) from None
        facts = self._facts()
        uid = self._call.peer.uid
        facts = replace(facts, held=tuple(each.seen_by(uid) for each in facts.held))
        found = accepted(judge.judge(inside, self._outside, facts), self._settings.accept)
        worst = verdict(found)
        return {
            "profile": facts.profile,
            "state": self._state,
            "verdict": worst,
            "clean": clean(worst),
            "counts": judge.summary(found),
            "findings": [each.as_dict(facts.profile) for each in found],
            "sent_inside": list(inside.sent),
            "sent_outside": list(self._outside.sent) if self._outside is not None else [],
            "compared": self._outside is not None,
        }


def probing(facts: Facts) -> dict[str, Any]:
    """Options of the probe that depend on the jail: all of them stay in it or on this machine."""
    options: dict[str, Any] = {}
    if not facts.host_allowed:
        options["fence"] = [*facts.gateways, *facts.host_addresses][:_FENCED_MAX]
    if facts.tunnel and facts.mtu is not None and facts.servers:
        options["far"], options["mtu"] = facts.servers[0], facts.mtu
    return options
