import re
import time
from collections.abc import Iterator
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import LayoutError
from receiver.outputs import paths
from receiver.outputs.name_codec import Capitals, encode_component
from receiver.outputs.paths import Namer, Template

CREATED = "2026-08-19T23:34:12.267870162Z"
PATTERN = r"(?P<lang>[a-z]{2})-(?P<kind>[^-]*)-.*"


def bind(text: str, key_pattern: str | None = None) -> Namer:
    template = Template.parse(text, key_pattern)
    return template.bind(
        "batches/b1x7", "Nightly run", "models/gemini-3.5-flash", CREATED, {"team": "blue", "n": 1}
    )


@pytest.mark.parametrize(
    ("text", "key", "name"),
    [
        ("{batch}/{key}.json", "request-1", "b1x7/request-1.json"),
        ("{batch}/{key}.json", "../x", "b1x7/!2e.!2fx.json"),
        ("{batch}/{key}.json", "", "b1x7/!z.json"),
        ("{batch}/{key}.json", "con", "b1x7/!63on.json"),
        ("{batch}/{key}", "request-1", "b1x7/request-1"),
        ("{key}/{batch}.json", "request-1", "request-1/b1x7.json"),
        (
            "out/{model}/{date}-{batch}/{key}.json",
            "k",
            "out/gemini-3.5-flash/2026-08-19-b1x7/k.json",
        ),
        ("{display_name}/{batch}/{key}.json", "k", "Nightly!20run!u1/b1x7/k.json"),
        ("team={meta.team}/n={meta.n}/{batch}/{key}.json", "k", "team=blue/n=1/b1x7/k.json"),
        ("{meta.absent}/{batch}/{key}.json", "k", "!n/b1x7/k.json"),
        ("r-{key}-of={batch}.json", "k", "r-k-of=b1x7.json"),
        ("{batch}/co{key}.json", "n", "b1x7/!63on.json"),
        ("{batch}/{key}n.json", "co", "b1x7/!63on.json"),
        ("{batch}/{key}/{key}.json", "k", "b1x7/k/k.json"),
        ("{batch}/{key}.{key}.json", "k", "b1x7/k.k.json"),
        ("{batch}/{key}.{meta.team}.json", "k", "b1x7/k.blue.json"),
    ],
)
def test_template_names_one_object_a_key(text: str, key: str, name: str) -> None:
    namer = bind(text)
    assert not namer.groups
    assert namer.name(key) == name


@pytest.mark.parametrize(
    ("text", "key", "name"),
    [
        ("{batch}/{lang}.jsonl", "en-a-1", "b1x7/en.jsonl"),
        ("{batch}/{lang}-{kind}.jsonl", "en-a/b-1", "b1x7/en-a!2fb.jsonl"),
        ("{batch}/{lang}/{kind}.jsonl", "en--1", "b1x7/en/!z.jsonl"),
        ("{batch}/{lang}.jsonl", "other", "b1x7/_unmatched.jsonl"),
        ("{batch}.jsonl", "en-a-1", "b1x7.jsonl"),
        ("{batch}/all.jsonl", "other", "b1x7/_unmatched.jsonl"),
        ("{batch}/{lang}/{key}.json", "en-a-1", "b1x7/en/en-a-1.json"),
        ("{batch}/{lang}/{key}.json", "Other", "b1x7/_unmatched/Other!u1.json"),
        ("{batch}/{key}.json", "other", "b1x7/_unmatched/other.json"),
    ],
)
def test_key_pattern_names_groups(text: str, key: str, name: str) -> None:
    namer = bind(text, PATTERN)
    assert namer.groups is name.endswith(".jsonl")
    assert [namer.name(key), namer.name(key)] == [name, name]


def test_keys_outside_the_pattern_are_counted() -> None:
    namer = bind("{batch}/{lang}.jsonl", PATTERN)
    assert namer.unmatched == 0
    for number, key in enumerate(["en-a-1", "other", "de-a-2", "another"], 1):
        namer.name(key)
        assert namer.unmatched == number // 2
    assert bind("{batch}/all.jsonl").unmatched is None


def test_grouping_without_pattern_takes_all() -> None:
    assert {bind("{batch}/all.jsonl").name(key) for key in ("a", "b", "")} == {"b1x7/all.jsonl"}


def test_group_that_took_no_part_is_absent() -> None:
    assert bind("{batch}/{lang}.jsonl", r"(?:(?P<lang>[a-z]+)-)?\d+").name("7") == "b1x7/!n.jsonl"


def test_more_groups_than_the_cache_holds() -> None:
    namer = bind("{batch}/{all}.jsonl", "(?P<all>.*)")
    names = [namer.name(str(number)) for number in range(paths.CACHED_GROUPS + 5)]
    assert len(set(names)) == len(names)
    assert namer.name("0") == names[0]


@pytest.mark.parametrize(
    ("text", "pattern", "name"),
    [
        ("{batch}/{key}.json", None, "<batch>/En-Key-1.json"),
        (
            "{display_name}/{batch}/{meta.team}/{key}.json",
            None,
            "Nightly!20Run/<batch>/Blue/En-Key-1.json",
        ),
        ("{batch}/{lang}/{key}.json", "(?P<lang>[^-]+)-.*", "<batch>/En/En-Key-1.json"),
        ("{batch}/{lang}.jsonl", "(?P<lang>[^-]+)-.*", "<batch>/En.jsonl"),
        ("{batch}/{lang}/{key}.json", "(?P<lang>de)-.*", "<batch>/_unmatched/En-Key-1.json"),
    ],
)
def test_capitals_are_kept_where_the_storage_allows_it(
    text: str, pattern: str | None, name: str
) -> None:
    """But for the batch, whose folder is found before anybody knows what its manifest says."""
    template = Template.parse(text, pattern, "kept")
    namer = template.bind("Batch/1", "Nightly Run", metadata={"team": "Blue"})
    folder = paths.batch_folder("Batch/1")
    assert namer.name("En-Key-1") == name.replace("<batch>", folder)
    assert namer.folder is None or namer.folder.endswith(folder)


@pytest.mark.parametrize(
    ("created", "date"),
    [
        (CREATED, "2026-08-19"),
        ("2026-08-19T23:34:12Z", "2026-08-19"),
        ("2026-08-19T23:34:12.267-02:00", "2026-08-20"),
        ("0001-01-01T00:00:00+02:00", "!n"),
        ("yesterday", "!n"),
        (None, "!n"),
    ],
)
def test_date_is_the_utc_day(created: str | None, date: str) -> None:
    assert (
        Template.parse("{date}/{batch}/{key}.json").bind("b", created=created).name("k")
        == f"{date}/b/k.json"
    )


@pytest.fixture
def _far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XYZ-9")  # nine hours ahead of UTC
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_far_from_utc")
@pytest.mark.parametrize("created", ["2026-08-19T01:34:12", "2026-08-19T23:34:12Z"])
def test_time_zone_of_the_machine_does_not_matter(created: str) -> None:
    namer = Template.parse("{date}/{batch}/{key}.json").bind("b", created=created)
    assert namer.name("k") == "2026-08-19/b/k.json"


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("{batch}/{key}.json", "b1x7"),
        ("r-{batch}/{key}.json", "r-b1x7"),
        ("{model}/{date}/{batch}/x/{key}.json", "gemini-3.5-flash/2026-08-19/b1x7"),
        (
            "{batch}={display_name}={model}={date}/{batch}/all.jsonl",
            "b1x7=Nightly!20run!u1=gemini-3.5-flash=2026-08-19/b1x7",
        ),
        ("{date}-{batch}/{key}.json", None),  # the id of another batch may end alike
        ("{key}/{batch}/x.json", None),
        ("{key}/{batch}.json", None),
        ("{batch}.jsonl", None),
    ],
)
def test_folder_is_of_the_batch_alone(text: str, folder: str | None) -> None:
    assert bind(text).folder == folder


@pytest.mark.parametrize(
    ("value", "component"),
    [
        ("x/y", "x!2fy"),
        (1.5, "1.5"),
        (True, "true"),
        (["a"], "!5b!22a!22!5d"),
        ({"b": 1, "a": [2, 3]}, encode_component('{"a":[2,3],"b":1}')),
        (None, "!n"),
        ("", "!z"),
    ],
)
def test_metadata_of_any_kind_is_named(value: object, component: str) -> None:
    namer = Template.parse("{meta.x}/{batch}/{key}.json").bind("b", metadata={"x": value})
    assert namer.name("k") == f"{component}/b/k.json"


@given(
    key=st.text(st.characters(exclude_categories=())),
    text=st.sampled_from(["{batch}/{key}.json", "{key}/{batch}.json", "{batch}/{key}/x"]),
    capitals=st.sampled_from(get_args(Capitals)),
)
def test_short_way_names_as_the_long_one(key: str, text: str, capitals: Capitals) -> None:
    short, long = (
        Template.parse(text, pattern, capitals).bind("b1x7") for pattern in (None, r"(?s:.*)")
    )
    assert short.name(key) == long.name(key)


@pytest.mark.parametrize(
    "text",
    [
        "{batch}/{display_name}-{meta.x}-{key}.json",
        "{batch}/{display_name}{model}/{key}.json",
        "{batch}/{key}." + "x" * 80 + ".json",
    ],
)
def test_long_values_make_no_long_part(text: str) -> None:
    namer = Template.parse(text).bind("b", "d" * 180, "m" * 180, None, {"x": "y" * 180})
    names = [namer.name("k" * 180), namer.name("k" * 179)]
    assert names[0] != names[1]
    assert max(len(part) for name in names for part in name.split("/")) <= 240
    assert all(name.endswith(".json") for name in names)


@pytest.mark.parametrize("length", [240, 241])
def test_only_a_part_that_is_too_long_is_hashed(length: int) -> None:
    template = Template.parse("{batch}/{display_name}{key}.json")
    name = template.bind("b", "d" * 120).name("k" * (length - 125))
    assert (name == f"b/{'d' * 120}{'k' * (length - 125)}.json") is (length == 240)
    assert name.endswith(".json")


def test_template_may_be_as_long_as_names_allow() -> None:
    most = "{batch}/{model}/{date}/{key}/{display_name}"
    for text in (f"{most}.json", f"{{batch}}/{{key}}/{'x' * 98}"):
        assert Template.parse(text).text == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "",
            (
                "the template is empty or holds control characters; write one such as"
                " {batch}/{key}.json"
            ),
        ),
        (
            "{batch}//{key}",
            "the template has an empty part: no slash at its start or end, and no two in a row",
        ),
        (
            "{batch}/{key} .json",
            "the template can't hold ' '; outside braces write letters, digits and . _ - = only",
        ),
        (
            "{batch}/_{key}.json",
            (
                "'_{key}.json' can't begin with '_': such names are the receiver's own, hidden, or"
                " lead out; choose another beginning"
            ),
        ),
        (
            "{batch}/{nope}",
            (
                "the template's field {nope} is unknown; known: batch, key, display_name, model, date,"
                " meta.<name>; KEY_PATTERN's groups add to them"
            ),
        ),
        (
            "{key}.json/{batch}={key}={key}={key}={key}={key}",
            (
                "the template is too long for the names of S3: at most 5 fields and 100 other"
                " characters"
            ),
        ),
        (
            "{key}",
            (
                "a template without a slash needs an ending such as .json, or a key could be a batch's"
                " folder"
            ),
        ),
        (
            "{batch}/all.json",
            "a template without {key} puts many results into one object, and must end with .jsonl",
        ),
    ],
)
def test_refusal_says_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(LayoutError, match=f"^{re.escape(said)}$"):
        Template.parse(text)


@pytest.mark.parametrize(
    ("text", "pattern", "said"),
    [
        (
            "{batch}/{lang}-{key}.json",
            PATTERN,
            "{lang} and {key} need a slash between them, or two keys could share a name",
        ),
        (
            "{batch}/{key}.json",
            "(?P<meta>.*)",
            "it names a group meta, which is a field already; choose another name",
        ),
    ],
)
def test_refusal_of_a_pattern_says_why(text: str, pattern: str, said: str) -> None:
    with pytest.raises(LayoutError, match=f"^{re.escape(said)}$"):
        Template.parse(text, pattern)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("{batch}/\n{key}", "control characters"),
        (
            "{batch}/{nope}",
            "{nope} is unknown; known: batch, key, display_name, model, date, meta.<name>",
        ),
        ("{batch}/{}", "{} is unknown"),
        ("{meta.}/{key}.json", "{meta.} is unknown"),
        ("{batch}/{key", "pair up"),
        ("{batch}/key}", "pair up"),
        ("{batch}/{a{key}}", "pair up"),
        ("/{batch}/{key}", "empty part"),
        ("{batch}//{key}", "empty part"),
        ("{batch}/{key}/", "empty part"),
        ("{batch}/../{key}", "can't begin with '.'"),
        ("./{key}.json", "can't begin with '.'"),
        ("{batch}/_{key}.json", "can't begin with '_'"),
        ("{batch}./{key}.json", "end with a dot"),
        ("nul.d/{key}.json", "device"),
        ("{batch}/{key} .json", "can't hold ' '"),
        ("{batch}\\{key}.json", "can't hold '\\\\'"),
        ("ü/{key}.json", "can't hold 'ü'"),
        ("a!/{key}.json", "can't hold '!'"),
        ("{key}", "ending such as .json"),
        ("{key}x", "ending such as .json"),
        ("{date}/all.jsonl", "needs {batch}"),
        ("all.jsonl", "needs {batch}"),
        ("{batch}/all.json", "end with .jsonl"),
        ("{batch}/{model}", "end with .jsonl"),
        ("{batch}/{key}/{key}/{key}/{key}/{key}.json", "too long"),
        ("{key}/" + "x" * 100 + ".json", "too long"),
    ],
)
def test_template_that_could_lose_is_refused(text: str, words: str) -> None:
    with pytest.raises(LayoutError, match=re.escape(words)):
        Template.parse(text)


@pytest.mark.parametrize(
    ("text", "pattern", "words"),
    [
        ("{batch}/{key}.json", "(", "no regular expression"),
        ("{batch}/{key}.json", "(?P<key>.*)", "a group key"),
        ("{batch}/{key}.json", "(?P<meta>.*)", "a group meta"),
        ("{batch}/{nope}.jsonl", PATTERN, "meta.<name>, lang, kind"),
        ("{batch}/{lang}-{key}.json", PATTERN, "slash between"),
        ("{batch}{lang}.jsonl", PATTERN, "write {batch}/{lang}.jsonl instead"),
    ],
)
def test_wrong_key_pattern_is_refused(text: str, pattern: str, words: str) -> None:
    with pytest.raises(LayoutError, match=re.escape(words)):
        Template.parse(text, pattern)


@pytest.mark.parametrize(
    ("text", "pattern", "example"),
    [
        ("{batch}/{key}.json", None, "b1x7/request-1.json"),
        ("{batch}/{lang}.jsonl", PATTERN, "b1x7/lang.jsonl"),
        ("{meta.team}/{batch}/{key}.json", None, "team/b1x7/request-1.json"),
        (
            "{model}/{date}/{batch}/{key}.json",
            None,
            "gemini-3.5-flash/2026-01-31/b1x7/request-1.json",
        ),
    ],
)
def test_example_shows_the_template(text: str, pattern: str | None, example: str) -> None:
    assert Template.parse(text, pattern).example() == example


@pytest.mark.parametrize("batch", ["b1x7", "batches/b1x7"])
def test_own_objects_lie_in_the_batch_folder(batch: str) -> None:
    assert paths.batch_folder(batch) == "b1x7"
    assert paths.manifest_name(batch) == "b1x7/_manifest.json"
    assert paths.index_name(batch) == "b1x7/_index.jsonl.gz"
    assert paths.errors_name(batch) == "b1x7/_errors.jsonl"
    assert paths.retry_name(batch) == "b1x7/_retry.jsonl"
    assert paths.unkeyed_name(batch, 12, groups=False) == "b1x7/_unkeyed/12.json"
    assert paths.unkeyed_name(batch, 12, groups=True) == "b1x7/_unkeyed.jsonl"
    assert paths.oversize_name(batch, 12) == "b1x7/_oversize/12.jsonl"
    assert paths.forms_name(batch) == "b1x7/_forms.jsonl.gz"
    assert paths.input_name(batch) == "b1x7/_input.jsonl.gz"
    assert paths.table_name(batch) == "b1x7/_table"
    assert paths.signature_name(batch, "0123456789abcdef0") == "b1x7/_manifest.0123456789abcdef.sig"


def test_hostile_batch_id_stays_one_folder() -> None:
    assert paths.manifest_name("batches/../x") == "!2e.!2fx/_manifest.json"


@pytest.mark.parametrize("name", ["b1x7", "batches/b1x7", "acme/batches/b1x7"])
def test_each_form_of_a_name_gives_one_folder(name: str) -> None:
    assert paths.manifest_name(name) == "b1x7/_manifest.json"
    assert Template.parse("{batch}/{key}.json").bind(name).name("k") == "b1x7/k.json"
