# SPDX-License-Identifier: GPL-3.0-or-later
"""WireGuard files as the grammar of wg-quick(8) and wg(8) has them: all keys, in any order, case
and spelling, with what web pages, editors and people add; values good, odd and ill-meant."""

from __future__ import annotations

import base64

from hypothesis import strategies as st

CANARY = "/run/canary"
"""Whatever a file would have run, read or written is below; no text that is kept may name it."""
COMMAND = f"touch {CANARY}/ran"

keys = st.binary(min_size=32, max_size=32).filter(any).map(lambda b: base64.b64encode(b).decode())
nasty = st.one_of(
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=20),
    st.sampled_from(
        [
            *(
                "",
                "off",
                "0",
                "-1",
                "65536",
                "0x1F",
                "9" * 400,
                "%i",
                "~.",
                "::/0/0",
                "=",
                "[Peer]",
            ),
            *(f"$({COMMAND})", f"`{COMMAND}`", f"; {COMMAND}", f"x\\nPostUp = {COMMAND}"),
            *(f"{CANARY}/key", f"<{CANARY}/key", f"../../..{CANARY}/key", f"/dev/stdin {CANARY}"),
        ]
    ),
)
four = st.tuples(*[st.integers(0, 255)] * 4).map(lambda parts: ".".join(map(str, parts)))
six = st.sampled_from(["fd00::2", "::1", "::", "2001:db8::7", "fe80::1", "::ffff:10.0.0.1"])
nets = st.one_of(
    st.sampled_from(["0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "10.1.2.3/8"]),
    st.builds("{}/{}".format, four, st.sampled_from([8, 24, 31, 32, 32, 0, 33])),
    st.builds("{}/{}".format, six, st.sampled_from([64, 127, 128, 128, 0, 129])),
    four,
)
addresses = st.one_of(
    st.builds(
        "10.{}.{}.2{}".format, *[st.integers(0, 255)] * 2, st.sampled_from(["", "/32", "/8"])
    ),
    st.sampled_from(["fd00::2/128", "fd00:0:0:1::7/64", "2001:db8::7", "fe80::1/64"]),
)
resolvers = st.sampled_from(
    ["10.64.0.1", "9.9.9.9", "fd00::1", "corp.example", "~corp.example", "127.0.0.1"]
)


def several(values: st.SearchStrategy[str], least: int = 0) -> st.SearchStrategy[str]:
    separators = st.sampled_from([",", ", ", " ,\t", ",,"])
    lists = st.lists(values, min_size=least, max_size=3, unique=True)
    return st.builds(lambda by, some: by.join(some), separators, lists)


endpoints = st.one_of(
    st.builds("198.51.{}.{}:{}".format, *[st.integers(0, 255)] * 2, st.integers(1, 65535)),
    st.builds("[{}]:{}".format, six, st.integers(1, 65535)),
    st.sampled_from(["vpn.example:51820", "vpn.example", ":51820", "canary.example:51820"]),
)
numbers = st.one_of(st.integers(1280, 65535), st.sampled_from([0, 25, -1, 70000])).map(str)
INTERFACE: dict[str, st.SearchStrategy[str]] = {
    "PrivateKey": keys,
    "ListenPort": numbers,
    "FwMark": st.sampled_from(["off", "0xca6c", "51820"]),
    "Address": several(addresses, 1),
    "DNS": several(resolvers),
    "MTU": numbers,
    "Table": st.sampled_from(["off", "auto", "1234"]),
    **dict.fromkeys(("PreUp", "PostUp", "PreDown", "PostDown"), st.just(COMMAND)),
    "SaveConfig": st.sampled_from(["true", "false"]),
}
PEER: dict[str, st.SearchStrategy[str]] = {
    "PublicKey": keys,
    "PresharedKey": keys,
    "AllowedIPs": several(nets),
    "Endpoint": endpoints,
    "PersistentKeepalive": st.one_of(numbers, st.just("off")),
}
OTHERS = st.sampled_from(["Jc", "Name", "PrivateKeyFile", "include", "Post Up", "ExecStart"])


@st.composite
def line(draw: st.DrawFn, name: str, value: str) -> str:
    """`name = value` as somebody may have typed it."""
    case = draw(st.sampled_from([str, str, str.lower, str.upper]))
    equals = draw(st.sampled_from([" = ", "=", "\t=\t", " =", "= "]))
    before = draw(st.sampled_from(["", "", "", " ", "\t", "\u00a0"]))
    after = draw(st.sampled_from(["", "", "", " ", " # comment", f" # {COMMAND}", " ; note"]))
    return before + case(name) + equals + value + after


@st.composite
def section(draw: st.DrawFn, title: str, known: dict[str, st.SearchStrategy[str]]) -> list[str]:
    """A section: what it must have as a rule, others by chance, odd ones at times."""
    usual = ("PrivateKey", "Address", "PublicKey", "AllowedIPs", "Endpoint")
    names = [each for each in known if each in usual and draw(st.integers(0, 19))]
    names += draw(st.lists(st.sampled_from(sorted(known)), max_size=4))
    lines = []
    for name in draw(st.permutations(sorted(set(names)))):
        odd = draw(st.integers(0, 29)) == 0
        lines.append(draw(line(name, draw(nasty if odd else known[name]))))
    if draw(st.integers(0, 19)) == 0:
        lines.append(draw(line(draw(OTHERS), draw(nasty))))
    extra = st.sampled_from(["", "# comment", f"#! {COMMAND}", f"; PostUp = {COMMAND}"])
    lines += draw(st.lists(extra, max_size=2))
    head = draw(st.sampled_from([str, str, str, str.lower, str.upper]))(f"[{title}]")
    return [head + draw(st.sampled_from(["", "", " # home", " "])), *lines]


@st.composite
def wireguard_files(draw: st.DrawFn) -> str:
    """A whole file."""
    lines = draw(section("Interface", INTERFACE))
    for _ in range(draw(st.sampled_from([1, 1, 1, 0, 2, 3]))):
        lines += draw(section("Peer", PEER))
    if draw(st.integers(0, 14)) == 0:
        lines += draw(section(draw(st.sampled_from(["Interface", "WireGuard", "Unit"])), INTERFACE))
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    return draw(st.sampled_from(["", "", "\ufeff", "\n"])) + end.join([*lines, ""])


NASTY_WIREGUARD = [
    f"[Interface]\nPrivateKey = {CANARY}/key\n",
    f"[Interface]\nPrivateKey = $(cat {CANARY}/key)\nPostUp = {COMMAND}\n",
    f"[Interface]\n#! PostUp = {COMMAND}\n[Peer]\nEndpoint = `{COMMAND}`:1\n",
    f"[Interface]\nAddress = 10.0.0.2\\\n32\nDNS = 10.0.0.1 {CANARY}/resolv.conf\n",
    "[Interface]\n" + "Address = 10.0.0.2/32\n" * 5000,
    "[Interface]\n" + "[Peer]\n" * 5000,
    "[Interface]\nTable = " + "9" * 100_000 + "\n",
    f"<html>\n<script src={CANARY}/x></script>",
    "[Interface]\0PrivateKey = x",
    "\x1b[2J[Interface]\n\x1b]0;title\x07PrivateKey = x",
]
NASTY_OPENVPN = [
    f"client\nconfig {CANARY}/other.conf\n",
    f"client\ndev tun\nremote x 1\nplugin {CANARY}/x.so\nup '{COMMAND}'\nlog {CANARY}/log\n",
    f"client\nremote x 1\nca {CANARY}/ca.crt\nauth-user-pass {CANARY}/login\naskpass {CANARY}/p\n",
    f"client\nremote x 1\n<ca>\n</ca> plugin {CANARY}/x.so\n",
    f"client\nsetenv opt plugin {CANARY}/x.so\nsetenv opt setenv opt up {COMMAND}\nremote x 1\n",
    f"client\nremote x 1\nmanagement {CANARY}/s unix\nwritepid {CANARY}/pid\nchroot {CANARY}\n",
    f"client\nremote x 1\nengine {CANARY}/e.so\nproviders {CANARY}/p.so\ncrl-verify {CANARY} dir\n",
    f"client\nremote x 1\nhttp-proxy x 1 {CANARY}/auth basic\ntls-export-cert {CANARY}\n",
    "client\n" + "remote x 1\n" * 20000,
    "client\n" + "<connection>\n" * 3000,
    "client\nremote x 1\n<ca>\n" + "A" * 200_000,
]
