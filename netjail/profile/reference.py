# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of docs/profile.md and docs/switch.md, made from the tables of keys.

A document has lines `<!-- keys: NAME -->` and `<!-- end -->`; what stands between them is
generated. `python3 -m netjail.profile.reference docs/*.md` brings them up to date, and a test
fails when it is not.
"""

from __future__ import annotations

import re
import sys

from netjail.profile import keys, switch
from netjail.profile.key import Key, KeySet

_BLOCK = re.compile(r"(<!-- keys: ([a-z. ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _row(*cells: str) -> str:
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def _allowed(key: Key) -> str:
    text = re.sub(r'"[^"]+"', lambda m: f"`{m[0]}`", key.type.allowed)
    return f"list of {text}" if key.many else text


def _meaning(key: Key, kind: str | None) -> str:
    extra = " A secret." if key.secret else ""
    wg = f" (`{key.wg}`)" if key.wg and kind != "veth" else ""
    return f"{key.doc}{extra}{wg}"


def keys_table(section: str, kind: str | None = None, known: KeySet = keys.PROFILE) -> str:
    """Markdown table of one section's keys; `kind` picks those of one kind of uplink."""
    rows = [_row("key", "meaning", "allowed", "default"), _row("---", "---", "---", "---")]
    for key in known.keys:
        if key.section != section or (kind is not None and key.kinds and kind not in key.kinds):
            continue
        if section == "uplink" and kind is not None and not key.kinds:
            continue  # uplink.kind itself
        default = "**required**" if key.required else key.default
        rows.append(_row(f"`{key.leaf}`", _meaning(key, kind), _allowed(key), default))
    return "\n".join(rows) + "\n"


def _kinds() -> str:
    rows = [_row("kind", "what it is"), _row("---", "---")]
    rows += [_row(f"`{kind}`", what) for kind, what in keys.KINDS.items()]
    return "\n".join(rows) + "\n"


def _modes() -> str:
    rows = [_row("kind", "default", "also"), _row("---", "---", "---")]
    for kind, (default, *others) in keys.DNS_MODES.items():
        rows.append(
            _row(f"`{kind}`", f'`"{default}"`', ", ".join(f'`"{m}"`' for m in others) or "-")
        )
    return "\n".join(rows) + "\n"


def _later() -> str:
    rows = [_row("not yet", "what it will be"), _row("---", "---")]
    rows += [_row(f"`{name}`", what) for name, what in keys.LATER.items()]
    rows += [_row(f'`uplink.kind = "{k}"`', what) for k, what in keys.LATER_KINDS.items()]
    rows += [
        _row(f'`uplink.{name}` with `kind = "{kind}"`', what)
        for (kind, name), what in keys.LATER_OF_KIND.items()
    ]
    return "\n".join(rows) + "\n"


def block(name: str) -> str:
    """The generated text of one block. KeyError for a name that means nothing."""
    special = {"kinds": _kinds, "dns modes": _modes, "later": _later}
    if name in special:
        return special[name]()
    if name.startswith("switch"):
        section = name.removeprefix("switch").strip()
        _ = switch.SECTIONS[section]
        return keys_table(section, known=switch.SWITCH)
    if name == "top":
        return keys_table("")
    if name.startswith("uplink "):
        kind = name.removeprefix("uplink ")
        _ = keys.KINDS[kind]
        return keys_table("uplink", kind)
    _ = keys.SECTIONS[name]
    return keys_table(name)


def update(text: str) -> str:
    """The document with its generated blocks made anew."""
    return _BLOCK.sub(lambda m: m[1] + block(m[2]) + m[3], text)


def main(paths: list[str]) -> int:
    """Rewrite the files named."""
    for path in paths:
        with open(path, encoding="utf-8") as file:
            old = file.read()
        new = update(old)
        if new != old:
            with open(path, "w", encoding="utf-8") as file:
                file.write(new)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
