"""What is done to objects and to the rows of the index."""

import gzip

from tests.workers.tampering.acts import (
    ERRORS,
    INDEX,
    INPUT,
    MORE,
    RETRY,
    exchange,
    flip,
    swap_lines,
    without,
)
from tests.workers.tampering.rows import BYTES, ROWS, STRAY, Tampering

OBJECT_TAMPERINGS = (
    Tampering(
        "a byte of an answer",
        "plain",
        BYTES,
        lambda s: s.edit("b1/de-1.json", flip),
        "de-1.json, line 1",
    ),
    Tampering(
        "a byte of a shared object",
        "grouped",
        BYTES,
        lambda s: s.edit("b1/de.jsonl", flip),
        "line 1",
    ),
    Tampering(
        "an answer cut",
        "plain",
        BYTES,
        lambda s: s.edit("b1/de-1.json", lambda d: d[:-9]),
        "ends at byte",
    ),
    Tampering(
        "a newline cut",
        "plain",
        BYTES,
        lambda s: s.edit("b1/de-1.json", lambda d: d[:-1]),
        "no newline",
    ),
    Tampering(
        "an answer emptied", "plain", BYTES, lambda s: s.put("b1/de-1.json", b""), "ends at byte 0"
    ),
    Tampering(
        "an answer lengthened",
        "plain",
        BYTES,
        lambda s: s.edit("b1/de-1.json", lambda d: d + MORE),
        "no row",
    ),
    Tampering(
        "a group lengthened",
        "grouped",
        BYTES,
        lambda s: s.edit("b1/fr.jsonl", lambda d: d + MORE),
        "no row",
    ),
    Tampering(
        "an answer deleted", "plain", BYTES, lambda s: s.delete("b1/de-1.json"), "it is not there"
    ),
    Tampering(
        "a group deleted", "grouped", BYTES, lambda s: s.delete("b1/de.jsonl"), "it is not there"
    ),
    Tampering(
        "answers exchanged",
        "plain",
        BYTES,
        lambda s: exchange(s, "b1/de-1.json", "b1/fr-1.json"),
        "line 1",
    ),
    Tampering(
        "an unkeyed line changed",
        "plain",
        BYTES,
        lambda s: s.edit("b1/_unkeyed/8.json", flip),
        "line 8",
    ),
    Tampering(
        "a dated answer changed",
        "dated",
        BYTES,
        lambda s: s.edit("2026-01-31/b1/de-1.json", flip),
        "line 1",
    ),
    Tampering(
        "a byte of the errors",
        "plain",
        BYTES,
        lambda s: s.edit(ERRORS, flip),
        "_errors.jsonl, line 3",
    ),
    Tampering(
        "errors lengthened", "plain", BYTES, lambda s: s.edit(ERRORS, lambda d: d + MORE), "no row"
    ),
    Tampering("errors deleted", "plain", BYTES, lambda s: s.delete(ERRORS), "it is not there"),
    Tampering(
        "errors where there are none", "forms", BYTES, lambda s: s.put(ERRORS, b"{}\n"), "no row"
    ),
    Tampering("errors of nothing", "nothing", BYTES, lambda s: s.put(ERRORS, b"{}\n"), "no row"),
    Tampering(
        "retries changed",
        "plain",
        BYTES,
        lambda s: s.edit(RETRY, lambda d: d + b"{}\n"),
        "its sha256",
    ),
    Tampering("retries deleted", "plain", BYTES, lambda s: s.delete(RETRY), "it is not there"),
    Tampering(
        "the input changed",
        "input",
        BYTES,
        lambda s: s.put(INPUT, gzip.compress(b"{}\n")),
        "its sha256",
    ),
    Tampering("the input deleted", "input", BYTES, lambda s: s.delete(INPUT), "it is not there"),
    Tampering(
        "a long line changed",
        "oversize",
        BYTES,
        lambda s: s.edit("b1/_oversize/2.jsonl", flip),
        "its sha256",
    ),
    Tampering(
        "the index packed anew",
        "plain",
        BYTES,
        lambda s: s.edit(INDEX, lambda d: d[:8] + bytes([d[8] ^ 2]) + d[9:]),
        "sha256",
    ),
    Tampering("the index deleted", "plain", BYTES, lambda s: s.delete(INDEX), "it is not there"),
    Tampering(
        "the manifest deleted",
        "plain",
        BYTES,
        lambda s: s.delete("b1/_manifest.json"),
        "not stored",
    ),
    Tampering(
        "a stray answer",
        "plain",
        STRAY,
        lambda s: s.put("b1/zz.json", MORE),
        "b1/zz.json: no record",
    ),
    Tampering(
        "a stray group",
        "grouped",
        STRAY,
        lambda s: s.put("b1/it.jsonl", MORE),
        "b1/it.jsonl: no record",
    ),
    Tampering(
        "a stray in a folder",
        "plain",
        STRAY,
        lambda s: s.put("b1/deep/er.json", MORE),
        "deep/er.json: no record",
    ),
    Tampering(
        "a stray dated answer",
        "dated",
        STRAY,
        lambda s: s.put("2026-01-31/b1/zz.json", MORE),
        "zz.json: no rec",
    ),
    Tampering(
        "a stray of a team",
        "by team",
        STRAY,
        lambda s: s.put("b1/blue/de/zz.json", MORE),
        "zz.json: no record",
    ),
    Tampering(
        "a stray unkeyed line",
        "plain",
        STRAY,
        lambda s: s.put("b1/_unkeyed/9.json", MORE),
        "9.json: no record",
    ),
    Tampering(
        "a stray long line",
        "plain",
        STRAY,
        lambda s: s.put("b1/_oversize/9.jsonl", MORE),
        "9.jsonl: no record",
    ),
    Tampering(
        "a stray unmatched key",
        "plain",
        STRAY,
        lambda s: s.put("b1/_unmatched/k.json", MORE),
        "k.json: no record",
    ),
    Tampering(
        "a stray text",
        "forms",
        STRAY,
        lambda s: s.put("b1/_text/zz.txt", b"x"),
        "zz.txt: no record",
    ),
    Tampering(
        "a stray text of no form",
        "plain",
        STRAY,
        lambda s: s.put("b1/_text/de-1.txt", b"x"),
        "1.txt: no record",
    ),
    Tampering(
        "a stray picture",
        "grouped forms",
        STRAY,
        lambda s: s.put("b1/_media/a.1.png", b"x"),
        "1.png: no record",
    ),
    Tampering(
        "an index of no forms",
        "plain",
        STRAY,
        lambda s: s.put("b1/_forms.jsonl.gz", b"x"),
        "gz: no record",
    ),
    Tampering(
        "a second table",
        "table",
        STRAY,
        lambda s: s.put("b1/_table.jsonl.gz", b"x"),
        "gz: no record",
    ),
    Tampering(
        "a stray of nothing",
        "nothing",
        STRAY,
        lambda s: s.put("b1/zz.json", MORE),
        "b1/zz.json: no record",
    ),
    Tampering("a row left out", "plain", ROWS, lambda s: s.index(without(1)), "without a row: 1"),
    Tampering(
        "a row repeated",
        "plain",
        ROWS,
        lambda s: s.index(lambda rows: [*rows, rows[0]]),
        "after that of line 10",
    ),
    Tampering(
        "a row added",
        "plain",
        ROWS,
        lambda s: s.index(lambda r: [*r, r[0] | {"line": 11}]),
        "11 rows",
    ),
    Tampering(
        "rows out of order",
        "plain",
        ROWS,
        lambda s: s.index(lambda rows: [rows[1], rows[0], *rows[2:]]),
        "after",
    ),
    Tampering(
        "an offset changed", "grouped", ROWS, lambda s: s.row(5, offset=3), "begins at byte 3"
    ),
    Tampering("a length changed", "plain", ROWS, lambda s: s.row(1, length=3), "line 1"),
    Tampering(
        "a line's number changed", "plain", ROWS, lambda s: s.row(10, line=11), "up to line 11"
    ),
    Tampering(
        "a row leads out",
        "plain",
        ROWS,
        lambda s: s.row(1, object="../b1/de-1.json"),
        "no name of an output",
    ),
    Tampering(
        "an error among answers", "plain", ROWS, lambda s: s.row(3, outcome="ok"), "does not belong"
    ),
    Tampering("lines in another order", "grouped", ROWS, swap_lines, "its place"),
)
