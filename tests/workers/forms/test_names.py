from collections import Counter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.outputs.forms import FORMS
from receiver.outputs.name_codec import Capitals
from receiver.outputs.paths import Template, unkeyed_name
from workers.forms.names import FormNames

TEMPLATES = (
    ("{batch}/{key}.json", None),
    ("{batch}/{key}", None),
    ("{batch}={key}.txt", None),
    ("{key}/{batch}/answer.json", None),
    ("{batch}/{key}-v1.json", None),
    ("{batch}/{key}.longextension", None),
    ("{lang}/{batch}/{key}.json", "(?P<lang>[a-z]).*"),
)
keys = st.lists(
    st.text(max_size=6) | st.sampled_from(["a", "a.json", "a.1", "a.txt", "A", "x" * 300, "con"]),
    unique=True,
)


@given(keys, st.sampled_from(TEMPLATES), st.sampled_from(get_args(Capitals)))
def test_no_two_objects_share_a_name(
    keys: list[str], chosen: tuple[str, str | None], capitals: Capitals
) -> None:
    template = Template.parse(*chosen, capitals)
    namer, names = template.bind("b1"), FormNames("b1", template)
    raw = [namer.name(key) for key in keys] + [
        unkeyed_name("b1", number, groups=False) for number in (1, 11)
    ]
    made = list(raw)
    for name in raw:
        made += [names.name(form, name, ".json") for form in FORMS]
    counts = Counter(name if capitals == "kept" else name.lower() for name in made)
    assert [name for name, count in counts.items() if count > 1] == []
    assert all(part not in ("", ".", "..") for name in made for part in name.split("/"))


@pytest.mark.parametrize(
    ("template", "raw", "text"),
    [
        ("{batch}/{key}.json", "b1/k.json", "b1/_text/k.txt"),
        ("{batch}/{key}.json", "b1/_unkeyed/7.json", "b1/_unkeyed/_text/7.txt"),
        ("{batch}/{key}", "b1/k.json", "b1/_text/k.json.txt"),
        ("{batch}/{key}", "b1/_unkeyed/7.json", "b1/_unkeyed/_text/7.txt"),
        ("{batch}={key}.json", "b1=k.json", "_text/b1=k.txt"),
        ("{key}/{batch}.json", "k/b1.json", "k/_text/b1.txt"),
        ("{batch}/all.jsonl", "b1/all.jsonl", "b1/_text/all.jsonl"),
    ],
)
def test_form_lies_beside_its_raw_line(template: str, raw: str, text: str) -> None:
    parsed = Template.parse(template)
    assert FormNames("b1", parsed).name("text", raw, ".txt") == text
