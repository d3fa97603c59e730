# SPDX-License-Identifier: GPL-3.0-or-later
"""Which place each pool is in. State, not configuration: in names.STATE_DIR, for root alone, so
that it is the same after the next boot.

Used from all threads. There is one helper, so memory is right, once it has been read.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass

from netjail import names
from netjail.daemon import log

_SIZE_MAX = 4096


@dataclass(frozen=True, slots=True)
class Choice:
    """`place`: the one in use; `within`: what the user asked for, and fail-over stays in."""

    place: str | None = None
    within: str | None = None


class Choices:
    def __init__(self, directory: str | None = None) -> None:
        self._directory = directory or f"{names.STATE_DIR}/places"
        self._lock = threading.Lock()
        self._known: dict[str, Choice] = {}

    def get(self, name: str) -> Choice:
        """Of the profile `name`, which is a valid name."""
        with self._lock:
            known = self._known.get(name)
            if known is None:
                known = self._known[name] = self._read(name)
            return known

    def take(self, name: str, choice: Choice) -> None:
        """Remember it. Where it cannot be written it holds until the helper ends."""
        with self._lock:
            if self._known.get(name) == choice:
                return
            self._known[name] = choice
            try:
                self._write(name, choice)
            except OSError as error:
                log.warning(f"{name}: its place is not kept for the next boot: {error}")

    def forget(self, name: str) -> None:
        """The profile was removed."""
        with self._lock:
            self._known[name] = Choice()
            try:
                os.unlink(f"{self._directory}/{name}")
            except OSError:
                pass

    def _read(self, name: str) -> Choice:
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(f"{self._directory}/{name}", flags), "rb") as file:
                if os.fstat(file.fileno()).st_uid not in (0, os.geteuid()):
                    return Choice()
                found = json.loads(file.read(_SIZE_MAX))
            place, within = found["place"], found["within"]
        except (OSError, ValueError, KeyError, TypeError):
            return Choice()
        return Choice(*(each if isinstance(each, str) else None for each in (place, within)))

    def _write(self, name: str, choice: Choice) -> None:
        os.makedirs(os.path.dirname(self._directory), mode=0o755, exist_ok=True)
        try:
            os.mkdir(self._directory, 0o700)
        except FileExistsError:
            pass
        path = f"{self._directory}/{name}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(f"{path}.new", flags, 0o600), "w", encoding="utf-8") as file:
            json.dump({"place": choice.place, "within": choice.within}, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(f"{path}.new", path)
