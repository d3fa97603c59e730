# SPDX-License-Identifier: GPL-3.0-or-later
"""A helper that is not there, and outputs that are terminals or not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netjail.cli import app
from netjail.cli.context import Context
from netjail.cli.output import Output
from netjail.errors import NetjailError

NOW = 1_800_000_000.0


class FakeClient:
    """Answers from a table: a dict, an error to raise, or a function of the parameters."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.descriptors: list[int] | None = None

    def call(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> dict[str, Any]:
        self.calls.append((method, params or {}))
        answer = self.answers[method]
        if callable(answer):
            answer = answer(params or {})
        if isinstance(answer, NetjailError):
            raise answer
        return answer


class Cli:
    """Runs command lines against the fake helper."""

    def __init__(self, client: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
        self.client = client
        self._capsys = capsys
        self.out = ""
        self.err = ""

    def __call__(self, *words: str) -> int:
        self._capsys.readouterr()
        status = app.main(list(words))
        self.out, self.err = self._capsys.readouterr()
        return status


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No colour of the caller's choice, and reports of bugs where they do not stay."""
    for name in ("CLICOLOR", "CLICOLOR_FORCE", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    client = FakeClient()
    monkeypatch.setattr(Context, "connect", lambda self: client)
    monkeypatch.setattr("time.time", lambda: NOW)
    return Cli(client, capsys)


class Screen:
    """An Output whose streams are texts."""

    def __init__(self, width: int | None, colour: bool = False) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        self.output = Output(self._out, self._err, environ={}, now=NOW)
        for stream in (self.output.out, self.output.err):
            stream.width = width
            stream.terminal = width is not None
            stream.colour = colour
            stream.unicode = True

    @property
    def out(self) -> str:
        return self._out.getvalue()

    @property
    def err(self) -> str:
        return self._err.getvalue()


@pytest.fixture
def screen() -> Callable[..., Screen]:
    return Screen


@pytest.fixture
def now() -> float:
    return NOW
