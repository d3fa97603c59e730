# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netjail.daemon import methods
from netjail.daemon.protocol import (
    GarbageError,
    Request,
    encode_error,
    encode_progress,
    encode_result,
    parse_request,
)
from netjail.errors import NetjailError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
few = settings(max_examples=60, deadline=None)
names = st.sampled_from([*methods.METHODS, "", "x"])


def test_a_request() -> None:
    line = b'{"v":1,"id":7,"method":"up","params":{"profile":"a"}}'
    assert parse_request(line) == Request(7, "up", {"profile": "a"})
    assert parse_request(b'{"method":"list","id":0,"v":1}') == Request(0, "list", {})


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET / HTTP/1.1",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"up"',
        b"{}",
        b'{"v":1,"id":true,"method":"up"}',
        b'{"v":1,"id":-1,"method":"up"}',
        b'{"v":1,"id":1.5,"method":"up"}',
        b'{"v":1,"id":9007199254740993,"method":"up"}',
        b'{"v":"1","id":1,"method":"up"}',
        b'{"id":1,"method":"up"}',
        b'{"v":1,"id":1,"method":["up"]}',
        b'{"v":1,"id":1,"method":"up","params":[]}',
        b'{"v":1,"id":1,"method":"up","params":null}',
        b'{"v":1,"id":1,"method":"up","params":{"wait":NaN}}',
        b'{"v":1,"id":1,"method":"up"}{}',
        b"[" * 100_000,
        b'{"v":1,"id":' + b"9" * 10_000 + b"}",
    ],
)
def test_garbage(line: bytes) -> None:
    with pytest.raises(GarbageError) as caught:
        parse_request(line)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"v":2,"id":3,"method":"up"}', "version 1"),
        (b'{"v":1,"id":3,"method":"up","priority":9}', "priority"),
    ],
)
def test_good_form_but_not_for_us(line: bytes, says: str) -> None:
    request = parse_request(line)
    assert request.id == 3
    assert request.problem is not None and request.problem.code == "bad-request"
    assert says in request.problem.message


@few
@given(st.binary(max_size=400))
def test_bytes_are_a_request_or_garbage_and_nothing_else(line: bytes) -> None:
    try:
        assert isinstance(parse_request(line), Request)
    except GarbageError:
        pass


@few
@given(values)
def test_json_is_a_request_or_garbage_and_nothing_else(value: object) -> None:
    try:
        parse_request(json.dumps(value).encode())
    except GarbageError:
        pass


@few
@given(
    st.fixed_dictionaries(
        {"v": st.just(1) | values, "id": st.integers(0, 9) | values, "method": names | values},
        optional={"params": st.dictionaries(st.text(), values, max_size=3) | values},
    )
)
def test_near_requests_are_requests_or_garbage_and_nothing_else(data: dict) -> None:
    try:
        request = parse_request(json.dumps(data).encode())
    except GarbageError:
        return
    assert type(request.id) is int and isinstance(request.params, dict)


@few
@given(names, st.data())
def test_parameters_are_checked_or_refused_and_nothing_else(
    method: str, data: st.DataObject
) -> None:
    known = list(methods.METHODS[method].params) if method in methods.METHODS else []
    keys = st.sampled_from(known) if known else st.text()
    likely = st.sampled_from(["a", "../x", ["a", "b"], [1], 5, True, None, 0.5])
    params = data.draw(st.dictionaries(keys | st.text(max_size=3), likely | values, max_size=5))
    try:
        checked = methods.check(method, params)
    except NetjailError as error:
        assert error.code in ("bad-request", "invalid-name")
        assert len(error.message) < 400
        json.dumps(error.as_dict()).encode()
        return
    assert set(checked) == set(known)


@few
@given(values, st.text())
def test_what_goes_out_is_one_line_of_ascii(value: object, text: str) -> None:
    error = NetjailError("system", text, text)
    for line in (
        encode_result(1, {"x": value}),
        encode_progress(1, text),
        encode_error(None, error),
    ):
        assert line.endswith(b"\n") and line.count(b"\n") == 1 and line.isascii()
    assert json.loads(encode_progress(1, text))["progress"] == text


def test_arguments_that_are_no_unicode_pass_through() -> None:
    argv = [b"caf\xe9".decode(errors="surrogateescape")]
    line = encode_result(1, {"argv": argv})
    assert json.loads(line)["result"]["argv"] == argv
