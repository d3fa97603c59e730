# SPDX-License-Identifier: GPL-3.0-or-later
"""One plain request to a helper that is there, without the weight of `client`.

`netjail up lab` takes a helper 5 ms, and a command line that imports socket, json and argparse
30 more. So `main` asks by this, and knows the answers that need no thought by their text. With
any other one, or when it takes a while, the connection goes on to `client`, and all is as if that
had asked: nothing is asked twice.

On the launch path: imports nothing that is not built in, save `_socket`.
"""

import _socket

from netjail import names

PATIENCE = 0.5
"""Seconds to wait for an answer before there should be somebody who can say what for."""

_DOWN = '{"id":1,"result":{"results":[{', "}]}}"


class Asked:
    """A request that is on its way: `line` went out with id 1, `received` came back so far."""

    __slots__ = ("line", "received", "sock")

    def __init__(self, sock: _socket.socket, line: bytes) -> None:
        self.sock = sock
        self.line = line
        self.received = b""

    def answer(self) -> str | None:
        """The one line of an answer, or None where it does not come soon, or not alone."""
        try:
            while not self.received.endswith(b"\n"):
                data = self.sock.recv(65536)
                if not data:
                    return None
                self.received += data
        except OSError:
            return None
        line = self.received[:-1].decode()
        return None if "\n" in line else line


def ask(method: str, params: str) -> Asked | None:
    """Send a request, its parameters in JSON as json.dumps has it; None: nobody takes it."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    line = f'{{"v": {names.PROTOCOL}, "id": 1, "method": "{method}", "params": {params}}}\n'
    try:
        sock.settimeout(PATIENCE)
        sock.connect(names.SOCKET)
        sock.sendall(line.encode())
    except OSError:
        sock.close()
        return None
    return Asked(sock, line.encode())


def up_params(profile: str, wait: float) -> str:
    """Parameters of "up"."""
    return f'{{"profile": "{profile}", "wait": {wait}}}'


def down_params(profiles: "list[str] | None") -> str:
    """Parameters of "down"; None: of all."""
    listed = "null" if profiles is None else "[" + ", ".join(f'"{p}"' for p in profiles) + "]"
    return f'{{"profiles": {listed}, "kill": false}}'


def read_up(line: str, profile: str) -> "dict[str, object] | None":
    """The result in an answer to "up", where it is up and that is all there is to say."""
    before, after = f'{{"id":1,"result":{{"profile":"{profile}","kind":"', "}}"
    if not (line.startswith(before) and line.endswith(after)):
        return None
    kind, _, rest = line[len(before) : -len(after)].partition('"')
    for changed in (True, False):
        for answered, text in ((None, "null"), (True, "true")):
            word = "true" if changed else "false"
            if rest == f',"state":"up","reason":null,"changed":{word},"answered":{text}':
                up: dict[str, object] = {"profile": profile, "kind": kind, "state": "up"}
                return up | {"changed": changed, "answered": answered}
    return None


def read_down(line: str) -> "list[dict[str, object]] | None":
    """The results in an answer to "down", where all are down without more ado."""
    before, after = _DOWN
    if not (line.startswith(before) and line.endswith(after)):
        return None
    results: list[dict[str, object]] = []
    for each in line[len(before) : -len(after)].split("},{"):
        profile = each.removeprefix('"profile":"').partition('"')[0]
        for changed in (True, False):
            word = "true" if changed else "false"
            if each == f'"profile":"{profile}","state":"down","changed":{word},"errors":[]':
                results.append({"profile": profile, "changed": changed})
                break
        else:
            return None
    return results
