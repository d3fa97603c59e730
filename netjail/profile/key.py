# SPDX-License-Identifier: GPL-3.0-or-later
"""What a key of our TOML files is: its type, its words for people, and sets of keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from netjail.profile import checks


@dataclass(frozen=True, slots=True)
class Type:
    """What a value may be. `read` turns the TOML value into the final one or raises `checks.Bad`.

    `allowed` completes "allowed: ..."; `choices` lists the words where there are only a few;
    `hidden` values are never shown, not even wrong ones.
    """

    allowed: str
    read: Callable[[object], Any]
    choices: tuple[str, ...] = ()
    hidden: bool = False


def choice(*words: str) -> Type:
    def read(value: object) -> str:
        text = checks.string(value)
        if text not in words:
            raise checks.Bad("is not one of them", checks.did_you_mean(text, words))
        return text

    return Type(" or ".join(f'"{w}"' for w in words), read, choices=words)


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `name` is dotted; `kinds` empty means every kind of uplink.

    `many`: a list of such values. `default` is prose for the reference. `wg` is the key of
    wg(8) and wg-quick(8) that holds the same; it stands in [Peer] exactly for `uplink.peer.*`.
    """

    name: str
    type: Type
    doc: str
    kinds: tuple[str, ...] = ()
    many: bool = False
    required: bool = False
    default: str = ""
    secret: bool = False
    wg: str | None = None

    @property
    def section(self) -> str:
        """The dotted name of the table it stands in; "" for the top level."""
        return self.name.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        """The name inside its table."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class KeySet:
    """All keys that one sort of file may hold.

    `sections`: its tables, by dotted name, with how they are written; `named`: those of them that
    hold names of the writer's own; `later`: what is recognised and refused with "not yet";
    `only`: the sub-table that belongs to some kinds alone.
    """

    keys: tuple[Key, ...]
    sections: Mapping[str, str]
    later: Mapping[str, str] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_name: Mapping[str, Key] = field(init=False)
    required: Mapping[str, tuple[Key, ...]] = field(init=False)
    """Keys that a table must have, by its name."""
    _namesakes: Mapping[str, tuple[Key, ...]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {key.name: key for key in reversed(self.keys)})
        required: dict[str, tuple[Key, ...]] = {}
        namesakes: dict[str, tuple[Key, ...]] = {}
        for key in self.keys:
            namesakes[key.name] = (*namesakes.get(key.name, ()), key)
            if key.required:
                required[key.section] = (*required.get(key.section, ()), key)
        object.__setattr__(self, "required", required)
        object.__setattr__(self, "_namesakes", namesakes)

    def find(self, name: str, kind: str | None) -> Key | None:
        """The key of that name; some mean something else with other kinds of uplink."""
        for key in self._namesakes.get(name, ()):
            if kind in key.kinds:
                return key
        return self.by_name.get(name)

    def leaves(self, section: str, kind: str | None = None) -> list[str]:
        """The names a table may hold, keys and sub-tables, for one kind of uplink or for all."""
        if section in self.named:
            return []
        found = [
            k.leaf
            for k in self.keys
            if k.section == section and (kind is None or not k.kinds or kind in k.kinds)
        ]
        for sub in self.sections:
            head, _, leaf = sub.rpartition(".")
            kinds = self.only.get(sub)
            if sub and head == section and (kinds is None or kind is None or kind in kinds):
                found.append(leaf)
        return found
