# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket face on a real socket: what clients may do to it, and to each other."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_engine import profile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from manager_stage import Stage

from netjail.daemon.socket_face import Limits, SocketFace
from netjail.errors import NetjailError


class Raw:
    """A client that says what it likes. Reading and writing never block: the loop runs here too."""

    def __init__(self, face: Face) -> None:
        self.face = face
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(face.path))
        self.sock.setblocking(False)
        self.data = b""
        self.ended = False
        face.opened.append(self.sock)

    def send(self, data: bytes) -> None:
        """All of it, or as much as goes before the helper closes."""
        view = memoryview(data)

        def step() -> bool:
            nonlocal view
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:
                self.receive()
                return False
            except (BrokenPipeError, ConnectionResetError):
                return True
            return not view

        self.face.stage.until(step)

    def ask(self, number: int, method: str, **params: Any) -> None:
        request = {"v": 1, "id": number, "method": method, "params": params}
        self.send(json.dumps(request).encode() + b"\n")

    def receive(self) -> None:
        try:
            while data := self.sock.recv(1 << 20):
                self.data += data
            self.ended = True
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.ended = True

    def lines(self, count: int) -> list[dict[str, Any]]:
        def enough() -> bool:
            self.receive()
            return self.data.count(b"\n") >= count

        self.face.stage.until(enough)
        *lines, self.data = self.data.split(b"\n")
        assert len(lines) == count
        return [json.loads(line) for line in lines]

    def answer(self) -> dict[str, Any]:
        return self.lines(1)[0]

    def until_closed(self) -> None:
        def closed() -> bool:
            self.receive()
            return self.ended

        self.face.stage.until(closed)


class Face:
    def __init__(self, stage: Stage, path: Path, **options: Any) -> None:
        self.stage = stage
        self.path = path
        self.opened: list[socket.socket] = []
        uids = options.pop("uids", frozenset({0, os.getuid()}))
        self.face = SocketFace(stage.loop, stage.manager, str(path), Limits(**options), uids)
        self.face.listen()

    def client(self) -> Raw:
        return Raw(self)

    def turn(self, ready: Callable[[], bool]) -> None:
        self.stage.until(ready)

    def close(self) -> None:
        self.face.close()
        for sock in self.opened:
            sock.close()


Make = Callable[..., Face]


@pytest.fixture
def make(started: Stage, tmp_path: Path) -> Iterator[Make]:
    made: list[Face] = []

    def make(**options: Any) -> Face:
        made.append(Face(started, tmp_path / "run" / "socket", **options))
        return made[-1]

    yield make
    for face in made:
        face.close()


HELLO = b'{"v":1,"id":1,"method":"hello"}\n'


def works(face: Face) -> bool:
    client = face.client()
    client.send(HELLO)
    answer = client.answer()
    client.sock.close()
    return answer["result"]["protocol"] == 1


def test_the_socket_itself(make: Make, tmp_path: Path) -> None:
    face = make()
    mode = os.stat(face.path).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE(os.stat(face.path.parent).st_mode) == 0o755
    assert os.listdir(face.path.parent) == ["socket"]
    assert works(face)
    face.face.close()
    assert os.listdir(face.path.parent) == []


def test_a_socket_left_by_a_killed_helper_is_replaced(make: Make) -> None:
    first = make()
    os.rename(first.path, str(first.path) + ".kept")
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(first.path))
    left.close()
    second = make()
    assert works(second)
    # and the one that goes does not take the other's away
    first.face.close()
    assert works(second)


def test_a_directory_that_others_can_write_to_is_refused(make: Make, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    os.chmod(tmp_path / "run", 0o777)
    with pytest.raises(NetjailError, match="only root can write"):
        make()


def test_requests_and_answers(make: Make) -> None:
    face = make()
    face.stage.store.put(profile("a"))
    client = face.client()
    client.ask(5, "up", profile="a")
    progress, result = client.lines(2)
    assert progress == {"id": 5, "progress": "making a"}
    assert result["id"] == 5 and result["result"]["state"] == "up"
    client.ask(6, "up", profile="nosuch")
    assert client.answer()["error"]["code"] == "no-such-profile"
    client.ask(7, "fly")
    assert client.answer()["error"]["code"] == "bad-request"


def test_answers_come_when_they_are_ready(make: Make) -> None:
    face = make()
    face.stage.store.put(profile("slow"))
    gate = face.stage.engine.gate("up", "slow")
    client = face.client()
    client.ask(1, "up", profile="slow")
    client.ask(2, "list")
    # in any order; 1 is only its progress
    assert sorted(line["id"] for line in client.lines(2)) == [1, 2]
    gate.set()
    assert client.answer()["result"]["profile"] == "slow"


def test_a_line_in_pieces_and_lines_in_one(make: Make) -> None:
    face = make()
    client = face.client()
    for byte in HELLO:
        client.send(bytes([byte]))
        face.stage.loop.dispatch()
    assert client.answer()["id"] == 1
    client.send(HELLO * 3)
    assert len(client.lines(3)) == 3


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n", b"\n", b"{}\n", b"\0\0\0\n", b"\xff\n", b"[" * 50_000 + b"\n"],
    ids=["HTTP", "empty", "no request", "zeros", "no UTF-8", "deep"],
)
def test_garbage_gets_one_line_and_the_end(make: Make, garbage: bytes) -> None:
    face = make()
    client = face.client()
    client.send(garbage + HELLO)
    answer = client.answer()
    assert answer["id"] is None and answer["error"]["code"] == "bad-request"
    client.until_closed()
    assert client.data == b""
    client.sock.close()
    face.turn(lambda: face.face.clients == 0)
    assert works(face)


def test_an_id_may_not_be_used_twice_at_once(make: Make) -> None:
    face = make()
    face.stage.store.put(profile("a"))
    gate = face.stage.engine.gate("up", "a")
    client = face.client()
    client.ask(1, "up", profile="a")
    client.ask(1, "list")
    face.turn(lambda: face.stage.state("a") == "starting")
    assert any("id 1" in line.get("error", {}).get("message", "") for line in _all(client))
    gate.set()
    face.turn(lambda: not face.stage.manager.busy)
    assert face.stage.state("a") == "up"  # what was begun is finished


def test_a_line_that_is_too_long(make: Make) -> None:
    face = make()
    client = face.client()
    client.send(b'{"v":1,"id":1,"method":"profile.check","params":{"name":"a","text":"')
    client.send(b"x" * (2 << 20) + b'"}}\n')
    answer = client.answer()
    assert answer["id"] is None and "1048576" in answer["error"]["message"]
    client.until_closed()
    assert works(face)


def test_a_line_of_the_greatest_length_is_taken(make: Make) -> None:
    face = make()
    client = face.client()
    start = b'{"v":1,"id":1,"method":"profile.check","params":{"name":"a","text":"'
    client.send(start + b"x" * ((1 << 20) - len(start) - 3) + b'"}}\n')
    assert client.answer()["id"] == 1


def test_half_a_line_is_waited_for_only_so_long(make: Make) -> None:
    face = make(line_seconds=0.1)
    client, patient = face.client(), face.client()
    client.send(HELLO + HELLO[:-5])
    answer, refusal = client.lines(2)
    assert answer["result"] and "0.1 s" in refusal["error"]["message"]
    client.until_closed()
    # one that sends nothing at all may stay
    patient.send(HELLO)
    assert patient.answer()["id"] == 1


def test_many_requests_at_once_are_all_answered(make: Make) -> None:
    face = make(requests=4, line_seconds=0.2)
    stage = face.stage
    stage.store.put(profile("slow"))
    gate = stage.engine.gate("up", "slow")
    client, other = face.client(), face.client()
    for number in range(4):
        client.ask(number, "up", profile="slow")
    for number in range(4, 100):
        client.ask(number, "hello")
    face.turn(lambda: stage.state("slow") == "starting")
    end = time.monotonic() + 0.4  # longer than a half line may take: it is not the client's fault
    face.turn(lambda: time.monotonic() > end)
    client.receive()
    assert b"result" not in client.data and not client.ended
    other.send(HELLO)
    assert other.answer()["result"]
    gate.set()
    face.turn(lambda: client.receive() is None and client.data.count(b'"result"') == 100)


def test_more_clients_than_there_is_room_for(make: Make) -> None:
    face = make(clients=64)
    clients = [face.client() for _ in range(100)]
    for client in clients:
        client.send(HELLO)
    answers = [client.answer() for client in clients]
    assert sum("result" in answer for answer in answers) == 64
    refused = [answer["error"] for answer in answers if "error" in answer]
    assert len(refused) == 36 and "64 clients" in refused[0]["message"]
    clients[0].sock.close()
    face.turn(lambda: face.face.clients == 63)
    assert works(face)


def test_who_does_not_read_is_dropped_and_holds_up_nobody(make: Make) -> None:
    face = make(unread=100_000)
    face.stage.store.put(*(profile(f"p{number}") for number in range(300)))
    lazy = face.client()
    with pytest.raises(AssertionError):  # it is cut off in the middle of asking
        for number in range(500):
            request = {"v": 1, "id": number, "method": "list", "params": {}}
            try:
                lazy.sock.send(json.dumps(request).encode() + b"\n")
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                raise AssertionError from None
            face.stage.loop.dispatch(1)
    assert works(face)
    assert face.face.clients <= 1


def test_a_great_answer_to_who_reads_slowly_arrives_whole(make: Make) -> None:
    face = make(unread=1000)
    face.stage.store.put(*(profile(f"p{number}") for number in range(5000)))
    client = face.client()
    client.ask(1, "list")
    end = time.monotonic() + 0.3
    face.turn(lambda: time.monotonic() > end)
    assert len(client.answer()["result"]["profiles"]) == 5000


def test_who_goes_leaves_his_operation_running(make: Make) -> None:
    face = make()
    face.stage.store.put(profile("a"))
    gate = face.stage.engine.gate("up", "a")
    client = face.client()
    client.ask(1, "up", profile="a")
    face.turn(lambda: ("up", "a") in face.stage.engine.log)
    client.sock.close()
    face.turn(lambda: face.face.clients == 0)
    gate.set()
    face.turn(lambda: face.stage.state("a") == "up")


def test_who_only_stops_writing_gets_all_answers(make: Make) -> None:
    face = make()
    face.stage.store.put(profile("a"))
    gate = face.stage.engine.gate("up", "a")
    client = face.client()
    client.ask(1, "up", profile="a")
    client.sock.shutdown(socket.SHUT_WR)
    face.turn(lambda: ("up", "a") in face.stage.engine.log)
    gate.set()
    assert "result" in client.lines(2)[1]
    client.until_closed()


def test_other_users_are_told_why_not(make: Make) -> None:
    face = make(uids=frozenset({4711}))
    client = face.client()
    client.send(HELLO)
    answer = client.answer()
    assert answer["error"]["code"] == "not-authorised"
    assert "sudo" in answer["error"]["hint"]
    client.until_closed()
    assert face.face.clients == 0


def test_no_descriptor_is_lost(make: Make) -> None:
    face = make()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(50):
        client = face.client()
        client.send([HELLO, b"garbage\n", HELLO[:7], b""][number % 4])
        if number % 3:
            face.stage.loop.dispatch(1)
        client.sock.close()
    face.turn(lambda: face.face.clients == 0)
    assert len(os.listdir("/proc/self/fd")) == before


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([HELLO, HELLO[:9], b"\n", b"{"])))
def test_whatever_is_sent_the_next_one_is_served(make: Make, pieces: list[bytes]) -> None:
    face = make() if not hasattr(make, "face") else make.face
    make.face = face  # type: ignore[attr-defined]
    client = face.client()
    for piece in pieces:
        try:
            client.sock.send(piece)
        except OSError:
            break
        face.stage.loop.dispatch()
    client.sock.close()
    face.opened.remove(client.sock)
    assert works(face)


def _all(client: Raw) -> list[dict[str, Any]]:
    client.until_closed()
    return [json.loads(line) for line in client.data.splitlines()]
