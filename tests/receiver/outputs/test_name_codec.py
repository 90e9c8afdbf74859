import doctest
import re
import unicodedata
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.outputs import name_codec
from receiver.outputs.name_codec import Capitals, encode_component
from tests.receiver.outputs.name_decoder import decode_component

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
NASTY_TEXT = st.text(st.sampled_from("aAbBcCoOnN01!u_hz.-/\\ %#ß\u017f\u212aéÉ"), max_size=8)
TEXTS = st.one_of(ANY_TEXT, NASTY_TEXT, st.text(st.sampled_from("aB!é"), min_size=50, max_size=300))
FORMS = st.sampled_from(get_args(Capitals))
DEVICES = [
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10)),
]

# These names lie in people's storage: a change here loses their files.
GOLDEN = {
    "": "!z",
    "request-1": "request-1",
    "a_b.c-d": "a_b.c-d",
    "-rf": "-rf",
    "3f2b8c1a-0000-4000-8000-000000000001": "3f2b8c1a-0000-4000-8000-000000000001",
    "Ab": "Ab!u1",
    "aB": "aB!u2",
    "ABCDEFGHI": "ABCDEFGHI!u1ff",
    "A!B": "A!21B!u3",
    "Größe": "Gr!c3!b6!c3!9fe!u1",
    "a b": "a!20b",
    "a/b\\c": "a!2fb!5cc",
    "../../etc": "!2e.!2f..!2fetc",
    "/": "!2f",
    ".": "!2e",
    "..": "!2e!2e",
    ".env": "!2eenv",
    "_manifest": "!5fmanifest",
    "end.": "end!2e",
    "end ": "end!20",
    "x#1": "x!231",
    "50%": "50!25",
    "~": "!7e",
    "!z": "!21z",
    "!n": "!21n",
    "con": "!63on",
    "CON": "!43ON!u3",
    "nul.tar.gz": "!6eul.tar.gz",
    "com1": "!63om1",
    "com¹": "com!c2!b9",
    "console": "console",
    "\x00\n": "!00!0a",
    "\ud800": "!ed!a0!80",
    "😀": "!f0!9f!98!80",
    "x" * 180: "x" * 180,
    "x" * 177 + "#": "x" * 177 + "!23",
    "x" * 181: "x" * 100 + "!hdc31ed5afb940294fdd687c69bbba2ae",
    # The start ends with, one and two characters before, and after an escape.
    "ö" * 200: "!c3!b6" * 16 + "!c3" + "!hf4966f2104fc8f93ca0243f306417a78",
    "x" + "ö" * 200: "x" + "!c3!b6" * 16 + "!c3" + "!hf4c4a6ba05535675e55fea760298b784",
    "xx" + "ö" * 200: "xx" + "!c3!b6" * 16 + "!h69a4815bddc99631595e8f74d2a60dc3",
    "\ud800" * 100: "!ed!a0!80" * 11 + "!h682d6fde84a412f72e86825489f06720",
}

# Where capitals are kept, these differ from the others.
GOLDEN_KEPT = {
    "Ab": "Ab",
    "aB": "aB",
    "ABCDEFGHI": "ABCDEFGHI",
    "A!B": "A!21B",
    "Größe": "Gr!c3!b6!c3!9fe",
    "Key/One": "Key!2fOne",
    "CON": "!43ON",
    "Nul.TXT": "!4eul.TXT",
    "K\u212a": "K!e2!84!aa",
    "X" * 180: "X" * 180,
    "X" * 181: "X" * 100 + "!h9304e834ec7c8ac45ecf812f4c071a84",
}


@pytest.mark.parametrize("text", GOLDEN)
def test_golden_names_stay_the_same(text: str) -> None:
    assert encode_component(text) == GOLDEN[text]


@pytest.mark.parametrize("text", GOLDEN | GOLDEN_KEPT)
def test_golden_names_with_kept_capitals_stay_the_same(text: str) -> None:
    name = GOLDEN_KEPT.get(text) or GOLDEN[text]
    assert (encode_component(text, "kept"), decode_component(name, "kept")) == (
        name,
        None if "!h" in name else text,
    )


def test_examples_of_the_docstring_hold() -> None:
    assert doctest.testmod(name_codec).failed == 0


@given(text=TEXTS, capitals=FORMS)
def test_name_is_safe_everywhere(text: str, capitals: Capitals) -> None:
    name = encode_component(text, capitals)
    assert re.fullmatch(r"[A-Za-z0-9.!-][A-Za-z0-9._!-]*", name)
    assert len(name) <= 180
    assert not name.startswith((".", "_"))
    assert not name.endswith(".")
    assert name.partition(".")[0].lower() not in DEVICES


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("ending", ["", ".", ".txt", ".tar.gz", ".Con"])
def test_no_device_of_windows_is_named(device: str, ending: str) -> None:
    names = {encode_component(text + ending) for text in (device, device.upper(), device.title())}
    kept = {
        encode_component(text + ending, "kept") for text in (device, device.upper(), device.title())
    }
    assert not [name for name in names | kept if name.partition(".")[0].lower() in DEVICES]
    assert len({name.casefold() for name in names}) == len({device, device.upper(), device.title()})


@given(text=TEXTS)
def test_name_decodes_to_its_text(text: str) -> None:
    name = encode_component(text)
    if "!h" in name:
        assert decode_component(name) is None
    else:
        assert decode_component(name) == decode_component(name.lower()) == text


@given(text=TEXTS)
def test_name_with_kept_capitals_decodes_to_its_text(text: str) -> None:
    name = encode_component(text, "kept")
    assert decode_component(name, "kept") == (None if "!h" in name else text)


def twins_of(texts: set[str]) -> set[str]:
    """The same texts in other cases and in other normal forms of Unicode."""
    twins = texts | {
        change(text) for text in texts for change in (str.lower, str.upper, str.title, str.swapcase)
    }
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        twins |= {unicodedata.normalize(form, text) for text in twins}
    return twins


@given(texts=st.sets(TEXTS, max_size=20))
def test_no_two_texts_share_a_name(texts: set[str]) -> None:
    names = [
        unicodedata.normalize("NFKC", encode_component(text)).casefold() for text in twins_of(texts)
    ]
    assert all(first != second for first, second in pairwise(sorted(names)))


@given(texts=st.sets(TEXTS, max_size=20))
def test_no_two_texts_share_a_name_where_case_is_told_apart(texts: set[str]) -> None:
    """Whatever form either of them has: batches of both lie in one storage."""
    texts_of: dict[str, set[str]] = {}
    for text in twins_of(texts):
        for capitals in get_args(Capitals):
            name = unicodedata.normalize("NFKC", encode_component(text, capitals))
            texts_of.setdefault(name, set()).add(text)
    assert [shared for shared in texts_of.values() if len(shared) > 1] == []


def test_long_texts_differ_by_their_end() -> None:
    names = {encode_component("x" * 5000 + end) for end in ("", "x", "X", "é")}
    assert len(names) == 4
    assert {len(name) for name in names} == {134}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "!",
            "!q",
            "!6",
            "!61",
            "a!2Fb",
            "A",
            "Ab",
            "ab!u",
            "ab!u0",
            "ab!u01",
            "ab!u1x",
            "ab!u4",
            "AB!u1",
        ),
        *("con", "_a", ".a", "a.", "a/b", "é", "a\n", "!ff", "!zz", "!n!n", "a!h12", "a" * 181),
    ],
)
def test_foreign_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name that this project writes"):
        decode_component(name)


@pytest.mark.parametrize(
    "name", ["", "!q", "a!2Fb", "Ab!u1", "ab!u1", "Con", "_A", "A.", "!41", "!4E", "A" * 181]
)
def test_foreign_name_is_refused_where_capitals_are_kept(name: str) -> None:
    with pytest.raises(ValueError, match="no name that this project writes"):
        decode_component(name, "kept")


@given(name=st.text(st.sampled_from("aAb!u0123456789cefhzn._-"), max_size=10))
def test_what_decodes_encodes_back(name: str) -> None:
    try:
        text = decode_component(name)
    except ValueError:
        return
    if text is None:
        assert name == "!n"
    else:
        assert name in (encode_component(text), encode_component(text).lower())


def test_absent_value_has_no_text() -> None:
    assert decode_component("!n") is None
