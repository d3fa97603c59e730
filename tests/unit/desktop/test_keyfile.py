# SPDX-License-Identifier: GPL-3.0-or-later
"""The line-true editor: what is not changed stays as it is, to the byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail.desktop.keyfile import KeyFile

TEXT = """\
# a comment
[Desktop Entry]
Name=A
Name[de] = B
Exec=old  %u
# near the end

[Desktop Action x]
Exec=other
"""

VALUES = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\n\r"), max_size=20
).map(lambda text: text.strip(" \t"))
KEYS = st.from_regex(r"[A-Za-z0-9-]{1,8}(\[[a-z]{2}\])?", fullmatch=True)
LINES = st.one_of(
    st.binary(max_size=30).map(lambda data: data.replace(b"\n", b" ")),
    st.builds(lambda k, v: f"{k}={v}".encode(), KEYS, VALUES),
    st.sampled_from([b"[Desktop Entry]", b"[Desktop Action x]", b"# note", b"", b"Exec=a %u"]),
)
FILES = st.builds(
    lambda lines, end, last: end.join(lines) + (end if last else b""),
    st.lists(LINES, max_size=12),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)


@given(st.one_of(FILES, st.binary()))
def test_reading_changes_nothing(data: bytes) -> None:
    assert KeyFile(data).data() == data


@given(FILES, KEYS, VALUES)
def test_a_value_that_is_set_is_read_back_and_no_other_line_changes(
    data: bytes, key: str, value: str
) -> None:
    file = KeyFile(data)
    before = {group: file.items(group) for group in file.groups()}
    old_lines = data.splitlines()
    file.set("Desktop Entry", key, value)
    again = KeyFile(file.data())
    assert again.get("Desktop Entry", key) == value
    after = {group: again.items(group) for group in again.groups()}
    before.setdefault("Desktop Entry", {})[key] = value
    assert after == before
    new_lines = file.data().splitlines()
    assert len(new_lines) - len(old_lines) in (0, 1, 2, 3)
    different = [line for line in old_lines if line not in new_lines]
    assert len(different) <= 1


@given(FILES, KEYS, VALUES)
def test_setting_what_was_there_before_gives_the_same_file(
    data: bytes, key: str, value: str
) -> None:
    file = KeyFile(data)
    for group in file.groups():
        for name, old in file.items(group).items():
            if "\r" not in old:
                file.set(group, name, value)
                file.set(group, name, old)
    assert file.data() == data


@given(FILES, KEYS, VALUES)
def test_a_line_that_was_added_can_be_taken_out(data: bytes, key: str, value: str) -> None:
    data = b"[Desktop Entry]\n" + data
    file = KeyFile(data)
    if file.get("Desktop Entry", key) is None:
        file.set("Desktop Entry", key, value)
        file.remove("Desktop Entry", key)
        assert file.data().rstrip(b"\r\n") == data.rstrip(b"\r\n")


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (("Desktop Entry", "Exec", "new"), TEXT.replace("old  %u", "new")),
        (("Desktop Entry", "Name[de]", "C"), TEXT.replace("= B", "= C")),
        (
            ("Desktop Entry", "Icon", "i"),
            TEXT.replace("Exec=old  %u\n", "Exec=old  %u\nIcon=i\n"),
        ),
        (("Other", "A", "b"), TEXT + "\n[Other]\nA=b\n"),
    ],
)
def test_where_a_change_goes(change: tuple[str, str, str], wanted: str) -> None:
    file = KeyFile(TEXT.encode())
    file.set(*change)
    assert file.data().decode() == wanted


def test_the_last_of_two_keys_counts_and_groups_of_one_name_are_one() -> None:
    file = KeyFile(b"[A]\nk=1\nk=2\n[B]\nx=1\n[A]\nk=3\nl=4\n")
    assert file.items("A") == {"k": "3", "l": "4"}
    file.set("A", "k", "9")
    assert file.data() == b"[A]\nk=1\nk=2\n[B]\nx=1\n[A]\nk=9\nl=4\n"
    file.remove("A", "k")
    assert file.data() == b"[A]\n[B]\nx=1\n[A]\nl=4\n"


def test_a_group_goes_with_all_that_is_in_it() -> None:
    file = KeyFile(TEXT.encode())
    file.remove_group("Desktop Action x")
    assert file.groups() == ["Desktop Entry"]
    assert file.data().decode() == TEXT[: TEXT.index("[Desktop Action")]


@pytest.mark.parametrize("value", ["a\nb", "a\rb", " a", "a\t"])
def test_what_cannot_be_one_line_is_refused(value: str) -> None:
    with pytest.raises(ValueError):
        KeyFile(b"[A]\n").set("A", "k", value)


def test_line_ends_and_bytes_of_others_stay() -> None:
    data = b"\xef\xbb\xbf[A]\r\nk=\xff\xfe\r\nlast=1"
    file = KeyFile(data)
    file.set("A", "new", "x")
    assert file.data() == b"\xef\xbb\xbf[A]\r\nk=\xff\xfe\r\nlast=1\r\nnew=x\r\n"
