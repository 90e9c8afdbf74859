"""No accepted template lets a batch overwrite outputs of another; a refusal shows the clash."""

import re
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from receiver.errors import LayoutError
from receiver.outputs.clashes import require_no_clash
from receiver.outputs.name_codec import Capitals
from receiver.outputs.paths import Template
from receiver.outputs.templates import parse_segments

PATTERN = "(?P<lang>[a-z]+)-.*"
CLASH = re.compile(r"one name: (.*) and (.*) both give (\S+); write (\S+) instead")
FIELDS = ("batch", "key", "display_name", "model", "date", "meta.x")
pieces = st.sampled_from(
    [*(f"{{{name}}}" for name in FIELDS), "{batch}", "{key}", "-", "=", "a", ".", "n", "X", "a=b"]
)
parts = st.lists(pieces, min_size=1, max_size=4).map("".join)
partings = st.sampled_from(["/", "/", "=", "a=b", "-", ""])
orderly = st.tuples(
    st.permutations(["{batch}", "{key}"]),
    st.lists(pieces, max_size=2),
    st.lists(partings, min_size=4, max_size=4),
).map(
    lambda drawn: "".join(map("".join, zip([*drawn[0], *drawn[1]], drawn[2], strict=False))).rstrip(
        "/"
    )
)
templates = (st.lists(parts, min_size=1, max_size=3).map("/".join) | orderly).map(
    lambda text: f"{text}.json"
)
letters = st.sampled_from(
    [
        "a",
        "b",
        "n",
        "-",
        "=",
        ".",
        "_",
        "!",
        "!u1",
        "X",
        "A",
        "/",
        "co",
        "con",
        "ü",
        "2026-01-31",
        "!n",
    ]
)
words = (
    st.lists(letters, min_size=0, max_size=4).map("".join)
    | st.text(max_size=5)
    | st.just("a" * 200)
)
moments = st.sampled_from([None, "2026-01-31T10:00:00Z", "2025-12-24T10:00:00Z"])
forms = st.sampled_from(get_args(Capitals))
Batch = tuple[str, str, str, str | None, str, Capitals]
batches = st.tuples(words, words, words, moments, words, forms)


def name_of(template: Template, batch: Batch, key: str) -> str:
    batch_id, display_name, model, created, x, capitals = batch
    template = replace(template, capitals=capitals)
    return template.bind(batch_id, display_name, model, created, {"x": x}).name(key)


def is_well_formed(text: str) -> bool:
    try:
        parse_segments(text, None)
    except LayoutError:
        return False
    return True


@settings(
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], max_examples=300
)
@given(
    text=orderly.map(lambda text: f"{text}.json"),
    one=batches,
    other=batches,
    keys=st.tuples(words, words),
)
def test_accepted_template_gives_every_result_its_name(
    text: str, one: Batch, other: Batch, keys: tuple[str, str]
) -> None:
    """Batches that kept capitals lie beside others that encoded them."""
    try:
        template = Template.parse(text)
    except LayoutError:
        assume(False)
    assume(
        (one[0].removeprefix("batches/"), keys[0]) != (other[0].removeprefix("batches/"), keys[1])
    )
    same_batch = one[0].removeprefix("batches/") == other[0].removeprefix("batches/")
    other = one if same_batch else other
    assert name_of(template, one, keys[0]) != name_of(template, other, keys[1])
    encoded = [
        name_of(template, (*batch[:5], "encoded"), key)
        for batch, key in zip((one, other), keys, strict=True)
    ]
    assert encoded[0].casefold() != encoded[1].casefold()


@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(text=templates)
def test_refused_template_shows_a_clash_and_a_way(text: str) -> None:
    assume(is_well_formed(text))
    try:
        Template.parse(text)
    except LayoutError as error:
        refusal = str(error)
    else:
        assume(False)
    if found := CLASH.search(refusal):
        *results, name, instead = found.groups()
        given_values = [dict(pair.split("=", 1) for pair in said.split(", ")) for said in results]
        assert given_values[0]["batch"] != given_values[1]["batch"]
        assert {shown(text, values) for values in given_values} == {name}
    else:
        assert "X" in text or "do not show where" in refusal
        instead = refusal.partition("; write ")[2].removesuffix(" instead")
    Template.parse(instead)


def shown(text: str, values: dict[str, str]) -> str:
    """The name that a template would give if it were not refused."""
    template = Template(text, parse_segments(text, None), None)
    about = [values.get(name) for name in ("batch", "display_name", "model")]
    namer = template.bind(
        about[0] or "", about[1], about[2], "2026-01-31T10:00:00Z", {"x": values.get("meta.x")}
    )
    return namer.name(values["key"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "{key}.json",
            "batch=a, key=a and batch=b, key=a both give a.json; write {batch}/{key}.json",
        ),
        (
            "{date}/{key}.json",
            "both give 2026-01-31/a.json; write {date}/{batch}/{key}.json instead",
        ),
        ("{model}/{key}.json", "write {model}/{batch}/{key}.json instead"),
        (
            "{batch}{key}.json",
            "batch=a, key=aa and batch=aa, key=a both give aaa.json; write {batch}/{key}.json",
        ),
        (
            "{batch}-{key}.json",
            "batch=a, key=a-a and batch=a-a, key=a both give a-a-a.json; write {batch}/{key}.json",
        ),
        ("{batch}_{key}.json", "both give a_a_a.json; write {batch}/{key}.json instead"),
        ("r-{key}-{batch}.json", "write {batch}/r-{key}.json instead"),
        ("{display_name}-{batch}/{key}.json", "write {display_name}/{batch}/{key}.json instead"),
        ("{meta.x}{batch}/{key}.json", "write {meta.x}/{batch}/{key}.json instead"),
        (
            "{batch}X{key}.json",
            "names do not show where {batch} begins or ends; write {batch}/{key}.json instead",
        ),
        (
            "all.jsonl",
            "needs {batch}: two batches can make one name: batch=a and batch=b both give all.jsonl",
        ),
        ("{date}/all.jsonl", "write {date}/{batch}/all.jsonl instead"),
        ("{batch}-{lang}.jsonl", "batch=a, lang=a-a and batch=a-a, lang=a both give a-a-a.jsonl"),
        ("{lang}.jsonl", "write {batch}/{lang}.jsonl instead"),
    ],
)
def test_template_of_two_batches_is_refused(text: str, words: str) -> None:
    with pytest.raises(LayoutError, match=re.escape(words)):
        Template.parse(text, PATTERN)


@pytest.mark.parametrize(
    "text",
    [
        "{batch}/{key}.json",
        "{date}/{batch}/{key}.json",
        "{date}-{batch}/{key}.json",
        "{batch}-{date}/{key}.json",
        "batch={batch}/lang={lang}/{key}.json",
        "team={meta.team}-batch={batch}/{key}.json",
        "{batch}=of={key}.json",
        "{key}/{batch}.json",
        "{key}/{batch}-{key}.json",
        "{lang}/{batch}/{key}.json",
        "{batch}/{display_name}-{key}.json",
        "{batch}.jsonl",
        "{lang}/{batch}.jsonl",
        "{date}-{batch}.jsonl",
    ],
)
def test_template_that_parts_its_values_passes(text: str) -> None:
    require_no_clash(
        Template.parse(text, PATTERN).segments, None, lambda _segments, _values: "never asked"
    )
