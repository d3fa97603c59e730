# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table of what may be asked of the helper, on either face, and the check of parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from netjail import names
from netjail.errors import NetjailError
from netjail.uplinks import login

TEXT_MAX = 1 << 20
SHORT_MAX = 200
WORD_MAX = 100
"""Characters of what means a place."""
WAIT_MAX = 3600
PIDS_MAX = 4096
PROFILES_MAX = 4096
WORDS_MAX = 1 << 20
"""Characters of a command line, or of an environment."""
FILTER_MAX = 4096
"""Characters of a filter of tcpdump's."""
_REQUIRED = object()

Check = Callable[[str, Any], Any]
"""(name of the parameter, value) -> the value to use; raises NetjailError."""


@dataclass(frozen=True, slots=True)
class Param:
    check: Check
    default: Any = _REQUIRED


@dataclass(frozen=True, slots=True)
class Method:
    """What it takes of the caller to have it done is the business of `rights`."""

    params: dict[str, Param] = field(default_factory=dict)


def _bad(name: str, what: str) -> NetjailError:
    return NetjailError("bad-request", f"parameter {name!r} must be {what}")


def _name_of(what: str) -> Check:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise _bad(name, f"the name of a {what}")
        if not names.valid_name(value):
            shown = ascii(value if len(value) <= 60 else value[:60] + "...")
            raise NetjailError(
                "invalid-name",
                f"{shown} cannot be the name of a {what}",
                f"1 to {names.NAME_MAX} of a-z, 0-9, '_' and '-', beginning with a letter or digit",
            )
        return value

    return check


_profile = _name_of("profile")
_switch = _name_of("switch")


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > TEXT_MAX:
        raise _bad(name, f"a text of at most {TEXT_MAX} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _bad(name, "Unicode text (it has a lone surrogate)") from None
    return value


def _short(name: str, value: Any) -> str:
    text = _text(name, value)
    if len(text) > SHORT_MAX:
        raise _bad(name, f"a text of at most {SHORT_MAX} characters")
    return text


def _place_word(name: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= WORD_MAX or not value.isprintable():
        raise _bad(name, f"a word of 1 to {WORD_MAX} characters")
    return value


def _bool(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _bad(name, "true or false")
    return value


def _int(low: int, high: int) -> Check:
    def check(name: str, value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise _bad(name, f"a whole number from {low} to {high}")
        return value

    return check


def _seconds(name: str, value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= WAIT_MAX:
        raise _bad(name, f"seconds from 0 to {WAIT_MAX}")
    return float(value)


def _moment(name: str, value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1 << 40:
        raise _bad(name, "seconds since 1970")
    return float(value)


def _or_null(check: Check) -> Check:
    return lambda name, value: None if value is None else check(name, value)


def _several(check: Check, most: int) -> Check:
    def check_all(name: str, value: Any) -> list[Any]:
        if not isinstance(value, list) or not 0 < len(value) <= most:
            raise _bad(name, f"a list of 1 to {most}")
        # In order, each once.
        return list(dict.fromkeys(check(name, each) for each in value))

    return check_all


def _one_of(*allowed: str) -> Check:
    def check(name: str, value: Any) -> str:
        if value not in allowed or not isinstance(value, str):
            raise _bad(name, f"one of {', '.join(allowed)}")
        return value

    return check


def _word(name: str, value: Any) -> str:
    """What execve(2) takes: any bytes but zero, those that are not UTF-8 as lone surrogates."""
    if not isinstance(value, str) or len(value) > TEXT_MAX or "\0" in value:
        raise _bad(name, "a text without zero bytes")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise _bad(name, "a text, with bytes that are not UTF-8 as U+DC80 to U+DCFF") from None
    return value


def _interface(name: str, value: Any) -> str:
    """Empty: none in particular. What the kernel takes as an interface's name, and no option."""
    if not isinstance(value, str) or len(value) > 15 or value.startswith("-"):
        raise _bad(name, "the name of an interface")
    if not all(33 <= ord(c) < 127 and c not in "/:" for c in value):
        raise _bad(name, "the name of an interface")
    return value


def _filter(name: str, value: Any) -> list[str]:
    words = _entries(name, value)
    if sum(map(len, words)) > FILTER_MAX or len(words) > FILTER_MAX:
        raise _bad(name, f"a filter of at most {FILTER_MAX} characters")
    return words


def _entries(name: str, value: Any) -> list[str]:
    if not isinstance(value, list):
        raise _bad(name, "a list of texts")
    if sum(len(_word(name, each)) for each in value) > WORDS_MAX:
        raise _bad(name, f"at most {WORDS_MAX} characters in all")
    return value


def _words(name: str, value: Any) -> list[str]:
    words = _entries(name, value)
    if not words:
        raise _bad(name, "a list of at least one text")
    return words


def _answers(name: str, value: Any) -> dict[str, str]:
    """What a user answers a VPN's server; `login.NAMES` are the questions."""
    if not isinstance(value, dict) or not set(value) <= set(login.NAMES):
        raise _bad(name, f"an object with some of {', '.join(login.NAMES)}")
    from netjail.profile import checks, tunnelchecks  # late: the socket need not wait for them

    for question, answer in value.items():
        try:
            tunnelchecks.secret_line(answer)
        except checks.Bad as bad:  # which never shows the value
            raise _bad(f"{name}.{question}", f"one line of text; this {bad.why}") from None
    return value


_pid = _int(1, 1 << 22)

METHODS: dict[str, Method] = {
    "hello": Method(),
    "list": Method(),
    "status": Method({"profile": Param(_profile)}),
    "up": Method(
        {
            "profile": Param(_profile),
            "wait": Param(_seconds, default=0.0),
            "credentials": Param(_or_null(_answers), default=None),
        }
    ),
    "places": Method({"profile": Param(_profile)}),
    "use": Method(
        {
            "profile": Param(_profile),
            "place": Param(_or_null(_place_word), default=None),
            "how": Param(_one_of("first", "fastest", "random"), default="first"),
            "wait": Param(_seconds, default=0.0),
        }
    ),
    "down": Method(
        {
            "profiles": Param(_or_null(_several(_profile, PROFILES_MAX))),
            "kill": Param(_bool, default=False),
        },
    ),
    "ps": Method({"profile": Param(_or_null(_profile), default=None)}),
    "kill": Method(
        {
            "profile": Param(_profile),
            "pids": Param(_or_null(_several(_pid, PIDS_MAX)), default=None),
            "signal": Param(_int(1, 64), default=15),
        },
    ),
    "plan": Method({"profile": Param(_profile)}),
    "logs": Method(
        {
            "profile": Param(_profile),
            "since": Param(_moment, default=0.0),
            "after": Param(_int(0, 1 << 60), default=0),
            "wait": Param(_seconds, default=0.0),
        }
    ),
    "doctor": Method(),
    "graph": Method(),
    "capture": Method(
        {
            "profile": Param(_profile),
            "interface": Param(_interface, default=""),
            "filter": Param(_filter, default=()),
            "snap": Param(_int(0, 262144), default=0),
            "count": Param(_int(0, 1 << 31), default=0),
            "live": Param(_bool, default=False),
        },
    ),
    "port.list": Method({"profile": Param(_profile)}),
    "port.add": Method(
        {
            "profile": Param(_profile),
            "way": Param(_one_of("forward", "expose"), default="forward"),
            "listen": Param(_short),
            "to": Param(_or_null(_short), default=None),
            "protocol": Param(_one_of("tcp", "udp"), default="tcp"),
            "name": Param(_short, default=""),
        },
    ),
    "port.lent": Method(
        {
            "profile": Param(_profile),
            "known": Param(_text, default=""),
            "wait": Param(_seconds, default=0.0),
        }
    ),
    "port.remove": Method(
        {
            "profile": Param(_profile),
            "way": Param(_or_null(_one_of("forward", "expose")), default=None),
            "listen": Param(_short),
            "protocol": Param(_one_of("tcp", "udp"), default="tcp"),
        },
    ),
    "profile.add": Method(
        {
            "name": Param(_profile),
            "text": Param(_text),
            "replace": Param(_bool, default=False),
        },
    ),
    "profile.get": Method({"name": Param(_profile)}),
    "profile.check": Method({"name": Param(_profile), "text": Param(_text)}),
    "profile.remove": Method({"name": Param(_profile), "down": Param(_bool, default=False)}),
    "switch.list": Method(),
    "switch.status": Method({"switch": Param(_switch)}),
    "switch.add": Method(
        {
            "name": Param(_switch),
            "text": Param(_text),
            "replace": Param(_bool, default=False),
        },
    ),
    "switch.get": Method({"name": Param(_switch)}),
    "switch.check": Method({"name": Param(_switch), "text": Param(_text)}),
    "switch.remove": Method({"name": Param(_switch)}),
    "launch": Method(
        {
            "profile": Param(_profile),
            "argv": Param(_words),
            "env": Param(_or_null(_entries), default=None),
            "umask": Param(_or_null(_int(0, 0o777)), default=None),
            "ignored": Param(_int(0, (1 << 65) - 1), default=0),
            "stdio": Param(_one_of("plain", "terminal", "background", "detached"), default="plain"),
            "directory": Param(_or_null(_word), default=None),
            "wait": Param(_or_null(_seconds), default=None),
            "early": Param(_bool, default=False),
        }
    ),
    "check": Method(
        {
            "profile": Param(_profile),
            "echo": Param(_text, default=""),
            "echo_dns": Param(_text, default=""),
            "resolver": Param(_text, default=""),
            "accept": Param(_entries, default=()),
            "outside": Param(_or_null(_text), default=None),
            "env": Param(_or_null(_entries), default=None),
        }
    ),
    "enter": Method({"profile": Param(_profile), "pid": Param(_pid)}),
}


def check(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """All parameters of a method, checked, with defaults filled in.

    Raises NetjailError: bad-request (unknown method or parameter, one missing, one of the wrong
    form), invalid-name.
    """
    known = METHODS.get(method)
    if known is None:
        raise NetjailError("bad-request", f"there is no method {method[:60]!a}")
    for name in params:
        if name not in known.params:
            raise NetjailError("bad-request", f"method {method!r} has no parameter {name[:60]!a}")
    checked = {}
    for name, param in known.params.items():
        if name in params:
            checked[name] = param.check(name, params[name])
        elif param.default is _REQUIRED:
            raise NetjailError("bad-request", f"method {method!r} needs parameter {name!r}")
        else:
            checked[name] = param.default
    return checked
