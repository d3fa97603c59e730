# SPDX-License-Identifier: GPL-3.0-or-later
"""The client against helpers that misbehave; a real helper is in tests/netns."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from netjail import client, names
from netjail.errors import NetjailError

Script = Callable[[dict[str, Any]], list[bytes] | None]


class Helper:
    """Answers each request with what the script says; None: closes the connection."""

    def __init__(self, path: Path, script: Script) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.script = script
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with sock, sock.makefile("rb") as lines:
                for line in lines:
                    answers = self.script(json.loads(line))
                    if answers is None:
                        break
                    for answer in answers:
                        sock.sendall(answer)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


def line(**data: Any) -> bytes:
    return json.dumps(data).encode() + b"\n"


def polite(then: Script) -> Script:
    def script(request: dict[str, Any]) -> list[bytes] | None:
        if request["method"] == "hello":
            hello = {"version": "0", "protocol": names.PROTOCOL, "pid": 1}
            return [line(id=request["id"], result=hello)]
        return then(request)

    return script


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Callable[[Script], client.Client]]:
    made: list[Any] = []

    def make(script: Script) -> client.Client:
        path = tmp_path / "socket"
        made.append(Helper(path, script))
        connected = client.connect(start=False, path=str(path))
        made.append(connected)
        return connected

    yield make
    for each in reversed(made):
        each.close()


def test_progress_and_result(helper: Any) -> None:
    said: list[str] = []

    def up(request: dict[str, Any]) -> list[bytes]:
        number = request["id"]
        assert request["params"] == {"profile": "a"}
        return [
            line(id=99, result={}),  # of nobody's concern
            line(id=number, progress="one"),
            line(id=number, progress="two") + line(id=number, result={"x": 1})[:5],
            line(id=number, result={"x": 1})[5:],
        ]

    connected = helper(polite(up))
    assert connected.call("up", {"profile": "a"}, said.append) == {"x": 1}
    assert said == ["one", "two"]
    assert connected.call("up", {"profile": "a"}) == {"x": 1}


def test_errors_arrive_whole(helper: Any) -> None:
    error = NetjailError("in-use", "no", "hint", ("a", "b"))
    connected = helper(polite(lambda r: [line(id=r["id"], error=error.as_dict())]))
    with pytest.raises(NetjailError) as caught:
        connected.call("down")
    assert caught.value.as_dict() == error.as_dict()


def test_a_helper_that_dies_meanwhile(helper: Any) -> None:
    connected = helper(polite(lambda request: None))
    with pytest.raises(NetjailError) as caught:
        connected.call("up", {"profile": "a"})
    assert caught.value.code == "no-helper"
    assert "'up'" in caught.value.message


def test_a_helper_of_another_version(helper: Any) -> None:
    def hello(request: dict[str, Any]) -> list[bytes]:
        return [line(id=request["id"], result={"version": "9.9", "protocol": 2, "pid": 42})]

    with pytest.raises(NetjailError) as caught:
        helper(hello)
    assert "9.9" in caught.value.message
    assert caught.value.hint is not None and "kill 42" in caught.value.hint


def test_a_refusal_of_the_connection(helper: Any) -> None:
    error = NetjailError("not-authorised", "only root")
    with pytest.raises(NetjailError, match="only root"):
        helper(lambda request: [line(id=None, error=error.as_dict())])


def test_nonsense(helper: Any) -> None:
    connected = helper(polite(lambda request: [b"what?\n"]))
    with pytest.raises(NetjailError) as caught:
        connected.call("list")
    assert caught.value.code == "internal"


def test_no_helper_and_none_to_be_started(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        with pytest.raises(NetjailError) as caught:
            client.connect(start=False, path=str(tmp_path / "socket"))
        assert caught.value.code == "no-helper"


def test_who_is_not_root_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NetjailError) as caught:
        client.connect(path=str(tmp_path / "socket"))
    assert caught.value.code == "not-authorised"
    assert caught.value.hint is not None and "sudo netjail" in caught.value.hint


def test_few_imports() -> None:
    """Every verb pays for them."""
    import subprocess
    import sys

    code = (
        "import sys; before = set(sys.modules); import netjail.client;"
        "print(*sorted(m for m in set(sys.modules) - before if '.' not in m))"
    )
    root = str(Path(client.__file__).parents[1])
    said = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=root
    ).stdout.split()
    assert not {"asyncio", "subprocess", "logging", "dataclasses", "inspect"}.intersection(said)


ENDING = NetjailError("ending", "the helper is ending").as_dict()


def test_a_helper_that_is_ending(helper: Any) -> None:
    """It has done nothing of what was asked, so the next one is asked, of which the caller sees
    nothing."""
    asked: list[str] = []

    def answers(request: dict[str, Any]) -> list[bytes] | None:
        asked.append(request["method"])
        number = request["id"]
        if len(asked) in (1, 3):  # it ends: also for the first who comes back, greeting
            return [line(id=number, error=ENDING)]
        return polite(lambda _: [line(id=number, result={"x": 1})])(request)

    greets = polite(lambda _: None)
    script: Script = lambda r: answers(r) if asked or r["method"] != "hello" else greets(r)  # noqa: E731
    connected = helper(script)
    connected._path = connected._sock.getpeername()
    assert connected.call("up", {"profile": "a"}) == {"x": 1}
    assert asked == ["up", "hello", "up", "hello", "up"]


def test_ending_helpers_without_end(helper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "NEXT_SECONDS", 0.3)
    connected = helper(polite(lambda request: [line(id=request["id"], error=ENDING)]))
    connected._path = connected._sock.getpeername()
    with pytest.raises(NetjailError) as caught:
        connected.call("up", {"profile": "a"})
    assert caught.value.code == "ending"


def test_no_other_helper_is_asked_where_none_may_be_started(helper: Any) -> None:
    connected = helper(polite(lambda request: [line(id=request["id"], error=ENDING)]))
    with pytest.raises(NetjailError) as caught:
        connected.call("list")
    assert caught.value.code == "ending"
