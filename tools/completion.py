# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes data/completions from the parsers of the command line.

`python3 tools/completion.py` writes them; with `--check` it only says whether they are current.
They are kept in the repository, so that nobody who builds a package has to run this, and a test
fails when they are not current.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from commandline import DATA, GLOBAL, Option, Place, Verb, first_words, read

HEAD = """\
# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of netjail(1) for {shell}. Made by tools/completion.py: change that, not this.
#
# Names of profiles and switches come from `netjail _complete profiles` or `switches`, which never
# starts the helper and never asks for a password. Only root may read all names from the disk;
# everybody else sees those that a running helper tells, or else those of the profiles that are up.
"""


def bash(known: list[Verb]) -> str:
    """The file for bash. Works with and without the package bash-completion."""
    cases = []
    for verb in known:
        flags = " ".join(flag for option in verb.options for flag in option.flags)
        values = " ".join(
            f"{flag}:{_bash_kind(option)}"
            for option in verb.options
            if option.value is not None
            for flag in option.flags
        )
        places = " ".join(_bash_kind(p) + ("*" if p.many else "") for p in verb.places)
        places += " program" if verb.program else ""
        whole = " whole=1" if verb.whole else ""
        cases.append(
            f"        {_bash_pattern(verb.name)})\n"
            f"            flags='{flags}'\n"
            f"            values='{values}' places='{places.strip()}'{whole} ;;"
        )
    families: dict[str, list[str]] = {}
    for verb in known:
        first, _, second = verb.name.partition(" ")
        if second:
            families.setdefault(first, []).append(second)
    return _fill(
        "bash",
        CASES="\n".join(cases),
        VERBS=" ".join(word for word, _ in first_words(known)),
        FAMILIES="\n".join(
            f"        {first}) words='{' '.join(seconds)}' ;;"
            for first, seconds in families.items()
        ),
        GLOBAL=" ".join(flag for option in GLOBAL for flag in option.flags),
    )


def _bash_kind(thing: Option | Place) -> str:
    if thing.choices:
        return "=" + ",".join(thing.choices)
    return thing.kind or "none"


def _bash_pattern(name: str) -> str:
    return f"'{name}'" if " " in name else name


def zsh(known: list[Verb]) -> str:
    """The file for zsh."""
    firsts = "\n".join(f"        {_zsh(word + ':' + line)}" for word, line in first_words(known))
    cases = []
    families: dict[str, list[Verb]] = {}
    for verb in known:
        first, _, second = verb.name.partition(" ")
        if second:
            families.setdefault(first, []).append(verb)
            continue
        cases.append(f"        {first})\n{_zsh_arguments(verb, 12)} ;;")
    for first, members in families.items():
        inner = "\n".join(
            f"                {verb.name.split(' ')[1]})\n{_zsh_arguments(verb, 20)} ;;"
            for verb in members
        )
        described = " ".join(_zsh(f"{v.name.split(' ')[1]}:{v.line}") for v in members)
        cases.append(
            f"        {first})\n"
            f"            local -a second=({described})\n"
            "            if (( CURRENT == 2 )); then\n"
            "                _describe -t verbs verb second && ret=0\n"
            "                return ret\n"
            "            fi\n"
            "            shift words\n"
            "            (( CURRENT-- ))\n"
            f"            case $words[1] in\n{inner}\n            esac ;;"
        )
    options = " \\\n        ".join(
        spec
        for option in GLOBAL
        for spec in _zsh_option(
            option, "(- *)" if option.flags[-1] in ("--help", "--version") else ""
        )
    )
    return _fill("zsh", VERBS=firsts, CASES="\n".join(cases), GLOBAL=options)


_ZSH = {
    "profile": "_netjail_profiles",
    "switch": "_netjail_switches",
    "user": "_users",
    "file": "_files",
    "directory": "_directories",
    "signal": "_signals",
    "verb": "_netjail_any_verb",
}


def _zsh(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _zsh_action(thing: Option | Place) -> str:
    if thing.choices:
        return "(" + " ".join(thing.choices) + ")"
    return _ZSH.get(thing.kind, " ")


def _zsh_option(option: Option, exclusive: str = "") -> list[str]:
    """One specification for _arguments per flag."""
    text = option.help.replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    others = exclusive or (f"({' '.join(option.flags)})" if len(option.flags) > 1 else "")
    specs = []
    for flag in option.flags:
        takes = ""
        mark = ""
        if option.value is not None:
            mark = "=" if flag.startswith("--") else "+"
            takes = f":{option.value.lower()}:{_zsh_action(option)}"
        specs.append(_zsh(f"{others}{flag}{mark}[{text}]{takes}"))
    return specs


def _zsh_arguments(verb: Verb, indent: int) -> str:
    specs = [s for option in verb.options for s in _zsh_option(option)]
    for number, place in enumerate(verb.places, 1):
        where = "*" if place.many else str(number)
        specs.append(_zsh(f"{where}:{place.name.lower()}:{_zsh_action(place)}"))
    if verb.program:
        specs.append(_zsh("*:::program:_netjail_program"))
    # -S: nothing after `--` is an option; -A: nor is anything after the profile
    stop = "-S -A '-*' " if verb.whole else "-S "
    space = " " * indent
    joined = f" \\\n{space}    ".join(specs)
    return f"{space}_arguments {stop}\\\n{space}    {joined} && ret=0"


def fish(known: list[Verb]) -> str:
    """The file for fish."""
    lines = []
    for option in GLOBAL:
        lines.append(_fish_line("__netjail_at ''", _fish_option(option)))
    seconds: set[str] = set()
    for word, line in first_words(known):
        lines.append(_fish_line("__netjail_at ''", f"-a {word} -d {_fish(line)}"))
    for verb in known:
        first, _, second = verb.name.partition(" ")
        if second:
            seconds.add(first)
            lines.append(_fish_line(f"__netjail_at {first}", f"-a {second} -d {_fish(verb.line)}"))
    for verb in known:
        name = _fish(verb.name) if " " in verb.name else verb.name
        lines.append("")
        for option in verb.options:
            lines.append(_fish_line(f"__netjail_options {name}", _fish_option(option)))
        for number, place in enumerate(verb.places):
            what = _fish_values(place)
            if what:
                more = " +" if place.many else ""
                lines.append(_fish_line(f"__netjail_place {name} {number}{more}", what))
        if verb.program:
            place_of = len(verb.places)
            lines.append(
                _fish_line(f"__netjail_place {name} {place_of} +", "-a '(__netjail_program)'")
            )
    whole = " ".join(f"'{v.name}'" if " " in v.name else v.name for v in known if v.whole)
    takes = sorted({f for v in known for o in v.options if o.value is not None for f in o.flags})
    return _fill(
        "fish",
        LINES="\n".join(lines),
        FAMILIES=" ".join(sorted(seconds)),
        WHOLE=whole,
        VALUES=" ".join(takes),
    )


_FISH = {
    "profile": "(__netjail_profiles)",
    "switch": "(__netjail_switches)",
    "user": "(__fish_complete_users)",
    "directory": "(__fish_complete_directories)",
    "signal": "(__netjail_signals)",
    "verb": "(__netjail_verbs)",
}


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _fish_line(condition: str, rest: str) -> str:
    quoted = '"' + condition + '"'
    return f"complete -c netjail -n {quoted} {rest}"


def _fish_values(thing: Option | Place) -> str:
    if thing.choices:
        return f"-a {_fish(' '.join(thing.choices))}"
    if thing.kind == "file":
        return "-F"
    return f"-a '{_FISH[thing.kind]}'" if thing.kind in _FISH else ""


def _fish_option(option: Option) -> str:
    parts = [
        f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags
    ]
    if option.value is not None:
        values = _fish_values(option)
        parts += ["-r", values] if values == "-F" else ["-x", values]
    parts.append(f"-d {_fish(option.help)}")
    return " ".join(part for part in parts if part)


def _fill(shell: str, **parts: str) -> str:
    template = Path(__file__).with_name("completion") / f"netjail.{shell}.in"
    text = template.read_text(encoding="utf-8")
    for name, part in {"HEAD": HEAD.format(shell=shell).rstrip(), **parts}.items():
        assert f"@{name}@" in text, name
        text = text.replace(f"@{name}@", part)
    return text


def pages() -> dict[Path, str]:
    """Each file with what it should hold."""
    known = read()
    directory = DATA / "completions"
    return {
        directory / "netjail.bash": bash(known),
        directory / "_netjail": zsh(known),
        directory / "netjail.fish": fish(known),
    }


def main(words: list[str]) -> int:
    """Write the files, or check them."""
    status = 0
    for path, text in pages().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        status = 1
        if "--check" in words:
            print(f"{path} is not current: python3 {Path(__file__).name}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    return status if "--check" in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
