# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VPN's server says is judged before anything of it stands in a jail."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import asdict

from hypothesis import given, settings
from hypothesis import strategies as st

from netjail.engine import management, told
from netjail.profile import checks
from netjail.uplinks.facts import Told

USUAL = {
    "ifconfig_local": "10.8.0.2",
    "ifconfig_netmask": "255.255.255.0",
    "ifconfig_ipv6_local": "fd08::1000",
    "ifconfig_ipv6_netbits": "64",
    "ifconfig_ipv6_remote": "fd08::1",
    "route_vpn_gateway": "10.8.0.1",
    "route_net_gateway": "192.168.1.1",
    "route_network_1": "172.20.0.0",
    "route_netmask_1": "255.255.0.0",
    "route_gateway_1": "10.8.0.1",
    "route_network_2": "192.0.2.0",
    "route_netmask_2": "255.255.255.0",
    "route_gateway_2": "192.168.1.1",
    "route_ipv6_network_1": "fd55::/64",
    "dns_server_1_address_1": "10.8.0.53",
    "dns_server_2_address_1": "10.8.0.54",
    "dns_search_domain_1": "s1.example",
    "foreign_option_1": "dhcp-option DOMAIN corp.example",
    "foreign_option_2": "dhcp-option DNS6 fd08::53",
    "foreign_option_3": "dhcp-option DOMAIN-SEARCH a.example b.example",
    "tun_mtu": "1400",
    "trusted_ip": "198.51.100.20",
    "trusted_port": "1194",
}


def test_what_a_usual_server_says() -> None:
    said = told.openvpn(USUAL, [], ["10.99.0.0/16"])
    assert said.addresses == ("10.8.0.2/24", "fd08::1000/64")
    assert said.routes == (
        *("10.99.0.0/16", "172.20.0.0/16", "10.8.0.53/32"),
        *("fd55::/64", "fd08::53/128"),
    )
    assert said.servers == ("10.8.0.53", "fd08::53")
    assert said.search == ("s1.example", "corp.example", "a.example", "b.example")
    assert (said.mtu, said.server) == (1400, "198.51.100.20:1194")
    assert said.left_out == (
        'route "192.0.2.0/24" leads around the tunnel, which nothing does here',
    )


def test_redirect_gateway_in_all_its_variants() -> None:
    def routes(option: str) -> set[str]:
        return set(told.openvpn(USUAL, [option], ()).routes)

    assert "0.0.0.0/0" in routes("redirect-gateway def1 bypass-dhcp local autolocal")
    assert {"0.0.0.0/0", "::/0"} <= routes("redirect-gateway ipv6")
    assert not {"0.0.0.0/0"} & routes("redirect-gateway ipv6 !ipv4")
    assert not {"0.0.0.0/0", "::/0"} & routes("redirect-private def1")


def test_topologies() -> None:
    net30 = {"ifconfig_local": "10.8.0.6", "ifconfig_remote": "10.8.0.5"}
    said = told.openvpn(net30, [], ())
    assert (said.addresses, said.routes) == (("10.8.0.6/32",), ("10.8.0.5/32",))


def test_nonsense_is_left_out_with_a_reason() -> None:
    said = told.openvpn(
        {
            "ifconfig_local": "127.0.0.1",
            "ifconfig_netmask": "255.0.255.0",
            "ifconfig_ipv6_local": "fd00::1",
            "tun_mtu": "600",
            "route_network_1": "127.0.0.0",
            "route_netmask_1": "255.0.0.0",
            "foreign_option_1": "dhcp-option DNS 127.0.0.1",
            "foreign_option_2": "dhcp-option DOMAIN a.example\nnameserver 192.0.2.1",
            "foreign_option_3": "dhcp-option DOMAIN a.example\x1b[2J",
        },
        [],
        (),
    )
    assert (said.addresses, said.routes, said.servers, said.search) == ((), (), (), ())
    assert len(said.left_out) == 7
    assert all(each.isprintable() for each in said.left_out)


def test_routes_beyond_reason() -> None:
    many = {"ifconfig_local": "10.0.0.1", "ifconfig_netmask": "255.255.255.255"}
    for n in range(10_000):
        many[f"route_network_{n + 1}"] = f"172.{16 + n // 4096}.{n // 16 % 256}.{n % 16 * 16}"
        many[f"route_netmask_{n + 1}"] = "255.255.255.254"
    said = told.openvpn(many, [], ())
    assert len(said.routes) == told.ROUTES_MAX and "too many" in said.left_out[0]
    assert told.openvpn(many, ["redirect-gateway def1"], ()).routes == ("0.0.0.0/0",)


def test_what_openconnect_says() -> None:
    env = {
        "INTERNAL_IP4_ADDRESS": "192.168.7.5",
        "INTERNAL_IP4_NETMASK": "255.255.255.0",
        "INTERNAL_IP6_NETMASK": "fd07::5/64",
        "INTERNAL_IP4_DNS": "10.64.0.1 127.0.0.1",
        "CISCO_DEF_DOMAIN": "corp.example -x",
        "INTERNAL_IP4_MTU": "1350",
        "VPNGATEWAY": "198.51.100.20",
    }
    said = told.openconnect(env, ())
    assert said.addresses == ("192.168.7.5/32", "fd07::5/128")
    assert said.routes == ("0.0.0.0/0", "::/0")
    assert (said.servers, said.search) == (("10.64.0.1",), ("corp.example",))
    split = {**env, "CISCO_SPLIT_INC": "1", "CISCO_SPLIT_INC_0_ADDR": "10.1.0.0"}
    split["CISCO_SPLIT_INC_0_MASKLEN"] = "16"
    assert told.openconnect(split, ()).routes == ("10.1.0.0/16", "10.64.0.1/32", "::/0")


text = st.text(st.one_of(st.sampled_from("0123456789./:\n \x1bx"), st.characters()), max_size=40)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.one_of(st.sampled_from(sorted(USUAL)), text), text, max_size=20),
    st.lists(text, max_size=5),
)
def test_whatever_is_said_what_is_taken_can_stand(env: dict[str, str], pushed: list[str]) -> None:
    for said in (told.openvpn(env, pushed, ()), told.openconnect(env, ())):
        for address in said.addresses:
            checks.interface_address(address)
        for net in said.routes:
            checks.network(net)
        for server in said.servers:
            assert not checks.dns_server(server).is_loopback
        for domain in said.search:
            checks.domain(domain)
        assert all(each.isprintable() for each in said.left_out)
        data = json.loads(json.dumps(asdict(said)))
        assert Told(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}) == said


def test_what_openvpn_says_on_its_management_interface() -> None:
    reader = management.Reader()
    assert reader.read(">STATE:1,CONNECTED,SUCCESS,10.8.0.2,192.0.2.1,1194,,,") == management.State(
        "CONNECTED", "SUCCESS", "192.0.2.1:1194"
    )
    need = reader.read(">PASSWORD:Need 'Auth' username/password SC:1,Your \x1bcode")
    assert need == management.Need("Auth", "Your \\x1bcode", True)
    failed = reader.read(
        ">PASSWORD:Verification Failed: 'Auth' ['CRV1:R,E:TOKEN:Y2Fyb2w=:Which colour?']"
    )
    assert isinstance(failed, management.Refused)
    assert (failed.challenge, failed.echo, failed.token, failed.username) == (
        *("Which colour?", True),
        *("TOKEN", "carol"),
    )
    assert "TOKEN" not in repr(failed)
    assert reader.read(">UPDOWN:ENV,a=b") is None, "an environment that nothing began"
    assert reader.read(">UPDOWN:UP") is None and reader.read(">UPDOWN:ENV,a=b=c") is None
    assert reader.read(">UPDOWN:ENV,END") == management.UpDown("UP", {"a": "b=c"})
    line = "PUSH: Received control message: 'PUSH_REPLY,redirect-gateway def1,dhcp-option DNS 1'"
    assert management.pushed(line) == ["redirect-gateway def1", "dhcp-option DNS 1"]


@given(st.lists(text, max_size=20))
def test_no_line_upsets_the_reader(lines: list[str]) -> None:
    reader = management.Reader()
    for kind in (">STATE:", ">LOG:", ">PASSWORD:", ">UPDOWN:", ">HOLD:", ">FATAL:", ""):
        for line in lines:
            reader.read(kind + line)


@given(text)
def test_an_answer_stays_one_command(answer: str) -> None:
    from netjail.profile import tunnelchecks

    try:
        tunnelchecks.secret_line(answer)
    except checks.Bad:
        return
    assert "\n" not in management.quote(answer)
    assert "\n" not in management.static_response(answer, answer)


@given(st.text())
def test_a_servers_question_brings_no_command_of_its_own(user: str) -> None:
    """The name that it gives goes back over the management interface, line by line."""
    encoded = b64encode(f"x{user}\nsignal SIGUSR1\n".encode(errors="replace")).decode()
    line = f">PASSWORD:Verification Failed: 'Auth' ['CRV1:R,E:tok:{encoded}:Which colour?']"
    failed = management.Reader().read(line)
    assert isinstance(failed, management.Refused)
    assert failed.token == "tok" and failed.username is None
