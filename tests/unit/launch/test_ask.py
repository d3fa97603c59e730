# SPDX-License-Identifier: GPL-3.0-or-later
"""`up` and `down` on the short way: the same request, the same words, and nothing asked twice."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netjail import main as start
from netjail import names
from netjail.cli import app, down, up
from netjail.cli.context import Context
from netjail.cli.output import Output
from netjail.daemon.protocol import encode_error, encode_progress, encode_result
from netjail.errors import NetjailError
from netjail.launch import ask

UP: dict[str, Any] = {"profile": "lab", "kind": "veth", "state": "up", "reason": None}
UP |= {"changed": True, "answered": None}
DOWN = {"profile": "lab", "state": "down", "changed": True, "errors": []}


class Helper:
    """Takes one connection and answers its first request with `lines`; a number is a pause."""

    def __init__(self, path: str, lines: list[bytes | float]) -> None:
        self.requests: list[dict[str, Any]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._lines = lines
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as file:
            for line in file:
                self.requests.append(json.loads(line))
                for answer in self._lines:
                    if isinstance(answer, bytes):
                        connection.sendall(answer)
                    else:
                        time.sleep(answer)
                self._lines = []
        self._listener.close()


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Helper]:
    path = str(tmp_path / "socket")
    monkeypatch.setattr(names, "SOCKET", path)
    monkeypatch.setattr("posix.geteuid", lambda: 0)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return lambda *lines: Helper(path, list(lines))


def long_way(*words: str) -> dict[str, Any]:
    """The request that the command line sends for `words` by itself."""
    sent: list[dict[str, Any]] = []

    class Caller:
        def call(self, method: str, params: Any = None, progress: Any = None) -> dict[str, Any]:
            sent.append({"v": names.PROTOCOL, "id": 1, "method": method, "params": params})
            return {**UP, "results": []}

    app.dispatch(list(words), Context(Output(), list(words), Caller))
    return sent[0]


@pytest.mark.parametrize(
    "words", [["up", "lab"], ["down", "lab"], ["down", "a", "b", "a"], ["down", "--all"]]
)
def test_the_request_is_that_of_the_long_way(
    words: list[str], helper: Callable[..., Helper]
) -> None:
    running = helper(encode_error(1, NetjailError("system", "no")))
    start.main(words)
    assert running.requests == [long_way(*words)]


@pytest.mark.parametrize("changed", [True, False])
@pytest.mark.parametrize("answered", [None, True])
def test_up_is_done_without_the_long_way(
    changed: bool,
    answered: bool | None,
    helper: Callable[..., Helper],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = {**UP, "changed": changed, "answered": answered}
    helper(encode_result(1, result))
    monkeypatch.setattr(start, "_command_line", None)
    assert start.main(["up", "lab"]) == 0
    said = capsys.readouterr().out
    up.render({"results": [result]}, Output())
    assert said == capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "results"),
    [
        (["down", "lab"], [DOWN]),
        (["down", "lab"], [{**DOWN, "changed": False}]),
        (["down", "--all"], [DOWN, {**DOWN, "profile": "b"}]),
    ],
)
def test_down_is_done_without_the_long_way(
    words: list[str],
    results: list[dict[str, Any]],
    helper: Callable[..., Helper],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    helper(encode_result(1, {"results": results}))
    monkeypatch.setattr(start, "_command_line", None)
    assert start.main(words) == 0
    said = capsys.readouterr().out
    down.render({"results": results}, Output())
    assert said == capsys.readouterr().out


@pytest.mark.parametrize(
    "lines",
    [
        [encode_error(1, NetjailError("conflict", "an interface is in the way", "rename it"))],
        [encode_progress(1, "waiting"), encode_result(1, {**UP, "answered": False})],
        [encode_result(1, {**UP, "state": "degraded", "reason": "silent"})],
    ],
)
def test_whatever_else_goes_the_long_way_with_the_same_request(
    lines: list[bytes], helper: Callable[..., Helper], capsys: pytest.CaptureFixture[str]
) -> None:
    running = helper(*lines)
    status = start.main(["up", "lab"])
    said = capsys.readouterr()
    if b"error" in lines[-1]:
        assert status == 1
        assert "an interface is in the way" in said.err
    else:
        assert status == 0
        assert "does not answer" in said.out
    assert len(running.requests) == 1


def test_a_slow_answer_goes_the_long_way(
    helper: Callable[..., Helper],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ask, "PATIENCE", 0.02)
    whole = encode_result(1, UP)
    running = helper(whole[:20], 0.2, whole[20:])
    assert start.main(["up", "lab"]) == 0
    assert capsys.readouterr().out == "lab is up.\n"
    assert len(running.requests) == 1


@pytest.mark.parametrize(
    "words", [["up"], ["up", "a", "b"], ["up", "--wait", "0", "a"], ["down", "--kill", "a"]]
)
def test_what_is_not_plain_is_not_asked(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posix.geteuid", lambda: 0)
    monkeypatch.setattr(ask, "ask", None)
    monkeypatch.setattr(start, "_command_line", lambda *_: 42)
    assert start.main(words) == 42


def test_without_a_helper_the_long_way_starts_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "SOCKET", str(tmp_path / "none"))
    monkeypatch.setattr("posix.geteuid", lambda: 0)
    monkeypatch.setattr(start, "_command_line", lambda words, _packages: words)
    assert start.main(["up", "lab"]) == ["up", "lab"]
