# SPDX-License-Identifier: GPL-3.0-or-later
"""The .ovpn import: what providers hand out, what others would like to have done, and all that the
grammar allows. Nothing of a file may reach the configuration that openvpn is given, but values."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netjail.errors import NetjailError
from netjail.profile import checks, ovpn, ovpnlex, ovpnout, toml, tunnelchecks
from netjail.profile.model import Dns, OpenVpn, Profile
from netjail.profile.tunnelkeys import TUNNEL_KEYS
from netjail.uplinks import openvpn

CERT = "-----BEGIN CERTIFICATE-----\nMIIBAAAA\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAA\n-----END PRIVATE KEY-----\n"
STATIC = (
    "#\n# 2048 bit OpenVPN static key\n#\n-----BEGIN OpenVPN Static key V1-----\n"
    + "0123456789abcdef0123456789abcdef\n" * 16
    + "-----END OpenVPN Static key V1-----\n"
)
BLOCKS = f"<ca>\n{CERT}</ca>\n<cert>\nCertificate:\n  Data: x\n{CERT}</cert>\n<key>\n{KEY}</key>\n"
HEAD = "client\ndev tun\nremote vpn.example 1194 udp\n"


def config(text: str, files: dict[str, str] | None = None) -> str:
    """What openvpn would be given."""
    uplink = ovpn.parse(text, files).uplink
    return openvpn.config("x", uplink, [f"{r.host} {r.port} {r.proto}" for r in uplink.remote])


def uplink(text: str, files: dict[str, str] | None = None) -> OpenVpn:
    found = ovpn.parse(text, files).uplink
    profile = Profile("x", found, Dns("uplink"))
    assert toml.parse("x", toml.dump(profile))[0] == profile
    return found


PROVIDERS = {
    "mullvad": (
        "client\ndev tun\nresolv-retry infinite\nnobind\npersist-key\npersist-tun\nverb 3\n"
        "remote-cert-tls server\nping 10\nping-restart 60\nsndbuf 524288\nrcvbuf 524288\n"
        "cipher AES-256-GCM\ntls-cipher TLS-DHE-RSA-WITH-AES-256-GCM-SHA384\nproto udp\n"
        "auth-user-pass mullvad_userpass.txt\nca mullvad_ca.crt\nscript-security 2\n"
        "up /etc/openvpn/update-resolv-conf\ndown /etc/openvpn/update-resolv-conf\nfast-io\n"
        "remote-random\nremote 193.0.2.1 1302 # se-sto\nremote 193.0.2.2 1302\n"
    ),
    "proton": (
        "# comment\nclient\ndev tun\nproto udp\n\nremote 193.0.2.1 51820\nremote 193.0.2.1 80\n"
        "server-poll-timeout 20\n\nremote-random\nresolv-retry infinite\nnobind\n\n"
        "cipher AES-256-GCM\n\nsetenv CLIENT_CERT 0\ntun-mtu 1500\nmssfix 0\npersist-key\n"
        "persist-tun\n\nreneg-sec 0\n\nremote-cert-tls server\nauth-user-pass\n"
        f"block-outside-dns\n<ca>\n{CERT}</ca>\n\n<tls-crypt>\n{STATIC}</tls-crypt>\n"
    ),
    "nord": (
        "client\ndev tun\nproto tcp\nremote 193.0.2.9 443\nresolv-retry infinite\n"
        "remote-random\nnobind\ntun-mtu 1500\ntun-mtu-extra 32\nmssfix 1450\npersist-key\n"
        "persist-tun\nping 15\nping-restart 0\nping-timer-rem\nreneg-sec 0\ncomp-lzo no\n"
        "verify-x509-name CN=se1.example\n\nremote-cert-tls server\n\nauth-user-pass\nverb 3\n"
        "pull\nfast-io\ncipher AES-256-CBC\nauth SHA512\n"
        f"<ca>\n{CERT}</ca>\nkey-direction 1\n<tls-auth>\n{STATIC}</tls-auth>\n"
    ),
    "access server": (
        "setenv FORWARD_COMPATIBLE 1\nclient\nserver-poll-timeout 4\nnobind\n"
        "remote vpn.example 1194 udp\nremote vpn.example 443 tcp\ndev tun\ndev-type tun\n"
        "remote-cert-tls server\ntls-version-min 1.2\nreneg-sec 604800\nsndbuf 0\nrcvbuf 0\n"
        'auth-user-pass\nverb 3\nsetenv PUSH_PEER_INFO\nstatic-challenge "Enter code" 1\n'
        f"\n{BLOCKS}key-direction 1\n<tls-auth>\n{STATIC}</tls-auth>\n"
        "## -----BEGIN RSA SIGNATURE-----\n## DIGEST:sha256\n## -----END RSA SIGNATURE-----\n"
    ),
    "windows": (
        "\ufeffclient\r\ndev tun\r\nproto tcp-client\r\n<connection>\r\nremote a.example 443\r\n"
        "proto tcp\r\n</connection>\r\n<connection>\r\nremote b.example\r\nport 1195\r\n"
        "proto udp\r\n</connection>\r\nregister-dns\r\nroute-method exe\r\nwin-sys env\r\n"
        "dhcp-option DNS 10.0.0.1\r\ndhcp-option DOMAIN corp.example\r\nkeepalive 10 60\r\n"
        "explicit-exit-notify 1\r\ndata-ciphers DEFAULT:AES-256-CBC\r\n"
        "data-ciphers-fallback AES-256-CBC\r\n" + BLOCKS.replace("\n", "\r\n")
    ),
    "pfsense": (
        "dev tun\npersist-tun\npersist-key\ncipher AES-128-CBC\nncp-ciphers AES-128-GCM\n"
        "auth SHA1\ntls-client\nclient\nresolv-retry infinite\nremote 203.0.113.9 1194 udp4\n"
        'lport 0\nverify-x509-name "vpn server" name\npkcs12 fw.p12\ntls-auth fw.key 1\n'
        "ns-cert-type server\ncomp-lzo adaptive\nroute 10.0.0.0 255.0.0.0\nroute-nopull\n"
    ),
}
FILES = {"mullvad_ca.crt": CERT, "fw.p12": "MIIBAAAA", "fw.key": STATIC}


@pytest.mark.parametrize("name", PROVIDERS)
def test_files_as_providers_hand_them_out(name: str) -> None:
    done = ovpn.parse(PROVIDERS[name], FILES)
    assert done.uplink == uplink(PROVIDERS[name], FILES)
    assert all(item.why and item.line_no for item in done.left_out)
    assert not {item.text.split()[0] for item in done.left_out} & {"remote", "ca", "client"}


def test_what_becomes_of_a_whole_file() -> None:
    found = uplink(PROVIDERS["windows"])
    assert [str(each) for each in found.remote] == ["a.example:443/tcp", "b.example:1195/udp"]
    assert [str(each) for each in found.dns_servers] == ["10.0.0.1"]
    assert found.dns_search == ("corp.example",)
    assert (found.ping, found.ping_restart) == (10, 60)
    assert found.ciphers[-1] == found.fallback_cipher == "AES-256-CBC"
    assert found.exit_notify is None, "it is for udp alone"
    nord = uplink(PROVIDERS["nord"])
    assert (nord.framing, nord.key_direction, nord.server_name) == ("lzo", 1, "CN=se1.example")
    pfsense = uplink(PROVIDERS["pfsense"], FILES)
    assert pfsense.key_direction == 1 and not pfsense.server_usage and not pfsense.take_routes
    assert [str(net) for net in pfsense.routes] == ["10.0.0.0/8"]


def test_user_and_password_beside_the_file_are_taken_and_never_shown() -> None:
    text = PROVIDERS["mullvad"] + "bogus 1234567890\n"
    files = {**FILES, "mullvad_userpass.txt": "1234567890\nm\n"}
    done = ovpn.parse(text, files)
    assert (done.uplink.username, done.uplink.password) == ("1234567890", "m")
    assert all("1234567890" not in item.text for item in done.left_out)
    without = ovpn.parse(text, FILES)
    assert without.uplink.login and without.uplink.username is None
    assert any(item.why == ovpnout.NOT_ONE_FILE for item in without.left_out)


EVIL = "/tmp/evil.so"
NASTY = [
    f"plugin {EVIL}",
    f"--plugin {EVIL}",
    f'"plugin" {EVIL}',
    f"'plugin' {EVIL}",
    f"\tplugin\t{EVIL}",
    f"\v\fplugin {EVIL}",
    f"setenv opt plugin {EVIL}",
    f'setenv opt "--plugin" "{EVIL}"',
    f"setenv opt setenv opt plugin {EVIL}",
    f'up "{EVIL} x"',
    f"--ipchange {EVIL}",
    f"tls-verify {EVIL}",
    f"log {EVIL}",
    f"log-append {EVIL}",
    f"status {EVIL}",
    f"writepid {EVIL}",
    f"replay-persist {EVIL}",
    f"engine {EVIL}",
    f"providers {EVIL}",
    f"management {EVIL} unix",
    f"iproute {EVIL}",
    f"chroot {EVIL}",
    f"cd {EVIL}",
    f"tmp-dir {EVIL}",
    f"capath {EVIL}",
    f"askpass {EVIL}",
    f"dev-node {EVIL}",
    f"dns-updown {EVIL}",
    f"<up>\n{EVIL}\n</up>",
    f"<ca>\n{CERT}</ca>\nplugin {EVIL}",
    f"<ca>\n{CERT}</ca> x\nplugin {EVIL}",
    f"<ca>\n{CERT}  </ca>garbage\nplugin {EVIL}",
    f"<ca>\n{CERT}\n</cb>\n</ca>\nup {EVIL}",
    f"<ca>\n{CERT}<plugin>\nplugin {EVIL}\n</plugin>\n</ca>",
    f"<connection>\nremote a.example\nplugin {EVIL}\n</connection>",
    f"remote-random\rplugin {EVIL}",
    f'static-challenge "x\\"\\\nplugin {EVIL}" 1',
    f'verify-x509-name "a\\" plugin {EVIL}" name',
    f"pull-filter ignore route\\\nplugin {EVIL}",
]


@pytest.mark.parametrize("lines", NASTY)
def test_what_would_run_or_write_is_left_out_or_refused(lines: str) -> None:
    text = f"{HEAD}{BLOCKS}remote-cert-tls server\n{lines}\n"
    try:
        written = config(text)
    except NetjailError as error:
        assert error.code in ("invalid-profile", "import-refused") and error.problems
        return
    outside_of_quotes = re.sub(r'"(\\.|[^"\\])*"', "", written)
    assert EVIL not in outside_of_quotes and "plugin" not in outside_of_quotes
    assert safe(written)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("secret static.key", "no forward secrecy"),
        ("dev tap0", "Ethernet"),
        ("http-proxy 192.0.2.1 8080", "another way than meant"),
        ("socks-proxy 192.0.2.1", "another way than meant"),
        ("config other.ovpn", "another file"),
        ("server 10.8.0.0 255.255.255.0", "of a server"),
        ("cipher none", "nothing is encrypted"),
        ("proto sctp", "not a protocol"),
        ("proto tcp-server", "not a protocol"),
        ("remote", "names no server"),
        ("remote a.example 70000", "port above 65535"),
        ("remote -x 1194", "is not a host name"),
        ("ca missing.crt", "which is missing"),
        ("crl-verify dir dir", "directory"),
        ("<ca>\nnothing closes this", "never closed"),
        ("auth SHA256;up", "is not a name"),
        ("tls-version-min 9", "is not one of them"),
        ('"', "quote that does not end"),
        ("ping x", "not a whole number"),
        ("$(touch x)", "not a directive"),
        ("verify-hash AA:BB", "pass for the server"),
    ],
)
def test_what_makes_a_file_refused(lines: str, says: str) -> None:
    with pytest.raises(NetjailError) as caught:
        ovpn.parse(f"{HEAD}{BLOCKS}{lines}\n")
    assert any(says in problem for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("hello", "not an OpenVPN client"),
        ("[Interface]\nPrivateKey = x\nremote a\n", "not an OpenVPN client"),
    ],
)
def test_files_of_another_sort(text: str, says: str) -> None:
    with pytest.raises(NetjailError, match=says):
        ovpn.parse(text)


def test_a_key_is_in_no_complaint() -> None:
    bad = KEY.replace("MC4CAQAA", "S3CR3TS3CR3TS3CR3T!")
    with pytest.raises(NetjailError) as caught:
        ovpn.parse(f"{HEAD}<ca>\n{CERT}</ca>\n<cert>\n{CERT}</cert>\n<key>\n{bad}</key>\n")
    assert "S3CR3T" not in str(caught.value.as_dict())


# All that the grammar allows ---------------------------------------------------------------------

ALLOWED = re.compile(
    r"(client|dev nj-x|dev-type tun|nobind|remote \S+ \d+ (udp|tcp)[46]?|server-poll-timeout 10"
    r"|connect-retry 1 15|ifconfig-noexec|route-noexec|persist-(tun|key)|script-security 0"
    r"|ignore-unknown-option disable-dco allow-compression|disable-dco|allow-compression no"
    r"|management-(hold|query-passwords|up-down)|auth-retry interact|suppress-timestamps|verb 3"
    r'|pull-filter (accept|ignore) "[a-z0-9A-Z .:/_-]*"|remote-random|route-nopull'
    r"|data-ciphers(-fallback)? [A-Za-z0-9:+._-]+|auth [A-Za-z0-9+._-]+|tls-version-min 1\.[0-3]"
    r"|tls-(cipher|ciphersuites|groups) [A-Za-z0-9:!@+=._-]+|tls-cert-profile [A-Za-z0-9+._-]+"
    r'|key-direction [01]|remote-cert-tls server|verify-x509-name ".*" (subject|name|name-prefix)'
    r"|comp-lzo no|compress stub(-v2)?|(tun-mtu|mssfix|fragment|ping|ping-restart|reneg-sec"
    r'|explicit-exit-notify) \d+|auth-user-pass|static-challenge ".*" [01])'
)
INLINE = {"ca", "cert", "key", "pkcs12", "extra-certs", "crl-verify", "peer-fingerprint"}
INLINE |= {"tls-auth", "tls-crypt", "tls-crypt-v2"}
BODY = re.compile(
    r"-----(BEGIN|END) [A-Za-z0-9 -]+-----|[A-Za-z0-9+/]+=*|(Proc-Type|DEK-Info): [A-Za-z0-9,-]+|"
    r"|([0-9A-F]{2}:){31}[0-9A-F]{2}"
)


def safe(written: str) -> bool:
    """Whether a configuration holds nothing but what netjail itself may write, as openvpn reads
    it: the same words in the same places."""
    for each in ovpnlex.lex(ovpnlex.lines_of(written)):
        if isinstance(each, ovpnlex.Wrong):
            return False
        if isinstance(each, ovpnlex.Block) and not (
            each.tag in INLINE and all(BODY.fullmatch(line) for line in each.body)
        ):
            return False
    inside = False
    for line in written.splitlines():
        if re.fullmatch(r"</[a-z0-9-]+>", line):
            inside = False
        elif re.fullmatch(r"<[a-z0-9-]+>", line):
            inside = True
        elif not inside and not ALLOWED.fullmatch(line):
            return False
        if len(line.encode()) > 255:
            return False
    return all(c.isprintable() or c == "\n" for c in written)


KNOWN = sorted(
    {*ovpnout.LEFT_OUT, *ovpnout.REFUSED, *ovpnout.FILES, *ovpnout.NUMBERS, *ovpnout.TEXTS}
    | set(ovpn._SPECIAL)
    | {"remote", "proto", "port"}
)
nasty_text = st.text(
    st.one_of(st.sampled_from("\"'\\#; \t\r\v\f<>/-"), st.characters(blacklist_categories=["Cs"])),
    max_size=30,
)
value = st.one_of(
    nasty_text,
    st.sampled_from(
        ["1194", "udp", "tcp", "vpn.example", "[inline]", "1", "server", "name", "AES-256-GCM"]
    ),
    st.sampled_from(
        [EVIL, f'"{EVIL}"', f"x\nplugin {EVIL}", "a\\", "</ca>", "<ca>", "net_gateway"]
    ),
)
directive = st.builds(
    lambda before, name, quote, values: f"{before}{quote}{name}{quote} {' '.join(values)}",
    st.sampled_from(["", "", "", " ", "\t", "--", "setenv opt ", "\v"]),
    st.sampled_from(KNOWN),
    st.sampled_from(["", "", "", '"', "'"]),
    st.lists(value, max_size=4),
)
block = st.builds(
    lambda tag, body, end: f"<{tag}>\n{body}\n</{tag}>{end}",
    st.sampled_from([*sorted(ovpnout.FILES), "connection", "auth-user-pass", "up", "plugin"]),
    st.one_of(st.sampled_from([CERT, KEY, STATIC]), nasty_text, st.lists(directive).map("\n".join)),
    st.sampled_from(["", "x", " plugin x", "\n"]),
)


def judged(lines: list[str], whole: bool) -> None:
    """A file of these lines imports, and then nothing but values has come through; or it is refused
    in words."""
    text = (HEAD + BLOCKS if whole else "client\n") + "\n".join(lines) + "\n"
    try:
        done = ovpn.parse(text, dict.fromkeys(ovpn.side_files(text), CERT))
    except NetjailError as error:
        assert error.code in ("invalid-profile", "import-refused")
        return
    profile = Profile("x", done.uplink, Dns("uplink"))
    assert toml.parse("x", toml.dump(profile))[0] == profile
    remotes = [f"{r.host} {r.port} {r.proto}" for r in done.uplink.remote]
    assert safe(openvpn.config("x", done.uplink, remotes))
    assert all(item.text.isprintable() for item in done.left_out)


files = st.lists(st.one_of(directive, block, nasty_text), max_size=12)


@settings(max_examples=100, deadline=None)
@given(files, st.booleans())
def test_whatever_a_file_says_the_configuration_is_ours(lines: list[str], whole: bool) -> None:
    judged(lines, whole)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
@given(files, st.booleans())
def test_the_same_with_more_files_than_all_providers_have(lines: list[str], whole: bool) -> None:
    judged(lines, whole)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([key for key in TUNNEL_KEYS if "openvpn" in key.kinds]), nasty_text)
def test_nor_does_a_profile_written_by_hand_get_anything_else_in(key, text: str) -> None:
    import tomli_w

    raw = {
        "version": 1,
        "uplink": {
            "kind": "openvpn",
            "remote": ["vpn.example:1194/udp"],
            "ca": CERT,
            "login": True,
            **({"server_name": "x"} if key.leaf == "server_name_type" else {}),
            key.leaf: [text] if key.many else text,
        },
    }
    try:
        profile, _ = toml.parse("x", tomli_w.dumps(raw))
    except NetjailError as error:
        assert error.code == "invalid-profile"
        return
    assert isinstance(profile.uplink, OpenVpn)
    assert safe(openvpn.config("x", profile.uplink, ["vpn.example 1194 udp"]))


@given(st.text(st.one_of(st.sampled_from("ab\"'\\#; \t"), st.characters()), max_size=60))
def test_a_word_that_is_quoted_is_read_as_it_was(text: str) -> None:
    if text and text.isprintable():
        assert ovpnlex.words(f"x {openvpn._quoted(text)} y") == ["x", text, "y"]


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN A-----" * 15000,
        "".join(f"-----BEGIN A{n}-----" for n in range(12000)),
        "-----BEGIN CERTIFICATE-----\nAAAA\n" * 7000,
        "-----BEGIN " + "-" * 200000,
    ],
    ids=["one label", "many labels", "certificates", "dashes"],
)
def test_blocks_that_do_not_end_are_found_out_in_one_pass(text: str) -> None:
    """Anybody may have a text looked at, and one pass through it is all the time that costs: with
    a look at all the rest for each BEGIN, this test would go on for minutes."""
    with pytest.raises(checks.Bad, match="has no block"):
        tunnelchecks.pem(*tunnelchecks.CERTIFICATES, several=True)(text[: tunnelchecks.PEM_MAX])


def test_a_block_ends_with_the_next_end_of_its_label() -> None:
    def block(label: str, data: str = "AAAA") -> str:
        return f"-----BEGIN {label}-----\n{data}\n-----END {label}-----\n"

    read = tunnelchecks.pem(*tunnelchecks.CERTIFICATES, several=True)
    whole = block("CERTIFICATE")
    assert read(f"about\n{whole}and\n{whole}") == whole * 2
    assert read(f"-----BEGIN LOST-----\n-----END CERTIFICATE-----\n{whole}") == whole
    with pytest.raises(checks.Bad, match="has no block"):  # it stands in another's block
        read(f"-----BEGIN X-----\n{whole}-----END X-----\n")
