"""What is done to lines, keys and records, with the digests made to fit."""

import gzip

from tests import nasty
from tests.workers.stored_batches import sha256, used
from tests.workers.tampering.acts import (
    INDEX,
    drop_line,
    edit_errors,
    first_line_lost,
    flip,
    in_turn,
    move_to_other_group,
    part,
    rename,
    same_key_twice,
    swap_keys,
    swap_objects,
)
from tests.workers.tampering.rows import KEYS, LINES, RECORDS, Tampering

LINE_TAMPERINGS = (
    Tampering(
        "a row's key changed",
        "plain",
        KEYS,
        lambda s: s.row(1, key="de-9"),
        "the line itself 'de-1'",
    ),
    Tampering(
        "a row's key taken", "plain", KEYS, lambda s: s.row(1, key=None), "the line itself 'de-1'"
    ),
    Tampering("a key given", "plain", KEYS, lambda s: s.row(8, key="de-8"), "the line itself None"),
    Tampering(
        "two rows' keys exchanged",
        "plain",
        KEYS,
        lambda s: s.index(swap_keys),
        "the line itself 'de-1'",
    ),
    Tampering(
        "keys exchanged in a group",
        "grouped",
        KEYS,
        lambda s: s.index(swap_keys),
        "the line itself 'de-1'",
    ),
    Tampering(
        "two answers under each other's key", "plain", KEYS, swap_objects, "the line itself 'fr-1'"
    ),
    Tampering(
        "a name changed",
        "plain",
        KEYS,
        lambda s: rename(s, "b1/de-1.json", "b1/zz.json", 1),
        "belongs in b1/de-1",
    ),
    Tampering(
        "a name moved out",
        "plain",
        KEYS,
        lambda s: rename(s, "b1/de-1.json", "c/de-1.json", 1),
        "belongs in b1/",
    ),
    Tampering(
        "a dated name changed",
        "dated",
        KEYS,
        lambda s: rename(s, "2026-01-31/b1/de-1.json", "2026-01-31/b1/z.json", 1),
        "belongs in 2026",
    ),
    Tampering(
        "another team's name",
        "by team",
        KEYS,
        lambda s: rename(s, "b1/red/de/de-1.json", "b1/blue/de/de-1.json", 1),
        "belongs in b1/red",
    ),
    Tampering(
        "key and name changed",
        "plain",
        KEYS,
        lambda s: rename(s, "b1/de-1.json", "b1/de-9.json", 1, key="de-9"),
        "the line itself 'de-1'",
    ),
    Tampering(
        "a line in another group", "grouped", KEYS, move_to_other_group, "belongs in b1/fr.jsonl"
    ),
    Tampering(
        "a group renamed",
        "grouped",
        KEYS,
        in_turn(
            lambda s: s.put("b1/it.jsonl", s.read("b1/fr.jsonl")),
            lambda s: s.delete("b1/fr.jsonl"),
            lambda s: s.index(
                lambda rows: [
                    row | {"object": row["object"].replace("fr.jsonl", "it.jsonl")} for row in rows
                ]
            ),
        ),
        "belongs in b1/fr.jsonl",
    ),
    Tampering(
        "a shared name changed",
        "shared",
        KEYS,
        in_turn(
            lambda s: s.put("it/b1.jsonl", s.read("fr/b1.jsonl")),
            lambda s: s.delete("fr/b1.jsonl"),
            lambda s: s.index(
                lambda rows: [row | {"object": row["object"].replace("fr/", "it/")} for row in rows]
            ),
        ),
        "belongs in fr/b1.jsonl",
    ),
    Tampering(
        "an outcome bettered",
        "plain",
        KEYS,
        in_turn(lambda s: s.row(6, outcome="ok"), part("outcomes", ok=5, truncated=0)),
        "the line is truncated",
    ),
    Tampering(
        "an answer called empty",
        "plain",
        KEYS,
        in_turn(lambda s: s.row(1, outcome="empty"), part("outcomes", ok=3, empty=2)),
        "the line is ok",
    ),
    Tampering(
        "an error called malformed",
        "plain",
        KEYS,
        in_turn(lambda s: s.row(3, outcome="malformed"), part("outcomes", error=1, malformed=2)),
        "the line is error",
    ),
    Tampering(
        "a first line bettered",
        "twice",
        KEYS,
        in_turn(
            lambda s: s.row(2, outcome="malformed"), part("outcomes", duplicate=0, malformed=1)
        ),
        "the line is duplicate",
    ),
    Tampering("a duplicate without a first line", "twice", KEYS, first_line_lost, "the line is ok"),
    Tampering(
        "an answer forged",
        "plain",
        LINES,
        lambda s: s.forge(1, used("de-1", "another")),
        "it says source",
    ),
    Tampering(
        "an answer forged to its length",
        "plain",
        LINES,
        lambda s: s.forge(1, used("de-1", "HELLO")),
        "it says source",
    ),
    Tampering(
        "an answer of another key",
        "plain",
        LINES,
        lambda s: s.forge(1, used("fr-1")),
        "the line itself 'fr-1'",
    ),
    Tampering("a key twice among answers", "plain", LINES, same_key_twice, "the line is duplicate"),
    Tampering(
        "an unkeyed line forged",
        "plain",
        LINES,
        lambda s: s.forge(8, nasty.answer(None, "another")),
        "it says source",
    ),
    Tampering(
        "tokens forged",
        "plain",
        LINES,
        lambda s: s.forge(1, used("de-1", prompt=8)),
        "it says usage",
    ),
    Tampering("the last line dropped", "plain", LINES, drop_line, "it says source"),
    Tampering(
        "a long line forged",
        "oversize",
        LINES,
        in_turn(
            lambda s: s.edit("b1/_oversize/2.jsonl", flip),
            lambda s: s.say(
                oversize=[
                    {
                        "name": "b1/_oversize/2.jsonl",
                        "sha256": sha256(s.read("b1/_oversize/2.jsonl")),
                    }
                ]
            ),
        ),
        "it says source",
    ),
    Tampering(
        "an error's line forged",
        "plain",
        RECORDS,
        lambda s: edit_errors(s, lambda row: row | {"raw": row["raw"].replace("broke", "BROKE")}),
        "its place or its bytes",
    ),
    Tampering(
        "an error's message forged",
        "plain",
        RECORDS,
        lambda s: edit_errors(s, lambda row: row | {"message": "fine"}),
        "its place or its bytes",
    ),
    Tampering(
        "an error's code forged",
        "plain",
        RECORDS,
        lambda s: edit_errors(s, lambda row: row | {"code": "3"}),
        "its place or its bytes",
    ),
    Tampering(
        "an error's line taken",
        "plain",
        RECORDS,
        lambda s: edit_errors(s, lambda _: {"line": 3}),
        "does not hold the line",
    ),
    Tampering(
        "a retry left out",
        "plain",
        RECORDS,
        lambda s: s.record("retry", lambda _: b""),
        "it says retry",
    ),
    Tampering(
        "a retry added",
        "plain",
        RECORDS,
        lambda s: s.record("retry", lambda d: d + b'{"key":"fr-2"}\n'),
        "it says retry",
    ),
    Tampering(
        "a request to retry changed",
        "input",
        RECORDS,
        lambda s: s.record("retry", lambda d: d.replace(b'"contents":[]', b'"contents":[1]')),
        "it says retry",
    ),
    Tampering(
        "a request left out of the input",
        "input",
        RECORDS,
        lambda s: s.record("input", lambda _: gzip.compress(b'{"key":"de-1"}\n')),
        "it says input",
    ),
    Tampering(
        "an index elsewhere",
        "plain",
        RECORDS,
        in_turn(lambda s: s.put("b1/other", s.read(INDEX)), part("index", name="b1/other")),
        "belongs",
    ),
)
