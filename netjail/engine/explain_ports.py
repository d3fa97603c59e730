# SPDX-License-Identifier: GPL-3.0-or-later
"""As `explain`, for ports."""

from __future__ import annotations

from netjail.profile import portchecks
from netjail.profile.model import Port
from netjail.uplinks.wanted_ports import BorrowedPort, PortSet


def making(wanted: PortSet) -> tuple[str, list[str]]:
    """(sentence, commands)."""
    ports = [Port(*fields) for fields in wanted.ports]
    into = [p.listen for p in ports if p.way == "forward"]
    out = [p.to for p in ports if p.way == "expose"]
    parts = [f"forward {', '.join(into)} of the host into it"] if into else []
    parts += [f"let it reach {', '.join(out)} of the host"] if out else []
    return " and ".join(parts), [_socat(wanted.netns, port) for port in ports]


def sentences(wanted: PortSet | None) -> tuple[str, ...]:
    """What is reached by which port, one each."""
    found = []
    for port in (Port(*fields) for fields in (wanted.ports if wanted is not None else ())):
        name = f" ({port.name})" if port.name else ""
        if port.way == "forward":
            found.append(f"{port.protocol} {port.listen} of the host leads in, to {port.to}{name}")
        else:
            found.append(f"{port.protocol} {port.listen} leads to the host's {port.to}{name}")
    return tuple(found)


def borrowing(wanted: BorrowedPort) -> tuple[str, list[str]]:
    """(sentence, commands): the same by natpmpc(1), which it takes again every half minute."""
    gateway = f" -g {wanted.gateway}" if wanted.gateway else ""
    inside = f"ip netns exec {wanted.netns}"
    port = wanted.port or 0
    return "borrow a port of the provider's, by NAT-PMP or PCP, and keep it", [
        f"{inside} natpmpc{gateway} -a 1 {port} {protocol} 60" for protocol in ("tcp", "udp")
    ]


def lent(port: int | None) -> tuple[str, ...]:
    """Of a port that the provider lends, as `sentences`."""
    return () if port is None else (f"port {port} of the provider's leads in, from the internet",)


def _socat(netns: str, port: Port) -> str:
    """As socat(1) has it since 1.8: `netns` of one of the two addresses."""
    host, number = portchecks.addresses(port.listen)[0]
    name = port.protocol.upper()
    six = "6" if ":" in host else "4"
    bind = f"[{host}]" if ":" in host else host
    inner, outer = (f",netns={netns}", "") if port.way == "expose" else ("", f",netns={netns}")
    if port.to.startswith(portchecks.UNIX):
        to = f"UNIX-CONNECT:{port.to.removeprefix(portchecks.UNIX)}"
    else:
        to = f"{name}:{port.to}"
    return f"socat {name}{six}-LISTEN:{number},bind={bind},fork{inner} {to}{outer}"
