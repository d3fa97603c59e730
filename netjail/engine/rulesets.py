# SPDX-License-Identifier: GPL-3.0-or-later
"""Other people's packet filters: which chain, and which rule of it, drops what a veth jail sends.

Pure. A packet has to pass every base chain of a hook; an `accept` ends one of them, a `drop` ends
the packet (nft(8)). So each chain that is not ours is walked through with a packet of a jail's.
What a rule asks that is not understood here counts as not met.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from netjail import names

Expr = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """`expr` as nft's JSON has it (libnftables-json(5))."""

    expr: tuple[Expr, ...]
    shown: str = ""


@dataclass(slots=True)
class Chain:
    """`where`: who reads it: "nft", or "iptables-legacy"."""

    where: str
    table: str
    name: str
    hook: str | None = None
    policy: str = "accept"
    rules: list[Rule] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Packet:
    """The begin of a connection of a jail's, or an answer to it."""

    iif: str
    oif: str
    state: str


@dataclass(frozen=True, slots=True)
class Drop:
    """`chain` drops it: by a rule of its, or, where `policy`, because none of its lets it pass.
    `base` is the base chain that leads there."""

    base: Chain
    chain: Chain
    policy: bool
    answer: bool


def from_nft(listed: Iterable[dict[str, Any]]) -> list[Chain]:
    """From `nft -j list ruleset`: iptables-nft's chains are among them."""
    found: dict[tuple[str, str, str], Chain] = {}
    for item in listed:
        if "chain" in item:
            each = item["chain"]
            table = f"{each['family']} {each['table']}"
            found[each["family"], each["table"], each["name"]] = Chain(
                "nft", table, each["name"], each.get("hook"), each.get("policy", "accept")
            )
        elif "rule" in item:
            each = item["rule"]
            chain = found.get((each["family"], each["table"], each["chain"]))
            if chain is not None:
                chain.rules.append(Rule(tuple(each.get("expr", ()))))
    return list(found.values())


_HOOKS = {"INPUT": "input", "FORWARD": "forward", "OUTPUT": "output"}


def from_legacy(text: str, family: str) -> list[Chain]:
    """From `iptables-legacy-save -t filter`. `family`: ip or ip6."""
    found: dict[str, Chain] = {}
    for line in text.splitlines():
        try:
            words = shlex.split(line)
        except ValueError:
            continue
        if line.startswith(":"):
            name, policy = words[0][1:], words[1].lower()
            policy = policy if policy in ("drop", "accept") else "accept"
            hook = _HOOKS.get(name)
            found[name] = Chain("iptables-legacy", f"{family} filter", name, hook, policy)
        elif line.startswith("-A ") and len(words) > 1 and words[1] in found:
            found[words[1]].rules.append(Rule(tuple(_legacy(words[2:])), line))
    return list(found.values())


_VERDICTS = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "reject", "RETURN": "return"}


def _legacy(words: list[str]) -> Iterator[Expr]:
    """One rule's words as expressions; what is not known is an expression nobody understands."""
    words = [*words, "", ""]  # whatever is cut short asks for nothing
    negated = False
    while words:
        word = words.pop(0)
        if not word:
            return
        if word == "!":
            negated = True
            continue
        if word in ("-i", "-o"):
            name = words.pop(0)
            pattern = name[:-1] + "*" if name.endswith("+") else name
            key = "iifname" if word == "-i" else "oifname"
            op = "!=" if negated else "=="
            yield {"match": {"op": op, "left": {"meta": {"key": key}}, "right": pattern}}
        elif word in ("--ctstate", "--state"):
            right = words.pop(0).lower().split(",")
            op = "!=" if negated else "in"
            yield {"match": {"op": op, "left": {"ct": {"key": "state"}}, "right": right}}
        elif word in ("-j", "-g"):
            target = words.pop(0)
            verdict = _VERDICTS.get(target)
            if verdict is not None:
                yield {verdict: None}
            elif target not in ("LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS"):
                yield {"jump" if word == "-j" else "goto": {"target": target}}
            return
        elif word in ("-m", "--comment"):
            if (
                word == "-m" and words[0] in ("conntrack", "state", "comment")
            ) or word == "--comment":
                words.pop(0)
            else:
                yield {"unknown": words.pop(0)}
        else:
            yield {"unknown": word}
        negated = False


def drops(chains: Iterable[Chain], host_if: str, way_out: str) -> list[Drop]:
    """Where a jail's packets end. `host_if`: the host end of its veth."""
    known = list(chains)
    there, back = Packet(host_if, way_out, "new"), Packet(way_out, host_if, "established")
    found = []
    for base in known:
        if base.hook != "forward" or base.table.endswith(f" {names.NFT_TABLE}"):
            continue
        for packet in (there, back):
            drop = _walk_base(base, known, packet)
            if drop is not None:
                found.append(drop)
                break
    return found


def _walk_base(base: Chain, known: list[Chain], packet: Packet) -> Drop | None:
    verdict, chain = _walk(base, known, packet, 0)
    answer = packet.state != "new"
    if verdict in ("drop", "reject"):
        return Drop(base, chain, False, answer)
    if verdict == "accept" or base.policy != "drop":
        return None
    return Drop(base, base, True, answer)


def _walk(chain: Chain, known: list[Chain], packet: Packet, depth: int) -> tuple[str, Chain]:
    """(the verdict, whose); "return": none."""
    for rule in chain.rules if depth < 16 else ():
        verdict = None
        for expr in rule.expr:
            verdict = _verdict(expr, chain, known, packet, depth)
            if verdict is not None:
                break
        if verdict is None or verdict[0] in ("no", "continue"):
            continue
        return verdict
    return "return", chain


def _verdict(
    expr: Expr, chain: Chain, known: list[Chain], packet: Packet, depth: int
) -> tuple[str, Chain] | None:
    """What an expression decides; None: the next one is asked."""
    for word in ("accept", "drop", "reject", "return"):
        if word in expr:
            return word, chain
    for word in ("jump", "goto"):
        if word in expr:
            target = expr[word]["target"]
            same = (chain.where, chain.table)
            near = [each for each in known if (each.where, each.table) == same]
            into = next((each for each in near if each.name == target), None)
            if into is None:
                return "no", chain
            found = _walk(into, known, packet, depth + 1)
            return ("continue", chain) if found[0] == "return" and word == "jump" else found
    if "match" in expr:
        return None if _meets(expr["match"], packet) else ("no", chain)
    if "xt" in expr:
        # iptables-nft's: JSON does not tell what they ask. Connection tracking: whether it is an
        # answer.
        name = expr["xt"].get("name") if isinstance(expr["xt"], dict) else None
        known_good = name == "comment" or (
            name in ("conntrack", "state") and packet.state == "established"
        )
        return None if known_good else ("no", chain)
    if set(expr) & {"counter", "log", "limit", "comment", "mangle"}:
        return None
    return "no", chain


def _meets(match: Expr, packet: Packet) -> bool:
    left, right, op = match.get("left"), match.get("right"), match.get("op")
    if not isinstance(left, dict):
        return False
    meta = left.get("meta", {}).get("key") if isinstance(left.get("meta"), dict) else None
    if meta in ("iifname", "oifname"):
        value = packet.iif if meta == "iifname" else packet.oif
        met = any(isinstance(each, str) and fnmatchcase(value, each) for each in _several(right))
    elif isinstance(left.get("ct"), dict) and left["ct"].get("key") == "state":
        met = packet.state in _several(right)
    else:
        return False
    return not met if op == "!=" else met


def _several(right: Any) -> list[Any]:
    if isinstance(right, dict) and "set" in right:
        return list(right["set"])
    return right if isinstance(right, list) else [right]


def owner(drop: Drop, chains: Iterable[Chain]) -> str | None:
    """Whose rules they are, by the names that they are known to give."""
    there = (drop.base.where, drop.base.table)
    same = [chain.name for chain in chains if (chain.where, chain.table) == there]
    for start, whose in (
        ("ufw", "ufw"),
        ("DOCKER", "Docker"),
        ("ts-", "Tailscale"),
        ("LIBVIRT_", "libvirt"),
        ("KUBE-", "Kubernetes"),
    ):
        if any(name.startswith(start) for name in same):
            return whose
    return "firewalld" if drop.base.table.endswith(" firewalld") else None
