# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of --json: one line, this envelope, these keys of these types for each verb.

Scripts rely on it. Adding a key is fine; removing, renaming or changing the type of one is not,
short of a new number in the envelope.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from netjail.cli import app, verbs
from netjail.desktop import entries, pins
from netjail.errors import NetjailError

TEXT, NUMBER, FLAG = str, (int, float), bool
MAYBE_TEXT = (str, type(None))
MAYBE_NUMBER = (int, float, type(None))

PROFILE_UP = {
    "profile": TEXT,
    "state": TEXT,
    "reason": MAYBE_TEXT,
    "changed": FLAG,
    "answered": (bool, type(None)),
}
PROGRAM = {
    "profile": TEXT,
    "pid": int,
    "ppid": int,
    "uid": int,
    "user": TEXT,
    "command": TEXT,
    "argv": [TEXT],
    "started": MAYBE_NUMBER,
}
LISTED = {
    "name": TEXT,
    "description": TEXT,
    "kind": MAYBE_TEXT,
    "state": TEXT,
    "reason": MAYBE_TEXT,
    "since": MAYBE_NUMBER,
}
LENT = {
    "port": (int, type(None)),
    "internal": (int, type(None)),
    "protocols": [TEXT],
    "address": MAYBE_TEXT,
    "gateway": MAYBE_TEXT,
    "spoken": MAYBE_TEXT,
    "text": MAYBE_TEXT,
}
STATUS = {
    **LISTED,
    "netns": MAYBE_TEXT,
    "uplink": {
        "interface": MAYBE_TEXT,
        "implementation": MAYBE_TEXT,
        "through": MAYBE_TEXT,
        "endpoint": MAYBE_TEXT,
        "peers": [
            {
                "public_key": TEXT,
                "endpoint": MAYBE_TEXT,
                "allowed_ips": [TEXT],
                "latest_handshake": MAYBE_NUMBER,
                "received": int,
                "sent": int,
                "persistent_keepalive": MAYBE_NUMBER,
            }
        ],
        "way_out": MAYBE_TEXT,
    },
    "received": MAYBE_NUMBER,
    "sent": MAYBE_NUMBER,
    "mtu": MAYBE_NUMBER,
    "addresses": [{"interface": TEXT, "address": TEXT}],
    "routes": [TEXT],
    "dns": {"mode": MAYBE_TEXT, "servers": [TEXT], "search": [TEXT]},
    "neighbours": [
        {"address": TEXT, "lladdr": MAYBE_TEXT, "interface": TEXT, "state": TEXT},
    ],
    "lent": LENT,
    "links": [
        {
            "interface": TEXT,
            "peer": MAYBE_TEXT,
            "switch": MAYBE_TEXT,
            "mac": MAYBE_TEXT,
            "addresses": [TEXT],
            "up": FLAG,
        }
    ],
    "programs": [PROGRAM],
    "processes": [{"name": TEXT, "pid": int}],
}
SWITCH = {
    "name": TEXT,
    "description": TEXT,
    "engine": MAYBE_TEXT,
    "state": TEXT,
    "netns": MAYBE_TEXT,
    "datapath": MAYBE_TEXT,
    "host": (bool, type(None)),
    "host_interface": MAYBE_TEXT,
    "host_addresses": [TEXT],
    "isolated": (bool, type(None)),
    "vlan": MAYBE_NUMBER,
    "uplink": MAYBE_TEXT,
    "ports": [
        {
            "port": TEXT,
            "kind": TEXT,
            "profile": MAYBE_TEXT,
            "interface": MAYBE_TEXT,
            "mac": MAYBE_TEXT,
            "vlan": MAYBE_NUMBER,
            "addresses": [TEXT],
        }
    ],
    "macs": [{"mac": TEXT, "port": TEXT, "vlan": MAYBE_NUMBER}],
    "neighbours": [{"address": TEXT, "lladdr": MAYBE_TEXT, "state": TEXT}],
    "leases": [{"address": TEXT, "mac": MAYBE_TEXT, "name": MAYBE_TEXT, "expires": MAYBE_NUMBER}],
    "members": [TEXT],
    "processes": [{"name": TEXT, "pid": int}],
}
CHECK = {"code": TEXT, "title": TEXT, "status": TEXT, "text": TEXT, "hint": MAYBE_TEXT}

PORT = {
    "way": TEXT,
    "protocol": TEXT,
    "listen": TEXT,
    "to": TEXT,
    "name": TEXT,
    "open": FLAG,
    "connections": MAYBE_NUMBER,
    "served": MAYBE_NUMBER,
    "added": FLAG,
}

CONTRACT: dict[str, Any] = {
    "list": {"profiles": [{**LISTED, "programs": int}]},
    "status": {"profile": MAYBE_TEXT, "profiles": [STATUS]},
    "up": {"results": [PROFILE_UP]},
    "down": {
        "results": [
            {
                "profile": TEXT,
                "state": TEXT,
                "changed": FLAG,
                "errors": [{"code": TEXT, "message": TEXT, "hint": MAYBE_TEXT, "problems": [TEXT]}],
            }
        ]
    },
    "ps": {"profile": MAYBE_TEXT, "programs": [PROGRAM]},
    "kill": {"profile": TEXT, "signal": int, "signalled": [int]},
    "logs": {
        "profile": TEXT,
        "lines": [{"n": int, "time": NUMBER, "state": MAYBE_TEXT, "text": TEXT}],
    },
    "use": {
        "profile": TEXT,
        "place": TEXT,
        "before": MAYBE_TEXT,
        "matches": int,
        "state": TEXT,
        "reason": MAYBE_TEXT,
        "answered": (bool, type(None)),
        "measured": [{"place": TEXT, "seconds": NUMBER}],
    },
    "plan": {"profile": TEXT, "state": TEXT, "steps": [{"what": TEXT, "command": MAYBE_TEXT}]},
    "app pin": {
        "entry": TEXT,
        "profile": TEXT,
        "name": TEXT,
        "file": TEXT,
        "bus_name": MAYBE_TEXT,
        "running_outside": [int],
    },
    "app unpin": {
        "unpinned": [{"entry": TEXT, "profile": TEXT, "kept": MAYBE_TEXT}],
        "removed": [{"entry": TEXT, "of": TEXT, "profile": TEXT, "kept": MAYBE_TEXT}],
    },
    "app add": {"entry": TEXT, "of": TEXT, "profile": TEXT, "name": TEXT, "file": TEXT},
    "app remove": {"entry": TEXT, "kept": MAYBE_TEXT},
    "app list": {
        "applications": [
            {
                "kind": TEXT,
                "entry": TEXT,
                "of": TEXT,
                "name": TEXT,
                "profile": TEXT,
                "status": TEXT,
                "in_order": FLAG,
                "text": MAYBE_TEXT,
                "file": TEXT,
                "outside": [{"where": MAYBE_TEXT, "pids": [int]}],
            }
        ]
    },
    "app refresh": {"updated": [TEXT], "not_in_order": [{"entry": TEXT, "text": TEXT}]},
    "setup": {
        "prefix": TEXT,
        "print": FLAG,
        "remove": FLAG,
        "files": [{"path": TEXT, "what": TEXT, "change": TEXT}],
        "warnings": [TEXT],
    },
    "lab validate": {
        "lab": TEXT,
        "profiles": [TEXT],
        "switches": [TEXT],
        "problems": [TEXT],
        "warnings": [TEXT],
    },
    "lab up": {
        "lab": TEXT,
        "profiles": [TEXT],
        "switches": [TEXT],
        "stored": int,
        "changed": int,
    },
    "lab down": {"lab": TEXT, "removed": [TEXT], "switches": [TEXT]},
    "lab status": {
        "lab": TEXT,
        "problems": [TEXT],
        "members": [{"kind": TEXT, "name": TEXT, "state": TEXT, "stored": FLAG, "changed": FLAG}],
    },
    "graph": {
        "file": MAYBE_TEXT,
        "nodes": [{"id": TEXT, "kind": TEXT, "name": TEXT, "state": TEXT, "lines": [TEXT]}],
        "edges": [{"upper": TEXT, "lower": TEXT, "bond": TEXT, "label": TEXT}],
    },
    "capture": {
        "profile": TEXT,
        "interface": MAYBE_TEXT,
        "file": TEXT,
        "captured": MAYBE_NUMBER,
        "received": MAYBE_NUMBER,
        "dropped": MAYBE_NUMBER,
    },
    "doctor": {"checks": [CHECK]},
    "check": {
        "profile": TEXT,
        "state": TEXT,
        "verdict": TEXT,
        "clean": FLAG,
        "compared": FLAG,
        "counts": {"ok": int, "info": int, "warning": int, "leak": int, "accepted": int},
        "findings": [
            {
                "code": TEXT,
                "level": TEXT,
                "group": TEXT,
                "title": TEXT,
                "text": TEXT,
                "why": TEXT,
                "todo": TEXT,
                "accepted": FLAG,
            }
        ],
        "sent_inside": [TEXT],
        "sent_outside": [TEXT],
    },
    "apps": {
        "applications": [
            {
                "id": TEXT,
                "name": TEXT,
                "comment": TEXT,
                "path": TEXT,
                "exec": TEXT,
                "icon": TEXT,
                "categories": [TEXT],
                "mime_types": [TEXT],
                "actions": [{"id": TEXT, "name": TEXT}],
                "terminal": FLAG,
                "kind": TEXT,
                "single": (dict, type(None)),
            }
        ],
        "skipped": [{"path": TEXT, "reason": TEXT}],
    },
    "import": {
        "profile": TEXT,
        "left_out": [{"line": int, "text": TEXT, "why": TEXT}],
        "warnings": [TEXT],
    },
    "export": {"profile": TEXT, "text": TEXT},
    "profile add": {"profile": TEXT, "warnings": [TEXT]},
    "profile show": {"profile": TEXT, "text": TEXT},
    "profile edit": {"profile": TEXT, "changed": FLAG, "warnings": [TEXT]},
    "profile remove": {"removed": [TEXT]},
    "port list": {"profile": TEXT, "state": TEXT, "ports": [PORT], "lent": LENT},
    "port watch": {"profile": TEXT, "lent": LENT, "status": (int, type(None))},
    "port add": {"profile": TEXT, "port": PORT, "changed": FLAG},
    "port remove": {"profile": TEXT, "removed": [PORT]},
    "switch list": {
        "switches": [
            {
                "name": TEXT,
                "description": TEXT,
                "engine": MAYBE_TEXT,
                "state": TEXT,
                "reason": MAYBE_TEXT,
                "ports": int,
            }
        ]
    },
    "switch status": {"switches": [SWITCH]},
    "switch add": {"switch": TEXT, "warnings": [TEXT]},
    "switch show": {"switch": TEXT, "text": TEXT},
    "switch edit": {"switch": TEXT, "changed": FLAG, "warnings": [TEXT]},
    "switch remove": {"removed": [TEXT], "members": [TEXT]},
    "profile validate": {
        "files": [{"file": TEXT, "ok": FLAG, "problems": [TEXT], "warnings": [TEXT]}]
    },
}

ERROR = {"code": TEXT, "message": TEXT, "hint": MAYBE_TEXT, "problems": [TEXT]}


def matches(value: Any, shape: Any, where: str = "result") -> None:
    """Assert that `value` has all that `shape` says (it may have more)."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), where
        for key, inner in shape.items():
            assert key in value, f"{where}.{key} is missing"
            matches(value[key], inner, f"{where}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), where
        for number, item in enumerate(value):
            matches(item, shape[0], f"{where}[{number}]")
    else:
        if isinstance(value, bool) and shape is int:
            raise AssertionError(where)
        assert isinstance(value, shape), f"{where} is {value!r}"


def sample(shape: Any) -> Any:
    """A value of that shape, for the fake helper to answer with."""
    if isinstance(shape, dict):
        return {key: sample(inner) for key, inner in shape.items()}
    if isinstance(shape, list):
        return [sample(shape[0])]
    if shape is dict:
        return {}
    kinds = shape if isinstance(shape, tuple) else (shape,)
    return {str: "up", int: 7, float: 7.5, bool: True}[kinds[0]]


CONF = """\
[Interface]
PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=
Address = 10.2.0.2/32
PostUp = true
[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
AllowedIPs = 0.0.0.0/0
Endpoint = 198.51.100.7:51820
"""


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that is pinned, and has a second launcher."""
    home, system = tmp_path / "data", tmp_path / "system"
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(entries, "data_dirs", lambda: [str(home), str(system)])
    (system / "applications").mkdir(parents=True)
    (system / "applications" / "true.desktop").write_text(
        "[Desktop Entry]\nType=Application\nName=True\nExec=true\n"
    )
    pins.pin("true.desktop", "up")
    pins.add("true.desktop", "up")


@pytest.fixture
def files(
    tmp_path: Path, cli, application: None, monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[str]]:
    """The words for each verb, and a helper that answers in the shapes of the contract."""
    monkeypatch.setenv("VISUAL", "true")
    conf, toml = tmp_path / "vpn.conf", tmp_path / "lab.toml"
    conf.write_text(CONF)
    (tmp_path / "l" / "profiles").mkdir(parents=True)
    (tmp_path / "l" / "profiles" / "own.toml").write_text('version = 1\n[uplink]\nkind = "none"\n')
    toml.write_text('version = 1\n[uplink]\nkind = "none"\n')
    cli.client.answers = {
        "list": sample(CONTRACT["list"]),
        "status": {"profile": sample(STATUS)},
        "up": sample(PROFILE_UP),
        "down": {"results": [{**sample(CONTRACT["down"]["results"][0]), "errors": []}]},
        "ps": sample(CONTRACT["ps"]),
        "kill": {"signalled": [1]},
        "use": sample(CONTRACT["use"]),
        "plan": sample(CONTRACT["plan"]),
        "logs": sample(CONTRACT["logs"]),
        "doctor": sample(CONTRACT["doctor"]),
        "graph": {
            "host": {"name": "here"},
            "profiles": [
                {
                    "name": "vpn",
                    "description": "",
                    "kind": "veth",
                    "state": "up",
                    "programs": 1,
                    "through": None,
                    "endpoint": None,
                    "uplink_switch": None,
                    "links": [],
                }
            ],
            "switches": [],
        },
        "check": sample(CONTRACT["check"]),
        "profile.add": {"profile": "vpn", "warnings": ["w"]},
        "profile.check": {"warnings": []},
        "profile.remove": {},
        "port.list": sample(CONTRACT["port list"]),
        "port.lent": {"profile": "vpn", "lent": sample(LENT), "known": "x"},
        "port.add": sample(CONTRACT["port add"]),
        "port.remove": sample(CONTRACT["port remove"]),
        "switch.list": sample(CONTRACT["switch list"]),
        "switch.status": {"switch": sample(SWITCH)},
        "switch.get": {"name": "lab", "text": "version = 1\n"},
        "switch.check": {"warnings": []},
        "switch.add": {"switch": "lab", "warnings": ["w"]},
        "switch.remove": {"members": ["vpn"]},
    }

    def capture(_params: dict[str, Any]) -> dict[str, Any]:
        """A capture that ends at once, with its counts."""
        (packets, into), (said, say), (held, leash) = (os.pipe() for _ in range(3))
        os.write(say, b'{"interface": "wg0"}\n0 packets captured\n0 packets dropped by kernel\n')
        for fd in (into, say, held):
            os.close(fd)
        cli.client.descriptors += [packets, said, leash]
        return {"profile": "vpn"}

    cli.client.answers["capture"] = capture
    cli("import", str(conf))
    stored = cli.client.calls[-1][1]["text"]
    cli.client.answers["profile.get"] = {"name": "vpn", "text": stored}
    return {
        "list": [],
        "status": [],
        "up": ["vpn", "lab"],
        "down": ["--all"],
        "ps": [],
        "kill": ["vpn"],
        "use": ["vpn", "se"],
        "plan": ["vpn"],
        "logs": ["vpn"],
        **{f"lab {verb}": [str(tmp_path / "l")] for verb in ("validate", "up", "down", "status")},
        "graph": [],
        "capture": [f"--write={tmp_path}/x.pcap", "vpn"],
        "doctor": [],
        "check": ["vpn"],
        "apps": [],
        "setup": ["--print"],
        "import": [str(conf)],
        "export": ["vpn"],
        "profile add": [str(toml)],
        "profile show": ["vpn"],
        "profile edit": ["vpn"],
        "profile remove": ["vpn"],
        "profile validate": [str(toml)],
        "port list": ["vpn"],
        "port watch": ["--once", "vpn"],
        "port add": ["vpn", "9091"],
        "port remove": ["vpn", "9091"],
        "switch list": [],
        "switch status": [],
        "switch add": [str(toml)],
        "switch show": ["lab"],
        "switch edit": ["lab"],
        "switch remove": ["lab"],
        "app pin": ["true", "up"],
        "app unpin": ["true"],
        "app add": ["true", "up"],
        "app remove": ["true", "up"],
        "app list": [],
        "app refresh": [],
    }


def test_every_reporting_verb_is_in_the_contract() -> None:
    assert set(CONTRACT) == set(verbs.MODULES) - app.NO_JSON


@pytest.mark.parametrize("verb", list(CONTRACT))
@pytest.mark.parametrize("first", [True, False])
def test_result(verb: str, first: bool, files: dict[str, list[str]], cli) -> None:
    words = [*verb.split(" "), *files[verb]]
    assert cli(*(["--json", *words] if first else [*words, "--json"])) == 0
    assert cli.out.count("\n") == 1
    assert cli.err == ""
    envelope = json.loads(cli.out)
    assert set(envelope) == {"netjail", "verb", "ok", "result"}
    assert (envelope["netjail"], envelope["verb"], envelope["ok"]) == (1, verb, True)
    matches(envelope["result"], CONTRACT[verb])


OWN = ("profile validate", "lab validate", "setup", "apps")
"""Verbs that ask no helper, as those on applications, which go on without one."""


@pytest.mark.parametrize("verb", [v for v in CONTRACT if v not in OWN and v[:4] != "app "])
def test_error(verb: str, files: dict[str, list[str]], cli) -> None:
    error = NetjailError("no-helper", "It is\x1b gone.", None, ("a", "b"))
    cli.client.answers = dict.fromkeys(cli.client.answers, error)
    whole = verb in {"capture", "port add", "port remove", "port watch", "use"}
    words = files[verb] if whole else files[verb][:1]
    assert cli(*verb.split(" "), *words, "--json") == 1
    assert cli.out.count("\n") == 1
    assert "\x1b" not in cli.out
    assert cli.err == ""
    envelope = json.loads(cli.out)
    assert set(envelope) - {"result"} == {"netjail", "verb", "ok", "error"}
    assert (envelope["netjail"], envelope["verb"], envelope["ok"]) == (1, verb, False)
    matches(envelope["error"], ERROR)
    assert envelope["error"]["code"] == "no-helper"


@pytest.mark.parametrize("verb", list(CONTRACT))
def test_usage_error(verb: str, cli) -> None:
    assert cli(*verb.split(" "), "--no-such-option", "--json") == 2
    envelope = json.loads(cli.out)
    assert envelope["verb"] == verb
    assert envelope["error"]["code"] == "usage"


def test_no_verb(cli) -> None:
    assert cli("--json", "xyzzy") == 2
    assert json.loads(cli.out)["verb"] is None


def test_version(cli) -> None:
    assert cli("--json", "--version") == 0
    envelope = json.loads(cli.out)
    assert envelope["verb"] == "version"
    assert isinstance(envelope["result"]["version"], str)


def test_partial_failure_has_both(cli) -> None:
    def answer(params: dict[str, Any]) -> Any:
        if params["profile"] == "a":
            return NetjailError("no-such-profile", "There is none.")
        return sample(PROFILE_UP)

    cli.client.answers = {"up": answer}
    assert cli("up", "a", "b", "--json") == 1
    envelope = json.loads(cli.out)
    assert envelope["ok"] is False
    assert envelope["error"]["code"] == "no-such-profile"
    matches(envelope["result"], CONTRACT["up"])


@pytest.mark.parametrize("verb", sorted(app.PROGRAM_VERBS))
def test_the_programs_stdout_is_its_own(verb: str, cli) -> None:
    assert cli("--json", verb, "vpn", "true") == 2
    assert cli.out == ""
