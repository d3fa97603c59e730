# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from netjail.errors import NetjailError
from netjail.profile import toml, wgquick
from netjail.profile.model import AmneziaWG, Dns, NoUplink, Profile, WireGuard
from netjail.profile.wgquick import Imported
from tests.unit.profile.examples import FILES, OTHER, PRIVATE, PSK, PUBLIC, WG_QUICK


def read(name: str) -> Imported:
    return wgquick.parse(wgquick.decode((FILES / f"{name}.conf").read_bytes()))


def refused(text: str, code: str = "invalid-profile") -> NetjailError:
    with pytest.raises(NetjailError) as caught:
        wgquick.parse(text)
    error = caught.value
    assert error.code == code
    for line in (error.message, error.hint or "", *error.problems):
        assert PRIVATE[:20] not in line and PSK[:20] not in line
        assert "\n" not in line
    return error


def only(text: str) -> str:
    problems = refused(text).problems
    assert len(problems) == 1, problems
    return problems[0]


def test_mullvad() -> None:
    found = read("mullvad")
    assert [str(a) for a in found.uplink.addresses] == [
        "10.66.101.12/32",
        "fc00:bbbb:bbbb:bb01::3:650b/128",
    ]
    assert [str(s) for s in found.uplink.dns_servers] == ["10.64.0.1"]
    (peer,) = found.uplink.peers
    assert [str(n) for n in peer.allowed_ips] == ["0.0.0.0/0", "::/0"]
    assert str(peer.endpoint) == "192.0.2.66:51820"
    assert (found.left_out, found.warnings) == ([], [])


def test_mullvad_with_a_kill_switch() -> None:
    found = read("mullvad-kill-switch")
    assert [(x.line_no, x.text[:16]) for x in found.left_out] == [
        (6, "PostUp = iptable"),
        (7, "PreDown = iptabl"),
    ]
    assert all("kill switch is not needed" in x.why for x in found.left_out)
    assert str(found.uplink.peers[0].endpoint) == "[2001:db8:66::a01f]:3478"


def test_proton() -> None:
    found = read("proton")
    assert found.uplink.peers[0].persistent_keepalive == 25
    assert (found.left_out, found.warnings) == ([], [])


def test_ivpn() -> None:
    found = read("ivpn")
    assert found.uplink.mtu == 1412
    assert found.uplink.peers[0].preshared_key is not None
    assert str(found.uplink.peers[0].endpoint) == "de1.wg.provider.example:2049"
    assert found.warnings == []


def test_azirevpn() -> None:
    found = read("azirevpn")
    assert [str(s) for s in found.uplink.dns_servers] == ["192.0.2.3", "2001:db8:53::1"]
    assert str(found.uplink.addresses[0]) == "10.0.28.77/19"


def test_fritzbox() -> None:
    found = read("fritzbox")
    assert found.uplink.dns_search == ("fritz.box",)
    assert [str(n) for n in found.uplink.peers[0].allowed_ips] == ["192.168.178.0/24", "0.0.0.0/0"]
    assert found.warnings == []


def test_opnsense() -> None:
    found = read("opnsense")
    assert found.uplink.dns_search == ("office.example",)
    masked, default = found.warnings
    assert masked.startswith("allowed_ips: 10.10.10.1/24 has bits set")
    assert "no default route: only 10.10.10.0/24, 10.20.0.0/16 can be reached" in default


def test_company() -> None:
    found = read("company")
    uplink = found.uplink
    assert (uplink.listen_port, uplink.fwmark) == (51820, 0xCA6C)
    assert [str(a) for a in uplink.addresses] == ["10.200.4.17/22", "fd4c:5fbe:1::411/64"]
    assert [str(s) for s in uplink.dns_servers] == ["10.200.0.53", "10.200.0.54"]
    assert uplink.dns_search == ("acme.example",)
    hq, lab = uplink.peers
    assert len(hq.allowed_ips) == 3
    assert (lab.endpoint, lab.persistent_keepalive) == (None, None)
    assert [x.line_no for x in found.left_out] == [7, 8, 11, 12, 13, 14]
    text = "\n".join(x.text for x in found.left_out)
    for secret in ("Tr0ub4dor", "s3cr3t"):
        assert secret not in text
    whys = [x.why for x in found.left_out]
    assert whys[0].startswith("Table = off is for people who make the routes by hand")
    assert "DNS line" in whys[3] and "never runs commands" in whys[4] and "routes" in whys[5]
    assert any("no default route" in w for w in found.warnings)
    assert "peer 2 has no Endpoint: nothing works until it calls by itself" in found.warnings


def test_what_an_editor_on_windows_makes() -> None:
    data = (FILES / "notepad.conf").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") and b"\r\n" in data
    found = read("notepad")
    assert [str(s) for s in found.uplink.dns_servers] == ["10.7.0.1"]
    assert str(found.uplink.peers[0].endpoint) == "[2001:db8::1]:51820"
    assert found.uplink.mtu is None
    utf16 = data.decode("utf-8-sig").encode("utf-16")
    assert wgquick.parse(wgquick.decode(utf16)) == found


def test_warp() -> None:
    found = read("warp")
    assert len(found.uplink.addresses) == 2
    assert [str(n) for n in found.uplink.peers[0].allowed_ips] == ["0.0.0.0/0", "::/0"]


def test_amnezia() -> None:
    uplink = read("amnezia").uplink
    assert isinstance(uplink, AmneziaWG)
    assert (uplink.kind, uplink.jc, uplink.s1, uplink.s3) == ("amneziawg", 4, 106, None)
    assert uplink.h1 == (1194280432, 1194280432)
    assert uplink.i1 == "<b 0xc70000000108>"


@pytest.mark.parametrize("line", ["jc=0", "S4 = 0", "H1 = 5-6", "i5 = <b 0x00>", "ITime = 3"])
def test_one_amnezia_line_is_enough(line: str) -> None:
    text = WG_QUICK.replace("[Peer]", f"{line}\n[Peer]", 1)
    assert isinstance(wgquick.parse(text).uplink, AmneziaWG)
    assert wgquick.kind_of(text) == "amneziawg"
    assert wgquick.kind_of(WG_QUICK) == "wireguard"


def test_what_newer_and_older_versions_of_amneziawg_have() -> None:
    text = WG_QUICK.replace("[Peer]", "J1 = <b 0xff>\nItime = 60\n[Peer]", 1)
    assert [each.text for each in wgquick.parse(text).left_out] == ["J1 = <b 0xff>", "Itime = 60"]
    text = WG_QUICK.replace("[Peer]", "HeaderProtectionKey = x\n[Peer]", 1)
    assert "AmneziaWG 3 (HeaderProtectionKey)" in refused(text, "import-refused").message


def test_all_that_is_wrong_with_a_disguise_is_said_at_once() -> None:
    bad = "Jc = 129\nJmin = 9\nJmax = 8\nS1 = 20\nS2 = 76\nH1 = 7\nH2 = 5-9\nI1 = <x 1>\n"
    problems = refused(WG_QUICK.replace("[Peer]", f"{bad}[Peer]", 1)).problems
    keys = [each.split(": ")[1] for each in problems]
    assert keys == ["Jc", "Jmin", "S2", "H2", "I1"], problems


def test_the_disguise_is_in_the_exported_file() -> None:
    lines = (FILES / "amnezia.conf").read_text().split("\n\n")[0].splitlines()[4:]
    exported = wgquick.export(Profile("vpn", read("amnezia").uplink, Dns("uplink")))
    assert "\n".join(lines) in exported
    assert wgquick.parse(exported).uplink == read("amnezia").uplink


FOREIGN = [
    ("", "it is empty"),
    ("\ufeff \r\n", "it is empty"),
    ("<!DOCTYPE html>\n<html><body>Please log in", "web page"),
    ("client\ndev tun\nremote vpn.example 1194\n<ca>\n", "OpenVPN"),
    ("version = 1\n[uplink]\nkind = 'none'\n", "netjail profile"),
    ("[NetDev]\nName=wg0\nKind=wireguard\n", "no \\[Interface\\]"),
    ("hello", "no \\[Interface\\]"),
    ("x" * (wgquick.SIZE_MAX + 1), "characters"),
]


@pytest.mark.parametrize(("text", "says"), FOREIGN)
def test_files_of_another_sort(text: str, says: str) -> None:
    assert re.search(says, refused(text, "import-refused").message)


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\0\0", b"\xff\xfe\x00", b"\0" * 10])
def test_binary_files(data: bytes) -> None:
    with pytest.raises(NetjailError) as caught:
        wgquick.decode(data)
    assert caught.value.code == "import-refused"


def test_old_encodings_in_comments() -> None:
    data = b"# Z\xfcrich\n" + WG_QUICK.encode()
    assert wgquick.parse(wgquick.decode(data)).uplink == wgquick.parse(WG_QUICK).uplink


REPLACED = [
    (f"PrivateKey = {PRIVATE}\n", "", "line 1: PrivateKey: is missing"),
    (PRIVATE, "", "line 2: PrivateKey: has no value"),
    (PRIVATE, PRIVATE[:40], r"line 2: PrivateKey: \(hidden, 40 characters\) is not a WireGuard"),
    (PRIVATE, "<your private key>", "line 2: .* is a placeholder"),
    (PRIVATE, f"{PRIVATE}\nPrivateKey = {OTHER}", "line 3: PrivateKey: is given on line 2 already"),
    (PRIVATE, f"{PRIVATE[:20]}\u0430{PRIVATE[21:]}", "characters that do not belong there"),
    (PRIVATE, f"{PRIVATE},{OTHER}", r"\(hidden, 89 characters\) is more than one value"),
    (PUBLIC, PRIVATE, "same as your private_key"),
    (":51820", ":65536", "line 9: Endpoint: .*port above 65535"),
    (":51820", ":70000", "line 9: Endpoint: .*port above 65535"),
    ("vpn.example.net", "010.0.0.1", "octal"),
    ("vpn.example.net", "167772161", "not an IP address"),
    ("vpn.example.net", "fe80::1%eth0", "without brackets"),
    ("vpn.example.net", "[fe80::1%eth0]", "after %"),
    ("10.2.0.2/32, fd00::2/128", "", "line 1: Address: is missing"),
    ("10.2.0.2/32", "10.2.0.2/33", "line 3: Address: .*more than 32 bits"),
    ("10.2.0.1", "10.2.0.1.", "line 4: DNS: .*not an IP"),
    ("DNS = 10.2.0.1", "MTU = 1000", "line 4: MTU: 1000 is too small for the IPv6"),
    ("DNS = 10.2.0.1", "MTU = big", 'line 4: MTU: "big" is not a whole number'),
    ("DNS = 10.2.0.1", "MTU = " + "9" * 50, "line 4: MTU: the value is too long"),
    ("DNS = 10.2.0.1", "ListenPort = 65536", "line 4: ListenPort: 65536 is too large"),
    ("DNS = 10.2.0.1", "FwMark = mark", "line 4: FwMark: .*is not a whole number"),
    ("DNS = 10.2.0.1", "DSN = 10.2.0.1", "line 4: DSN is unknown to WireGuard; did you mean DNS"),
    ("DNS = 10.2.0.1", "Reserved = 1,2,3", "line 4: Reserved is unknown to WireGuard; allowed: "),
    ("DNS = 10.2.0.1", "Endpoint = a:1", r"line 4: Endpoint belongs in \[Peer\]"),
    ("DNS = 10.2.0.1", "nonsense", 'line 4: is not of the form "Key = value"'),
    ("DNS = 10.2.0.1", f"{PSK[20:]}", 'line 4: is not of the form "Key = value"'),
    ("[Peer]", "[Pear]", r"line 5: \[Pear\] is no section .*did you mean \[Peer\]"),
    ("[Interface]\n", "MTU = 1400\n[Interface]\n", "line 1: stands before"),
    (f"PublicKey = {PUBLIC}\n", "", "line 5: PublicKey: is missing"),
    ("0.0.0.0/0, ::/0", "0.0.0.0/0 ::/0", "line 8: AllowedIPs: "),
]


@pytest.mark.parametrize(("old", "new", "says"), REPLACED)
def test_one_problem(old: str, new: str, says: str) -> None:
    assert old in WG_QUICK
    assert re.search(says, only(WG_QUICK.replace(old, new, 1)))


PEER = f"[Peer]\nPublicKey = {PUBLIC}\n"
ADDED = [
    (f"[Peer]\nPublicKey = {OTHER}\nAllowedIPs = ::/0\n", "line 12: AllowedIPs: ::/0 also belongs"),
    (PEER + "AllowedIPs = 10.0.0.0/8\n", "line 11: PublicKey: is the same as that of peer 1"),
    (f"PrivateKey = {PRIVATE}\n", r"line 10: PrivateKey belongs in \[Interface\]"),
    ("Endpoint = other.example:51820\n", "line 10: Endpoint: is given on line 9 already"),
    ("PersistentKeepalive = 65536\n", "line 10: PersistentKeepalive: 65536 is too large"),
    ("PersistentKeepalive = on\n", "line 10: PersistentKeepalive: .*whole number"),
    ("[Interface]\nMTU = 1400\n", r"line 10: a second \[Interface\], the first is on line 1"),
    ("[Extra]\nx = y\nz\n", r"line 10: \[Extra\] is no section"),
    ("PublicKeyy = x\n", "line 10: PublicKeyy is unknown .*did you mean PublicKey"),
]


@pytest.mark.parametrize(("text", "says"), ADDED)
def test_one_problem_at_the_end(text: str, says: str) -> None:
    problems = [p for p in refused(WG_QUICK + text).problems if "Key = value" not in p]
    assert len(problems) == 1
    assert re.search(says, problems[0])


def test_every_problem_at_once() -> None:
    text = WG_QUICK.replace(":51820", ":0").replace("/32", "/99").replace("DNS = ", "Dns = 1.1.1,")
    assert [p.partition(":")[0] for p in refused(text).problems] == ["line 3", "line 4", "line 9"]


def test_no_peers_and_no_interface() -> None:
    head, _, tail = WG_QUICK.partition("[Peer]")
    assert "at least one peer" in only(head)
    assert any("no [Interface]" in p for p in refused("[Peer]" + tail).problems)


def test_disabled_lines_stay_disabled() -> None:
    text = WG_QUICK.replace("DNS", "#! DNS") + "#! [Peer]\n#! PublicKey = x\n"
    found = wgquick.parse(text)
    assert found.uplink.dns_servers == ()
    assert len(found.uplink.peers) == 1
    assert any("no DNS server" in w for w in found.warnings)


def test_left_out_lines_hold_no_secrets() -> None:
    secrets = ("hunter2", "Passw0rd", "tok_abc", "Zm9vYmFyYmF6MTIzNDU2Nzg5")
    hooks = [
        f"PostUp = wg set %i private-key <(echo {PRIVATE})",
        f"PostUp = wg set %i peer {PUBLIC} preshared-key <(echo {PSK})",
        "PostUp = curl -u me:hunter2 https://me:Passw0rd@api.example/",
        'PostUp = notify --password "hunter2" --token=tok_abc "$PASS"',
        "PreUp = export SECRET=hunter2; API_KEY: tok_abc",
        "PreDown = curl -H 'Authorization: Bearer tok_abc' x",
        "PreDown = call Zm9vYmFyYmF6MTIzNDU2Nzg5",
        "PostDown = \x1b]0;evil\x07",
        f"Table = {PRIVATE}",
    ]
    found = wgquick.parse(WG_QUICK.replace("[Peer]", "\n".join([*hooks, "[Peer]"])))
    assert len(found.left_out) == len(hooks)
    shown = repr(found)
    for secret in (*secrets, PRIVATE[:20], PSK[:20]):
        assert secret not in shown.replace(PUBLIC, "")
    assert all(x.text.isprintable() for x in found.left_out)
    assert found.left_out[0].text == "PostUp = wg set %i private-key (hidden) (hidden))"


@pytest.mark.parametrize("value", ["auto", "off", "1234", "OFF"])
def test_table(value: str) -> None:
    found = wgquick.parse(WG_QUICK.replace("DNS =", f"Table = {value}\nDNS ="))
    (left,) = found.left_out
    assert left.line_no == 4
    assert left.text == f"Table = {value}"
    assert ("by hand" in left.why) == (value.lower() == "off")


def test_android_and_save_config() -> None:
    text = WG_QUICK.replace("DNS =", "ExcludedApplications = a.b\nSaveConfig = true\nDNS =")
    assert [x.text for x in wgquick.parse(text).left_out] == [
        "ExcludedApplications = a.b",
        "SaveConfig = true",
    ]


def test_zero_preshared_key_is_none() -> None:
    text = WG_QUICK.replace(PSK, "A" * 43 + "=")
    assert wgquick.parse(text).uplink.peers[0].preshared_key is None


def test_an_import_is_the_profile_it_becomes() -> None:
    for file in FILES.glob("*.conf"):
        found = read(file.stem)
        profile = Profile("vpn", found.uplink, Dns("uplink"))
        again, warnings = toml.parse("vpn", toml.dump(profile))
        assert again == profile
        # The command line shows both lists once: equal warnings are worded equally.
        assert set(warnings) <= set(found.warnings)


NAMES = [
    ("SE 12 Mullvad.conf", "se-12-mullvad"),
    ("/home/anne/Downloads/wg0 (1).conf", "wg0-1"),
    (r"C:\Users\anne\Büro.CONF.txt", "buro"),
    ("../x", "x"),
    ("-rf", "rf"),
    ("_x_.conf", "x"),
    ("de_ber-1.conf", "de_ber-1"),
    ("中文.conf", "vpn"),
    ("", "vpn"),
    (".conf", "vpn"),
    ("a" * 30 + " b.conf", "a" * 30),
]


@pytest.mark.parametrize(("filename", "name"), NAMES)
def test_suggested_names(filename: str, name: str) -> None:
    assert wgquick.suggest_name(filename) == name


def test_export_of_a_profile_without_a_tunnel() -> None:
    with pytest.raises(NetjailError) as caught:
        wgquick.export(Profile("lab", NoUplink(), Dns("static")))
    assert caught.value.code == "usage"


def test_export_uses_the_profiles_own_servers() -> None:
    text = toml.dump(Profile("vpn", wgquick.parse(WG_QUICK).uplink, Dns("uplink")))
    text += '[dns]\nservers = ["9.9.9.9"]\nsearch = ["a.example"]\n'
    profile, _ = toml.parse("vpn", text)
    assert "\nDNS = 9.9.9.9, a.example\n" in wgquick.export(profile)


@pytest.mark.skipif(
    shutil.which("wg-quick") is None, reason="wg-quick (wireguard-tools) is not installed"
)
@pytest.mark.parametrize(
    "name", sorted(f.stem for f in FILES.glob("*.conf") if f.stem != "amnezia")
)
def test_wg_and_wg_quick_accept_what_is_exported(name: str, tmp_path: Path) -> None:
    profile = Profile("vpn", read(name).uplink, Dns("uplink"), description="x = [Peer] # y")
    file = tmp_path / "vpn.conf"
    file.touch(mode=0o600)
    file.write_text(wgquick.export(profile))
    run = subprocess.run(
        # A user namespace, because wg-quick wants to be root even to print.
        ["unshare", "-rn", "wg-quick", "strip", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    if "unshare" in run.stderr:
        pytest.skip(f"no user namespaces here: {run.stderr}")
    assert run.returncode == 0, run.stderr
    stripped = run.stdout
    assert "Address" not in stripped and "DNS" not in stripped
    assert stripped.count("PublicKey") == len(profile.uplink.peers)  # type: ignore[union-attr]
    # wg reads the whole file before it looks for the interface, which is not there.
    setconf = tmp_path / "stripped"
    setconf.write_text(re.sub("Endpoint = [a-z].*", "Endpoint = 192.0.2.1:1", stripped))
    run = subprocess.run(
        ["unshare", "-rn", "wg", "setconf", "nj-nothing", str(setconf)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert "pars" not in run.stderr and "ecogni" not in run.stderr, run.stderr
    assert isinstance(profile.uplink, WireGuard)
    assert wgquick.parse(file.read_text()).uplink == profile.uplink
