# SPDX-License-Identifier: GPL-3.0-or-later
"""Verbs that read and write files of the user: import, export, profile show and edit."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from netjail.cli import profile_edit, reading
from netjail.cli.context import Context
from netjail.cli.profile_text import MASK, mask
from netjail.errors import NetjailError

PRIVATE = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PUBLIC = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
SHARED = "/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak="

CONF = f"""\
# From the provider
[Interface]
PrivateKey = {PRIVATE}
Address = 10.2.0.2/32
DNS = 10.2.0.1, corp.example
PostUp = iptables -A OUTPUT -j REJECT

[Peer]
PublicKey = {PUBLIC}
PresharedKey = {SHARED}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = 198.51.100.7:51820
"""


@pytest.fixture
def stored(cli) -> dict[str, str]:
    """Lets the fake helper keep what is added."""
    texts: dict[str, str] = {}

    def add(params: dict[str, Any]) -> dict[str, Any]:
        texts[params["name"]] = params["text"]
        return {"profile": params["name"], "warnings": []}

    cli.client.answers = {
        "profile.add": add,
        "profile.get": lambda params: {"name": params["name"], "text": texts[params["name"]]},
        "profile.check": {"warnings": []},
    }
    return texts


def test_import_and_export(cli, stored: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "SE Stockholm.conf"
    file.write_bytes(b"\xef\xbb\xbf" + CONF.replace("\n", "\r\n").encode())
    words = ["--description", "Sweden", "--user", "ada", "--through", "home"]
    assert cli("import", str(file), *words) == 0
    assert "Imported se-stockholm.\n" in cli.out
    assert "line 6: PostUp = iptables" in cli.out
    assert "never runs commands" in cli.out
    assert "netjail run se-stockholm curl" in cli.out
    text = stored["se-stockholm"]
    for line in ('description = "Sweden"', 'through = "home"', '"ada"', "corp.example"):
        assert line in text

    assert cli("export", "se-stockholm") == 0
    assert PRIVATE in cli.out
    target = tmp_path / "out.conf"
    assert cli("export", "se-stockholm", "-o", str(target)) == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.read_text() == _exported(cli)
    assert cli("export", "se-stockholm", "-o", str(target)) == 1
    assert "--force" in cli.err
    target.write_text("old")
    assert cli("export", "se-stockholm", "-o", str(target), "--force") == 0
    assert target.read_text() == _exported(cli)
    assert sorted(p.name for p in tmp_path.iterdir()) == [file.name, "out.conf"]


def _exported(cli: Any) -> str:
    cli("export", "se-stockholm")
    return str(cli.out)


def test_export_follows_no_link(cli, stored: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "vpn.conf").write_text(CONF)
    cli("import", str(tmp_path / "vpn.conf"))
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_text("precious")
    link.symlink_to(victim)
    assert cli("export", "vpn", "-o", str(link)) == 1
    assert cli("export", "vpn", "-o", str(link), "--force") == 2
    assert victim.read_text() == "precious"
    assert cli("export", "vpn", "-o", "/nowhere/x") == 1


def test_import_of_other_things(cli, tmp_path: Path) -> None:
    ovpn = tmp_path / "x.ovpn"
    ovpn.write_text("client\nremote a 1194\n")
    assert cli("import", str(ovpn)) == 1
    assert "OpenVPN" in cli.err
    inside = tmp_path / "x.conf"
    inside.write_text("client\ndev tun\nremote a 1194\n")
    assert cli("import", str(inside)) == 1
    assert "OpenVPN" in cli.err
    binary = tmp_path / "x.zip"
    binary.write_bytes(b"PK\x03\x04\0\0")
    assert cli("import", str(binary)) == 1
    assert "damaged .zip" in cli.err
    huge = tmp_path / "huge.conf"
    huge.write_text("#" * (1 << 20) + "\n")
    assert cli("import", str(huge)) == 2
    assert "1 MiB" in cli.err
    assert cli("import", "/") == 1
    assert "directory" in cli.err
    assert cli("import", "vpn") == 1
    assert "not the name of a profile" in cli.err
    broken = tmp_path / "broken.conf"
    broken.write_text(CONF.replace(PUBLIC, "short="))
    assert cli("import", str(broken)) == 1
    assert PRIVATE not in cli.err
    assert cli.client.calls == []


def test_import_from_a_pipe(cli, stored: dict[str, str]) -> None:
    reader, writer = os.pipe()
    os.write(writer, CONF.encode())
    os.close(writer)
    assert cli("import", f"/proc/self/fd/{reader}", "--name", "vpn") == 0
    os.close(reader)
    assert "vpn" in stored


def test_a_pipe_without_writer_does_not_hang(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert reading.read_bytes(str(fifo)) == b""


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/tmp/SE Stockholm#1.conf", "se-stockholm-1"),
        ("lab.toml", "lab"),
        ("wg0.conf", "wg0"),
        ("-rf.conf", "rf"),
    ],
)
def test_name_from(path: str, name: str) -> None:
    assert reading.name_from(path) == name


def test_standard_input_needs_a_name(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(CONF.encode())))
    assert cli("import", "-") == 2
    assert "--name" in cli.err


# show


TOML = f"""\
version = 1
# the old one: {SHARED}
[uplink]
kind = "wireguard"
private_key = "{PRIVATE}"  # mine
address = ["10.2.0.2/32"]
[[uplink.peer]]
public_key = "{PUBLIC}"
preshared_key = '''{SHARED}'''
"""


@pytest.mark.parametrize(
    "text",
    [
        TOML,
        TOML.replace("private_key", '"private\\u005fkey"'),
        TOML.replace(PRIVATE, "\\u0079" + PRIVATE[1:]),
        TOML + "= broken",
        f'uplink = {{private_key = "{PRIVATE}", peer = [{{preshared_key = "{SHARED}"}}]}}',
    ],
)
def test_mask(text: str) -> None:
    shown = mask(text)
    assert PRIVATE not in shown
    assert PRIVATE[1:] not in shown
    assert SHARED not in shown
    assert MASK in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('server = "vpn.example"\npassword = "x"', f'server = "vpn.example"\npassword = "{MASK}"'),
        ('username = "password"\npassword="password"', f'username = "password"\npassword="{MASK}"'),
        ("password = 'anne'  # anne, not joanne", f"password = '{MASK}'  # {MASK}, not joanne"),
        ('password = """x\ny"""', f'password = """{MASK}"""'),
    ],
)
def test_what_is_hidden_elsewhere_does_not_tell_a_short_secret(text: str, shown: str) -> None:
    assert mask(text) == shown


def test_mask_leaves_the_rest() -> None:
    shown = mask(TOML)
    assert shown.count(MASK) == 3
    assert f'public_key = "{PUBLIC}"' in shown
    assert "# mine" in shown


def test_show(cli, stored: dict[str, str]) -> None:
    stored["vpn"] = TOML
    assert cli("profile", "show", "vpn") == 0
    assert PRIVATE not in cli.out
    assert cli("profile", "show", "vpn", "--secrets") == 0
    assert cli.out == TOML


# edit


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script to be filled in; "$1" is the file."""
    script = tmp_path / "editor"
    script.touch(mode=0o755)
    monkeypatch.setenv("VISUAL", f"{script} ''")
    monkeypatch.setattr("netjail.names.RUN_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    return script


def test_edit(cli, stored: dict[str, str], editor: Path, tmp_path: Path) -> None:
    stored["vpn"] = "version = 1\n"
    log = tmp_path / "log"
    editor.write_text(f'#!/bin/sh\nstat -c %a "$2" $(dirname "$2") >{log}\necho "# x" >>"$2"\n')
    assert cli("profile", "edit", "vpn") == 0
    assert stored["vpn"] == "version = 1\n# x\n"
    assert log.read_text() == "600\n700\n"
    assert cli.out == "Stored vpn.\n"
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(("script", "status"), [("true", 0), ("exit 3", 1), ('rm "$2"', 1)])
def test_edit_without_a_change(
    script: str, status: int, cli, stored: dict[str, str], editor: Path, tmp_path: Path
) -> None:
    stored["vpn"] = "version = 1\n"
    editor.write_text(f"#!/bin/sh\n{script}\n")
    assert cli("profile", "edit", "vpn") == status
    assert stored["vpn"] == "version = 1\n"
    assert list((tmp_path / "run").iterdir()) == []


def test_edit_with_a_mistake_loses_nothing(
    cli, stored: dict[str, str], editor: Path, tmp_path: Path
) -> None:
    stored["vpn"] = "version = 1\n"
    editor.write_text('#!/bin/sh\necho oops >>"$2"\n')
    cli.client.answers["profile.check"] = NetjailError(
        "invalid-profile", "vpn.toml has a problem", None, ("line 2: oops",)
    )
    assert cli("profile", "edit", "vpn") == 1
    assert "line 2: oops" in cli.err
    (kept,) = (tmp_path / "run").glob("*/vpn.toml")
    assert str(kept) in cli.err
    assert kept.read_text() == "version = 1\noops\n"
    assert stored["vpn"] == "version = 1\n"


def test_edit_again(
    cli, stored: dict[str, str], editor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(params: dict[str, Any]) -> Any:
        if params["text"].count("x") < 2:
            return NetjailError("invalid-profile", "vpn.toml has a problem", None, ("one x",))
        return {"warnings": []}

    stored["vpn"] = "version = 1\n"
    editor.write_text('#!/bin/sh\necho "#x" >>"$2"\n')
    cli.client.answers["profile.check"] = check
    monkeypatch.setattr(Context, "interactive", lambda self: True)
    monkeypatch.setattr(Context, "confirm", lambda self, question, default=False: True)
    assert cli("profile", "edit", "vpn") == 0
    assert stored["vpn"] == "version = 1\n#x\n#x\n"


def test_edit_of_what_changed_meanwhile(cli, stored: dict[str, str], editor: Path) -> None:
    stored["vpn"] = "version = 1\n"
    editor.write_text('#!/bin/sh\necho "# mine" >>"$2"\n')

    def check(_params: dict[str, Any]) -> dict[str, Any]:
        stored["vpn"] = "version = 1 # theirs\n"
        return {"warnings": []}

    cli.client.answers["profile.check"] = check
    assert cli("profile", "edit", "vpn") == 1
    assert "someone else" in cli.err
    assert stored["vpn"] == "version = 1 # theirs\n"


def test_no_editor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NetjailError) as raised:
        profile_edit.editor({})
    assert raised.value.code == "missing-program"
    assert profile_edit.editor({"EDITOR": "code --wait"}) == ["code", "--wait"]
    with pytest.raises(NetjailError):
        profile_edit.editor({"EDITOR": "unclosed '"})
