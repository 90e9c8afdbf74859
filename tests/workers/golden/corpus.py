"""The cases of the golden corpus: results, how they arrive, and the settings for storing them."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from receiver.outputs.paths import Template
from tests import nasty
from tests.bench.generator import KEY_PATTERN, write_results
from tests.workers.golden import hostile

FIELD = Path(__file__).with_name("field.jsonl")  # lines after the shapes of public reports
PER_KEY = Template.parse("{batch}/{key}.json")
GROUPED = Template.parse("{batch}/{group}.jsonl", KEY_PATTERN)
ALL = Template.parse("{batch}/all.jsonl")
REFUSING = Template.parse("{batch}/{group}.jsonl", r"(?P<group>g[1-5])-.*")
OPTIONAL = Template.parse("{batch}/{group}.jsonl", r"(?P<group>g[1-5]-)?.*")
PER_KEY_IN_GROUPS = Template.parse("{batch}/{group}/{key}.json", KEY_PATTERN)
FORMS = {"OUTPUT_FORMS": "text,thoughts,json,media"}  # a table depends on the version of pyarrow
MAX_CHUNK_BYTES = 200_000


@dataclass(frozen=True)
class Case:
    chunks: Callable[[], Iterable[bytes]]
    template: Template = GROUPED
    requests: int | None = None  # as Gemini says
    settings: Mapping[str, Any] = field(default_factory=dict)
    input: bytes | None = None  # the requests, where they are known


@cache
def generated(kind: str, size_bytes: int, groups: int = 100) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write_results(Path(folder) / kind, kind, size_bytes, groups=groups).path.read_bytes()


def cut(data: bytes, seed: int) -> Iterator[bytes]:
    """Pieces of random sizes, some of them tiny, as a network gives them."""
    dice, position = Random(seed), 0
    while position < len(data):
        size = dice.randint(1, dice.choice((20, 5_000, MAX_CHUNK_BYTES)))
        yield data[position : position + size]
        position += size


def _case(make: Callable[[], bytes], template: Template = GROUPED, **options: object) -> Case:
    return Case(lambda: cut(make(), 1), template, **options)  # type: ignore[arg-type] # its fields


def _text() -> bytes:
    return generated("text", 1_500_000)


def _small(kind: str, lines: int = 400) -> bytes:
    return b"\n".join(generated(kind, 1_500_000).split(b"\n")[:lines]) + b"\n"


def _nasty() -> bytes:
    return generated("nasty", 1_500_000)


def _mutated(kind: str, seed: int) -> Case:
    return Case(lambda: cut(hostile.mutated(_small(kind), seed), seed))


def _requests(lines: Iterable[int]) -> bytes:
    return b"".join(b'{"key":"g%d-%d","request":{"contents":[]}}\n' % (n % 100, n) for n in lines)


def _requests_of_many() -> bytes:
    keys = ((n * 7919 % 1_000, n) for n in range(39_500, 0, -1))
    return b"".join(b'{"key":"g%d-%d","request":{"contents":[]}}\n' % key for key in keys)


CASES: dict[str, Case] = {
    "text": _case(_text),
    "text, in one piece": Case(lambda: [_text()]),
    "text, one object a key": _case(lambda: _small("text"), PER_KEY),
    "text, one object a key in folders": _case(lambda: _small("text", 200), PER_KEY_IN_GROUPS),
    "structured": _case(lambda: generated("structured", 1_000_000)),
    "embeddings": _case(lambda: generated("embeddings", 1_500_000)),
    "images": _case(lambda: generated("images", 5_000_000)),
    "images, one object a key": _case(lambda: generated("images", 5_000_000), PER_KEY),
    "mixed": _case(lambda: generated("mixed", 4_000_000)),
    "tiny, 3,000 groups": _case(lambda: generated("tiny", 1_000_000, 3_000)),
    "tiny, one object a key": _case(lambda: _small("tiny", 1_500), PER_KEY),
    "nasty": _case(_nasty),
    "nasty, in one piece": Case(lambda: [_nasty()]),
    "nasty, cut elsewhere": Case(lambda: cut(_nasty(), 2)),
    "nasty, one object a key": _case(lambda: _small("nasty"), PER_KEY),
    "nasty, all in one object": _case(_nasty, ALL),
    "nasty, a pattern that refuses": _case(_nasty, REFUSING),
    "nasty, an optional group": _case(_nasty, OPTIONAL),
    "nasty, fewer than Gemini says": _case(_nasty, requests=10_000),
    "nasty, its input known": _case(_nasty, input=_requests(range(900))),
    "nasty, with forms": _case(lambda: _small("nasty"), settings=FORMS),
    "nasty, by key with forms": _case(lambda: _small("nasty", 200), PER_KEY, settings=FORMS),
    "all that has a name": _case(lambda: nasty.FILE, PER_KEY, requests=nasty.REQUESTS),
    "lines from the field": _case(FIELD.read_bytes, PER_KEY),
    "lines from the field, with forms": _case(FIELD.read_bytes, ALL, settings=FORMS),
    "keys under another name": _case(
        lambda: hostile.other_names(_small("text")), ALL, settings={"RESULT_KEY": "id"}
    ),
    "values of all kinds": _case(hostile.wrapped_values),
    "values of all kinds, one object a key": _case(hostile.wrapped_values, PER_KEY),
    "usages of all kinds": _case(hostile.usages),
    "repeated keys": _case(hostile.repeated_keys),
    "many keys in many groups": _case(hostile.many_keys, requests=40_000),
    "many keys, their input known": _case(hostile.many_keys, ALL, input=_requests_of_many()),
    "every line twice": _case(lambda: _small("text") * 2, requests=400),
    "blank runs": _case(lambda: hostile.blank_runs(_text())),
    "only blank lines": _case(lambda: b"\n" * 300_000),
    "CRLF": _case(lambda: _small("text").replace(b"\n", b"\r\n")),
    "a byte order mark": _case(lambda: b"\xef\xbb\xbf" + _small("text", 20), requests=20),
    "no final newline": _case(lambda: _small("text")[:-1], requests=400),
    "cut in a line": _case(lambda: _small("text")[:-777], requests=400),
    "cut in a character": _case(
        lambda: _text()[: _text().index("“".encode(), 700_000) + 1], requests=400
    ),
    "empty": _case(lambda: b"", requests=3),
    "one newline": _case(lambda: b"\n"),
    "one bare row": _case(lambda: b'{"key":1}'),
    "errors without keys": _case(lambda: b'{"error":{"code":5}}\n' * 9 + nasty.answer("g1-1")),
    "a page of a proxy": _case(lambda: b"<html>\n<body>502</body>\n</html>\n", requests=3),
    "lines around 64 KiB": _case(lambda: hostile.around_edges(64 * 1024)),
    "lines around 256 KiB": _case(lambda: hostile.around_edges(256 * 1024)),
    "lines around 512 KiB": _case(lambda: hostile.around_edges(512 * 1024)),
    "lines around 512 KiB, in one piece": Case(lambda: [hostile.around_edges(512 * 1024)]),
    "too long a line": Case(hostile.oversize_chunks),
    "mutated text, one object a key": _case(
        lambda: hostile.mutated(_small("text", 200), 100), PER_KEY
    ),
    **{
        f"mutated {kind} {seed}": _mutated(kind, seed)
        for kind in ("text", "nasty")
        for seed in (1, 2, 3)
    },
}
