# SPDX-License-Identifier: GPL-3.0-or-later
"""The stage of the demonstration with what tests want besides, and the command line on it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netjail.demo.stage import PROGRAMS, Stage, kernel_has_wireguard, which

ROOT = Path(__file__).parent.parent.parent
NEEDED = [*PROGRAMS, "tcpdump", "curl"]


def why_not() -> str | None:
    """Why no stage can be made here; None when it can."""
    if os.geteuid() != 0:
        return "needs root: sudo tests/run.sh"
    missing = [program for program in NEEDED if which(program) is None]
    if not kernel_has_wireguard() and which("wireguard-go") is None:
        missing.append("wireguard-go")
    return f"not installed: {' '.join(missing)}" if missing else None


class TestStage(Stage):
    """A stage with a few conveniences for tests."""

    __test__ = False

    def write(self, name: str, text: str) -> str:
        """A file at home (mode 0600); gives its path there."""
        path = f"/run/root/{name}"
        with open(
            os.open(self.home.path(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"
        ) as f:
            f.write(text)
        return path

    def add_user(self, name: str = "alice", uid: int = 4242) -> str:
        """An ordinary user at home, with a home directory in /run/home; gives the name."""
        for file, line in (
            ("passwd", f"{name}:x:{uid}:{uid}::/run/home/{name}:/bin/sh\n"),
            ("group", f"{name}:x:{uid}:\n"),
            ("shadow", f"{name}:*:19000:0:99999:7:::\n"),
        ):
            with open(self.home.path(f"/etc/{file}"), "a") as f:
                f.write(line)
        directory = self.home.path(f"/run/home/{name}")
        os.makedirs(directory)
        os.chown(directory, uid, uid)
        return name


@dataclass
class Done:
    """What a command did."""

    argv: list[str]
    returncode: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def json(self) -> Any:
        """The one line of --json on stdout."""
        lines = self.stdout.splitlines()
        assert len(lines) == 1, f"not one line of JSON: {self}"
        return json.loads(lines[0])


class Netjail:
    """The command line of the checkout, on a stage."""

    def __init__(self, stage: Stage, command: Sequence[str] | None = None) -> None:
        self.stage = stage
        self.command = list(command or [sys.executable, "-m", "netjail"])
        self.env: dict[str, str | None] = {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"}

    def __call__(
        self,
        *words: str,
        check: bool = False,
        env: dict[str, str | None] | None = None,
        **options: Any,
    ) -> Done:
        """Run a verb at home to its end; options as Node.run has them (timeout, input, cwd)."""
        begin = time.monotonic()
        done = self.stage.home.run(
            [*self.command, *words], env={**self.env, **(env or {})}, **options
        )
        result = Done(
            list(words), done.returncode, done.stdout, done.stderr, time.monotonic() - begin
        )
        if check:
            assert result.returncode == 0, result
        return result

    def popen(self, *words: str, env: dict[str, str | None] | None = None, **options: Any) -> Any:
        """Start a verb at home."""
        return self.stage.home.popen(
            [*self.command, *words], env={**self.env, **(env or {})}, **options
        )
