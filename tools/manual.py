# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes data/man from the parsers, the table of keys, and the prose in tools/pages.

`python3 tools/manual.py` writes the pages; with `--check` it only says whether they are current.
They are kept in the repository, so that no package needs a step for them and pip, which has none,
installs them too; a test fails when they are not current.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from commandline import DATA, GLOBAL, Option, Verb, options_of, read  # isort: skip

from netjail import __version__, names
from netjail.profile import keys, switch
from netjail.profile.key import KeySet

PAGES = Path(__file__).with_name("pages")
DATE = "2026-11-23"
"""Of the last change that a reader would notice; not of the build, which must be repeatable."""


def prose(text: str) -> str:
    """Text as roff: words in backticks bold, whatever roff would take for its own made harmless."""
    parts = re.split(r"`([^`]*)`", text)
    done = []
    for number, part in enumerate(parts):
        done.append(bold(part) if number % 2 else plain(part))
    return guard("".join(done))


def plain(text: str) -> str:
    """Running text. Option-like words keep their real minus signs."""
    text = text.replace("\\", "\\e")
    text = re.sub(r"(?<![\w-])-{1,2}(?=[A-Za-z0-9])", lambda m: m[0].replace("-", "\\-"), text)
    return text.replace("~", "\\(ti").replace("^", "\\(ha").replace("`", "\\(ga")


def literal(text: str) -> str:
    """Text that may be copied to a terminal."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return text.replace("~", "\\(ti").replace("^", "\\(ha").replace("`", "\\(ga")


def bold(text: str) -> str:
    """A literal in the middle of a text."""
    return f"\\fB{literal(text)}\\fR"


def guard(text: str) -> str:
    """Lines that begin with a dot or a quote are no requests."""
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.split("\n"))


def paragraphs(text: str) -> str:
    """Paragraphs, and indented blocks as they are."""
    done = []
    for number, block in enumerate(text.strip("\n").split("\n\n")):
        lines = block.split("\n")
        if all(line.startswith("  ") for line in lines):
            done.append(example([line[2:] for line in lines]))
        else:
            done.append((".PP\n" if number else "") + prose(block))
    return "\n".join(done)


def example(lines: list[str]) -> str:
    """Lines to be shown as they are."""
    shown = guard("\n".join(literal(line) for line in lines))
    return f".PP\n.RS 4\n.EX\n{shown}\n.EE\n.RE"


def entry(term: str, text: str) -> str:
    """A term with what it means; `term` is roff already."""
    return f".TP\n{term}\n{text}"


def option_entry(option: Option) -> str:
    flags = ", ".join(bold(flag) for flag in option.flags)
    value = f" \\fI{plain(option.value.rpartition('_')[2])}\\fR" if option.value else ""
    text = option.help or "One of " + ", ".join(f"`{choice}`" for choice in option.choices)
    return entry(flags + value, sentence(text))


def verb_section(verb: Verb) -> str:
    """Everything that `netjail VERB --help` says."""
    parser = verb.parser
    usage = (parser.usage or "").removeprefix(f"netjail {verb.name}").strip()
    done = [
        f'.SS "{verb.name}"',
        f"\\fBnetjail {literal(verb.name)}\\fR {synopsis(usage)}".rstrip(),
    ]
    done.append(".PP\n" + paragraphs(parser.about))
    own = [o for o in verb.options if o.flags[-1] not in ("--json", "--help")]
    for place in verb.places:
        if place.help:
            done.append(entry(f"\\fI{place.name}\\fR", sentence(place.help)))
    done += [option_entry(option) for option in own]
    if parser.examples:
        done.append(examples(parser.examples))
    if parser.exits:
        done.append(".PP\nExit status:")
        done += [entry(bold(status), sentence(what)) for status, what in parser.exits]
    return "\n".join(done)


def sentence(text: str) -> str:
    first = text[:1] if text.startswith("netjail ") else text[:1].upper()
    return prose(first + text[1:].rstrip(".") + ".")


def synopsis(usage: str) -> str:
    """Placeholders in italics, the rest bold."""
    parts = re.split(r"([A-Z][A-Z]+|[\[\]|]|\.\.\.|\s+)", usage)
    done = []
    for part in parts:
        if re.fullmatch(r"[A-Z][A-Z]+", part):
            done.append(f"\\fI{part}\\fR")
        elif part in ("[", "]", "|", "...") or not part.strip():
            done.append(" " if part and not part.strip() else part)
        else:
            done.append(bold(part))
    return guard("".join(done))


def examples(rows: object) -> str:
    lines = []
    assert isinstance(rows, (tuple, list))
    width = max(len(command) for command, _ in rows)
    for command, what in rows:
        if not what:
            lines.append(command)
        elif width <= 44:
            lines.append(f"{command:<{width}}   # {what}")
        else:
            lines += [f"# {what}", command]
    return example(lines)


def verbs_text(known: list[Verb]) -> str:
    return "\n".join(verb_section(verb) for verb in known)


def listing(known: list[Verb]) -> str:
    """Each verb with its line, by group."""
    done = []
    group = None
    for verb in known:
        if verb.group != group:
            group = verb.group
            done.append(f".PP\n{group}:")
        done.append(entry(bold(verb.name), sentence(verb.line)))
    return "\n".join(done)


def key_entries(section: str, kind: str | None = None, known: KeySet = keys.PROFILE) -> str:
    """The keys of one table of a file, as docs/profile.md has them."""
    done = []
    for key in known.keys:
        if key.section != section or (kind is not None and kind not in key.kinds):
            continue
        if section == "uplink" and kind is None and key.kinds:
            continue
        many = "list of " if key.many else ""
        text = key.doc + (" A secret." if key.secret else "")
        allowed = re.sub(r'"[^"]+"', lambda m: f"`{m[0]}`", key.type.allowed)
        default = "Required." if key.required else f"Default: {key.default}."
        wg = f" In a wg-quick file: `{key.wg}`." if key.wg else ""
        # key.doc and key.default have their own backticks
        done.append(entry(bold(key.leaf), prose(f"{text} Allowed: {many}{allowed}. {default}{wg}")))
    return "\n".join(done)


def kinds() -> str:
    return "\n".join(entry(bold(kind), sentence(what)) for kind, what in keys.KINDS.items())


def dns_modes() -> str:
    done = []
    for kind, (default, *others) in keys.DNS_MODES.items():
        more = f", or {' or '.join(bold(other) for other in others)}" if others else ""
        done.append(entry(bold(kind), f"{bold(default)}{more}."))
    return "\n".join(done)


def later() -> str:
    rows = [(name, what) for name, what in keys.LATER.items()]
    rows += [(f'uplink.kind = "{kind}"', what) for kind, what in keys.LATER_KINDS.items()]
    rows += [
        (f'uplink.{name} with kind = "{kind}"', what)
        for (kind, name), what in keys.LATER_OF_KIND.items()
    ]
    return "\n".join(entry(bold(name), sentence(what)) for name, what in rows)


def actions() -> str:
    """The polkit actions with their defaults."""
    from xml.etree import ElementTree

    policy = ElementTree.parse(DATA / "polkit" / "org.netjail.policy")  # noqa: S314 - our own
    meaning = {a.attrib["id"]: a.findtext("description") or "" for a in policy.iter("action")}
    says = {"yes": "yes", "auth_admin": "an administrator's password"}
    says["auth_admin_keep"] = "an administrator's password, remembered for a few minutes"
    done = []
    for action, (anywhere, _, active) in names.ACTIONS.items():
        default = f"On the active session: {says[active]}."
        if anywhere != active:
            default += f" Elsewhere: {says[anywhere]}."
        done.append(entry(bold(action), sentence(meaning[action]) + "\n" + prose(default)))
    return "\n".join(done)


def helper_options() -> str:
    from netjail.daemon import __main__ as helper

    own = [o for o in options_of(helper._parser()) if o.flags[-1] != "--help"]
    return "\n".join(option_entry(option) for option in own)


def fill(name: str, **parts: str) -> str:
    text = (PAGES / f"{name}.in").read_text(encoding="utf-8")
    title, section = name.rsplit(".", 1)
    head = (
        '.\\" SPDX-License-Identifier: GPL-3.0-or-later\n'
        f'.\\" Made by tools/manual.py from tools/pages/{name}.in and the program itself.\n'
        f'.TH {title} {section} "{DATE}" "netjail {__version__}" "netjail"'
    )
    for word, part in {"HEAD": head, **parts}.items():
        assert f"@{word}@" in text, (name, word)
        text = text.replace(f"@{word}@", part)
    assert not re.search(r"@[A-Z ]+@", text), name
    text = re.sub(r"^(\.S[HS] .*\n)\.PP\n", r"\1", text, flags=re.MULTILINE)
    assert text.isascii(), name
    return text


def pages() -> dict[Path, str]:
    """Each page with what it should hold."""
    known = read()
    directory = DATA / "man"
    return {
        directory / "netjail.1": fill(
            "netjail.1",
            LISTING=listing(known),
            VERBS=verbs_text(known),
            GLOBAL="\n".join(option_entry(option) for option in GLOBAL),
        ),
        directory / "netjaild.8": fill("netjaild.8", OPTIONS=helper_options(), ACTIONS=actions()),
        directory / "netjail.profile.5": fill(
            "netjail.profile.5",
            TOP=key_entries(""),
            KINDS=kinds(),
            UPLINK=key_entries("uplink"),
            WIREGUARD=key_entries("uplink", "wireguard"),
            PEER=key_entries("uplink.peer"),
            PLACE=key_entries("uplink.place"),
            OPENVPN=key_entries("uplink", "openvpn"),
            OPENCONNECT=key_entries("uplink", "openconnect"),
            VETH=key_entries("uplink", "veth"),
            DEVICE=key_entries("uplink", "device"),
            MACVLAN=key_entries("uplink", "macvlan"),
            IPVLAN=key_entries("uplink", "ipvlan"),
            BRIDGE=key_entries("uplink", "bridge"),
            SWITCHPORT=key_entries("uplink", "switch"),
            NETNS=key_entries("uplink", "netns"),
            LINK=key_entries("link"),
            SHAPE=key_entries("link.shape"),
            FORWARD=key_entries("forward"),
            EXPOSE=key_entries("expose"),
            DNS=key_entries("dns"),
            HOSTS=key_entries("dns.hosts"),
            ISOLATION=key_entries("isolation"),
            MODES=dns_modes(),
            LATER=later(),
        ),
        directory / "netjail.switch.5": fill(
            "netjail.switch.5",
            TOP=key_entries("", known=switch.SWITCH),
            DHCP=key_entries("dhcp", known=switch.SWITCH),
            HOSTS=key_entries("dhcp.hosts", known=switch.SWITCH),
        ),
    }


def main(words: list[str]) -> int:
    """Write the pages, or check them."""
    status = 0
    for path, text in pages().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        status = 1
        if "--check" in words:
            print(f"{path} is not current: python3 tools/{Path(__file__).name}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    return status if "--check" in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
