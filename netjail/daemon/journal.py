# SPDX-License-Identifier: GPL-3.0-or-later
"""What has happened to each profile, in words for people: `netjail logs`.

A ring of lines for each profile, in memory and in a file below /run, so that the next helper has
them too. No secret is ever written: the lines are made of names, addresses and reasons that
`status` shows as well. All on the main loop's thread, but for `say`.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from netjail import names
from netjail.daemon import log
from netjail.daemon.loop import Loop, Timer
from netjail.daemon.state import Entry

LINES_MAX = 500
"""Lines kept of each profile;"""
FILE_MAX = 96 << 10
"""bytes of its file, from which it is written anew with the last lines of half of that."""
TEXT_MAX = 400
WAIT_MAX = 25.0
"""Seconds that a question for what comes next is left open."""
WAITING_MAX = 64
"""Such questions at a time; further ones are answered at once."""

Line = dict[str, Any]
"""`n`: grows from line to line, also from one helper to the next; `time`: unix seconds; `state`
that the profile is in since this line, or null; `text`."""
Answer = Callable[[dict[str, Any]], None]


class Journal:
    """Of all profiles."""

    def __init__(self, loop: Loop, directory: str = "") -> None:
        self._loop = loop
        self._directory = directory or names.LOGS_DIR
        self._rings: dict[str, deque[Line]] = {}
        self._states: dict[str, str] = {}
        self._waiting: dict[int, tuple[str, int, Answer, Timer]] = {}
        self._serial = 0
        self._ended = False

    def say(self, name: str, text: str) -> None:
        """Write a line. On any thread."""
        self._loop.call_soon(partial(self._write, name, text, None))

    def changed(self, entry: Entry) -> None:
        """A profile's state or reason has changed."""
        before = self._states.get(entry.name)
        self._states[entry.name] = entry.state
        words = {
            "up": "it answers again" if before == "degraded" else "it is up",
            "starting": "it is being brought up",
            "stopping": "it is being taken down",
            "down": "it is down",
        }
        text = words.get(entry.state, "")
        if entry.reason:
            text = f"{text}: {entry.reason}" if text else entry.reason
        if before == entry.state and entry.state != "degraded" and not entry.reason:
            return
        self._write(entry.name, text, entry.state)

    def read(self, name: str, since: float, after: int) -> list[Line]:
        """The lines not older than `since` (unix seconds) and of a greater `n` than `after`."""
        return [each for each in self._ring(name) if each["time"] >= since and each["n"] > after]

    def ask(self, profile: str, since: float, after: int, wait: float, answer: Answer) -> None:
        """Answer with {lines: [...]}; with `wait`, as soon as there is one, or with none."""
        lines = self.read(profile, since, after)
        if lines or wait <= 0 or self._ended or len(self._waiting) >= WAITING_MAX:
            answer({"lines": lines})
            return
        self._serial += 1
        timer = self._loop.call_later(min(wait, WAIT_MAX), partial(self._tell, self._serial))
        self._waiting[self._serial] = (profile, after, answer, timer)

    def stop(self) -> None:
        """Leave no question open."""
        self._ended = True
        for number in list(self._waiting):
            self._tell(number)

    def forget(self, name: str) -> None:
        """The profile is no more: who takes its name next has no business with its past."""
        self._rings.pop(name, None)
        self._states.pop(name, None)
        try:
            os.unlink(self._path(name))
        except OSError:
            pass

    def _tell(self, number: int) -> None:
        name, after, answer, timer = self._waiting.pop(number)
        timer.cancel()
        answer({"lines": self.read(name, 0, after)})

    def _path(self, name: str) -> str:
        return f"{self._directory}/{name}"

    def _ring(self, name: str) -> deque[Line]:
        ring = self._rings.get(name)
        if ring is None:
            ring = self._rings[name] = deque(self._stored(name), maxlen=LINES_MAX)
        return ring

    def _stored(self, name: str) -> list[Line]:
        """What an earlier helper has written; half a line, where it was killed, is left out."""
        found = []
        try:
            with open(self._path(name), encoding="utf-8", errors="replace") as file:
                text = file.read(FILE_MAX + (1 << 16))
        except OSError:
            return []
        for line in text.splitlines():
            try:
                each = json.loads(line)
                whole = {key: each[key] for key in ("n", "time", "state", "text")}
            except (ValueError, KeyError, TypeError):
                continue
            found.append(whole)
        return found

    def _write(self, name: str, text: str, state: str | None) -> None:
        ring = self._ring(name)
        now = time.time()
        number = max(int(now * 1e6), ring[-1]["n"] + 1 if ring else 0)
        line = {"n": number, "time": round(now, 3), "state": state, "text": text[:TEXT_MAX]}
        ring.append(line)
        self._store(name, ring, line)
        for serial in [s for s, (whose, *_) in self._waiting.items() if whose == name]:
            self._tell(serial)

    def _store(self, name: str, ring: deque[Line], line: Line) -> None:
        path = self._path(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            fd = os.open(path, flags, 0o600)
            try:
                if os.fstat(fd).st_size < FILE_MAX:
                    os.write(fd, _encoded(line))
                    return
            finally:
                os.close(fd)
            fresh = b"".join(map(_encoded, list(ring)))[-FILE_MAX // 2 :].partition(b"\n")[2]
            fd = os.open(f"{path}.new", flags | os.O_TRUNC, 0o600)
            try:
                os.write(fd, fresh)
            finally:
                os.close(fd)
            os.rename(f"{path}.new", path)
        except OSError as error:  # memory has it
            log.debug(f"cannot write {path}: {error.strerror}")


def _encoded(line: Line) -> bytes:
    return json.dumps(line).encode() + b"\n"
