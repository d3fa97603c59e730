# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines on the socket: reading requests, writing answers. Knows nothing of what they do."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, NoReturn

from netjail import names
from netjail.errors import NetjailError

LINE_MAX = 1 << 20
"""Longest request line, in bytes, its newline not counted."""
ID_MAX = 1 << 53
"""Ids are integers that every JSON reader keeps exact."""


class GarbageError(Exception):
    """Not a request at all: the connection is not worth keeping."""


@dataclass(frozen=True, slots=True)
class Request:
    id: int
    method: str
    params: dict[str, Any]
    interactive: bool = True
    """Whether a person may be asked for a password meanwhile."""
    problem: NetjailError | None = None
    """A request of good form that cannot be served (another protocol version)."""


def parse_request(line: bytes) -> Request:
    """A request from one line without its newline. Raises GarbageError, and nothing else."""
    try:
        data = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise GarbageError(f"the line is not JSON in UTF-8 ({_reason(error)})") from None
    if not isinstance(data, dict):
        raise GarbageError("a request is a JSON object")
    number = data.get("id")
    # A bool is an int in Python, not in JSON.
    if type(number) is not int or not 0 <= number <= ID_MAX:
        raise GarbageError(f'a request has an "id": a whole number from 0 to {ID_MAX}')
    if type(data.get("v")) is not int:
        raise GarbageError('a request has a "v": the version of the protocol')
    method = data.get("method")
    params = data.get("params", {})
    if not isinstance(method, str) or not isinstance(params, dict):
        raise GarbageError('a request has a "method" (a string) and "params" (an object)')
    interactive = data.get("interactive", True)
    if not isinstance(interactive, bool):
        raise GarbageError('"interactive" is true or false')
    if data["v"] != names.PROTOCOL:
        problem = NetjailError(
            "bad-request",
            f"this helper speaks version {names.PROTOCOL} of the protocol, not {data['v']}",
            "command and helper are of different versions of netjail: end the helper (what is up "
            "stays up) and try again",
        )
        return Request(number, method, params, problem=problem)
    unknown = sorted(set(data) - {"v", "id", "method", "params", "interactive"})
    if unknown:
        problem = NetjailError("bad-request", f"a request has no {unknown[0][:60]!a}")
        return Request(number, method, params, problem=problem)
    return Request(number, method, params, interactive)


def encode_result(number: int, result: dict[str, Any]) -> bytes:
    return _line({"id": number, "result": result})


def encode_progress(number: int, text: str) -> bytes:
    return _line({"id": number, "progress": text})


def encode_early(number: int) -> bytes:
    """With the descriptors of a `launch` that is not authorised yet, for clients that ask so."""
    return _line({"id": number, "early": True})


def encode_exited(number: int, status: int) -> bytes:
    """After the result of a `launch`, to a client that stays: how the program has ended.
    `status`: as waitpid(2) gives it."""
    signalled = os.WIFSIGNALED(status)
    event = {
        "status": None if signalled else os.waitstatus_to_exitcode(status),
        "signal": os.WTERMSIG(status) if signalled else None,
        "core": os.WCOREDUMP(status),
    }
    return _line({"id": number, "exited": event})


def encode_error(number: int | None, error: NetjailError) -> bytes:
    """`number` None: the error concerns the connection, which is then closed. `prompt` beside the
    error: with a polkit agent for the asking process, the same request may succeed."""
    data = {"id": number, "error": error.as_dict()}
    return _line({**data, "prompt": True} if error.prompt else data)


def _line(data: dict[str, Any]) -> bytes:
    # ASCII only: command lines of programs may hold bytes that are no UTF-8, which Python carries
    # as lone surrogates; escaped they reach the client unharmed.
    return json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _reason(error: Exception) -> str:
    # UnicodeDecodeError's text would repeat a megabyte of input; its reason does not.
    if isinstance(error, UnicodeDecodeError):
        return error.reason
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
